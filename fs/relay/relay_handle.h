/* Inside fs/relay: what the kernel has open.  The kernel holds our keys; the server's handles are behind them, where there
 * is one at all: a file that is only read needs none, and a server that forgot us gives new ones. */
#ifndef CYTOFS_RELAY_HANDLE_H
#define CYTOFS_RELAY_HANDLE_H

#include "relay_call.h"

struct relay_node;

enum relay_handle_state {
    HANDLE_LOCAL,   /* the server knows nothing of it */
    HANDLE_OPENING, /* it was asked for one */
    HANDLE_SERVER,  /* it has one */
    HANDLE_LOST     /* it could not be had again: EIO */
};

struct relay_handle {
    uint64_t key;
    struct relay_node *node;
    uint32_t flags; /* of open(2) */
    bool folder;
    bool direct;   /* the server wants each read and write as it was made */
    bool released; /* the kernel let go of it; freed when nothing is under way any more */
    enum relay_handle_state state;
    uint64_t server;
    struct relay_queue waiting; /* for the server's handle, or for what was written through it to be answered */
    uint32_t busy;              /* calls under way that are about it */
    uint32_t writing;           /* of them, WRITEs that the kernel was told are done */
    int error;                  /* the first of those that failed; told once, by FLUSH or FSYNC */

    /* Reading a file in order. */
    uint64_t read_end, ahead_end;
    uint32_t ahead_bytes;

    struct relay_view *view; /* of an open folder: its names when it was read from the start */
};

struct relay_handle_slot {
    struct relay_handle *handle;
    uint32_t generation, next_free;
};

struct relay_handles {
    struct relay_handle_slot *slots;
    uint32_t count, first_free; /* first_free: index + 1 */
};

struct relay_handle *relay_handle_make(struct relay *relay, struct relay_node *node, uint32_t flags, bool folder);
struct relay_handle *relay_handle_find(struct relay *relay, uint64_t key); /* NULL: no such */

/* The kernel has let go of it: tells the server, where it has one, and frees it when nothing is under way. */
void relay_handle_release(struct relay *relay, struct relay_output *out, struct relay_handle *handle);

/* Fewer things are under way. */
void relay_handle_settle(struct relay *relay, struct relay_output *out, struct relay_handle *handle);

/* Sees to it that the server has a handle.  True: it has; false: the request was parked until then, or answered. */
bool relay_handle_ensure(struct relay *relay, struct relay_output *out, struct relay_handle *handle,
                         struct relay_request *request);

void relay_handle_clear(struct relay *relay);

#endif
