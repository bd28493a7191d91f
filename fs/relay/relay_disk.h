/* Contents of files kept on the workstation's disk, sealed.  Format: FORMAT.md. */
#ifndef CYTOFS_RELAY_DISK_H
#define CYTOFS_RELAY_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct relay_bytes;
struct relay_disk;

struct relay_disk_key {
    uint64_t node, index, version; /* relay_node_version: a piece of another version is another piece */
};

struct relay_disk_options {
    const char *folder; /* made where it is missing, 0700 */
    uint64_t bytes_max; /* 0: a default */
    const uint8_t *key; /* 32 bytes; NULL: kept in the folder itself, in a file that only its owner reads */
};

MUST_CHECK enum code relay_disk_open(const struct relay_disk_options *options, struct relay_disk **out, struct failure *why);

/* Waits for what is under way.  NULL is fine. */
void relay_disk_close(struct relay_disk *disk);

/* Keeps a copy of `count` of the bytes, soon, unless too much waits already.  Any thread; never waits. */
void relay_disk_keep(struct relay_disk *disk, const struct relay_disk_key *key, struct relay_bytes *bytes, size_t from,
                     size_t count);

/* False: it is not there.  Else `loaded` is called from a thread of the disk's, with the bytes, then the callee's, or NULL
 * where they turned out to be missing or damaged. */
typedef void relay_disk_loaded(void *context, void *subject, struct relay_bytes *bytes);
bool relay_disk_load(struct relay_disk *disk, const struct relay_disk_key *key, relay_disk_loaded *loaded, void *context,
                     void *subject);

/* Bytes on disk. */
uint64_t relay_disk_used(struct relay_disk *disk);

#endif
