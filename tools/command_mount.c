/* cytofs mount: opens the store, serves it in the background, and returns when the mount is usable. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "lab_server.h"
#include "lab_store.h"
#include "scope.h"

const char command_mount_details[] =
    "Shows the lab in the empty folder DIR, starts a node that runs its jobs, and returns when both are usable.\n"
    "Unmount with: fusermount3 -u DIR. A job that runs then goes on at the next mount.";

struct mount_arguments {
    const char *store, *directory, *key;
    bool foreground, no_node, memory, allow_other, accept_older;
    int64_t cpus;
};

/* What the process in the background tells the one that the user waits for, once. */
struct readiness {
    int pipe; /* written to: 'r', or the exit status and the text of the failure; -1 in the foreground */
    const char *directory;
};

static void tell_ready(void *context, const struct failure *why)
{
    struct readiness *readiness = context;
    if (readiness->pipe < 0) {
        if (!why)
            printf("mounted at %s (unmount: fusermount3 -u %s)\n", readiness->directory, readiness->directory);
        fflush(stdout);
        return;
    }
    char text[FAILURE_TEXT_MAX + 1];
    int length = why ? snprintf(text, sizeof text, "%c%s", failure_to_exit_status(why->code), why->text)
                     : snprintf(text, sizeof text, "r");
    if (write(readiness->pipe, text, (size_t)length) < 0)
        errno = 0; /* nobody waits any more */
    close(readiness->pipe);
    readiness->pipe = -1;
}

static int wait_until_ready(const struct command *command, int pipe, const char *directory)
{
    char text[FAILURE_TEXT_MAX + 2];
    size_t length = 0;
    ssize_t got;
    while ((got = read(pipe, text + length, sizeof text - 1 - length)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            length += (size_t)got;
    }
    text[length] = 0;
    if (length == 1 && text[0] == 'r') {
        printf("mounted at %s (unmount: fusermount3 -u %s)\n", directory, directory);
        return EXIT_DONE;
    }
    fprintf(stderr, "cytofs %s: %s\n", command->name, length > 1 ? text + 1 : "the file server ended at once; see its log");
    return length > 1 ? text[0] : EXIT_SYSTEM;
}

/* Standard output and error go to the log, standard input to nothing. */
static enum code redirect_to_log(const char *id, struct failure *why)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    SCOPE_FREE char *folder = NULL;
    SCOPE_FREE char *path = NULL;
    int made = state && state[0] ? asprintf(&folder, "%s/cytofs", state)
                                 : asprintf(&folder, "%s/.local/state/cytofs", home && home[0] ? home : "/tmp");
    if (made < 0 || asprintf(&path, "%s/%s.log", folder, id) < 0)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = file_make_folders(folder, why);
    if (code != CODE_OK)
        return code;
    SCOPE_CLOSE int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    SCOPE_CLOSE int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || nothing < 0)
        return failure_set_errno(why, errno, "%s: the log cannot be opened", path);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    return CODE_OK;
}

static int serve(const struct command *command, const struct mount_arguments *arguments, struct lab_store *store,
                 struct readiness *readiness)
{
    struct failure why;
    char program[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    struct lab_server_options options = {
        .mountpoint = arguments->directory,
        .program = program,
        .cpus = (int)arguments->cpus,
        .node = !arguments->no_node && length > 0,
        .allow_other = arguments->allow_other,
        .ready = tell_ready,
        .ready_context = readiness,
    };
    enum code code = lab_server_run(store, &options, &why);
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}

static enum code open_store(const struct mount_arguments *arguments, struct lab_store *store, struct failure *why)
{
    if (arguments->memory)
        return lab_store_open_memory(store, why);
    const struct lab_store_options options = {.key = arguments->key, .accept_older = arguments->accept_older};
    return lab_store_open(arguments->store, &options, store, why);
}

/* Forks before anything has threads.  The child opens the store itself, since locks and databases do not survive a fork; a
 * passphrase is asked for while it still has the terminal. */
static int serve_in_background(const struct command *command, const struct mount_arguments *arguments)
{
    struct failure why;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        failure_set_errno(&why, errno, "starting the file server");
        return command_fail(command, &why);
    }
    pid_t child = fork();
    if (child < 0) {
        failure_set_errno(&why, errno, "starting the file server");
        return command_fail(command, &why);
    }
    if (child > 0) {
        close(ends[1]);
        return wait_until_ready(command, ends[0], arguments->directory);
    }
    close(ends[0]);
    struct readiness readiness = {ends[1], arguments->directory};
    struct lab_store store;
    lab_server_block_signals();
    enum code code = open_store(arguments, &store, &why);
    if (code == CODE_OK && (code = redirect_to_log(store.id, &why)) != CODE_OK)
        lab_store_close(&store);
    if (code != CODE_OK) {
        tell_ready(&readiness, &why);
        _exit(EXIT_REFUSED);
    }
    setsid();
    if (chdir("/") != 0)
        errno = 0;
    _exit(serve(command, arguments, &store, &readiness));
}

static int serve_in_foreground(const struct command *command, const struct mount_arguments *arguments)
{
    struct failure why;
    struct lab_store store;
    lab_server_block_signals();
    enum code code = open_store(arguments, &store, &why);
    if (code != CODE_OK)
        return command_fail(command, &why);
    struct readiness readiness = {-1, arguments->directory};
    return serve(command, arguments, &store, &readiness);
}

/* Absolute, also where the last folder is a dead mount that stat(2) refuses. */
static char *absolute_path(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    SCOPE_FREE char *here = getcwd(NULL, 0);
    return here ? file_join(here, path) : NULL;
}

int command_mount(const struct command *command, int argc, char **argv)
{
    struct mount_arguments mount = {0};
    const struct command_option options[] = {
        {"foreground", 'f', OPTION_FLAG, &mount.foreground, NULL, "stay in the foreground, log to standard error", 0, 0},
        {"no-node", 'n', OPTION_FLAG, &mount.no_node, NULL, "run no jobs", 0, 0},
        {"cpus", 'c', OPTION_INTEGER, &mount.cpus, "N", "CPU cores that jobs may use (default: all)", 1, 4096},
        {"key", 'k', OPTION_TEXT, &mount.key, "FILE", "the member's key", 0, 0},
        {"accept-older", 'o', OPTION_FLAG, &mount.accept_older, NULL, "the store was put back from a copy: take it as it is", 0, 0},
        {"memory", 'M', OPTION_FLAG, &mount.memory, NULL, "a lab in memory, gone after unmounting (no STORE)", 0, 0},
        {"allow-other", 'o', OPTION_FLAG, &mount.allow_other, NULL, "let other users of this machine in", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 2, &arguments);
    if (status != -1)
        return status;
    if (arguments.count != (mount.memory ? 1 : 2))
        return command_usage(command, mount.memory ? "with --memory it needs: DIR" : "it needs: STORE DIR");
    /* The server's working directory is / later on. */
    SCOPE_FREE char *store = mount.memory ? NULL : absolute_path(arguments.positional[0]);
    SCOPE_FREE char *directory = absolute_path(arguments.positional[arguments.count - 1]);
    mount.store = store;
    mount.directory = directory;
    if (!directory || (!store && !mount.memory))
        return EXIT_SYSTEM;
    return mount.foreground ? serve_in_foreground(command, &mount) : serve_in_background(command, &mount);
}
