/* The files and folders that this session's client has open.
 *
 * What the client holds is a table key with a generation, never a pointer: a key that was given back, or was never given
 * out, finds nothing.  An operation borrows the handle while it works (get, put) and puts it back before it replies: so
 * RELEASE, which a kernel sends when everything else was answered, closes the file there and then.  A release that
 * overtakes an operation, which only a forged peer can send, leaves the closing to the last borrower. */
#ifndef CYTOFS_SESSION_HANDLES_H
#define CYTOFS_SESSION_HANDLES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "session_streams.h"
#include "tree.h"

#define SESSION_HANDLES_MAX     (1u << 20)
#define SESSION_HANDLES_MAX_FED (1u << 16) /* of a client on another machine, which gives the server no kernel's limits */

struct session;

enum session_handle_kind { HANDLE_FILE, HANDLE_STREAM, HANDLE_FOLDER };

struct session_handle {
    struct session *session;
    enum session_handle_kind kind;
    struct node_id node;
    uint64_t key;                 /* in the table */
    bool writes;                  /* opened for writing: close(2) wants an answer */
    struct tree_file *file;       /* HANDLE_FILE, HANDLE_STREAM */
    struct session_stream stream; /* HANDLE_STREAM; guarded by the lock of session_streams */

    pthread_mutex_t listing_lock; /* HANDLE_FOLDER: guards the two below */
    struct tree_folder *folder;
    bool listing_begun; /* entries were read: reading from the start again means a fresh listing */

    atomic_int borrowers; /* the table is one of them */
};

struct session_handle_slot {
    struct session_handle *handle; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1 of the next free slot; 0 ends the list */
};

struct session_handles {
    pthread_mutex_t lock; /* no other is taken under it, but the tree's by session_save */
    struct session_handle_slot *slots;
    uint32_t slot_count, first_free; /* first_free as next_free */
    uint32_t max;                    /* SESSION_HANDLES_MAX, or less: a power of two */
    uint32_t first_generation;       /* of new slots */
};

void session_handles_init(struct session_handles *handles, uint32_t max);

/* Closes everything that is still open. */
void session_handles_destroy(struct session_handles *handles);

/* Puts a copy of *handle into the table, which then owns its file or folder, and gives out its key.  CODE_NO_MEMORY or,
 * beyond the maximum, CODE_AGAIN leave them with the caller. */
MUST_CHECK enum code session_handles_add(struct session_handles *handles, const struct session_handle *handle, uint64_t *key,
                                         struct failure *why);

/* The same under a key that was given out before the session was started anew; for a table in which nothing was closed yet.
 * CODE_INVALID where the key cannot be one. */
MUST_CHECK enum code session_handles_add_at(struct session_handles *handles, const struct session_handle *handle,
                                            uint64_t key, struct failure *why);

/* Keys given out from now on have generations of at least this: none is one of before.  Before session_handles_add_at. */
void session_handles_begin_at(struct session_handles *handles, uint32_t generation);

/* Borrows; NULL where the key is not one, or is of another kind: a folder where a file is wanted, or the reverse. */
struct session_handle *session_handles_get(struct session_handles *handles, uint64_t key, bool folder);
void session_handles_put(struct session_handle *handle);

/* One more borrower of a handle that may be on its way out; false where it is. */
bool session_handles_borrow(struct session_handle *handle);

/* Takes the handle out of the table and closes it, unless someone still borrows it. */
void session_handles_remove(struct session_handles *handles, uint64_t key);

#endif
