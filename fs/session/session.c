/* A session's life: see session.h.
 *
 *   starting --first message (INIT) answered--> answering --unmounted | socket closed | session_stop--> ended
 *
 * Threads: the first worker answers INIT alone, since nothing may be answered before it, and then starts the others; they
 * read messages from the channel and answer them, a few of them at a time (session_listeners.c, with a thread that watches
 * them).  One more thread answers parked readers (session_streams.c), and one of each fed session tells its client what
 * others changed (session_push.c).
 *
 * Ending.  Whoever unmounts makes every worker's read fail with ENODEV.  But where files are still open after a lazy
 * unmount the kernel keeps the connection, and the workers would go on waiting in their reads; so session_destroy nudges
 * them with a signal that does nothing but interrupt a read.  A nudge that comes just before the read is lost, hence it is
 * repeated until the worker has seen that the session is stopping.  What a worker is answering is answered to the end.
 * (pthread_cancel would do without the repetition, but the address sanitizer does not bear it.) */
#include "session.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "logging.h"
#include "scope.h"
#include "session_extra.h"
#include "session_files.h"
#include "session_folders.h"
#include "session_lending.h"
#include "session_listeners.h"
#include "session_mount.h"
#include "session_names.h"
#include "session_state.h"
#include "session_xattrs.h"
#include "viewer.h"

#define WORKERS_MIN        8 /* a worker that renders or checks leaves others for quick answers */
#define WORKERS_BY_CORES   16
#define BACKGROUND_MAX     64    /* read-ahead requests that the kernel may have under way */
#define LONG_WRITE_BYTES   65536 /* a message of this length holds bytes to seal */
#define LIBRARY_LINE_BYTES 512
#define NUDGE_SIGNAL       SIGURG /* is ignored by default, so a stray one harms nobody */
#define NUDGE_EVERY_NS     2000000
#define INTERRUPTS_MAX     4096 /* that the library may keep for one client */

static void on_init(void *session, struct fuse_conn_info *connection)
{
    (void)session;
    connection->max_write = SESSION_WRITE_WANTED;
    connection->max_background = BACKGROUND_MAX;
    connection->congestion_threshold = BACKGROUND_MAX * 3 / 4;
    connection->time_gran = 1;
    connection->want |= connection->capable & (FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
    connection->want &=
        ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE);
}

static void log_library(enum fuse_log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void log_library(enum fuse_log_level level, const char *format, va_list arguments)
{
    if (level > FUSE_LOG_WARNING && !logging_trace_enabled(TRACE_SESSION))
        return;
    char line[LIBRARY_LINE_BYTES];
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = '\0';
    logging_warning("%s", line);
}

static enum code make_fuse_session(struct session *session, struct failure *why)
{
    struct fuse_lowlevel_ops operations = {.init = on_init};
    session_names_fill(&operations);
    session_files_fill(&operations);
    session_locks_fill(&operations);
    session_folders_fill(&operations);
    session_xattrs_fill(&operations);
    char program[] = "cytofs";
    char *arguments[] = {program, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
    fuse_set_log_func(log_library);
    session->fuse = fuse_session_new(&args, &operations, sizeof operations, session);
    fuse_opt_free_args(&args); /* the library may have copied them */
    if (!session->fuse)
        return failure_set(why, CODE_NO_MEMORY, "starting a session: the FUSE library refused (its reason is in the log)");
    return session_channel_attach(&session->channel, session->fuse, why);
}

static void end_worker(struct session_worker *worker)
{
    struct session *session = worker->session;
    pthread_mutex_lock(&session->life);
    bool last = --session->working == 0;
    pthread_mutex_unlock(&session->life);
    session_listeners_leave(&session->listeners);
    session_listeners_release(&session->listeners); /* the others are to see it, too */
    if (last)
        session_locks_abandon(session); /* others need not wait until somebody destroys the session */
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    worker->done = true;
    session->ended = true;
    pthread_cond_broadcast(&session->life_changed);
}

static void *run_worker(void *argument);

/* With `life` held. */
static enum code start_worker(struct session *session, struct failure *why)
{
    struct session_worker *worker = &session->workers[session->started];
    worker->session = session;
    int error = pthread_create(&worker->thread, NULL, run_worker, worker);
    if (error)
        return failure_set_errno(why, error, "starting a thread that answers requests");
    session->started++;
    session->working++;
    return CODE_OK;
}

static void begin_answering(struct session *session)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    struct failure why;
    while (!session->stopping && session->started < session->worker_count)
        if (start_worker(session, &why) != CODE_OK) {
            logging_warning("going on with %d workers: %s", session->started, why.text);
            break;
        }
    session->answering = true;
    pthread_cond_broadcast(&session->life_changed);
}

static bool is_stopping(struct session *session)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    return session->stopping;
}

static void on_nudge(int number)
{
    (void)number;
}

