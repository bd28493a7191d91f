/* Inside fs/relay: requests that were sent to the server and not answered yet: the kernel's, forwarded, and the relay's own.
 */
#ifndef CYTOFS_RELAY_CALL_H
#define CYTOFS_RELAY_CALL_H

#include "relay_message.h"

#define RELAY_CALL_BUCKETS 4096

struct relay_call;
struct relay_handle;

struct relay_reply {
    int error;           /* 0 or a positive errno */
    const uint8_t *body; /* in `whole`, aligned; NULL with an error that we made ourselves */
    size_t bytes;
    struct relay_bytes *whole; /* may be shared */
};

/* What to do with the answer, with the lock.  The call is freed afterwards. */
typedef void relay_on_answer(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                             struct relay_output *out);

struct relay_call {
    struct relay_call *next; /* in its bucket */
    uint64_t unique;         /* as the server knows it; even */
    uint64_t kernel_unique;  /* who waits for it; 0: no one, or no one any more */
    uint64_t stamp;          /* relay->stamp when it was sent */
    uint64_t changes;        /* relay->changes when it was sent */
    int64_t came_ms;
    bool interrupted;
    bool waits;                  /* the server forgot us: it is sent when we are known again (relay_renew.c) */
    bool of_renewal;             /* relay_call_begin_now */
    bool denied;                 /* kept until keys are lent (relay_lend.c) */
    bool lent_for;               /* that was so once, and is not tried again */
    struct relay_bytes *message; /* as it was sent: struct fuse_in_header and what follows */
    struct relay_handle *handle; /* that it is about, counted as busy; or NULL */
    relay_on_answer *on_answer;
    void *subject; /* on_answer's */
    uint64_t number;
};

struct relay_calls {
    struct relay_call *buckets[RELAY_CALL_BUCKETS];
    uint64_t last_unique;
    size_t count;
};

/* Sends the kernel's request on, and frees it.  on_answer NULL: the answer goes to the kernel as it is. */
struct relay_call *relay_call_forward(struct relay *relay, struct relay_output *out, struct relay_request *request,
                                      relay_on_answer *on_answer);

/* A request of our own: the fixed part and up to two more. */
struct relay_call_message {
    uint32_t opcode;
    uint64_t node;
    const void *fixed, *first, *second;
    size_t fixed_bytes, first_bytes, second_bytes;
};
struct relay_call *relay_call_begin(struct relay *relay, struct relay_output *out, const struct relay_call_message *message,
                                    relay_on_answer *on_answer, void *subject);

/* The same, also while all others wait to be sent. */
struct relay_call *relay_call_begin_now(struct relay *relay, struct relay_output *out,
                                        const struct relay_call_message *message, relay_on_answer *on_answer, void *subject);

/* One that is not answered (FORGET); under a number that calls do not have. */
void relay_call_tell(struct relay *relay, struct relay_output *out, const struct relay_call_message *message);
void relay_call_tell_as(struct relay *relay, struct relay_output *out, uint64_t unique,
                        const struct relay_call_message *message);

/* The call that the server knows by this number; NULL: none. */
struct relay_call *relay_call_find(struct relay *relay, uint64_t unique);

/* An answer from the server. */
void relay_call_answered(struct relay *relay, struct relay_bytes *message, struct relay_output *out);

/* Answers a call ourselves. */
void relay_call_fail(struct relay *relay, struct relay_call *call, int error, struct relay_output *out);

/* Passes the answer on to the kernel, if anyone waits. */
void relay_call_pass(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                     struct relay_output *out);

#endif
