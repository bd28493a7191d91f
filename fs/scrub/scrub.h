/* Looks for damage in all bytes of a store, without any key, and mends from mirrors what can be mended.
 *
 * What is looked at, on each current side: FORMAT and the lists of mirrors (checksums in them); every page of catalog.db (a
 * checksum in each); every record and the header of every pack (a checksum in each); and whether every chunk that the
 * catalog names is there; the log of recent writes (a checksum in each record); and the audit log (a checksum in each line).
 * Bytes in a pack that are no record and that nothing names (a crash leaves such) are told, and are no damage.
 *
 * Runs beside everything else in a lab that is in use, slowed down to a rate. */
#ifndef CYTOFS_SCRUB_H
#define CYTOFS_SCRUB_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

struct buffer;
struct catalog;
struct chunk_store;
struct mirror_set;

#define SCRUB_RATE_DEFAULT (UINT64_C(100) * 1000 * 1000) /* bytes a second */

enum scrub_kind { SCRUB_DAMAGED, SCRUB_MENDED, SCRUB_UNNAMED, SCRUB_AWAY };

struct scrub_finding {
    enum scrub_kind kind;
    const char *text; /* a line: where, and what */
};

struct scrub_options {
    struct mirror_set *mirrors;
    struct chunk_store *chunks; /* the layer of chunk_store_mirror.h */
    struct catalog *catalog;    /* NULL where it cannot be opened: then its file is looked at by itself */
    _Atomic uint64_t *rate;     /* bytes a second, may change meanwhile; 0: as fast as it goes */
    bool look_only;             /* mend nothing */
    bool alone;                 /* nobody else uses the store: the catalog's structure is looked at too */
    bool (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_all); /* false: stop */
    void (*found)(void *context, const struct scrub_finding *finding);
    /* Around the mending of a pack: no pack is dropped meanwhile (tree_hold_packs).  May be NULL. */
    void (*hold)(void *context, bool held);
    /* Commits all that there is, so that the log of recent writes is void, and overwrites its beginning where `wipe` says so
     * (tree_renew_recent).  NULL where nobody has the store open. */
    enum code (*commit)(void *context, bool wipe, struct failure *why);
    void *context;
};

struct scrub_summary {
    uint64_t bytes, pages, packs, records; /* looked at, on all sides */
    uint64_t damages;                      /* found */
    uint64_t mended;                       /* of them */
    uint64_t unnamed_bytes;
    uint64_t away; /* folders that were not looked at: lost or behind */
};

/* CODE_OK also where damage was found; CODE_INTERRUPTED: it was stopped. */
MUST_CHECK enum code scrub_run(const struct scrub_options *options, struct scrub_summary *out, struct failure *why);

/* A FORMAT file whose damage keeps the store at `path` from being opened is written anew from what each pack repeats of it.
 * *mended: it was.  Nobody else uses the store. */
MUST_CHECK enum code scrub_mend_format(const char *path, bool *mended, struct failure *why);

/* Whether the lists of mirrors in a folder, as far as it has them, are sound: one that is not is written anew from the other
 * when the store is opened. */
bool scrub_lists_are_sound(const char *path);

/* "12 MB looked at ..., 3 places damaged, 2 of them mended". */
void scrub_describe(const struct scrub_summary *summary, struct buffer *out);

#endif
