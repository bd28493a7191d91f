/* One pack copied, record by record, each checked by its checksum before it is written.  What the copy holds already, and
 * is the same, is not written again: so an interrupted copy is gone on with by calling this once more. */
#ifndef CYTOFS_BACKUP_PACK_H
#define CYTOFS_BACKUP_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "pack_format.h"

struct backup_pack_copy {
    const char *from, *to;     /* files; `to` is made where it is missing, and never cut */
    struct pack_header header; /* what both must begin with; a damaged one is written anew */
    uint64_t bytes;            /* to be copied, up to a record's end; the source may be longer */
    uint64_t trusted;          /* of the copy: the same as the source's, verified and durable already, up to a record's
                                  beginning; 0: nothing */

    /* Told about bytes of the source that hold no whole record: bit rot, or what a crash left.  They are copied as they are;
     * `fd` is the copy, where it may put better ones.  A failure ends the copying. */
    enum code (*damaged)(void *context, int fd, uint64_t offset, uint64_t bytes, struct failure *why);
    /* Told how many bytes were dealt with since the last call; false ends the copying (CODE_INTERRUPTED). */
    bool (*progress)(void *context, uint64_t bytes);
    void *context;
};

/* *sound: before this offset of the copy all records are whole.  *written: bytes that were new.  The copy is durable
 * afterwards, but for its name.  CODE_NOT_FOUND: there is no source. */
MUST_CHECK enum code backup_pack_copy(const struct backup_pack_copy *copy, uint64_t *sound, uint64_t *written,
                                      struct failure *why);

/* Whether the first `bytes` of both (which end at a record's beginning) are the same history of the pack, as their ends
 * tell, not looking at damage: records hold random nonces, and a pack only grows. */
MUST_CHECK enum code backup_pack_same(const struct backup_pack_copy *copy, uint64_t bytes, bool *same, struct failure *why);

#endif
