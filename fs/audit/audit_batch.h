/* Things that happen often, put together: "bob read datasets/x: a.png b.png c.png" is one line.  Not thread-safe. */
#ifndef CYTOFS_AUDIT_BATCH_H
#define CYTOFS_AUDIT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "tree_audit.h"

struct audit_event {
    int64_t ms; /* since 1970 */
    const char *member;
    enum audit_verb verb;
    const char *path, *detail;
};

struct audit_batches;

struct audit_batches *audit_batches_create(void);
void audit_batches_destroy(struct audit_batches *batches);

/* Appends to *lines (texts, each ended by a NUL) what is complete with this event. */
void audit_batches_add(struct audit_batches *batches, const struct audit_event *event, struct buffer *lines);

/* The same for what began at or before this moment; INT64_MAX: all. */
void audit_batches_flush(struct audit_batches *batches, int64_t until_ms, struct buffer *lines);

#endif
