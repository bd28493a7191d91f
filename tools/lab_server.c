/* The file server: the one place where a lab is put together.
 *
 *     tree + rules (lab view, jobs, views)
 *       |-- session: the user's mount
 *       |-- door: sessions of members on other machines
 *       `-- session: a mount of the node's own, in a private folder --- node process (cytofs node)
 *
 * The node has a mount of its own so that its open files never keep the user's mount busy: unmounting that ends the server.
 * A node that dies is started again; runs that it had are queued again by then, because the server saw its files close.
 *
 * Ending: the node and its mount first, so that runs are handed back while members are still served; then the door parts
 * (lab_door.h), mounts and tasks end, and the store is closed with the clients' files left open for the next server.
 *
 * What rules stand on is released after the tree is closed, since the last commit may still look at derived files.
 *
 * Threads: the sessions' own; one that waits for signals; one that minds the node; the caller, who waits for the user's
 * session to end.  SIGTERM and SIGINT are blocked everywhere and taken by the first.
 */
#include "lab_server.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "audit_files.h"
#include "audit_view.h"
#include "file.h"
#include "jobs.h"
#include "lab_backup.h"
#include "lab_care.h"
#include "lab_collect.h"
#include "lab_store.h"
#include "lab_task.h"
#include "lab_view.h"
#include "logging.h"
#include "people.h"
#include "people_view.h"
#include "scope.h"
#include "service_notify.h"
#include "session.h"
#include "session_mount.h"
#include "store_folder.h"
#include "tree_parting.h"
#include "views.h"

#define NODE_RESTART_PAUSE_MS 1000
#define NODE_STOP_PATIENCE_MS 15000 /* its program gets 10 s to write a checkpoint */
#define FOLDER_ENTRIES_MAX    100000
#define TRIM_S                30

extern char **environ;

struct lab_server {
    const struct lab_server_options *options;
    struct jobs *jobs;
    struct lab_backup backup;
    struct lab_care care;
    struct lab_task *backup_task, *collect_task; /* lab/backup, lab/gc */
    struct session *user_session;                /* NULL: not mounted here */
    struct session *node_session;
    struct lab_door *door; /* NULL: it serves nobody else */
    bool parted;           /* the door's clients go on with the next server */
    char *state_folder;    /* for them */
    struct people *people;
    struct audit_view audit; /* of a lab that is served */
    int ending;              /* an eventfd: readable once a signal came */
    char *node_folder;
    pthread_t signal_thread, node_thread;
    bool signal_thread_runs, node_thread_runs;
    int stopping; /* an eventfd: readable once the server stops */
};

/* Until one comes, what messages of a megabyte have left free between what is in use is given back to the system, which the
 * allocator by itself does only at the end of its heaps. */
static int await_signal(const sigset_t *signals)
{
    const struct timespec pause = {.tv_sec = TRIM_S};
    int number;
    while ((number = sigtimedwait(signals, NULL, &pause)) < 0)
        if (errno == EAGAIN)
            malloc_trim(0);
    return number;
}

static void *wait_for_signals(void *argument)
{
    struct lab_server *server = argument;
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGUSR1); /* from ourselves: the session has ended already */
    int signal_number = await_signal(&ending);
    if (signal_number != SIGUSR1) {
        logging_info("signal %d: ending", signal_number);
        if (server->user_session)
            session_stop(server->user_session);
        eventfd_write(server->ending, 1);
    }
    return NULL;
}

void lab_server_block_signals(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* The node: a process of its own ------------------------------------------------------------------------------------- */

/* A server that was killed leaves its node's folder behind, with a dead mount on it.  We have the store's lock, so any that
 * bears the store's id is one. */
static void clear_old_node_folders(const char *above, const char *id)
{
    char prefix[32];
    struct file_names names;
    int length = snprintf(prefix, sizeof prefix, "cytofs-node-%.8s-", id);
    if (file_list(above, FOLDER_ENTRIES_MAX, &names, NULL) != CODE_OK)
        return;
    for (size_t i = 0; i < names.count; i++) {
        if (strncmp(names.names[i], prefix, (size_t)length) != 0)
            continue;
        SCOPE_FREE char *path = file_join(above, names.names[i]);
        if (path && session_mount_remove(path, NULL) == CODE_OK)
            rmdir(path);
    }
    file_names_free(&names);
}

static enum code make_node_folder(struct lab_server *server, const struct lab_store *store, struct failure *why)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *above = runtime && file_is_folder(runtime) && access(runtime, W_OK) == 0 ? runtime : "/tmp";
    if (store->folder)
        clear_old_node_folders(above, store->id);
    if (asprintf(&server->node_folder, "%s/cytofs-node-%.8s-XXXXXX", above, store->id) < 0) {
        server->node_folder = NULL;
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    }
    if (!mkdtemp(server->node_folder)) {
        enum code code = failure_set_errno(why, errno, "%s: the node's folder cannot be made", server->node_folder);
        free(server->node_folder);
        server->node_folder = NULL;
        return code;
    }
    return CODE_OK;
}

