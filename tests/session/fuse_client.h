/* The kernel's side of the FUSE protocol, as much of it as the tests need: it stands at the other end of a session's socket.
 *
 * Here are messages: requests can be sent and their answers awaited apart, to see what happens in between.  fuse_call.h has
 * the single operations, fuse_path.h what a program would do by path.  All of them return 0 or the positive errno that the
 * session answered.  One thread per client. */
#ifndef CYTOFS_FUSE_CLIENT_H
#define CYTOFS_FUSE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

#define FUSE_CLIENT_MESSAGE_MAX (256 * 1024) /* bytes, header included */
#define FUSE_CLIENT_NO_ANSWER   (-1)         /* the timeout passed */
#define FUSE_CLIENT_TIMEOUT_MS  60000        /* longer than any answer takes on a busy machine */

struct session;
struct tree;
struct viewer;

struct fuse_client {
    struct session *session;
    int socket;
    uint64_t last_unique;
    uint32_t user, group;          /* who asks; at first this process's */
    uint32_t process;              /* that asks; 0: this one */
    struct fuse_init_out greeting; /* what INIT was answered with */
    char *message;                 /* the last one received */
    size_t message_bytes;
    struct kept_message *kept;         /* received while waiting for another */
    struct fuse_client_feeder *feeder; /* of a fed session; else NULL */
};

/* Starts a session of the tree on a new socketpair and greets it.  False where that fails. */
bool fuse_client_start(struct fuse_client *client, struct tree *tree, int threads);

/* The same for a session in which files have owners of their own. */
bool fuse_client_start_with_owners(struct fuse_client *client, struct tree *tree, int threads);

/* Greets whoever is at the other end of the socket, which it takes over: a session that is somewhere else. */
bool fuse_client_start_on(struct fuse_client *client, int socket);

/* The same with a session that is fed (session.h), as those of other machines are, for that viewer or NULL. */
bool fuse_client_start_fed(struct fuse_client *client, struct tree *tree, const struct viewer *viewer);

/* Speaks over a socket at whose other end something else answers, and greets it.  Takes over the socket. */
bool fuse_client_attach(struct fuse_client *client, int socket);

/* Ends the session by closing the socket, as a kernel does. */
void fuse_client_stop(struct fuse_client *client);

/* One request: a fixed part and up to two more runs of bytes behind it (names with their NUL, data). */
struct fuse_client_request {
    uint32_t opcode;
    uint64_t node;
    const void *fixed;
    size_t fixed_bytes;
    const void *first;
    size_t first_bytes;
    const void *second;
    size_t second_bytes;
};

/* Returns the request's unique number. */
uint64_t fuse_client_send(struct fuse_client *client, const struct fuse_client_request *request);

/* The answer to it: its errno, or FUSE_CLIENT_NO_ANSWER.  What follows the header lies at *body until the next call. */
int fuse_client_await(struct fuse_client *client, uint64_t unique, int timeout_ms, const void **body, size_t *bytes);

/* Both, with a generous timeout; up to `max` bytes of the body are copied to `out`. */
int fuse_client_call(struct fuse_client *client, const struct fuse_client_request *request, void *out, size_t max,
                     size_t *got);

/* Waits for a message that no request asked for; 0 and its code and body, or FUSE_CLIENT_NO_ANSWER. */
int fuse_client_await_notice(struct fuse_client *client, int timeout_ms, int *code, const void **body);

#endif
