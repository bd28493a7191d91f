/* Fetching ahead: see relay_ahead.h.
 *
 * Within a file: who reads on where the last read ended gets a window that doubles up to WINDOW_MAX.
 *
 * Within a folder whose files are opened one after another in the order of its listing (a scan; several threads may share
 * one, so "after" means near): the next SCAN_BYTES of files of up to SMALL_FILE.  Where openings jump about (an epoch in
 * random order) and all of the folder fits into half of the memory, all of it is fetched, in listing order, as room comes.
 */
#include "relay_ahead.h"

#include <sys/stat.h>

#include "relay_state.h"

#define WINDOW_FIRST (2u << 20)
#define WINDOW_MAX   (32u << 20)
#define SCAN_BYTES   (64u << 20)
#define SCAN_FILES   2048 /* looked at in one go */
#define SMALL_FILE   (4u << 20)
#define NEAR         16
#define JUMPS        3

void relay_ahead_read(struct relay *relay, struct relay_output *out, struct relay_handle *handle, uint64_t from,
                      uint64_t end)
{
    const struct relay_node *node = handle->node;
    uint64_t slack = RELAY_PIECE_BYTES; /* the kernel's own read-ahead comes in any order */
    bool goes_on = from <= handle->read_end + slack && end + slack >= handle->read_end;
    if (end > handle->read_end || !goes_on)
        handle->read_end = end;
    if (!goes_on) {
        handle->ahead_bytes = 0;
        handle->ahead_end = end;
        return;
    }
    handle->ahead_bytes = handle->ahead_bytes == 0               ? WINDOW_FIRST
                          : handle->ahead_bytes < WINDOW_MAX / 2 ? handle->ahead_bytes * 2
                                                                 : WINDOW_MAX;
    uint64_t until = end + handle->ahead_bytes;
    if (until > node->attr.size)
        until = node->attr.size;
    if (handle->ahead_end < end)
        handle->ahead_end = end;
    for (uint64_t at = handle->ahead_end / RELAY_PIECE_BYTES * RELAY_PIECE_BYTES; at < until; at += RELAY_PIECE_BYTES) {
        if (!relay_piece_want(relay, out, handle->node, at / RELAY_PIECE_BYTES))
            return;
        handle->ahead_end = at + RELAY_PIECE_BYTES;
    }
}

static bool is_small_file(const struct relay_node *node)
{
    return node->known && !node->fresh && S_ISREG(node->attr.mode) && node->attr.size > 0 && node->attr.size <= SMALL_FILE &&
           node->attr.mode & 0444;
}

/* Wants all of the file; false where that is too much now. */
static bool want_file(struct relay *relay, struct relay_output *out, struct relay_node *file)
{
    for (uint64_t at = 0; at < file->attr.size; at += RELAY_PIECE_BYTES)
        if (!relay_piece_want(relay, out, file, at / RELAY_PIECE_BYTES))
            return false;
    return true;
}

static void fetch_next(struct relay *relay, struct relay_output *out, struct relay_node *folder, struct relay_entry *from)
{
    size_t bytes = 0;
    int files = 0;
    for (struct relay_entry *entry = from; entry && bytes < SCAN_BYTES && files < SCAN_FILES;
         entry = entry->behind, files++) {
        if (!is_small_file(entry->child))
            continue;
        bytes += entry->child->attr.size;
        if (!want_file(relay, out, entry->child))
            return;
        if (entry->order > folder->ahead_order)
            folder->ahead_order = entry->order;
    }
}

static bool fits(const struct relay *relay, const struct relay_node *folder)
{
    uint64_t bytes = 0;
    for (const struct relay_entry *entry = folder->first; entry; entry = entry->behind)
        if (is_small_file(entry->child))
            bytes += entry->child->attr.size;
    return bytes <= relay->options.limits.memory / 2;
}

static void fetch_rest(struct relay *relay, struct relay_output *out, struct relay_node *folder)
{
    if (!folder->ahead_all)
        folder->ahead_all = folder->first;
    for (int files = 0; folder->ahead_all && files < SCAN_FILES; files++) {
        if (is_small_file(folder->ahead_all->child) && !want_file(relay, out, folder->ahead_all->child))
            return;
        folder->ahead_all = folder->ahead_all->behind;
    }
    if (!folder->ahead_all)
        folder->scattered = false; /* all of it is here or on its way */
}

void relay_ahead_pump(struct relay *relay, struct relay_output *out, struct relay_node *folder)
{
    if (folder->complete && folder->scattered)
        fetch_rest(relay, out, folder);
    else if (folder->complete && folder->opened && folder->runs)
        fetch_next(relay, out, folder, folder->opened);
}

void relay_ahead_opened(struct relay *relay, struct relay_output *out, struct relay_node *file)
{
    struct relay_entry *entry = file->names;
    if (!entry)
        return;
    struct relay_node *folder = entry->folder;
    int64_t step = folder->opened ? (int64_t)(entry->order - folder->opened->order) : 0;
    if (!folder->opened ? entry == folder->first : step >= -NEAR && step <= NEAR) {
        folder->runs++;
        folder->jumps = 0;
    } else {
        folder->jumps++;
        folder->runs = 0;
    }
    if (!folder->opened || step > 0 || folder->jumps)
        folder->opened = entry;
    if (folder->jumps == JUMPS && folder->complete && fits(relay, folder)) {
        folder->scattered = true;
        folder->ahead_all = NULL;
        relay->scattered = folder->id;
    }
    if (is_small_file(file))
        want_file(relay, out, file);
    relay_ahead_pump(relay, out, folder);
}
