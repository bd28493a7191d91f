/* Callers: see relay_caller.h.
 *
 * The kernel lets a thread that was killed wait for the answer to what it had asked: it cannot know whether that was carried
 * out.  It says only that the request was interrupted, the same as for a signal that the program handles.  The difference
 * matters: a program that goes on should hear the true result where the server is about to give it; one that is killed must
 * not be held up by anything.
 *
 * Of /proc/THREAD/stat two numbers tell: `flags`, in which PF_EXITING is set from the moment a thread begins to exit, its
 * open files still to be closed; and `signal`, what is pending for this very thread, into which the kernel puts SIGKILL for
 * each signal that ends the whole process. */
#include "relay_caller.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scope.h"

/* Numbers of fields in proc(5), and which one comes first after the program's name. */
#define STATE_FIELD  3
#define FLAGS_FIELD  9
#define SIGNAL_FIELD 31
#define PF_EXITING   0x4u

/* What stands in that field; 0 where there is none. */
static unsigned long long field(const char *after_name, int number)
{
    const char *at = after_name;
    for (int i = STATE_FIELD; i <= number && at; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

bool relay_caller_is_gone(uint32_t thread)
{
    char path[32], text[1024];
    if (!thread)
        return false;
    snprintf(path, sizeof path, "/proc/%u/stat", thread);
    SCOPE_CLOSE int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file >= 0 ? read(file, text, sizeof text - 1) : 0;
    if (got <= 0)
        return false;
    text[got] = 0;
    const char *after_name = strrchr(text, ')'); /* the name may contain anything, the numbers no bracket */
    return after_name &&
           (field(after_name, FLAGS_FIELD) & PF_EXITING || field(after_name, SIGNAL_FIELD) & 1ull << (SIGKILL - 1));
}
