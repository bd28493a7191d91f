/* The workstation's end of a link: see wire_link.h.
 *
 *   dial --connected--> greet --TLS--> HELLO --WELCOME--> pump --cut--> pause --> dial ...
 *
 * One thread does it all, without ever waiting longer than it can be woken: `wake` is an eventfd that each wait looks at. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "scope.h"
#include "timing.h"
#include "wire_end.h"

#define DIAL_MS        10000 /* for one attempt, greetings included */
#define PAUSE_FIRST_MS 50
#define PAUSE_MAX_MS   5000
#define CLOSE_MS       10000 /* how long a close waits for what is queued */

struct workstation {
    struct wire_link link; /* first: a link is its workstation */
    char *host;
    uint16_t port;
    struct wire_context *tls; /* NULL: a UNIX socket */
    int wake;
    int give_up_ms;
    bool has_former; /* link.session is a link of before, until it is welcomed */
    pthread_t thread;
    int64_t begun_ms, closing_ms; /* closing_ms: when the thread saw that it closes; 0: not */

    pthread_cond_t settled; /* with link.lock */
    bool welcomed, done;    /* the first answer came; the thread has ended */
    struct failure why;     /* why it has */
};

static struct workstation *workstation_of(struct wire_link *link)
{
    return (struct workstation *)link;
}

static void wake(struct wire_link *link)
{
    eventfd_write(workstation_of(link)->wake, 1);
}

static bool is_closing(struct wire_link *link)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    return link->closing;
}

/* Waits for the socket, a wake-up or the time; fd -1: for the latter two. */
static void wait_for(struct workstation *self, int fd, short events, int64_t deadline_ms)
{
    struct pollfd watched[] = {{.fd = self->wake, .events = POLLIN}, {.fd = fd, .events = events}};
    int64_t left = deadline_ms - timing_monotonic_ms();
    eventfd_t ignored;
    if (poll(watched, 2, left > 0 ? (int)left + 1 : 0) > 0 && watched[0].revents)
        eventfd_read(self->wake, &ignored);
}

/* Whether to go on waiting for a connection until `deadline_ms`. */
static enum code check_patience(struct workstation *self, int64_t deadline_ms, struct failure *why)
{
    if (is_closing(&self->link))
        return failure_set(why, CODE_INTERRUPTED, "connecting to %s: given up", self->host);
    if (timing_monotonic_ms() >= deadline_ms)
        return failure_set(why, CODE_IO, "connecting to %s: no answer for %d s (is the server running, the VPN up?)",
                           self->host, DIAL_MS / 1000);
    return CODE_OK;
}

/* Dialling --------------------------------------------------------------------------------------------------------- */

static enum code refused(const struct workstation *self, int error, struct failure *why)
{
    if (error == ECONNREFUSED && self->host[0] != '/')
        return failure_set(why, CODE_IO,
                           "connecting to %s: nobody listens at port %u (is the lab being served, at this port?)",
                           self->host, self->port);
    if (error == EHOSTUNREACH || error == ENETUNREACH)
        return failure_set(why, CODE_IO, "connecting to %s: %s (is the VPN up?)", self->host, strerror(error));
    return failure_set_errno(why, error, "connecting to %s", self->host);
}

static enum code wait_connected(struct workstation *self, int fd, int64_t deadline_ms, struct failure *why)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (poll(&ready, 1, 0) > 0) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
            return error ? refused(self, error, why) : CODE_OK;
        }
        enum code code = check_patience(self, deadline_ms, why);
        if (code != CODE_OK)
            return code;
        wait_for(self, fd, POLLOUT, deadline_ms);
    }
}

static enum code dial_address(struct workstation *self, const struct sockaddr *address, socklen_t size, int64_t deadline_ms,
                              int *out, struct failure *why)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return failure_set_errno(why, errno, "connecting to %s", self->host);
    int at_once = 1;
    if (address->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    enum code code = CODE_OK;
    if (connect(fd, address, size) != 0)
        code =
            errno == EINPROGRESS || errno == EAGAIN ? wait_connected(self, fd, deadline_ms, why) : refused(self, errno, why);
    if (code != CODE_OK) {
        close(fd);
        return code;
    }
    *out = fd;
    return CODE_OK;
}

