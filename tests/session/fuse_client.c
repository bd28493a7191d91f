/* The kernel's side of the FUSE protocol: see fuse_client.h.
 *
 * Messages are those of <linux/fuse.h>, protocol 7.31.  Answers may come in any order, and notices between them (unique 0);
 * what comes while another is awaited is kept in a list. */
#include "fuse_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "session.h"
#include "timing.h"

struct kept_message {
    struct kept_message *next;
    size_t bytes;
    char content[];
};

/* Messages -------------------------------------------------------------------------------------------------------- */

uint64_t fuse_client_send(struct fuse_client *client, const struct fuse_client_request *request)
{
    struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + request->fixed_bytes + request->first_bytes + request->second_bytes),
        .opcode = request->opcode,
        .unique = client->last_unique += 2, /* the kernel's numbers are even, too */
        .nodeid = request->node,
        .uid = client->user,
        .gid = client->group,
        .pid = client->process ? client->process : (uint32_t)getpid(),
    };
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)request->fixed, request->fixed_bytes},
        {(void *)request->first, request->first_bytes},
        {(void *)request->second, request->second_bytes},
    };
    if (writev(client->socket, parts, 4) != (ssize_t)header.len)
        abort(); /* the session under test is in this very process */
    return header.unique;
}

static bool receive(struct fuse_client *client, int timeout_ms)
{
    struct pollfd wait = {.fd = client->socket, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) <= 0)
        return false;
    ssize_t got = recv(client->socket, client->message, FUSE_CLIENT_MESSAGE_MAX, 0);
    if (got < (ssize_t)sizeof(struct fuse_out_header))
        return false;
    client->message_bytes = (size_t)got;
    return true;
}

static void keep(struct fuse_client *client)
{
    struct kept_message *kept = malloc(sizeof *kept + client->message_bytes);
    if (!kept)
        abort();
    kept->next = NULL;
    kept->bytes = client->message_bytes;
    memcpy(kept->content, client->message, client->message_bytes);
    struct kept_message **end = &client->kept;
    while (*end)
        end = &(*end)->next;
    *end = kept;
}

static bool take_kept(struct fuse_client *client, uint64_t unique)
{
    for (struct kept_message **link = &client->kept; *link; link = &(*link)->next) {
        struct kept_message *kept = *link;
        struct fuse_out_header header;
        memcpy(&header, kept->content, sizeof header);
        if (header.unique != unique)
            continue;
        memcpy(client->message, kept->content, kept->bytes);
        client->message_bytes = kept->bytes;
        *link = kept->next;
        free(kept);
        return true;
    }
    return false;
}

/* Makes the message with this number the current one. */
static bool find_message(struct fuse_client *client, uint64_t unique, int timeout_ms, struct fuse_out_header *header)
{
    int64_t deadline = timing_monotonic_ms() + timeout_ms;
    bool found = take_kept(client, unique);
    while (!found) {
        int64_t left = deadline - timing_monotonic_ms();
        if (!receive(client, left > 0 ? (int)left : 0))
            return false;
        memcpy(header, client->message, sizeof *header);
        found = header->unique == unique;
        if (!found)
            keep(client);
    }
    memcpy(header, client->message, sizeof *header);
    return true;
}

int fuse_client_await(struct fuse_client *client, uint64_t unique, int timeout_ms, const void **body, size_t *bytes)
{
    struct fuse_out_header header;
    if (!find_message(client, unique, timeout_ms, &header))
        return FUSE_CLIENT_NO_ANSWER;
    if (body)
        *body = client->message + sizeof header;
    if (bytes)
        *bytes = client->message_bytes - sizeof header;
    return -header.error;
}

int fuse_client_call(struct fuse_client *client, const struct fuse_client_request *request, void *out, size_t max,
                     size_t *got)
{
    const void *body = NULL;
    size_t bytes = 0;
    int error = fuse_client_await(client, fuse_client_send(client, request), FUSE_CLIENT_TIMEOUT_MS, &body, &bytes);
    if (error == 0 && out)
        memcpy(out, body, bytes < max ? bytes : max);
    if (got)
        *got = bytes;
    return error;
}

int fuse_client_await_notice(struct fuse_client *client, int timeout_ms, int *code, const void **body)
{
    struct fuse_out_header header;
    if (!find_message(client, 0, timeout_ms, &header))
        return FUSE_CLIENT_NO_ANSWER;
    *code = header.error;
    *body = client->message + sizeof header;
    return 0;
}

