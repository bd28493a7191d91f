/* Records of the log of recent writes that somebody else wrote: whatever lies there, a record that is told of lies inside
 * the bytes, and one that is called whole has the checksum of exactly these bytes. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "recent_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    uint8_t *log = malloc(count + 1), *again = malloc(count + 1);
    assert(log && again);
    memcpy(log, bytes, count);
    struct recent_head head;
    for (size_t at = 0; at < count;) {
        enum recent_state state = recent_format_read(log + at, count - at, &head);
        if (state == RECENT_NONE)
            break;
        assert(head.count >= 1 && head.count <= RECENT_FORMAT_WRITE_MAX && recent_format_bytes(&head) <= count - at);
        memcpy(again, log + at, recent_format_bytes(&head));
        recent_format_write_head(&head, again);
        if (state == RECENT_WHOLE) {
            recent_format_write_sum(again, recent_format_bytes(&head));
            assert(memcmp(again, bytes + at, recent_format_bytes(&head)) == 0);
        }
        at += recent_format_bytes(&head);
    }
    free(log);
    free(again);
    return 0;
}

/* Logs of 0 to 3 writes. */
uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    uint8_t *log = index <= 3 ? calloc(1, 1024) : NULL;
    if (!log)
        return NULL;
    *count = 0;
    for (size_t i = 0; i < index; i++) {
        const struct recent_head head = {
            .count = (uint32_t)(5 + 40 * i), .commit = 9, .sequence = i, .inode = 20, .space = 3};
        recent_format_write_head(&head, log + *count);
        recent_format_write_sum(log + *count, recent_format_bytes(&head));
        *count += recent_format_bytes(&head);
    }
    *count += RECENT_FORMAT_HEAD;
    return log;
}
