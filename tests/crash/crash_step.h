/* What a user or a program does to a lab, one operation each, as steps of a workload (crash_run.h).  Files hold bytes that
 * follow from a seed.  What must succeed and does not ends the program. */
#ifndef CYTOFS_CRASH_STEP_H
#define CYTOFS_CRASH_STEP_H

#include "crash_run.h"

#define CRASH_STEP_BYTES_MAX ((size_t)4 << 20) /* of one write */
#define CRASH_STEP_PATH      200

struct node_id crash_step_node(struct crash_run *run, const char *path);

/* Opened for writing, made where it lacks; flags: OPEN_ besides. */
struct tree_file *crash_step_create(struct crash_run *run, const char *path, unsigned flags);
void crash_step_put(struct crash_run *run, struct tree_file *file, uint64_t offset, size_t count, uint64_t seed);
void crash_step_sync_file(struct crash_run *run, struct tree_file *file);

/* All of these: a file anew, with so many bytes. */
void crash_step_save(struct crash_run *run, const char *path, size_t count, uint64_t seed, bool synced);

void crash_step_make_folder(struct crash_run *run, const char *path);
void crash_step_remove_folder(struct crash_run *run, const char *path);
void crash_step_unlink(struct crash_run *run, const char *path);
void crash_step_rename(struct crash_run *run, const char *from, const char *to, unsigned flags);
void crash_step_make_link(struct crash_run *run, const char *path, const char *target);
void crash_step_resize(struct crash_run *run, const char *path, uint64_t size);
void crash_step_sync(struct crash_run *run);

void crash_step_fill(char *bytes, size_t count, uint64_t seed);

/* "folder/stem7" in `path`, which is returned. */
const char *crash_step_numbered(char path[CRASH_STEP_PATH], const char *folder, const char *stem, unsigned number);

#endif
