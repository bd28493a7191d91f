/* A store's folder: what lies in it, whose it is, and that one process has it at a time.
 *
 *     STORE/FORMAT       "cytofs store 2", the store's random id, a checksum
 *     STORE/lock         flock(2)ed while in use; holds the process id of the holder
 *     STORE/packs/       chunks (chunk_store_packs.h)
 *     STORE/catalog.db   everything else; the catalog's own file, made by it
 *     STORE/mirrors      where the store has mirrors: what it knows of them (mirror_file.h)
 */
#ifndef CYTOFS_STORE_FOLDER_H
#define CYTOFS_STORE_FOLDER_H

#include <stdbool.h>

#include "failure.h"
#include "identity.h"

#define STORE_FOLDER_FORMAT          2
#define STORE_FOLDER_FORMAT_UNSUMMED 1 /* without a checksum; gets one when it is opened for writing */

struct store_folder;

/* Makes the folder (and those above it) with a new id, durable, and opens it.  It may exist if it is empty,
 * or if it holds no more than what an interrupted create leaves.  CODE_EXISTS: there is a store already;
 * CODE_NOT_EMPTY: something else is in it. */
MUST_CHECK enum code store_folder_create(const char *path, struct store_folder **out, struct failure *why);

/* The same in two steps: with the id of a store, and no store before finish.  So what an interruption leaves behind (a
 * catalog too, but no packs) is taken for nothing, and prepare removes it. */
MUST_CHECK enum code store_folder_prepare(const char *path, const struct store_id *id, struct store_folder **out,
                                          struct failure *why);
MUST_CHECK enum code store_folder_finish(struct store_folder *folder, struct failure *why);

/* Whether the folder that was opened is still at its path, with a FORMAT in it. */
bool store_folder_is_in_place(const struct store_folder *folder);

/* Reads FORMAT again, and holds it against what it was when the folder was opened: CODE_CORRUPT where it is damaged by now.
 * store_folder_finish writes it anew. */
MUST_CHECK enum code store_folder_check_format(struct store_folder *folder, struct failure *why);

/* Writes FORMAT anew in a store's folder whose own is damaged, and whose id is known from elsewhere. */
MUST_CHECK enum code store_folder_rewrite_format(const char *path, const struct store_id *id, struct failure *why);

/* Opens and locks.  CODE_NOT_FOUND: no store there.  CODE_BUSY: another process has it, named in the text.
 * CODE_NEWER_FORMAT, CODE_CORRUPT.  read_only takes a shared lock: any number of readers, no writer. */
MUST_CHECK enum code store_folder_open(const char *path, bool read_only, struct store_folder **out, struct failure *why);

/* The number of the process that has it open to write, or had it last; 0: not known. */
long store_folder_holder(const char *path);

/* Gives the lock back, and no more: what the folder tells stays valid. */
void store_folder_unlock(struct store_folder *folder);

/* Gives the lock back; NULL is fine. */
void store_folder_close(struct store_folder *folder);

const struct store_id *store_folder_id(const struct store_folder *folder);

/* Of itself, and of what lies in it; valid until it is closed. */
const char *store_folder_path(const struct store_folder *folder);
const char *store_folder_packs_path(const struct store_folder *folder);
const char *store_folder_catalog_path(const struct store_folder *folder);

#endif
