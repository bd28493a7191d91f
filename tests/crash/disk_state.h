/* What a power cut may leave of a recorded folder.
 *
 * At a point of the record, each change is durable (its file, or for a name its folder, was synced after it) or loose.  What
 * is durable is there.  Of what is loose anything may be there:
 *
 *     bytes   a sector (512 or 4096 bytes) holds what it held after any of the loose writes to it, each sector for itself:
 * so writes are lost, kept, torn and reordered, within a file and between files size    that after any of the loose changes,
 * with zeros where the bytes did not arrive names   each loose change of names is there or not, in any combination; a rename
 * is there whole
 *
 * This allows more than ext4, XFS or btrfs do, each of which keeps some order that POSIX does not promise.
 */
#ifndef CYTOFS_DISK_STATE_H
#define CYTOFS_DISK_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk_record.h"

/* A moment: everything before ops[end] was done. */
struct disk_point {
    const struct disk_record *record;
    size_t end;
    size_t *covered; /* per object: changes before this one are durable */
    size_t *loose;   /* the loose changes */
    size_t loose_count;
};

void disk_point_make(struct disk_point *point, const struct disk_record *record, size_t end);
void disk_point_free(struct disk_point *point);

/* Which of the loose changes are there. */
enum disk_luck {
    LUCK_ALL, /* all: as after a kill of the program alone */
    LUCK_NONE,
    LUCK_SIZES,     /* sizes and names, no bytes */
    LUCK_MASK,      /* loose[i] where bit i of `number` is set */
    LUCK_BUT_ONE,   /* all but loose[number] */
    LUCK_TORN,      /* all, but of the last bytes that were written only the first `number` sectors */
    LUCK_TORN_HEAD, /* all, but of the last bytes that were written not the first `number` sectors */
    LUCK_CHANGES,   /* each change by chance: `number` is the seed */
    LUCK_SECTORS,   /* each sector by chance, sizes and names up to some change by chance */
};

struct disk_choice {
    enum disk_luck luck;
    uint64_t number;
    uint32_t sector; /* bytes */
};

/* The files and folders of a state, parents first. */
struct disk_image {
    struct disk_image_entry {
        char *path; /* relative */
        bool folder;
        uint8_t *bytes;
        uint64_t size;
    } * entries;
    size_t count;
    uint64_t sum; /* equal for equal images */
};

void disk_image_make(struct disk_image *image, const struct disk_point *point, const struct disk_choice *choice);
void disk_image_free(struct disk_image *image);

/* Writes it into the folder, which is made; false where that failed. */
bool disk_image_write(const struct disk_image *image, const char *folder);

/* Whether it is what lies in the folder, byte by byte. */
bool disk_image_equals(const struct disk_image *image, const char *folder);

/* The changes of a point in words, with the choice, one line each, for looking into a violation. */
struct buffer;
void disk_point_describe(const struct disk_point *point, struct buffer *out);

#endif
