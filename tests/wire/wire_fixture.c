/* See wire_fixture.h. */
#include "wire_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bytes.h"
#include "random.h"
#include "scope.h"
#include "testing.h"

#define AWAIT_S 120 /* only who fails waits so long */

/* Certificates --------------------------------------------------------------------------------------------------------- */

void fixture_credentials_make(const struct fixture_lab *lab, const char *name, struct wire_credentials *out)
{
    struct failure why;
    SCOPE_BUFFER public = {0};
    struct certificate_holder holder = {0};
    *out = (struct wire_credentials){0};
    strcpy(holder.name, name);
    if (strcmp(name, CERTIFICATE_SERVER_NAME) != 0)
        strcpy(holder.member_fingerprint, "1111 2222 3333 4444 5555 6666 7777 8888");
    assert_code_ok(certificate_make_key(&out->key, &why), why);
    assert_code_ok(certificate_public_key(&out->key, &public, &why), why);
    assert_code_ok(certificate_issue(&lab->key, &lab->server.lab_certificate, &holder, buffer_text(&public), public.length,
                                     &out->certificate, &why),
                   why);
    buffer_append(&out->lab_certificate, lab->server.lab_certificate.data, lab->server.lab_certificate.length);
}

void fixture_credentials_free(struct wire_credentials *credentials)
{
    buffer_free(&credentials->key);
    buffer_free(&credentials->certificate);
    buffer_free(&credentials->lab_certificate);
}

void fixture_lab_make(struct fixture_lab *lab)
{
    struct failure why;
    SCOPE_BUFFER certificate = {0};
    signal(SIGPIPE, SIG_IGN);
    *lab = (struct fixture_lab){0};
    assert_code_ok(certificate_make_key(&lab->key, &why), why);
    assert_code_ok(certificate_make_lab(&lab->key, "cytofs lab", &certificate, &why), why);
    lab->server.lab_certificate = certificate;
    struct wire_credentials server;
    fixture_credentials_make(lab, CERTIFICATE_SERVER_NAME, &server);
    buffer_free(&certificate);
    certificate = (struct buffer){0};
    lab->server = server;
}

void fixture_lab_free(struct fixture_lab *lab)
{
    buffer_free(&lab->key);
    fixture_credentials_free(&lab->server);
}

/* Ends -------------------------------------------------------------------------------------------------------------------
 */

void fixture_end_init(struct fixture_end *end)
{
    *end = (struct fixture_end){0};
    pthread_mutex_init(&end->lock, NULL);
    pthread_cond_init(&end->changed, NULL);
}

void fixture_end_free(struct fixture_end *end)
{
    pthread_mutex_destroy(&end->lock);
    pthread_cond_destroy(&end->changed);
}

static void on_message(void *context, const void *bytes, size_t length)
{
    struct fixture_end *end = context;
    pthread_mutex_lock(&end->lock);
    if (length < 8 || bytes_load64(bytes) != end->messages)
        end->out_of_order++;
    end->messages++;
    end->bytes += length;
    struct wire_link *echo = end->echoes ? end->link : NULL;
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
    struct iovec part = {(void *)bytes, length};
    if (echo && wire_link_send(echo, &part, 1, NULL) != CODE_OK)
        end->out_of_order++;
}

static void on_state(void *context, enum wire_state state, const struct failure *why)
{
    struct fixture_end *end = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&end->lock);
    int *counters[] = {&end->connected, &end->lost, &end->renewed, &end->ended};
    ++*counters[state];
    if (why)
        end->why = *why;
    pthread_cond_broadcast(&end->changed);
}

static enum code on_admit(void *context, const struct wire_peer *peer, struct failure *why)
{
    struct fixture_end *end = context;
    if (end->refused && strcmp(end->refused, peer->holder.name) == 0)
        return failure_set(why, CODE_DENIED, "%s is no longer a member of this lab", peer->holder.name);
    return CODE_OK;
}

static enum code on_begin(void *context, struct wire_link *link, const struct wire_peer *peer, void **link_context,
                          struct failure *why)
{
    (void)why;
    struct fixture_end *end = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&end->lock);
    end->link = link;
    end->peer = *peer;
    *link_context = end;
    return CODE_OK;
}

static enum code on_ask(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                        struct failure *why)
{
    (void)address;
    const struct fixture_end *end = context;
    if (!end->answer)
        return failure_set(why, CODE_DENIED, "this invitation was used already");
    buffer_append_text(answer, end->answer);
    buffer_append(answer, question, count);
    return CODE_OK;
}

