/* cytofs mount: opens the store, serves it in the background, and returns when the mount is usable. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "file.h"
#include "lab_launch.h"
#include "lab_reach.h"
#include "lab_relay.h"
#include "scope.h"

const char command_mount_details[] =
    "Shows the lab in the empty folder DIR, starts a node that runs its jobs, and returns when both are usable.\n"
    "Unmount with: fusermount3 -u DIR. A job that runs then goes on at the next mount.\n"
    "A store that `cytofs serve` serves already is mounted through its server.\n"
    "STORE may also be NAME@HOST[:PORT], a lab that another machine serves (`cytofs join` first), or the path of a server's "
    "UNIX socket.";

int command_mount(const struct command *command, int argc, char **argv)
{
    bool no_node = false, memory = false;
    int64_t cpus = 0;
    const char *timeout_error = NULL;
    struct lab_relay_options relay = {0};
    struct lab_launch launch = {0};
    const struct command_option options[] = {
        {"foreground", 'f', OPTION_FLAG, &launch.foreground, NULL, "stay in the foreground, log to standard error", 0, 0},
        {"no-node", 'n', OPTION_FLAG, &no_node, NULL, "run no jobs", 0, 0},
        {"cpus", 'c', OPTION_INTEGER, &cpus, "N", "CPU cores that jobs may use (default: all)", 1, 4096},
        {"key", 'k', OPTION_TEXT, &launch.key, "FILE", "the member's key", 0, 0},
        {"accept-older", 0, OPTION_FLAG, &launch.accept_older, NULL, "the store was put back from a copy: take it as it is",
         0, 0},
        {"memory", 'M', OPTION_FLAG, &memory, NULL, "a lab in memory, gone after unmounting (no STORE)", 0, 0},
        {"allow-other", 'o', OPTION_FLAG, &launch.server.allow_other, NULL, "let other users of this machine in", 0, 0},
        {"timeout", 't', OPTION_INTEGER, &relay.timeout_s, "SECONDS",
         "remote: what waits longer for a lost connection fails (default: never)", 1, 1000000},
        {"timeout-error", 0, OPTION_TEXT, &timeout_error, "ERRNO",
         "remote: how it fails: ETIMEDOUT (the default), EIO, EAGAIN, EHOSTDOWN or ENOTCONN", 0, 0},
        {"cache", 0, OPTION_TEXT, &relay.disk_folder, "FOLDER", "remote: where contents are kept (default: ~/.cache/cytofs)",
         0, 0},
        {"cache-size", 0, OPTION_INTEGER, &relay.disk_gib, "GIB", "remote: how much of it (default: 8)", 1, 1000000},
        {"no-cache", 0, OPTION_FLAG, &relay.no_disk, NULL, "remote: keep nothing on disk", 0, 0},
        {"plain", 0, OPTION_FLAG, &relay.plain, NULL, "remote: forward everything, keep nothing at all", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 2, &arguments);
    if (status != -1)
        return status;
    if (arguments.count != (memory ? 1 : 2))
        return command_usage(command, memory ? "with --memory it needs: DIR" : "it needs: STORE DIR, or NAME@HOST DIR");
    if (timeout_error && !relay.timeout_s)
        return command_usage(command, "--timeout-error says how --timeout SECONDS ends: give both");
    if (timeout_error && !lab_relay_find_errno(timeout_error, &relay.timeout_errno))
        return command_usage(command, "--timeout-error takes ETIMEDOUT, EIO, EAGAIN, EHOSTDOWN or ENOTCONN, not \"%s\"",
                             timeout_error);
    /* The server's working directory is / later on. */
    SCOPE_FREE char *store = memory ? NULL : file_absolute(arguments.positional[0]);
    SCOPE_FREE char *directory = file_absolute(arguments.positional[arguments.count - 1]);
    SCOPE_FREE char *ready = NULL;
    if (!directory || (!store && !memory) ||
        asprintf(&ready, "mounted at %s (unmount: fusermount3 -u %s)", directory, directory) < 0)
        return EXIT_SYSTEM;
    SCOPE_FREE char *served = store ? lab_reach_server(store) : NULL;
    if (store && (served || lab_relay_is_server(arguments.positional[0]))) {
        relay.server = served ? served : strchr(arguments.positional[0], '@') ? arguments.positional[0] : store;
        relay.directory = directory;
        relay.ready = ready;
        relay.foreground = launch.foreground;
        relay.allow_other = launch.server.allow_other;
        return lab_relay_run(command, &relay);
    }
    launch.store = store;
    launch.ready = ready;
    launch.server.mountpoint = directory;
    launch.server.cpus = (int)cpus;
    launch.server.node = !no_node;
    return lab_launch_run(command, &launch);
}