static void accept_nudges(void)
{
    const struct sigaction action = {.sa_handler = on_nudge}; /* without SA_RESTART: it interrupts */
    sigset_t nudge;
    sigaction(NUDGE_SIGNAL, &action, NULL);
    sigemptyset(&nudge);
    sigaddset(&nudge, NUDGE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
}

/* False: there will be no more. */
static bool receive(struct session_worker *worker)
{
    struct session *session = worker->session;
    int got;
    do
        got = fuse_session_receive_buf(session->fuse, &worker->message);
    while ((got == -EINTR || got == -EAGAIN) && !is_stopping(session));
    return got > 0;
}

/* Whether carrying it out will take the disk's time, or much of the processor's. */
static bool takes_long(const struct fuse_buf *message)
{
    const struct fuse_in_header *header = message->mem;
    return message->size >= LONG_WRITE_BYTES || (message->size >= sizeof *header && header->opcode == FUSE_READ);
}

static void *run_worker(void *argument)
{
    struct session_worker *worker = argument;
    struct session *session = worker->session;
    int number = (int)(worker - session->workers);
    bool first = number == 0, was_long = false;
    accept_nudges();
    tree_observe_as(&session->observer);
    session_listeners_enter(&session->listeners);
    for (;;) {
        session_listeners_listen(&session->listeners, number, was_long);
        if (!receive(worker)) {
            session_listeners_deafen(&session->listeners);
            break;
        }
        was_long = takes_long(&worker->message);
        session_listeners_work(&session->listeners, number, was_long);
        fuse_session_process_buf(session->fuse, &worker->message);
        if (first) {
            first = false;
            begin_answering(session);
        }
    }
    end_worker(worker);
    return NULL;
}

static int default_worker_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < WORKERS_MIN ? WORKERS_MIN : cores > WORKERS_BY_CORES ? WORKERS_BY_CORES : (int)cores;
}

static struct session *make_session(struct tree *tree, const struct session_options *options)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->tree = tree;
    session->channel.fd = -1;
    session->owner = geteuid();
    session->group = getegid();
    session->keeps_owners = options->keep_owners;
    session->for_programs = options->for_programs;
    session->worker_count = options->threads > 0 ? options->threads : default_worker_count();
    if (session->worker_count > SESSION_THREADS_MAX)
        session->worker_count = SESSION_THREADS_MAX;
    pthread_mutex_init(&session->life, NULL);
    pthread_cond_init(&session->life_changed, NULL);
    block_pool_init(&session->blocks, SESSION_WRITE_MAX, (size_t)session->worker_count);
    session_nodes_init(&session->nodes, tree);
    session_handles_init(&session->handles, options->peer ? SESSION_HANDLES_MAX_FED : SESSION_HANDLES_MAX);
    session_streams_init(&session->streams);
    session_locks_init(&session->locks);
    session_push_init(&session->push, session);
    session_grants_init(&session->grants, session);
    session_reserved_init(&session->reserved);
    session_listeners_init(&session->listeners, 0);
    return session;
}

static enum code open_channel(struct session *session, const struct session_options *options, struct failure *why)
{
    if (options->peer) {
        session->channel.peer = *options->peer;
        session->channel.fd = eventfd(0, EFD_CLOEXEC); /* the library wants a descriptor; nothing is done with it */
        return session->channel.fd >= 0 ? CODE_OK : failure_set_errno(why, errno, "starting a session");
    }
    if (!options->mountpoint) {
        session->channel.fd = options->socket;
        return CODE_OK;
    }
    char *absolute;
    enum code code = session_mount_prepare(options->mountpoint, &absolute, why);
    if (code != CODE_OK)
        return code;
    code =
        session_mount(absolute, options->label ? options->label : "cytofs", options->allow_other, &session->channel.fd, why);
    if (code == CODE_OK)
        session->channel.mountpoint = absolute;
    else
        free(absolute);
    return code;
}

static enum code start_threads(struct session *session, struct failure *why)
{
    enum code code = session_streams_start(&session->streams, why);
    if (code == CODE_OK && session->channel.peer.send)
        code = session_push_start(&session->push, why);
    if (code != CODE_OK || session->channel.peer.send)
        return code;
    code = session_grants_start(&session->grants, why);
    if (code != CODE_OK)
        return code;
    code = session_listeners_start(&session->listeners, session->worker_count, why);
    if (code != CODE_OK)
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    code = start_worker(session, why);
    while (code == CODE_OK && session->channel.mountpoint && !session->answering && !session->ended)
        pthread_cond_wait(&session->life_changed, &session->life);
    if (code == CODE_OK && session->channel.mountpoint && !session->answering)
        return failure_set(why, CODE_IO, "mounting on %s: it was unmounted at once", session->channel.mountpoint);
    return code;
}

enum code session_start(struct tree *tree, const struct session_options *options, struct session **out, struct failure *why)
{
    struct session *session = make_session(tree, options);
    if (!session) {
        if (!options->mountpoint && !options->peer)
            close(options->socket);
        return failure_set(why, CODE_NO_MEMORY, "starting a session: no memory");
    }
    enum code code = open_channel(session, options, why);
    if (code == CODE_OK)
        code = make_fuse_session(session, why);
    if (code == CODE_OK)
        code = start_threads(session, why);
    if (code == CODE_OK && session->channel.mountpoint)
        session_mount_widen_reads(session->channel.mountpoint);
    if (code == CODE_OK)
        *out = session;
    else
        session_destroy(session);
    return code;
}