static enum code dial_socket(struct workstation *self, int64_t deadline_ms, int *out, struct failure *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(self->host) >= sizeof address.sun_path)
        return failure_set(why, CODE_INVALID, "%s: the path of a socket has at most %zu bytes", self->host,
                           sizeof address.sun_path - 1);
    strcpy(address.sun_path, self->host);
    return dial_address(self, (struct sockaddr *)&address, sizeof address, deadline_ms, out, why);
}

static enum code dial(struct workstation *self, int64_t deadline_ms, int *out, struct failure *why)
{
    if (!self->tls && self->host[0] == '/')
        return dial_socket(self, deadline_ms, out, why);
    char service[8];
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    snprintf(service, sizeof service, "%u", self->port);
    int error = getaddrinfo(self->host, service, &wanted, &found);
    if (error)
        return failure_set(why, CODE_IO, "connecting to %s: %s (is it spelled right, the VPN up?)", self->host,
                           gai_strerror(error));
    enum code code = CODE_IO;
    for (const struct addrinfo *one = found; one; one = one->ai_next) {
        code = dial_address(self, one->ai_addr, one->ai_addrlen, deadline_ms, out, why);
        if (code == CODE_OK || code == CODE_INTERRUPTED)
            break;
    }
    freeaddrinfo(found);
    return code;
}

/* Greeting ---------------------------------------------------------------------------------------------------------- */

struct awaited {
    enum wire_kind kind;
    bool came;
    struct wire_greeting greeting;
    struct buffer *answer;
};

static enum code take_answer(void *context, const struct wire_frame *frame, struct failure *why)
{
    struct awaited *awaited = context;
    if (frame->kind == WIRE_REFUSED)
        return wire_frame_read_refusal(frame, why);
    if (frame->kind != awaited->kind)
        return failure_set(why, CODE_CORRUPT, "the server answers with a frame of kind %d", frame->kind);
    awaited->came = true;
    if (frame->kind == WIRE_WELCOME) {
        enum code code = wire_frame_read_greeting(frame, &awaited->greeting, why);
        return code == CODE_OK ? CODE_BUSY : code; /* what follows is the link's */
    }
    buffer_append(awaited->answer, frame->bytes, frame->length);
    return CODE_BUSY;
}

static enum code await(struct workstation *self, struct wire_connection *connection, struct awaited *awaited,
                       int64_t deadline_ms, struct failure *why)
{
    while (!awaited->came) {
        enum code code = wire_connection_flush(connection, why);
        if (code == CODE_OK)
            code = wire_connection_receive(connection, take_answer, awaited, why);
        if (code == CODE_OK && !awaited->came)
            code = check_patience(self, deadline_ms, why);
        if (code != CODE_OK)
            return code;
        if (!awaited->came)
            wait_for(self, wire_channel_fd(connection->channel), wire_connection_events(connection, false), deadline_ms);
    }
    return CODE_OK;
}

static enum code greet(struct workstation *self, struct wire_channel *channel, int64_t deadline_ms, struct failure *why)
{
    for (;;) {
        enum wire_want want = WIRE_NOTHING;
        enum code code = wire_channel_greet(channel, &want, why);
        if (code != CODE_AGAIN)
            return code;
        code = check_patience(self, deadline_ms, why);
        if (code != CODE_OK)
            return code;
        wait_for(self, wire_channel_fd(channel), want == WIRE_READ ? POLLIN : POLLOUT, deadline_ms);
    }
}

/* A connection on which both sides know each other. */
static enum code meet(struct workstation *self, int64_t deadline_ms, struct wire_connection **out, struct failure *why)
{
    int fd;
    struct wire_channel *channel;
    enum code code = dial(self, deadline_ms, &fd, why);
    if (code == CODE_OK)
        code = wire_channel_open(self->tls, fd, false, &channel, why);
    if (code != CODE_OK)
        return code;
    code = greet(self, channel, deadline_ms, why);
    if (code != CODE_OK) {
        wire_channel_close(channel);
        return code;
    }
    return wire_connection_make(channel, out, why);
}

