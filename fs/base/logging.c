/* Logging and trace switches: see logging.h.  One line is one write(2), so lines of several threads do not mix. */
#include "logging.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint32_t enabled_categories;

static const char *const category_names[TRACE_COUNT] = {
    [TRACE_SESSION] = "session", [TRACE_TREE] = "tree", [TRACE_STORE] = "store",
    [TRACE_JOBS] = "jobs",       [TRACE_NODE] = "node", [TRACE_TRAINER] = "trainer",
};

static void write_line(const char *kind, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void write_line(const char *kind, const char *format, va_list args)
{
    char line[2048];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s ", now.tv_nsec / 1000000, kind);
    int more = vsnprintf(line + used, sizeof line - used - 1, format, args);
    used += more < 0 ? 0 : (size_t)more < sizeof line - used - 1 ? (size_t)more : sizeof line - used - 2;
    line[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}

void logging_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line("info", format, args);
    va_end(args);
}

void logging_warning(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line("warning", format, args);
    va_end(args);
}

bool logging_trace_enabled(enum trace_category category)
{
    return atomic_load_explicit(&enabled_categories, memory_order_relaxed) >> category & 1;
}

void logging_trace_write(enum trace_category category, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(category_names[category], format, args);
    va_end(args);
}

const char *logging_trace_name(enum trace_category category)
{
    return category_names[category];
}

static bool parse_category(const char *name, size_t length, uint32_t *mask)
{
    if (length == 3 && memcmp(name, "all", 3) == 0) {
        *mask |= (1u << TRACE_COUNT) - 1;
        return true;
    }
    if (length == 4 && memcmp(name, "none", 4) == 0)
        return true;
    for (int category = 0; category < TRACE_COUNT; category++)
        if (strlen(category_names[category]) == length && memcmp(category_names[category], name, length) == 0) {
            *mask |= 1u << category;
            return true;
        }
    return false;
}

enum code logging_trace_select(const char *names, struct failure *why)
{
    static const char separators[] = ", \t\n";
    uint32_t mask = 0;
    for (const char *at = names + strspn(names, separators); *at; at += strspn(at, separators)) {
        size_t length = strcspn(at, separators);
        if (!parse_category(at, length, &mask))
            return failure_set(why, CODE_INVALID,
                               "trace: \"%.*s\" is not a category (write some of session, tree, store, jobs, node, "
                               "trainer, or all, or none)",
                               (int)length, at);
        at += length;
    }
    atomic_store(&enabled_categories, mask);
    return CODE_OK;
}
