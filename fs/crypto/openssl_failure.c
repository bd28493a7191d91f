/* OpenSSL's errors as failures: see openssl_failure.h.  OpenSSL queues its errors per thread; whoever sees a
 * call fail empties the queue, so that no later failure is told with an earlier one's words. */
#include "openssl_failure.h"

#include <openssl/err.h>

enum code openssl_failure_set(struct failure *why, const char *doing)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return failure_set(why, CODE_IO, "%s: the cryptographic library refused: %s", doing,
                       reason ? reason : "no reason given (out of memory?)");
}

void openssl_failure_forget(void)
{
    ERR_clear_error();
}
