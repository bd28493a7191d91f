/* A session's life: see session.h.
 *
 *   starting --first message (INIT) answered--> answering --unmounted | socket closed | session_stop--> ended
 *
 * Threads: the first worker answers INIT alone, since nothing may be answered before it, and then starts the others; all
 * of them read messages from the channel and answer them.  One more thread answers parked readers (session_streams.c).
 *
 * Ending.  Whoever unmounts makes every worker's read fail with ENODEV.  But where files are still open after a lazy
 * unmount the kernel keeps the connection, and the workers would go on waiting; so session_stop also cancels them, which
 * takes effect in the read alone (session_channel.c).  What they are answering is answered to the end. */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logging.h"
#include "scope.h"
#include "session_files.h"
#include "session_folders.h"
#include "session_mount.h"
#include "session_names.h"
#include "session_state.h"
#include "session_xattrs.h"
#include "tree_path.h"

#define WORKERS_MIN        4 /* a worker that renders or checks leaves others for quick answers */
#define WORKERS_BY_CORES   16
#define BACKGROUND_MAX     64 /* read-ahead requests that the kernel may have under way */
#define LIBRARY_LINE_BYTES 512

static void on_init(void *session, struct fuse_conn_info *connection)
{
    (void)session;
    connection->max_write = SESSION_WRITE_MAX;
    connection->max_background = BACKGROUND_MAX;
    connection->congestion_threshold = BACKGROUND_MAX * 3 / 4;
    connection->time_gran = 1;
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
    session_folders_fill(&operations);
    session_xattrs_fill(&operations);
    char program[] = "cytofs";
    char *arguments[] = {program, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
    fuse_set_log_func(log_library);
    session->fuse = fuse_session_new(&args, &operations, sizeof operations, session);
    if (!session->fuse)
        return failure_set(why, CODE_NO_MEMORY, "starting a session: the FUSE library refused (its reason is in the log)");
    return session_channel_attach(&session->channel, session->fuse, why);
}

static void end(struct session *session)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    (void)held;
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
    return CODE_OK;
}

static void begin_answering(struct session *session)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    (void)held;
    struct failure why;
    while (!session->stopping && session->started < session->worker_count)
        if (start_worker(session, &why) != CODE_OK) {
            logging_warning("going on with %d workers: %s", session->started, why.text);
            break;
        }
    session->answering = true;
    pthread_cond_broadcast(&session->life_changed);
}

static void *run_worker(void *argument)
{
    struct session_worker *worker = argument;
    struct session *session = worker->session;
    bool first = worker == &session->workers[0];
    int former;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &former);
    for (;;) {
        int got = fuse_session_receive_buf(session->fuse, &worker->message);
        if (got == -EINTR || got == -EAGAIN)
            continue;
        if (got <= 0)
            break;
        fuse_session_process_buf(session->fuse, &worker->message);
        if (first) {
            first = false;
            begin_answering(session);
        }
    }
    end(session);
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
    session->worker_count = options->threads > 0 ? options->threads : default_worker_count();
    if (session->worker_count > SESSION_THREADS_MAX)
        session->worker_count = SESSION_THREADS_MAX;
    pthread_mutex_init(&session->life, NULL);
    pthread_cond_init(&session->life_changed, NULL);
    session_nodes_init(&session->nodes, tree);
    session_handles_init(&session->handles);
    session_streams_init(&session->streams);
    return session;
}

static enum code open_channel(struct session *session, const struct session_options *options, struct failure *why)
{
    if (!options->mountpoint) {
        session->channel.fd = options->socket;
        return CODE_OK;
    }
    char *absolute;
    enum code code = session_mount_prepare(options->mountpoint, &absolute, why);
    if (code != CODE_OK)
        return code;
    code = session_mount(absolute, options->label ? options->label : "cytofs", options->allow_other,
                         &session->channel.fd, why);
    if (code == CODE_OK)
        session->channel.mountpoint = absolute;
    else
        free(absolute);
    return code;
}

static enum code start_threads(struct session *session, struct failure *why)
{
    enum code code = session_streams_start(&session->streams, why);
    if (code != CODE_OK)
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    (void)held;
    code = start_worker(session, why);
    while (code == CODE_OK && session->channel.mountpoint && !session->answering && !session->ended)
        pthread_cond_wait(&session->life_changed, &session->life);
    if (code == CODE_OK && session->channel.mountpoint && !session->answering)
        return failure_set(why, CODE_IO, "mounting on %s: it was unmounted at once", session->channel.mountpoint);
    return code;
}

enum code session_start(struct tree *tree, const struct session_options *options, struct session **out,
                        struct failure *why)
{
    struct session *session = make_session(tree, options);
    if (!session) {
        if (!options->mountpoint)
            close(options->socket);
        return failure_set(why, CODE_NO_MEMORY, "starting a session: no memory");
    }
    enum code code = open_channel(session, options, why);
    if (code == CODE_OK)
        code = make_fuse_session(session, why);
    if (code == CODE_OK)
        code = start_threads(session, why);
    if (code == CODE_OK)
        *out = session;
    else
        session_destroy(session);
    return code;
}

void session_wait(struct session *session)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->life);
    (void)held;
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
    int started = session->started;
    session->stopping = true;
    session->ended = true;
    pthread_cond_broadcast(&session->life_changed);
    pthread_mutex_unlock(&session->life);
    if (again)
        return;
    if (session->channel.mountpoint && !ended)
        unmount(session); /* else it is gone already, and another mount may be in its place */
    session_channel_shut(&session->channel);
    for (int i = 0; i < started; i++)
        pthread_cancel(session->workers[i].thread);
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    session_stop(session);
    for (int i = 0; i < session->started; i++) {
        pthread_join(session->workers[i].thread, NULL);
        free(session->workers[i].message.mem);
    }
    session_streams_stop(&session->streams);
    session_handles_destroy(&session->handles);
    session_streams_destroy(&session->streams);
    session_nodes_destroy(&session->nodes);
    if (session->fuse)
        fuse_session_destroy(session->fuse); /* and the channel's descriptor */
    else if (session->channel.fd >= 0)
        close(session->channel.fd);
    free(session->channel.mountpoint);
    pthread_mutex_destroy(&session->life);
    pthread_cond_destroy(&session->life_changed);
    free(session);
}

void session_invalidate(struct session *session, const char *path)
{
    struct failure ignored;
    struct node_attributes attributes;
    if (tree_path_attributes(session->tree, path, &attributes, &ignored) == CODE_OK)
        fuse_lowlevel_notify_inval_inode(session->fuse, attributes.id.value, 0, 0);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    SCOPE_FREE char *folder = strndup(path, slash ? (size_t)(slash - path) : 0);
    attributes.id = TREE_ROOT;
    if (folder && (!slash || tree_path_attributes(session->tree, folder, &attributes, &ignored) == CODE_OK))
        fuse_lowlevel_notify_inval_entry(session->fuse, attributes.id.value, name, strlen(name));
}
