/* The program's own log, on standard error: what an operator should know.  Trace categories can be switched on in a
 * live system; a category that is off costs one relaxed load.  Any thread may call these. */
#ifndef CYTOFS_LOGGING_H
#define CYTOFS_LOGGING_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

enum trace_category { TRACE_SESSION, TRACE_TREE, TRACE_STORE, TRACE_JOBS, TRACE_NODE, TRACE_TRAINER, TRACE_COUNT };

void logging_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void logging_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool logging_trace_enabled(enum trace_category category);
void logging_trace_write(enum trace_category category, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define logging_trace(category, ...)                                                                                        \
    do {                                                                                                                    \
        if (logging_trace_enabled(category))                                                                                \
            logging_trace_write(category, __VA_ARGS__);                                                                     \
    } while (0)

const char *logging_trace_name(enum trace_category category);

/* Switches on exactly the categories named in `names` (comma or blank separated; "all", "none").  An unknown name is
 * CODE_INVALID and changes nothing. */
MUST_CHECK enum code logging_trace_select(const char *names, struct failure *why);

#endif