static enum code attach(struct workstation *self, struct wire_connection *connection, const struct wire_greeting *welcome,
                        enum wire_state *state, struct failure *why)
{
    struct wire_link *link = &self->link;
    bool first = !self->welcomed;
    bool renewed = !welcome->resumed;
    enum code code = wire_end_attach(link, connection, welcome->received, renewed, why);
    static const uint8_t nobody[WIRE_SESSION_BYTES];
    pthread_mutex_lock(&link->lock); /* the two do not agree on what was said: begin anew */
    memcpy(link->session, code == CODE_OK ? welcome->session : nobody, WIRE_SESSION_BYTES);
    pthread_mutex_unlock(&link->lock);
    *state = renewed && !first ? WIRE_RENEWED : WIRE_CONNECTED;
    return code;
}

/* The link's connection, new or again. */
static enum code establish(struct workstation *self, struct failure *why)
{
    struct wire_link *link = &self->link;
    int64_t deadline_ms = timing_monotonic_ms() + DIAL_MS;
    struct wire_connection *connection;
    enum code code = meet(self, deadline_ms, &connection, why);
    if (code != CODE_OK)
        return code;
    uint8_t hello[WIRE_FRAME_HEAD_BYTES + WIRE_HELLO_BYTES];
    struct wire_greeting greeting = {.received =
                                         self->has_former && !self->welcomed ? WIRE_GIVEN_UP : link->ledger.received};
    struct awaited awaited = {.kind = WIRE_WELCOME};
    enum wire_state state;
    memcpy(greeting.session, link->session, WIRE_SESSION_BYTES);
    wire_frame_write_greeting(&greeting, WIRE_HELLO, hello);
    wire_connection_put(connection, hello, sizeof hello);
    code = await(self, connection, &awaited, deadline_ms, why);
    if (code == CODE_OK)
        code = attach(self, connection, &awaited.greeting, &state, why);
    if (code != CODE_OK) {
        wire_connection_destroy(connection);
        return code;
    }
    link->events.state(link->context, state, NULL);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    self->welcomed = true;
    pthread_cond_broadcast(&self->settled);
    return CODE_OK;
}

/* The thread ---------------------------------------------------------------------------------------------------------- */

static enum code pump(struct workstation *self, struct failure *why)
{
    struct wire_link *link = &self->link;
    for (;;) {
        enum code code = wire_end_pump(link, why);
        if (code != CODE_OK)
            return code;
        int64_t deadline_ms;
        short events = wire_end_wait(link, &deadline_ms);
        wait_for(self, wire_channel_fd(link->connection->channel), events, deadline_ms);
    }
}

/* Whether another attempt makes sense after that failure. */
static bool goes_on(struct workstation *self, enum code code)
{
    int64_t now = timing_monotonic_ms();
    if (code == CODE_DENIED || code == CODE_NEWER_FORMAT || code == CODE_NO_MEMORY)
        return false;
    if (!self->welcomed)
        return code != CODE_INTERRUPTED && now - self->begun_ms < self->give_up_ms;
    if (is_closing(&self->link)) {
        if (!self->closing_ms)
            self->closing_ms = now;
        return self->link.ledger.first && now - self->closing_ms < CLOSE_MS;
    }
    return true;
}

static void rest(struct workstation *self, int *pause_ms)
{
    int64_t until = timing_monotonic_ms() + *pause_ms;
    while (timing_monotonic_ms() < until && !is_closing(&self->link))
        wait_for(self, -1, 0, until);
    if (is_closing(&self->link))
        poll(NULL, 0, PAUSE_FIRST_MS);
    *pause_ms = *pause_ms * 2 < PAUSE_MAX_MS ? *pause_ms * 2 : PAUSE_MAX_MS;
}

static void *run(void *argument)
{
    struct workstation *self = argument;
    struct wire_link *link = &self->link;
    struct failure why = {0};
    int pause_ms = PAUSE_FIRST_MS;
    enum code code;
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, NULL);
    for (;;) {
        code = establish(self, &why);
        if (code == CODE_OK) {
            pause_ms = PAUSE_FIRST_MS;
            code = pump(self, &why);
            wire_end_cut(link);
            if (link->said_bye || link->heard_bye)
                break;
            if (goes_on(self, code))
                link->events.state(link->context, WIRE_LOST, &why);
        }
        if (!goes_on(self, code))
            break;
        rest(self, &pause_ms);
    }
    bool asked_for = is_closing(link);
    if (self->welcomed)
        wire_end_finish(link, asked_for ? NULL : &why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    self->done = true;
    self->why = why;
    pthread_cond_broadcast(&self->settled);
    return NULL;
}