static pid_t spawn_node(const struct lab_server *server)
{
    char cpus[16];
    snprintf(cpus, sizeof cpus, "%d", server->options->cpus);
    char *arguments[] = {(char *)"cytofs", (char *)"node", server->node_folder, (char *)"--cpus", cpus, NULL};
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid = -1;
    int error = posix_spawn(&pid, server->options->program, NULL, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        logging_warning("the node cannot be started: %s: %s", server->options->program, strerror(error));
        return -1;
    }
    return pid;
}

/* Waits for the node's end, or for the server's; true where the node ended. */
static bool node_ended(struct lab_server *server, int node)
{
    struct pollfd watched[] = {{.fd = node, .events = POLLIN}, {.fd = server->stopping, .events = POLLIN}};
    while (poll(watched, 2, -1) < 0 && errno == EINTR)
        ;
    return !watched[1].revents;
}

/* Whether the descriptor becomes readable within this time. */
static bool readable_within(int fd, int timeout_ms)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    return poll(&watched, 1, timeout_ms) > 0;
}

static void stop_node(pid_t pid, int node)
{
    kill(pid, SIGTERM);
    if (!readable_within(node, NODE_STOP_PATIENCE_MS)) {
        logging_warning("the node did not stop: killing it");
        kill(pid, SIGKILL);
    }
}

static void *mind_node(void *argument)
{
    struct lab_server *server = argument;
    do {
        pid_t pid = spawn_node(server);
        SCOPE_CLOSE int node = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (pid > 0 && node < 0)
            kill(pid, SIGKILL); /* it could not be minded */
        if (node >= 0 && !node_ended(server, node))
            stop_node(pid, node);
        int status = 0;
        if (pid > 0)
            waitpid(pid, &status, 0);
        if (!readable_within(server->stopping, 0))
            logging_warning("the node ended (status %d): starting it again", status);
    } while (!readable_within(server->stopping, NODE_RESTART_PAUSE_MS));
    return NULL;
}

static enum code start_node(struct lab_server *server, const struct lab_store *store, struct failure *why)
{
    enum code code = make_node_folder(server, store, why);
    if (code != CODE_OK)
        return code;
    struct session_options options = {.mountpoint = server->node_folder, .label = "cytofs-node", .for_programs = true};
    code = session_start(store->tree, &options, &server->node_session, why);
    if (code != CODE_OK)
        return code;
    server->node_thread_runs = pthread_create(&server->node_thread, NULL, mind_node, server) == 0;
    return server->node_thread_runs ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "no thread for the node");
}

/* Putting it together -------------------------------------------------------------------------------------------- */

/* Members come over the network: what they do is logged beside the store. */
static enum code keep_audit(struct lab_server *server, const struct lab_store *store, struct failure *why)
{
    server->audit.tree = store->tree;
    if (store->folder) {
        SCOPE_FREE char *folder = file_join(store_folder_path(store->folder), AUDIT_FILES_FOLDER);
        enum code code = folder ? audit_open(store->tree, folder, store->mirrors, &server->audit.audit, why)
                                : failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
        if (code != CODE_OK)
            return code;
    }
    return audit_view_add(&server->audit, why);
}

static enum code add_door(struct lab_server *server, const struct lab_store *store, struct failure *why)
{
    struct lab_door_options options = server->options->door;
    if (store->folder) {
        server->state_folder = file_join(store_folder_path(store->folder), "serve");
        options.state_folder = server->state_folder;
        options.store = store_folder_id(store->folder);
    }
    return lab_door_create(server->people, &options, &server->door, why);
}

