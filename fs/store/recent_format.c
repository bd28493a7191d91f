/* Records of the log of recent writes: see recent_format.h and fs/tree/FORMAT.md. */
#include "recent_format.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "checksum.h"

#define MAGIC "cyrl" /* no associated data of other sealed things begins so */

enum {
    AT_COUNT = 4,
    AT_COMMIT = 8,
    AT_SEQUENCE = 16,
    AT_INODE = 24,
    AT_OFFSET = 32,
    AT_MODIFY = 40,
    AT_SPACE = 48,
    AT_SUM = 56
};

void recent_format_write_head(const struct recent_head *head, uint8_t bytes[RECENT_FORMAT_HEAD])
{
    assert(head->count >= 1 && head->count <= RECENT_FORMAT_WRITE_MAX);
    memcpy(bytes, MAGIC, AT_COUNT);
    bytes_store32(bytes + AT_COUNT, head->count);
    bytes_store64(bytes + AT_COMMIT, head->commit);
    bytes_store64(bytes + AT_SEQUENCE, head->sequence);
    bytes_store64(bytes + AT_INODE, head->inode);
    bytes_store64(bytes + AT_OFFSET, head->offset);
    bytes_store64(bytes + AT_MODIFY, (uint64_t)head->modify_ns);
    bytes_store64(bytes + AT_SPACE, head->space);
    bytes_store64(bytes + AT_SUM, 0);
}

/* Of a record whose checksum is zeros.  Zero itself means that there is none, so it is never given. */
static uint64_t sum_of(const uint8_t *record, size_t count)
{
    uint64_t sum = checksum_64(record, count, 0);
    return sum ? sum : 1;
}

void recent_format_write_sum(uint8_t *record, size_t count)
{
    bytes_store64(record + AT_SUM, sum_of(record, count));
}

enum recent_state recent_format_read(uint8_t *bytes, size_t count, struct recent_head *head)
{
    if (count < RECENT_FORMAT_HEAD || memcmp(bytes, MAGIC, AT_COUNT) != 0)
        return RECENT_NONE;
    *head = (struct recent_head){.count = bytes_load32(bytes + AT_COUNT),
                                 .commit = bytes_load64(bytes + AT_COMMIT),
                                 .sequence = bytes_load64(bytes + AT_SEQUENCE),
                                 .inode = bytes_load64(bytes + AT_INODE),
                                 .offset = bytes_load64(bytes + AT_OFFSET),
                                 .modify_ns = (int64_t)bytes_load64(bytes + AT_MODIFY),
                                 .space = bytes_load64(bytes + AT_SPACE)};
    if (head->count < 1 || head->count > RECENT_FORMAT_WRITE_MAX || recent_format_bytes(head) > count)
        return RECENT_NONE;
    uint64_t sum = bytes_load64(bytes + AT_SUM);
    bytes_store64(bytes + AT_SUM, 0);
    if (sum == 0)
        return RECENT_UNSUMMED;
    return sum == sum_of(bytes, recent_format_bytes(head)) ? RECENT_WHOLE : RECENT_DAMAGED;
}
