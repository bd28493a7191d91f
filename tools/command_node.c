/* cytofs node: runs the jobs of a mounted lab until it is unmounted or the node is told to stop. */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "node.h"

const char command_node_details[] =
    "Waits for queued runs in the mounted lab, claims them one after another, runs their programs and reports. It works\n"
    "through files alone. cytofs mount starts one by itself; this command is for more of them.";

static atomic_bool stop_requested;

static void request_stop(int signal_number)
{
    (void)signal_number;
    atomic_store(&stop_requested, true);
}

int command_node(const struct command *command, int argc, char **argv)
{
    const char *name = NULL;
    int64_t cpus = 0;
    const struct command_option options[] = {
        {"name", 'n', OPTION_TEXT, &name, "NAME", "the node's name (default: the host's name)", 0, 0},
        {"cpus", 'c', OPTION_INTEGER, &cpus, "N", "CPU cores that jobs may use, 0 for all (default)", 0, 4096},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;

    char program[PATH_MAX] = "";
    struct failure why;
    if (readlink("/proc/self/exe", program, sizeof program - 1) <= 0) {
        failure_set(&why, CODE_IO, "/proc is needed to find this program");
        return command_fail(command, &why);
    }
    struct sigaction action = {.sa_handler = request_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct node_options node = {.lab = arguments.positional[0],
                                .name = name,
                                .program = program,
                                .cpus = (int)cpus,
                                .finds_gpus = true,
                                .stop = &stop_requested};
    return node_run(&node, &why) == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}
