/* A network between two programs of one machine: carries TCP connections to another port, as slowly, and as badly, as asked.
 *
 *     delay_proxy TO_ADDRESS TO_PORT [--port N] [--delay-ms N] [--rate-mbit N] [--cut-after BYTES] [--seed N]
 *
 * Listens on 127.0.0.1 (--port 0, the default: any), prints "port N", and obeys lines on its standard input, each answered
 * by one line:
 *
 *     cut           resets every connection, at whatever byte they are           "cut N connections"
 *     refuse MS     for so long, new connections are reset at once               "refusing"
 *     freeze MS     for so long, nothing moves and nobody is told: a VPN drops   "frozen"
 *     cuts N A B R  from now on N cuts by itself, at random, A to B ms after each other, refusing for R ms after each
 * "cutting" delay MS      from now on                                                  "delay" count         bytes carried
 * so far to the server and back, and cuts        "count TO BACK CUTS" quit, or the end of the input
 *
 * Each byte is passed on `delay` after it came, in each direction; so a round trip takes twice that more.  --rate-mbit: at
 * most so many bits a second in each direction.  --cut-after: the first connection that has carried so many bytes is reset.
 *
 * One thread.  Each direction is a queue of blocks with the time at which each is due; a full queue stops reading, so the
 * sender's window fills as on a real network. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "timing.h"

#define CONNECTIONS_MAX 256
#define BLOCK_BYTES     ((size_t)256 << 10)
#define QUEUE_BYTES     ((size_t)64 << 20) /* in one direction of one connection */
#define MS              INT64_C(1000000)

struct block {
    struct block *next;
    int64_t due_ns;
    size_t from, count;
    uint8_t bytes[BLOCK_BYTES];
};

struct direction {
    int from, to;
    struct block *first, **end;
    size_t waiting;
    bool ended, told; /* `from` has said that this was all; `to` was told */
    int64_t free_ns;  /* when the line has carried what it was given */
};

struct connection {
    bool used;
    struct direction directions[2]; /* to the server, back */
    uint64_t carried;
};

static struct {
    struct sockaddr_in to;
    int listener;
    int64_t delay_ns;
    double ns_per_byte;
    int64_t refuse_until_ns, frozen_until_ns, next_cut_ns;
    uint64_t carried[2], cuts, cut_after;
    long cuts_left, between_from_ms, between_to_ms, refuse_ms;
    struct connection connections[CONNECTIONS_MAX];
} proxy;