/* Kept for session_save. */
static void note_greeting(struct session *session, const void *message, size_t length)
{
    const struct fuse_in_header *header = message;
    if (length < sizeof *header || header->opcode != FUSE_INIT || length > SESSION_GREETING_MAX || session->greeting_bytes)
        return;
    memcpy(session->greeting, message, length);
    session->greeting_bytes = length;
}

/* An INTERRUPT of a request that it does not know is kept by the library until some later request takes one such out.  So a
 * client that sends nothing else could fill the memory: false, where too many may be kept.  Who waits is interrupted by the
 * next one that comes. */
static bool admits_interrupt(struct session *session, const struct fuse_in_header *header)
{
    bool interrupts = header->opcode == FUSE_INTERRUPT;
    int kept = atomic_load(&session->interrupts), next;
    do {
        if (interrupts && kept >= INTERRUPTS_MAX)
            return false;
        next = interrupts ? kept + 1 : kept > 0 ? kept - 1 : 0;
    } while (!atomic_compare_exchange_weak(&session->interrupts, &kept, next));
    return true;
}

static void ignore_answer(void *context, const struct iovec *parts, int count)
{
    (void)context;
    (void)parts;
    (void)count;
}

/* Takes out what the library keeps, which it does not when it ends: a FORGET of nothing each. */
static void drain_interrupts(struct session *session)
{
    struct {
        struct fuse_in_header header;
        struct fuse_forget_in forget;
    } nothing = {.header = {.len = sizeof nothing, .opcode = FUSE_FORGET, .nodeid = FUSE_ROOT_ID}};
    const struct fuse_buf request = {.mem = &nothing, .size = sizeof nothing};
    if (!session->channel.peer.send || !session->fuse)
        return;
    session->channel.peer.send = ignore_answer;
    for (int i = atomic_load(&session->interrupts); i > 0; i--)
        fuse_session_process_buf(session->fuse, &request);
}

void session_process(struct session *session, const void *message, size_t length)
{
    /* The library takes its messages in memory that it may write to, but writes to none. */
    const struct fuse_buf request = {.mem = (void *)message, .size = length};
    note_greeting(session, message, length);
    viewer_enter(session->channel.peer.viewer);
    tree_observe_as(&session->observer);
    if (!session_lending_process(session, message, length) && !session_extra_process(session, message, length) &&
        admits_interrupt(session, message))
        fuse_session_process_buf(session->fuse, &request);
    tree_observe_as(NULL);
    viewer_leave();
}

void session_wait(struct session *session)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    while (!session->ended)
        pthread_cond_wait(&session->life_changed, &session->life);
}

static void unmount(const struct session *session)
{
    struct failure why;
    if (session_mount_remove(session->channel.mountpoint, &why) != CODE_OK)
        logging_warning("%s", why.text);
}

void session_stop(struct session *session)
{
    pthread_mutex_lock(&session->life);
    bool again = session->stopping;
    bool ended = session->ended;
    session->stopping = true;
    session->ended = true;
    pthread_cond_broadcast(&session->life_changed);
    pthread_mutex_unlock(&session->life);
    if (again)
        return;
    if (session->channel.mountpoint && !ended)
        unmount(session); /* else it is gone already, and another mount may be in its place */
    session_channel_shut(&session->channel);
    session_listeners_release(&session->listeners);
}

/* Waits until the worker has seen that the session is stopping. */
static void end_thread(struct session_worker *worker)
{
    struct session *session = worker->session;
    pthread_mutex_lock(&session->life);
    while (!worker->done) {
        pthread_kill(worker->thread, NUDGE_SIGNAL);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += NUDGE_EVERY_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&session->life_changed, &session->life, &until);
    }
    pthread_mutex_unlock(&session->life);
    pthread_join(worker->thread, NULL);
    free(worker->message.mem);
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    session_stop(session);
    session_grants_stop(&session->grants); /* while there are workers */
    for (int i = 0; i < session->started; i++)
        end_thread(&session->workers[i]);
    session_listeners_stop(&session->listeners);
    session_push_stop(&session->push);
    session_streams_stop(&session->streams);
    session_locks_abandon(session);
    drain_interrupts(session);
    session_handles_destroy(&session->handles);
    session_streams_destroy(&session->streams);
    session_locks_destroy(&session->locks);
    session_nodes_destroy(&session->nodes);
    session_push_destroy(&session->push);
    session_grants_destroy(&session->grants);
    session_extra_give_back(session);
    session_reserved_destroy(&session->reserved);
    session_listeners_destroy(&session->listeners);
    block_pool_destroy(&session->blocks);
    if (session->fuse)
        fuse_session_destroy(session->fuse); /* and the channel's descriptor */
    else if (session->channel.fd >= 0)
        close(session->channel.fd);
    free(session->channel.mountpoint);
    pthread_mutex_destroy(&session->life);
    pthread_cond_destroy(&session->life_changed);
    free(session);
}
