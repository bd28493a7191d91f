/* The audit log's newest file, open for appending in each folder that holds the store: a line is in all of them, or in none.
 * One thread. */
#ifndef CYTOFS_AUDIT_COPIES_H
#define CYTOFS_AUDIT_COPIES_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

#define AUDIT_COPIES_MAX 4

struct audit_copy {
    char *folder;
    int file; /* -1: none is open yet */
};

struct audit_copies {
    struct audit_copy list[AUDIT_COPIES_MAX]; /* the first one is read, and others are brought up to date from it */
    size_t count;
    char *name;   /* of the file that is open; NULL: none */
    size_t bytes; /* in it */
};

void audit_copies_free(struct audit_copies *copies);

/* One more folder: brought up to date from the first, where there is one. */
MUST_CHECK enum code audit_copies_attach(struct audit_copies *copies, const char *folder, struct failure *why);

/* The folder is written to no more.  The last one stays. */
void audit_copies_detach(struct audit_copies *copies, const char *folder);
bool audit_copies_has(const struct audit_copies *copies, const char *folder);

/* Goes on behind the first `bytes` of a file that is there; what follows them is cut off. */
MUST_CHECK enum code audit_copies_take_up(struct audit_copies *copies, const char *name, size_t bytes, struct failure *why);

/* A new file with that beginning, durable under its name. */
MUST_CHECK enum code audit_copies_begin(struct audit_copies *copies, const char *name, const char *head, size_t count,
                                        struct failure *why);

/* A folder where it fails is written to no more, and that is logged, unless it fails in all: then nothing was written. */
MUST_CHECK enum code audit_copies_write(struct audit_copies *copies, const char *bytes, size_t count, struct failure *why);
MUST_CHECK enum code audit_copies_sync(struct audit_copies *copies, struct failure *why);

#endif
