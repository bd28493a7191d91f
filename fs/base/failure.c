/* Failure values: see failure.h for the idea.  The table below is the only place where codes meet errno. */
#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct translation {
    int errno_value;
    int exit_status;
};

static const struct translation translations[CODE_COUNT] = {
    [CODE_OK] = {0, 0},
    [CODE_INVALID] = {EINVAL, 1},
    [CODE_NOT_FOUND] = {ENOENT, 1},
    [CODE_EXISTS] = {EEXIST, 1},
    [CODE_NOT_DIRECTORY] = {ENOTDIR, 1},
    [CODE_IS_DIRECTORY] = {EISDIR, 1},
    [CODE_NOT_EMPTY] = {ENOTEMPTY, 1},
    [CODE_NAME_TOO_LONG] = {ENAMETOOLONG, 1},
    [CODE_CROSS_SPACE] = {EXDEV, 1},
    [CODE_DENIED] = {EACCES, 1},
    [CODE_NOT_PERMITTED] = {EPERM, 1},
    [CODE_READ_ONLY] = {EROFS, 1},
    [CODE_NO_SPACE] = {ENOSPC, 3},
    [CODE_QUOTA] = {EDQUOT, 1},
    [CODE_TOO_LARGE] = {EFBIG, 1},
    [CODE_NO_MEMORY] = {ENOMEM, 3},
    [CODE_BUSY] = {EBUSY, 1},
    [CODE_AGAIN] = {EAGAIN, 1},
    [CODE_NO_DATA] = {ENODATA, 1},
    [CODE_NO_OFFSET] = {ENXIO, 1},
    [CODE_UNSUPPORTED] = {EOPNOTSUPP, 1},
    [CODE_LINK_LIMIT] = {EMLINK, 1},
    [CODE_CORRUPT] = {EIO, 1},
    [CODE_NEWER_FORMAT] = {EIO, 1},
    [CODE_IO] = {EIO, 3},
    [CODE_INTERRUPTED] = {EINTR, 3},
    [CODE_DEADLOCK] = {EDEADLK, 1},
    [CODE_NO_LOCKS] = {ENOLCK, 3},
};

enum code failure_set(struct failure *why, enum code code, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        why->code = code;
        vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
    }
    return code;
}

enum code failure_set_errno(struct failure *why, int errno_value, const char *format, ...)
{
    enum code code = failure_from_errno(errno_value);
    if (why) {
        va_list args;
        va_start(args, format);
        why->code = code;
        vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
        size_t used = strlen(why->text);
        snprintf(why->text + used, sizeof why->text - used, ": %s", strerror(errno_value));
    }
    return code;
}

enum code failure_wrap(struct failure *why, enum code code, const char *format, ...)
{
    if (!why)
        return code;
    char inner[FAILURE_TEXT_MAX];
    memcpy(inner, why->text, sizeof inner);
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    size_t used = strlen(why->text);
    snprintf(why->text + used, sizeof why->text - used, ": %s", inner);
    why->code = code;
    return code;
}

int failure_to_errno(enum code code)
{
    return code < CODE_COUNT ? translations[code].errno_value : EIO;
}

enum code failure_from_errno(int errno_value)
{
    for (int code = CODE_OK; code < CODE_COUNT; code++)
        if (translations[code].errno_value == errno_value && code != CODE_CORRUPT && code != CODE_NEWER_FORMAT &&
            code != CODE_QUOTA) /* a disk's quota is no member's */
            return (enum code)code;
    return errno_value == EDQUOT ? CODE_NO_SPACE : CODE_IO;
}

int failure_to_exit_status(enum code code)
{
    return code < CODE_COUNT ? translations[code].exit_status : 3;
}
