/* A workload on a lab whose disk is recorded, and what may be found after a power cut.
 *
 * Steps.  Before each operation and after it the tree is described; the record gets a mark at both moments.  So at each
 * moment of the record it is known which descriptions are possible, and which is the oldest that was acknowledged
 * (tree_fsync or tree_sync has returned since).  A lab that is opened after a crash must be one of those from the oldest
 * acknowledged to the newest possible: no names half done, no file a mixture, nothing acknowledged lost.
 *
 * Ages.  fsync promises one file, and the log of recent writes keeps just that.  So where the lab is none of those states as
 * a whole, it is still legal if its names are those of one of them from the last tree_sync on, and each file is as it was in
 * one of them from its own last fsync on.
 *
 * Deeds are for workloads that keep books of their own (a database, jobs): deed n is begun at one moment and done, that is
 * acknowledged, at another; what that means for the lab is for the workload to say.
 *
 * Claims are for workloads of several threads, of which nobody can say in which order they come: a claim is a text that a
 * file may hold from one moment on, and must hold (or a later claim of that file) from another moment on.
 */
#ifndef CYTOFS_CRASH_RUN_H
#define CYTOFS_CRASH_RUN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "disk_record.h"
#include "failure.h"
#include "lab_store.h"
#include "tree.h"
#include "tree_path.h"

struct crash_claim {
    char *path, *text;
};

struct crash_run {
    char root[64], store[80], key[80]; /* the folder that is recorded, and what is in it */
    char mirror[80], backup[80];       /* where a workload makes such */
    struct lab_store lab;
    struct failure why;
    char **versions; /* descriptions of the tree, by the number in marks */
    size_t version_count;
    struct crash_kept {
        char *path;
        size_t version;
    } * kept; /* fsyncs that have returned, by the number in marks */
    size_t kept_count;
    struct crash_claim *claims;
    size_t claim_count;
    pthread_mutex_t claims_lock;
    size_t from; /* moments before this one are left out */
    struct disk_record record;
};

/* One operation, given as a call that fills in &run->why. */
#define CRASH_STEP(run, call) (crash_run_before(run), crash_run_after(run, (call), #call))

/* The same for tree_sync, and for tree_fsync of the file at the path (NULL: it has none any more). */
#define CRASH_SYNC(run, call)            crash_run_synced(run, (call), #call)
#define CRASH_SYNC_FILE(run, call, path) crash_run_synced_file(run, (call), path)

void crash_run_before(struct crash_run *run);
void crash_run_after(struct crash_run *run, enum code code, const char *what);
void crash_run_synced(struct crash_run *run, enum code code, const char *what);
void crash_run_synced_file(struct crash_run *run, enum code code, const char *path);

/* Ends the program where a call that must succeed did not. */
void crash_run_need(struct crash_run *run, enum code code, const char *what);

/* From now on the file may hold this text; the claim's number.  crash_run_kept: from now on it does.  From any thread. */
size_t crash_run_claim(struct crash_run *run, const char *path, const char *text);
void crash_run_kept(size_t claim);

/* Deeds, from 1 on. */
void crash_run_begun(uint64_t deed);
void crash_run_done(uint64_t deed);

/* From now on the mirror by itself is the whole lab, or is not. */
void crash_run_mirrored(bool mirrored);

/* Moments from now on are looked at; before it, none. */
void crash_run_begin_here(struct crash_run *run);

void crash_run_make(struct crash_run *run); /* the store, with its first member */
void crash_run_open(struct crash_run *run);
void crash_run_close(struct crash_run *run);

/* Everything in the tree that a user can see, as text: path, kind, mode, size, links, modification time, attributes,
 * contents. */
enum code crash_run_describe(struct tree *tree, struct buffer *out, struct failure *why);

/* What is allowed at a moment of the record: versions floor..newest; from fsyncs_floor on no file may be older. */
struct crash_window {
    size_t floor, fsyncs_floor, newest;
    size_t end;           /* of the record, for claims */
    uint64_t begun, done; /* the last deed */
    bool mirrored;
};
void crash_run_window(const struct crash_run *run, size_t end, struct crash_window *out);

/* Whether the lab is what it may be; else says why not in *why.  *by_file: as a whole it never was, but each file was. */
bool crash_run_is_legal(const struct crash_run *run, struct tree *tree, const struct crash_window *window, bool *by_file,
                        struct buffer *why);

void crash_run_free(struct crash_run *run);

#endif
