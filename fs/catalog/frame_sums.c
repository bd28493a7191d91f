/* Checksums of frames: see frame_sums.h. */
#include "frame_sums.h"

#include <stdlib.h>

#include "checksum.h"
#include "page_sum.h"

#define FRAMES_MAX   ((size_t)1 << 22)
#define FRAMES_FIRST 1024

void frame_sums_remember(struct frame_sums *frames, size_t frame, const void *page)
{
    if (frame >= frames->room) {
        size_t room = frame < FRAMES_FIRST ? FRAMES_FIRST : 2 * frame;
        uint64_t *grown = frame < FRAMES_MAX ? realloc(frames->sums, room * sizeof *grown) : NULL;
        if (!grown)
            return;
        frames->sums = grown;
        frames->room = room;
    }
    while (frames->count <= frame)
        frames->sums[frames->count++] = 0;
    frames->sums[frame] = checksum_64(page, PAGE_SUM_PAGE_BYTES, frame);
}

bool frame_sums_check(const struct frame_sums *frames, size_t frame, const void *page)
{
    return frame >= frames->count || frames->sums[frame] == 0 ||
           frames->sums[frame] == checksum_64(page, PAGE_SUM_PAGE_BYTES, frame);
}

void frame_sums_forget(struct frame_sums *frames)
{
    frames->count = 0;
}

void frame_sums_free(struct frame_sums *frames)
{
    free(frames->sums);
    *frames = (struct frame_sums){0};
}