/* Life ------------------------------------------------------------------------------------------------------------ */

static bool greet(struct fuse_client *client)
{
    const struct fuse_init_in greeting = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_readahead = 128 * 1024,
        .flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |
                 FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_INIT_EXT,
        .flags2 = 1 << 4, /* FUSE_DIRECT_IO_ALLOW_MMAP >> 32, of newer headers */
    };
    const struct fuse_client_request request = {.opcode = FUSE_INIT, .fixed = &greeting, .fixed_bytes = sizeof greeting};
    return fuse_client_call(client, &request, &client->greeting, sizeof client->greeting, NULL) == 0;
}

static bool start(struct fuse_client *client, struct tree *tree, int threads, bool keep_owners)
{
    int pair[2];
    *client = (struct fuse_client){.socket = -1, .user = getuid(), .group = getgid()};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    client->socket = pair[0];
    client->message = malloc(FUSE_CLIENT_MESSAGE_MAX);
    const struct session_options options = {.socket = pair[1], .threads = threads, .keep_owners = keep_owners};
    struct failure why;
    if (!client->message || session_start(tree, &options, &client->session, &why) != CODE_OK)
        return false;
    return greet(client);
}

/* Stands where the server would: carries messages between the socket and a fed session.  One thread, so in their order. */
struct fuse_client_feeder {
    int socket;
    struct session *session;
    pthread_t thread;
    char message[FUSE_CLIENT_MESSAGE_MAX];
};

static void *feed(void *context)
{
    struct fuse_client_feeder *feeder = context;
    ssize_t got;
    while ((got = recv(feeder->socket, feeder->message, sizeof feeder->message, 0)) > 0)
        session_process(feeder->session, feeder->message, (size_t)got);
    return NULL;
}

static void take_answer(void *context, const struct iovec *parts, int count)
{
    const struct fuse_client_feeder *feeder = context;
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    (void)!sendmsg(feeder->socket, &message, MSG_NOSIGNAL);
}

bool fuse_client_start_fed(struct fuse_client *client, struct tree *tree, const struct viewer *viewer)
{
    int pair[2];
    *client = (struct fuse_client){.socket = -1, .user = getuid(), .group = getgid()};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    client->socket = pair[0];
    client->message = malloc(FUSE_CLIENT_MESSAGE_MAX);
    client->feeder = calloc(1, sizeof *client->feeder);
    if (!client->message || !client->feeder)
        return false;
    client->feeder->socket = pair[1];
    const struct session_peer peer = {.send = take_answer, .context = client->feeder, .viewer = viewer};
    const struct session_options options = {.peer = &peer};
    struct failure why;
    if (session_start(tree, &options, &client->session, &why) != CODE_OK)
        return false;
    client->feeder->session = client->session;
    return pthread_create(&client->feeder->thread, NULL, feed, client->feeder) == 0 && greet(client);
}

static void stop_feeder(struct fuse_client *client)
{
    pthread_join(client->feeder->thread, NULL);
    session_destroy(client->session);
    close(client->feeder->socket);
    free(client->feeder);
    client->session = NULL;
}

bool fuse_client_start(struct fuse_client *client, struct tree *tree, int threads)
{
    return start(client, tree, threads, false);
}

bool fuse_client_start_with_owners(struct fuse_client *client, struct tree *tree, int threads)
{
    return start(client, tree, threads, true);
}

bool fuse_client_start_on(struct fuse_client *client, int socket)
{
    *client = (struct fuse_client){.socket = socket, .user = getuid(), .group = getgid()};
    client->message = malloc(FUSE_CLIENT_MESSAGE_MAX);
    return client->message && greet(client);
}

bool fuse_client_attach(struct fuse_client *client, int socket)
{
    *client = (struct fuse_client){.socket = socket, .user = getuid(), .group = getgid()};
    client->message = malloc(FUSE_CLIENT_MESSAGE_MAX);
    return client->message && greet(client);
}

void fuse_client_stop(struct fuse_client *client)
{
    close(client->socket);
    if (client->feeder)
        stop_feeder(client);
    if (client->session) {
        session_wait(client->session);
        session_destroy(client->session);
    }
    while (client->kept) {
        struct kept_message *next = client->kept->next;
        free(client->kept);
        client->kept = next;
    }
    free(client->message);
}