static enum code add_rules(struct lab_server *server, struct lab_store *store, struct failure *why)
{
    struct tree *tree = store->tree;
    server->backup = (struct lab_backup){.store = store, .mountpoint = server->options->mountpoint};
    enum code code = lab_view_add(tree, why);
    if (code == CODE_OK)
        code = people_create(tree, &server->options->people, &server->people, why);
    if (code == CODE_OK)
        code = people_view_add(server->people, why);
    if (code == CODE_OK)
        code = views_add(tree, why);
    struct jobs_options options = {0};
    if (code == CODE_OK)
        code = jobs_add(tree, &options, &server->jobs, why);
    if (code == CODE_OK)
        code = lab_backup_add(&server->backup, &server->backup_task, why);
    server->care.store = store;
    server->care.mountpoint = server->options->mountpoint;
    if (code == CODE_OK)
        code = lab_care_add(&server->care, why);
    if (code == CODE_OK)
        code = lab_collect_add(tree, &server->collect_task, why);
    if (code == CODE_OK && server->options->serves)
        code = keep_audit(server, store, why);
    return code == CODE_OK && server->options->serves ? add_door(server, store, why) : code;
}

static enum code mount_for_user(struct lab_server *server, const struct lab_store *store, struct failure *why)
{
    const struct session_options options = {.mountpoint = server->options->mountpoint,
                                            .allow_other = server->options->allow_other,
                                            .keep_owners = server->options->allow_other && geteuid() == 0,
                                            .label = "cytofs"};
    return session_start(store->tree, &options, &server->user_session, why);
}

static enum code start(struct lab_server *server, struct lab_store *store, struct failure *why)
{
    server->stopping = eventfd(0, EFD_CLOEXEC);
    server->ending = eventfd(0, EFD_CLOEXEC);
    if (server->stopping < 0 || server->ending < 0)
        return failure_set_errno(why, errno, "starting the file server");
    enum code code = add_rules(server, store, why);
    if (code == CODE_OK && server->options->mountpoint)
        code = mount_for_user(server, store, why);
    if (code == CODE_OK && server->door)
        code = lab_door_open(server->door, why);
    if (code != CODE_OK)
        return code;
    server->signal_thread_runs = pthread_create(&server->signal_thread, NULL, wait_for_signals, server) == 0;
    if (!server->signal_thread_runs)
        return failure_set(why, CODE_NO_MEMORY, "no thread for signals");
    return server->options->node ? start_node(server, store, why) : CODE_OK;
}

static void stop(struct lab_server *server)
{
    if (server->stopping >= 0 && eventfd_write(server->stopping, 1) != 0)
        logging_warning("the node cannot be told to stop: %s", strerror(errno));
    if (server->node_thread_runs)
        pthread_join(server->node_thread, NULL);
    if (server->node_session) {
        session_stop(server->node_session);
        session_destroy(server->node_session);
    }
    if (server->node_folder) {
        rmdir(server->node_folder);
        free(server->node_folder);
    }
    server->parted = server->door && lab_door_part(server->door);
    if (server->user_session)
        session_stop(server->user_session);
    if (server->signal_thread_runs) {
        pthread_kill(server->signal_thread, SIGUSR1);
        pthread_join(server->signal_thread, NULL);
    }
    session_destroy(server->user_session);
}

/* The clients go on with the next server: their files are not closed, but left.  No other session and no task is there any
 * more. */
static void leave(struct lab_server *server, struct tree *tree)
{
    if (!server->parted)
        lab_door_close(server->door);
    audit_close(server->audit.audit); /* nobody does anything any more, and the tree still commits */
    if (server->parted) {
        tree_begin_parting(tree);
        lab_door_keep(server->door, tree_finish(tree));
        lab_door_close(server->door);
    }
}

static void wait_for_end(struct lab_server *server)
{
    eventfd_t ignored;
    if (server->user_session)
        session_wait(server->user_session);
    else
        while (eventfd_read(server->ending, &ignored) != 0 && errno == EINTR)
            ;
}

enum code lab_server_run(struct lab_store *store, const struct lab_server_options *options, struct failure *why)
{
    struct lab_server server = {.options = options, .stopping = -1, .ending = -1};
    enum code code = start(&server, store, why);
    options->ready(options->ready_context, code == CODE_OK ? NULL : why);
    if (code == CODE_OK) {
        logging_info("serving at %s", options->mountpoint ? options->mountpoint : "the door");
        lab_care_begin(&server.care);
        wait_for_end(&server);
        service_notify("STOPPING=1");
    }
    stop(&server);
    lab_care_stop(&server.care);
    lab_task_stop(server.backup_task);
    lab_task_stop(server.collect_task);
    leave(&server, store->tree);
    lab_store_close(store);
    lab_care_destroy(&server.care);
    lab_task_destroy(server.backup_task);
    lab_task_destroy(server.collect_task);
    jobs_destroy(server.jobs);
    lab_door_destroy(server.door);
    people_destroy(server.people);
    free(server.state_folder);
    if (server.stopping >= 0)
        close(server.stopping);
    if (server.ending >= 0)
        close(server.ending);
    return code;
}