const struct wire_events fixture_events = {.message = on_message, .state = on_state};
const struct wire_server_events fixture_server_events = {
    .admit = on_admit,
    .begin = on_begin,
    .link = {.message = on_message, .state = on_state},
    .ask = on_ask,
};

void fixture_send(struct wire_link *link, uint64_t number, size_t length)
{
    SCOPE_FREE uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    memset(bytes, (int)number, length);
    bytes_store64(bytes, number);
    struct iovec parts[] = {{bytes, 8}, {bytes + 8, length - 8}};
    struct failure why;
    enum code code;
    while ((code = wire_link_send(link, parts, 2, &why)) == CODE_AGAIN)
        poll(NULL, 0, 1);
    assert_code_ok(code, why);
}

static bool wait_change(struct fixture_end *end, const struct timespec *until)
{
    return pthread_cond_timedwait(&end->changed, &end->lock, until) != ETIMEDOUT;
}

bool fixture_await(struct fixture_end *end, const uint64_t *messages, uint64_t value)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += AWAIT_S;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&end->lock);
    while (*messages < value)
        if (!wait_change(end, &until))
            return false;
    return true;
}

bool fixture_await_state(struct fixture_end *end, const int *state, int value)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += AWAIT_S;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&end->lock);
    while (*state < value)
        if (!wait_change(end, &until))
            return false;
    return true;
}

/* The proxy --------------------------------------------------------------------------------------------------------------
 */

struct fixture_proxy {
    int listener;
    uint16_t port, to;
    size_t least, most;
    struct random random;
    pthread_t thread;
    atomic_bool stops, calm;
    atomic_int cuts;
};

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Moves what there is; false at the end. */
static bool move(int from, int to, size_t *left)
{
    uint8_t bytes[16384];
    size_t wanted = *left < sizeof bytes ? *left : sizeof bytes;
    ssize_t got = recv(from, bytes, wanted, 0);
    if (got <= 0)
        return false;
    for (ssize_t sent = 0; sent < got;) {
        ssize_t now = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (now <= 0)
            return false;
        sent += now;
    }
    *left -= (size_t)got;
    return *left > 0;
}

static void carry(struct fixture_proxy *proxy, int client, int server)
{
    size_t left =
        proxy->calm ? SIZE_MAX : proxy->least + random_below(&proxy->random, (uint32_t)(proxy->most - proxy->least + 1));
    bool goes_on = true;
    while (goes_on && !proxy->stops) {
        struct pollfd both[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        poll(both, 2, 50);
        if (both[0].revents)
            goes_on = move(client, server, &left);
        if (goes_on && both[1].revents)
            goes_on = move(server, client, &left);
    }
    if (left == 0)
        proxy->cuts++;
}

static void *run_proxy(void *argument)
{
    struct fixture_proxy *proxy = argument;
    while (!proxy->stops) {
        struct pollfd ready = {.fd = proxy->listener, .events = POLLIN};
        if (poll(&ready, 1, 50) <= 0)
            continue;
        int client = accept(proxy->listener, NULL, NULL);
        int server = connect_to(proxy->to);
        if (client >= 0 && server >= 0)
            carry(proxy, client, server);
        if (server >= 0)
            close(server);
        if (client >= 0)
            close(client);
    }
    return NULL;
}

struct fixture_proxy *fixture_proxy_start(uint16_t to, size_t cut_after_min, size_t cut_after_max, unsigned seed)
{
    struct fixture_proxy *proxy = calloc(1, sizeof *proxy);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    assert_non_null(proxy);
    proxy->to = to;
    proxy->least = cut_after_min;
    proxy->most = cut_after_max;
    proxy->random = (struct random){seed};
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(proxy->listener, 16), 0);
    getsockname(proxy->listener, (struct sockaddr *)&address, &size);
    proxy->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&proxy->thread, NULL, run_proxy, proxy), 0);
    return proxy;
}

uint16_t fixture_proxy_port(const struct fixture_proxy *proxy)
{
    return proxy->port;
}

int fixture_proxy_cuts(struct fixture_proxy *proxy)
{
    return proxy->cuts;
}

void fixture_proxy_calm(struct fixture_proxy *proxy)
{
    proxy->calm = true;
}

void fixture_proxy_stop(struct fixture_proxy *proxy)
{
    proxy->stops = true;
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    free(proxy);
}
