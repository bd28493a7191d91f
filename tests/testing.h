/* What cmocka needs in front of its header, in one place. */
#ifndef CYTOFS_TESTING_H
#define CYTOFS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* How long a test waits for what is to happen: only one that fails waits so long, however busy the machine is. */
#define TESTING_PATIENCE_MS 60000

/* Fails with the failure's text where `call` does not return CODE_OK; `why` is the failure it filled in. */
#define assert_code_ok(call, why)                                                                                           \
    do {                                                                                                                    \
        if ((call) != CODE_OK)                                                                                              \
            fail_msg("%s: %s", #call, (why).text);                                                                          \
    } while (0)

#endif