static void fail(const char *what)
{
    fprintf(stderr, "delay_proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Blocks, kept to be used again: fresh memory costs more than what is carried in it. */
static struct block *spare;

static struct block *take_block(void)
{
    struct block *block = spare;
    if (block)
        spare = block->next;
    else if (!(block = malloc(sizeof *block)))
        fail("memory");
    return block;
}

static void give_block(struct block *block)
{
    block->next = spare;
    spare = block;
}

/* Connections ------------------------------------------------------------------------------------------------------- */

static void drop_blocks(struct direction *direction)
{
    for (struct block *block = direction->first, *next; block; block = next) {
        next = block->next;
        give_block(block);
    }
}

static void end_connection(struct connection *connection, bool reset)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 2; i++) {
        if (reset)
            setsockopt(connection->directions[i].from, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(connection->directions[i].from);
        drop_blocks(&connection->directions[i]);
    }
    connection->used = false;
}

static int cut_all(void)
{
    int count = 0;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (proxy.connections[i].used) {
            end_connection(&proxy.connections[i], true);
            count++;
        }
    proxy.cuts += count > 0;
    return count;
}

static int connect_out(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&proxy.to, sizeof proxy.to) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void begin_connection(int in, int out)
{
    struct connection *connection = proxy.connections;
    while (connection < proxy.connections + CONNECTIONS_MAX && connection->used)
        connection++;
    if (connection == proxy.connections + CONNECTIONS_MAX) {
        close(in);
        close(out);
        return;
    }
    *connection = (struct connection){.used = true, .directions = {{.from = in, .to = out}, {.from = out, .to = in}}};
    for (int i = 0; i < 2; i++)
        connection->directions[i].end = &connection->directions[i].first;
}

static void accept_one(int64_t now_ns)
{
    int one = 1, in = accept4(proxy.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (in < 0)
        return;
    int out = now_ns < proxy.refuse_until_ns ? -1 : connect_out();
    if (out < 0) {
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(in, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(in);
        return;
    }
    setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    begin_connection(in, out);
}

/* Carrying ---------------------------------------------------------------------------------------------------------- */

/* False where the connection is broken. */
static bool take_in(struct connection *connection, int which, int64_t now_ns)
{
    struct direction *direction = &connection->directions[which];
    struct block *block = take_block();
    ssize_t got = recv(direction->from, block->bytes, sizeof block->bytes, 0);
    if (got <= 0) {
        give_block(block);
        direction->ended = got == 0;
        return got == 0 || errno == EAGAIN || errno == EINTR;
    }
    if (direction->free_ns < now_ns)
        direction->free_ns = now_ns;
    direction->free_ns += (int64_t)(proxy.ns_per_byte * (double)got);
    block->next = NULL;
    block->due_ns = direction->free_ns + proxy.delay_ns;
    block->from = 0;
    block->count = (size_t)got;
    *direction->end = block;
    direction->end = &block->next;
    direction->waiting += (size_t)got;
    return true;
}

static bool give_out(struct connection *connection, int which, int64_t now_ns)
{
    struct direction *direction = &connection->directions[which];
    for (struct block *block; (block = direction->first) && block->due_ns <= now_ns;) {
        ssize_t gave = send(direction->to, block->bytes + block->from, block->count - block->from, MSG_NOSIGNAL);
        if (gave < 0)
            return errno == EAGAIN || errno == EINTR;
        block->from += (size_t)gave;
        direction->waiting -= (size_t)gave;
        proxy.carried[which] += (uint64_t)gave;
        connection->carried += (uint64_t)gave;
        if (block->from < block->count)
            return true;
        direction->first = block->next;
        if (!direction->first)
            direction->end = &direction->first;
        give_block(block);
    }
    if (direction->ended && !direction->first && !direction->told) {
        shutdown(direction->to, SHUT_WR);
        direction->told = true;
    }
    return true;
}

static void carry(struct connection *connection, const short ready[2], int64_t now_ns)
{
    bool well = true;
    for (int i = 0; well && i < 2; i++) {
        struct direction *direction = &connection->directions[i];
        if (ready[i] & (POLLIN | POLLHUP | POLLERR) && !direction->ended && direction->waiting < QUEUE_BYTES)
            well = take_in(connection, i, now_ns);
        if (well)
            well = give_out(connection, i, now_ns);
    }
    bool over = connection->directions[0].told && connection->directions[1].told;
    bool enough = proxy.cut_after && connection->carried >= proxy.cut_after;
    if (!well || over || enough)
        end_connection(connection, !over);
    if (enough) {
        proxy.cut_after = 0;
        proxy.cuts++;
    }
}

/* Obeying ----------------------------------------------------------------------------------------------------------- */

static void plan_cut(int64_t now_ns)
{
    long span = proxy.between_to_ms - proxy.between_from_ms + 1;
    proxy.next_cut_ns = now_ns + (proxy.between_from_ms + random() % (span > 0 ? span : 1)) * MS;
}

static void obey(const char *line, int64_t now_ns)
{
    long number;
    if (strcmp(line, "cut") == 0) {
        printf("cut %d connections\n", cut_all());
    } else if (sscanf(line, "refuse %ld", &number) == 1) {
        proxy.refuse_until_ns = now_ns + number * MS;
        puts("refusing");
    } else if (sscanf(line, "freeze %ld", &number) == 1) {
        proxy.frozen_until_ns = now_ns + number * MS;
        puts("frozen");
    } else if (sscanf(line, "cuts %ld %ld %ld %ld", &proxy.cuts_left, &proxy.between_from_ms, &proxy.between_to_ms,
                      &proxy.refuse_ms) == 4) {
        plan_cut(now_ns);
        puts("cutting");
    } else if (sscanf(line, "delay %ld", &number) == 1) {
        proxy.delay_ns = number * MS;
        puts("delay");
    } else if (strcmp(line, "count") == 0) {
        printf("count %llu %llu %llu\n", (unsigned long long)proxy.carried[0], (unsigned long long)proxy.carried[1],
               (unsigned long long)proxy.cuts);
    } else {
        printf("not known: %s\n", line);
    }
    fflush(stdout);
}

/* False at the end of the input. */
static bool read_commands(int64_t now_ns)
{
    static char text[4096];
    static size_t length;
    ssize_t got = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
    if (got <= 0)
        return false;
    length += (size_t)got;
    text[length] = 0;
    for (char *end; (end = strchr(text, '\n')); length = strlen(text)) {
        *end = 0;
        if (strcmp(text, "quit") == 0)
            return false;
        obey(text, now_ns);
        memmove(text, end + 1, strlen(end + 1) + 1);
    }
    return length < sizeof text - 1;
}

static void cut_by_itself(int64_t now_ns)
{
    if (proxy.cuts_left <= 0 || now_ns < proxy.next_cut_ns)
        return;
    if (cut_all() > 0) {
        proxy.cuts_left--;
        proxy.refuse_until_ns = now_ns + proxy.refuse_ms * MS;
    }
    plan_cut(now_ns);
}

/* The loop ---------------------------------------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When something is to be done though nobody says anything. */
static int64_t next_moment(int64_t now_ns)
{
    int64_t moment = now_ns + 1000 * MS;
    if (proxy.cuts_left > 0)
        moment = sooner(moment, proxy.next_cut_ns);
    if (proxy.frozen_until_ns > now_ns)
        return sooner(moment, proxy.frozen_until_ns);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        for (int j = 0; proxy.connections[i].used && j < 2; j++) {
            const struct block *block = proxy.connections[i].directions[j].first;
            if (block && block->due_ns > now_ns)
                moment = sooner(moment, block->due_ns);
        }
    return moment;
}

static bool turn(void)
{
    static struct pollfd polls[2 + 2 * CONNECTIONS_MAX];
    static struct connection *of[CONNECTIONS_MAX];
    int64_t now_ns = timing_monotonic_ns();
    bool frozen = now_ns < proxy.frozen_until_ns;
    nfds_t count = 2, connections = 0;
    polls[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = proxy.listener, .events = frozen ? 0 : POLLIN};
    for (int i = 0; !frozen && i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &proxy.connections[i];
        if (!connection->used)
            continue;
        of[connections++] = connection;
        for (int j = 0; j < 2; j++) {
            const struct direction *direction = &connection->directions[j], *other = &connection->directions[1 - j];
            bool takes = !direction->ended && direction->waiting < QUEUE_BYTES;
            bool gives = other->first && other->first->due_ns <= now_ns;
            /* A side that has ended is asked for nothing: it would hang up again and again. */
            short events = (short)((takes ? POLLIN : 0) | (gives ? POLLOUT : 0));
            polls[count++] = (struct pollfd){.fd = events ? direction->from : -1, .events = events};
        }
    }
    int64_t wait_ns = next_moment(now_ns) - now_ns;
    wait_ns = wait_ns > 0 ? wait_ns : 0;
    const struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    if (ppoll(polls, count, &wait, NULL) < 0 && errno != EINTR)
        fail("waiting");
    now_ns = timing_monotonic_ns();
    if (polls[0].revents && !read_commands(now_ns))
        return false;
    if (polls[1].revents)
        accept_one(now_ns);
    for (nfds_t i = 0; i < connections; i++)
        if (of[i]->used)
            carry(of[i], (const short[2]){polls[2 + 2 * i].revents, polls[3 + 2 * i].revents}, now_ns);
    cut_by_itself(now_ns);
    return true;
}

static void listen_on(int port)
{
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof here;
    int one = 1;
    proxy.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(proxy.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(proxy.listener, (const struct sockaddr *)&here, sizeof here) != 0 || listen(proxy.listener, 64) != 0 ||
        getsockname(proxy.listener, (struct sockaddr *)&here, &size) != 0)
        fail("listening");
    printf("port %d\n", ntohs(here.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments)
{
    int port = 0;
    if (count < 3 || inet_pton(AF_INET, arguments[1], &proxy.to.sin_addr) != 1) {
        fprintf(stderr, "usage: delay_proxy TO_ADDRESS TO_PORT [options] (see delay_proxy.c)\n");
        return 2;
    }
    proxy.to.sin_family = AF_INET;
    proxy.to.sin_port = htons((uint16_t)atoi(arguments[2]));
    for (int i = 3; i + 1 < count; i += 2) {
        const char *option = arguments[i], *value = arguments[i + 1];
        double number = strtod(value, NULL);
        if (strcmp(option, "--port") == 0)
            port = (int)number;
        else if (strcmp(option, "--delay-ms") == 0)
            proxy.delay_ns = (int64_t)(number * (double)MS);
        else if (strcmp(option, "--rate-mbit") == 0)
            proxy.ns_per_byte = 8000 / number;
        else if (strcmp(option, "--cut-after") == 0)
            proxy.cut_after = (uint64_t)number;
        else if (strcmp(option, "--seed") == 0)
            srandom((unsigned)number);
        else
            return fprintf(stderr, "delay_proxy: %s is not known\n", option), 2;
    }
    signal(SIGPIPE, SIG_IGN);
    listen_on(port);
    while (turn())
        ;
    cut_all();
    for (struct block *next; spare; spare = next) {
        next = spare->next;
        free(spare);
    }
    return 0;
}