/* Life ---------------------------------------------------------------------------------------------------------------- */

static void free_workstation(struct workstation *self)
{
    wire_end_clear(&self->link);
    wire_context_destroy(self->tls);
    if (self->wake >= 0)
        close(self->wake);
    pthread_cond_destroy(&self->settled);
    free(self->host);
    free(self);
}

static void destroy(struct wire_link *link)
{
    struct workstation *self = workstation_of(link);
    wire_link_close(link);
    pthread_join(self->thread, NULL);
    free_workstation(self);
}

static struct workstation *make(const char *host, uint16_t port)
{
    struct workstation *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    static const struct wire_events none = {0};
    wire_end_init(&self->link, &none, NULL);
    self->link.wake = wake;
    self->link.destroy = destroy;
    pthread_cond_init(&self->settled, NULL);
    self->begun_ms = timing_monotonic_ms();
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->host = strdup(host);
    self->port = port ? port : WIRE_PORT;
    if (self->wake >= 0 && self->host)
        return self;
    free_workstation(self);
    return NULL;
}

enum code wire_connect(const struct wire_connect_options *options, const struct wire_events *events, void *context,
                       struct wire_link **out, struct failure *why)
{
    struct workstation *self = make(options->host, options->port);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "connecting to %s: no memory", options->host);
    self->link.events = *events;
    self->link.context = context;
    self->give_up_ms = options->give_up_ms ? options->give_up_ms : DIAL_MS;
    self->has_former = options->former != NULL;
    if (options->former)
        memcpy(self->link.session, options->former, WIRE_SESSION_BYTES);
    enum code code = CODE_OK;
    if (options->credentials)
        code = wire_context_make(options->credentials, false, &self->tls, why);
    else if (options->host[0] != '/')
        code = failure_set(why, CODE_INVALID, "connecting to %s: it needs a certificate (see cytofs join)", options->host);
    if (code == CODE_OK && pthread_create(&self->thread, NULL, run, self) != 0)
        code = failure_set(why, CODE_NO_MEMORY, "connecting to %s: no thread", options->host);
    if (code != CODE_OK) {
        free_workstation(self);
        return code;
    }
    pthread_mutex_lock(&self->link.lock);
    while (!self->welcomed && !self->done)
        pthread_cond_wait(&self->settled, &self->link.lock);
    bool welcomed = self->welcomed;
    pthread_mutex_unlock(&self->link.lock);
    if (welcomed) {
        *out = &self->link;
        return CODE_OK;
    }
    pthread_join(self->thread, NULL);
    if (why)
        *why = self->why;
    code = self->why.code;
    free_workstation(self);
    return code;
}

enum code wire_ask(const char *host, uint16_t port, const uint8_t lab_fingerprint[CERTIFICATE_FINGERPRINT_BYTES],
                   const void *question, size_t count, struct buffer *answer, struct failure *why)
{
    if (count == 0 || count > WIRE_ASK_MAX)
        return failure_set(why, CODE_INVALID, "asking %s: a question has from 1 to %d bytes", host, WIRE_ASK_MAX);
    struct workstation *self = make(host, port);
    if (!self)
        return failure_set(why, CODE_NO_MEMORY, "asking %s: no memory", host);
    int64_t deadline_ms = timing_monotonic_ms() + DIAL_MS;
    struct wire_connection *connection = NULL;
    struct awaited awaited = {.kind = WIRE_ANSWER, .answer = answer};
    uint8_t head[WIRE_FRAME_HEAD_BYTES];
    enum code code = wire_context_make(NULL, false, &self->tls, why);
    if (code == CODE_OK)
        code = meet(self, deadline_ms, &connection, why);
    if (code == CODE_OK)
        code = wire_channel_check_root(connection->channel, lab_fingerprint, why);
    if (code == CODE_OK) {
        wire_frame_put_head(head, WIRE_ASK, count);
        wire_connection_put(connection, head, sizeof head);
        wire_connection_put(connection, question, count);
        code = await(self, connection, &awaited, deadline_ms, why);
    }
    if (code == CODE_OK)
        code = buffer_check(answer, "the server's answer", why);
    wire_connection_destroy(connection);
    free_workstation(self);
    return code;
}
