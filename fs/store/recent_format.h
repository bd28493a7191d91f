/* The bytes of the log of recent writes as pure functions; fs/tree/FORMAT.md draws them.
 *
 * Records lie one behind the other without gaps.  Which of them count is known by the catalog's last commit; whether one is
 * whole is known by anybody, from its checksum. */
#ifndef CYTOFS_RECENT_FORMAT_H
#define CYTOFS_RECENT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define RECENT_FORMAT_FILE       "recent.log"
#define RECENT_FORMAT_FILE_BYTES ((size_t)4 << 20)
#define RECENT_FORMAT_HEAD       64
#define RECENT_FORMAT_WRITE_MAX  4096                      /* bytes of one write */
#define RECENT_FORMAT_OVERHEAD   (RECENT_FORMAT_HEAD + 28) /* head, nonce, tag */
#define RECENT_FORMAT_RECORD_MAX (RECENT_FORMAT_OVERHEAD + RECENT_FORMAT_WRITE_MAX)

struct recent_head {
    uint32_t count; /* bytes of the write: 1 .. RECENT_FORMAT_WRITE_MAX */
    uint64_t commit, sequence, inode, offset, space;
    int64_t modify_ns;
};

/* With zeros in place of the checksum: the form that is authenticated. */
void recent_format_write_head(const struct recent_head *head, uint8_t bytes[RECENT_FORMAT_HEAD]);

/* Into a whole record, `count` bytes with head and all, whose head was just written. */
void recent_format_write_sum(uint8_t *record, size_t count);

enum recent_state {
    RECENT_NONE, /* no record begins here */
    RECENT_WHOLE,
    RECENT_UNSUMMED, /* of a program that wrote no checksums yet: only its key tells whether it is whole */
    RECENT_DAMAGED,  /* or torn */
};

/* What begins at `bytes`, of which there are `count`.  *head is filled in but for RECENT_NONE, and the checksum then
 * replaced by zeros. */
enum recent_state recent_format_read(uint8_t *bytes, size_t count, struct recent_head *head);

/* How long the record is. */
static inline size_t recent_format_bytes(const struct recent_head *head)
{
    return RECENT_FORMAT_OVERHEAD + head->count;
}

#endif
