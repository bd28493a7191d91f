/* Inside fs/relay: the relay itself.  All tables are guarded by one lock, under which nothing is waited for and nothing is
 * sent (relay_message.h). */
#ifndef CYTOFS_RELAY_STATE_H
#define CYTOFS_RELAY_STATE_H

#include <pthread.h>

#include "relay.h"
#include "relay_call.h"
#include "relay_handle.h"
#include "relay_message.h"
#include "relay_node.h"
#include "relay_piece.h"

#define RELAY_THREADS_MAX   32
#define RELAY_MESSAGE_MAX   WIRE_MESSAGE_MAX
#define RELAY_PIECE_BYTES   (1u << 20)
#define RELAY_LONG_S        3600 /* how long the kernel may keep what the server will tell us about when it changes */
#define RELAY_STAMP_BUCKETS 4096
#define RELAY_EARLY_MAX     256

struct relay_notice; /* on its way to the kernel */
struct relay_fresh;
struct relay_lock_record;

struct relay {
    struct relay_options options;
    int device;
    uint32_t owner, group;               /* whom everything is shown to belong to */
    uint32_t server_owner, server_group; /* ... and whom at the server; guarded by `lock` */

    pthread_mutex_t lock; /* guards all below, but for what says otherwise */
    pthread_cond_t changed;

    struct relay_calls calls;
    struct relay_nodes nodes;
    struct relay_handles handles;
    struct relay_pieces pieces;
    bool no_fetches;
    uint32_t listings;  /* folders that are being listed */
    uint64_t scattered; /* the folder that is being fetched whole */
    struct relay_request *parked_oldest, *parked_newest;
    uint64_t early_interrupts[RELAY_EARLY_MAX]; /* the last whose requests were not here yet; 0: nothing */
    size_t early_interrupt_count;               /* that there ever were */
    bool has_interrupted;                       /* somebody waits and was interrupted */

    /* When what was last changed, by buckets of node ids: an answer that was asked for before is used once and not kept. */
    uint64_t stamp;
    uint64_t stamps[RELAY_STAMP_BUCKETS];
    uint64_t changes;                      /* so many changes of ours were answered */
    uint64_t foreign[RELAY_STAMP_BUCKETS]; /* the same, of changes that others made alone */

    bool lending;                    /* KEYS or LEND is under way (relay_lend.c) */
    int64_t lent_ms;                 /* when that last ended */
    struct relay_bytes *init_answer; /* to the kernel, kept back until then; NULL: none */
    uint64_t init_unique;
    struct relay_bytes *init; /* the kernel's INIT, for a server that forgot us */
    bool usable;              /* it was answered */
    bool connected, link_ended;
    int64_t lost_ms; /* since when it is not connected */
    int renew_phase;
    int renewing; /* answers that are awaited before calls are sent again after a renewal */

    /* Written and not yet answered. */
    size_t pending_bytes;
    struct relay_queue pending_waiting; /* for room */

    /* New files that go as one message. */
    struct relay_fresh *fresh_first, *fresh_last; /* that wait to be sent, in order of when they are due */
    size_t fresh_count;
    uint64_t reserved_first, reserved_end; /* inode numbers for them */
    uint64_t room;         /* bytes that were set aside at the server for them (of the member's quota) and no file has yet */
    uint64_t room_owed;    /* bytes of files for which a server that has forgotten us has nothing set aside yet */
    int64_t room_used_ms;  /* monotonic: when a file was made last */
    int64_t room_asked_ms; /* monotonic: when it was asked last for more */
    bool reserving, no_puts, renumber; /* renumber: those that there are need other numbers */

    struct relay_lock_record *locks;
    size_t lock_count;

    struct fuse_forget_one *forgets; /* that wait to be told */
    size_t forget_count;

    struct relay_counters counters;

    /* Messages for which the link had no room; guarded by send_lock, under which only options.send is called. */
    pthread_mutex_t send_lock;
    struct relay_message *unsent_first, *unsent_last;
    uint64_t sent_messages, sent_bytes;

    /* The notifier's: guarded by notice_lock. */
    pthread_mutex_t notice_lock;
    pthread_cond_t notice_changed;
    struct relay_notice *notice_first, *notice_last;
    bool notices_end;

    /* Life: guarded by `lock`. */
    bool stopping, gone;
    pthread_cond_t tick;
    int reader_count, readers_left;
    pthread_t readers[RELAY_THREADS_MAX], notifier, ticker;
    bool notifier_runs, ticker_runs;
};

/* Gives it to the link, now or when there is room.  Without the lock. */
void relay_send(struct relay *relay, struct relay_bytes *bytes);
/* Tries again what had no room; whether any is left. */
bool relay_send_rest(struct relay *relay);

/* Works on one request of the kernel's: answers it, forwards it, or parks it.  With the lock. */
void relay_dispatch(struct relay *relay, struct relay_request *request, struct relay_output *out);

/* Puts it where it waits until the queue is woken. */
void relay_park(struct relay *relay, struct relay_queue *queue, struct relay_request *request);
/* Lets all that wait there be looked at again. */
void relay_wake(struct relay *relay, struct relay_queue *queue, struct relay_output *out);
/* Takes it out of where it is parked. */
void relay_unpark(struct relay *relay, struct relay_request *request);
/* Answers all that wait there. */
void relay_wake_with_error(struct relay *relay, struct relay_queue *queue, struct relay_output *out, int error);

#endif
