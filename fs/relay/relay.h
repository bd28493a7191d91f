/* The workstation's side of a remote lab: speaks the FUSE protocol with the kernel (/dev/fuse, no library) and, in numbered
 * messages of the same protocol, with the server; hides the latency between the two.
 *
 * What it may keep, and for how long, rests on the server's pushing every change that another makes (contract: README.md).
 * Everything else here is bounded by struct relay_limits.
 */
#ifndef CYTOFS_RELAY_H
#define CYTOFS_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "failure.h"
#include "wire_link.h"

struct relay;
struct relay_disk;
struct member_key;

/* Bytes; 0 anywhere: a default. */
struct relay_limits {
    size_t memory;  /* contents kept in memory */
    size_t pending; /* written, acknowledged to programs, and not yet answered by the server */
    size_t nodes;   /* files and folders that are remembered */
};

struct relay_options {
    int device;        /* /dev/fuse, or in tests a SOCK_SEQPACKET socket; owned by the relay */
    int threads;       /* that read from it, 1 .. 32; 0: a default */
    int timeout_ms;    /* a request that waits so long for a lost connection is answered with timeout_errno; 0: it waits for
                          ever */
    int timeout_errno; /* 0: ETIMEDOUT */
    bool plain;        /* forward everything, keep nothing: for comparison and for finding out who is wrong */
    struct relay_limits limits;
    struct relay_disk *disk; /* contents kept on disk (relay_disk.h), the caller's; NULL: none */

    /* Opens the spaces that only its owner can; borrowed.  NULL: nothing is lent to the server. */
    const struct member_key *member;

    /* To the server: as wire_link_send, whose contract holds. */
    enum code (*send)(void *context, const struct iovec *parts, int count, struct failure *why);
    void *send_context;
};

/* What went over the link and what did not have to. */
struct relay_counters {
    uint64_t messages_sent, messages_received, bytes_sent, bytes_received;
    uint64_t requests;                                                   /* of the kernel's */
    uint64_t answered_here;                                              /* of them, without a message */
    uint64_t contents_fetched, contents_from_memory, contents_from_disk; /* bytes of files */
    uint64_t puts;                                                       /* new files that went as one message */
    uint64_t invalidations;                                              /* pushed by the server */
    uint64_t renewals;
};

/* Starts the threads.  Takes over the device, also where it fails. */
MUST_CHECK enum code relay_start(const struct relay_options *options, struct relay **out, struct failure *why);

/* What came from the server.  From one thread at a time. */
void relay_take_message(struct relay *relay, const void *bytes, size_t length);
void relay_take_state(struct relay *relay, enum wire_state state, const struct failure *why);

/* Until the kernel has answered INIT or the link has ended: whether the mount is usable. */
bool relay_wait_usable(struct relay *relay);

/* Until the device is gone (unmounted) or the link has ended for ever. */
void relay_wait(struct relay *relay);

/* Whether the device is gone: nothing of ours is mounted any more, and another mount may be in its place. */
bool relay_is_unmounted(struct relay *relay);

/* Waits until all that was written has been answered by the server; false after `limit_ms` or where the link has ended. */
bool relay_drain(struct relay *relay, int limit_ms);

void relay_counters(struct relay *relay, struct relay_counters *out);

/* The same as lines "name number"; what reading the attribute user.cytofs.relay of the mount's root gives. */
void relay_describe(struct relay *relay, char *text, size_t size);

/* Ends the threads.  Requests that wait are answered with ENOTCONN.  The link must not call any more. */
void relay_destroy(struct relay *relay);

#endif
