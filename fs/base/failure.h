/* How every fallible function of cytofs reports.
 *
 * A function returns an enum code, which a caller may act on, and describes what happened in a caller-owned
 * struct failure, its last argument (NULL where nobody will read it).  Setting a failure returns its code, so one
 * return statement does both:
 *
 *     return failure_set(why, CODE_NOT_FOUND, "datasets/%s: no such dataset (see: ls datasets)", name);
 *
 * Texts are for the person: what was being done: what went wrong: what to do.  They never name a C function.
 */
#ifndef CYTOFS_FAILURE_H
#define CYTOFS_FAILURE_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum code {
    CODE_OK = 0,
    CODE_INVALID,       /* the caller's input is wrong                                       EINVAL       */
    CODE_NOT_FOUND,     /*                                                                   ENOENT       */
    CODE_EXISTS,        /*                                                                   EEXIST       */
    CODE_NOT_DIRECTORY, /*                                                                   ENOTDIR      */
    CODE_IS_DIRECTORY,  /*                                                                   EISDIR       */
    CODE_NOT_EMPTY,     /*                                                                   ENOTEMPTY    */
    CODE_NAME_TOO_LONG, /*                                                                   ENAMETOOLONG */
    CODE_CROSS_SPACE,   /* a move between two key spaces: the caller must copy               EXDEV        */
    CODE_DENIED,        /* the role or mode bits forbid it                                   EACCES       */
    CODE_NOT_PERMITTED, /* the kind of object forbids it, whoever asks                       EPERM        */
    CODE_READ_ONLY,     /* a snapshot, or a store opened read-only                           EROFS        */
    CODE_NO_SPACE,      /*                                                                   ENOSPC       */
    CODE_QUOTA,         /* a member's share is used up                                       EDQUOT       */
    CODE_TOO_LARGE,     /* a stated maximum was exceeded                                     EFBIG        */
    CODE_NO_MEMORY,     /*                                                                   ENOMEM       */
    CODE_BUSY,          /*                                                                   EBUSY        */
    CODE_AGAIN,         /* not now; the same call may succeed later                          EAGAIN       */
    CODE_NO_DATA,       /* no such extended attribute, no data past this offset              ENODATA      */
    CODE_NO_OFFSET,     /* a seek beyond the end                                             ENXIO        */
    CODE_UNSUPPORTED,   /*                                                                   EOPNOTSUPP   */
    CODE_LINK_LIMIT,    /* too many links                                                    EMLINK       */
    CODE_CORRUPT,       /* stored bytes fail their check                                     EIO          */
    CODE_NEWER_FORMAT,  /* written by a newer version of this program                        EIO          */
    CODE_IO,            /* the system below failed                                           EIO          */
    CODE_INTERRUPTED,   /* cancelled by a signal or by the peer                              EINTR        */
    CODE_DEADLOCK,      /* waiting for this lock would never end                             EDEADLK      */
    CODE_NO_LOCKS,      /* no more locks can be held                                         ENOLCK       */
    CODE_COUNT
};

#define FAILURE_TEXT_MAX 1024

struct failure {
    enum code code;
    char text[FAILURE_TEXT_MAX]; /* UTF-8, one or more lines, no trailing newline; cut at the end if too long */
};

/* Describes a failure in *why (which may be NULL) and returns code.  code must not be CODE_OK. */
enum code failure_set(struct failure *why, enum code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of errno_value behind it; the code is the one that errno_value maps to. */
enum code failure_set_errno(struct failure *why, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts context and ": " in front of the text that *why holds; returns code, the one that is being passed on. */
enum code failure_wrap(struct failure *why, enum code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The borders: one code as a positive errno, an errno as a code, a code as a program's exit status
 * (0 done, 1 the input or request was refused, 2 wrong usage, 3 the system below failed). */
int failure_to_errno(enum code code);
enum code failure_from_errno(int errno_value);
int failure_to_exit_status(enum code code);

#endif
