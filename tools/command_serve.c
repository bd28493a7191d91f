/* cytofs serve: opens the store and lets members on other machines in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "lab_launch.h"
#include "lab_reach.h"
#include "scope.h"

const char command_serve_details[] =
    "Serves the lab to its members: to other machines over TLS (they come by `cytofs join` and `cytofs mount NAME@HOST "
    "DIR`), and with\n"
    "--socket to users of this one. A node runs the lab's jobs here. It ends with SIGTERM; members' mounts wait until it is "
    "back.\n"
    "ADDRESS is one of this machine's, for instance that of its VPN; without one it listens at all of them.";

#define ADDRESS_ANY "::"

/* ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT or :PORT, cut into the two in place. */
static bool cut_address(char *text, struct lab_door_options *door)
{
    char *port = NULL;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        port = end[1] ? end + 2 : NULL;
        *end = 0;
        text++;
    } else if ((port = strrchr(text, ':')) && strchr(text, ':') == port)
        *port++ = 0;
    else
        port = NULL; /* none, or an IPv6 address */
    if (port) {
        char *end;
        long number = strtol(port, &end, 10);
        if (!*port || *end || number < 1 || number > 65534)
            return false;
        door->port = (uint16_t)number;
    }
    door->address = *text ? text : ADDRESS_ANY;
    return true;
}

int command_serve(const struct command *command, int argc, char **argv)
{
    bool no_node = false;
    int64_t cpus = 0;
    const char *listen = NULL, *socket = NULL, *host = NULL;
    struct lab_launch launch = {.server = {.serves = true}};
    const struct command_option options[] = {
        {"listen", 'l', OPTION_TEXT, &listen, "ADDRESS[:PORT]", "where to listen (default: everywhere, port 7331)", 0, 0},
        {"socket", 's', OPTION_TEXT, &socket, "PATH",
         "where its UNIX socket lies (default: STORE/serve/socket); alone: no network", 0, 0},
        {"host", 'H', OPTION_TEXT, &host, "HOST[:PORT]",
         "by which workstations reach it, for invitations (default: this machine's name)", 0, 0},
        {"foreground", 'f', OPTION_FLAG, &launch.foreground, NULL, "stay in the foreground, log to standard error", 0, 0},
        {"no-node", 'n', OPTION_FLAG, &no_node, NULL, "run no jobs", 0, 0},
        {"cpus", 'c', OPTION_INTEGER, &cpus, "N", "CPU cores that jobs may use (default: all)", 1, 4096},
        {"key", 'k', OPTION_TEXT, &launch.key, "FILE", "the key of the member who serves", 0, 0},
        {"accept-older", 0, OPTION_FLAG, &launch.accept_older, NULL, "the store was put back from a copy: take it as it is",
         0, 0},
        {0},
    };
    close_range(STDERR_FILENO + 1, ~0u, 0); /* an open file of a lab that it serves would keep it from ending */
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;
    SCOPE_FREE char *store = file_absolute(arguments.positional[0]);
    SCOPE_FREE char *socket_path = socket ? file_absolute(socket) : store ? lab_reach_socket(store) : NULL;
    SCOPE_FREE char *address = listen ? strdup(listen) : NULL;
    SCOPE_FREE char *ready = NULL;
    if (address && !cut_address(address, &launch.server.door))
        return command_usage(command, "--listen takes ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT");
    if (!address && !socket)
        launch.server.door.address = ADDRESS_ANY;
    unsigned port = launch.server.door.port ? launch.server.door.port : WIRE_PORT;
    if (!store || (socket && !socket_path) || (listen && !address) ||
        (launch.server.door.address
             ? asprintf(&ready, "serving %s at port %u (end it with: kill -TERM)", store, port)
             : asprintf(&ready, "serving %s at %s (end it with: kill -TERM)", store, socket_path)) < 0)
        return EXIT_SYSTEM;
    launch.store = store;
    launch.ready = ready;
    launch.server.door.socket_path = socket_path;
    launch.server.people =
        (struct people_options){.host = host, .port = host && strchr(host, ':') ? 0 : launch.server.door.port};
    launch.server.cpus = (int)cpus;
    launch.server.node = !no_node;
    return lab_launch_run(command, &launch);
}
