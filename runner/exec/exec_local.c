/* Programs as processes of this machine: see exec_local.h.
 *
 * Each program has a keeper (exec_keeper.c), the only child that the node itself has.  The channel to it carries signals one
 * way and reports the other; its end without a report means that the keeper was killed.  All descriptors are
 * close-on-exec and the keeper closes what it does not need, so programs do not hold each other's output open.
 * One thread: the node's.
 */
#include "exec_local.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_keeper.h"

struct execution {
    pid_t keeper;
    int channel, output;
    long program; /* process id, 0 until reported */
    enum exec_state state;
    int value;
};

static enum code start(void *context, const struct exec_command *command, struct execution **out, struct failure *why)
{
    (void)context;
    struct execution *execution = calloc(1, sizeof *execution);
    if (!execution)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", command->arguments[0]);
    int channel[2], output[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0) {
        free(execution);
        return failure_set_errno(why, errno, "%s: cannot be started", command->arguments[0]);
    }
    if (pipe2(output, O_CLOEXEC) != 0) {
        int reason = errno;
        close(channel[0]);
        close(channel[1]);
        free(execution);
        return failure_set_errno(why, reason, "%s: cannot be started", command->arguments[0]);
    }
    execution->keeper = fork();
    int reason = errno;
    if (execution->keeper == 0)
        exec_keeper_run(channel[1], output[1], command);
    close(channel[1]);
    close(output[1]);
    execution->channel = channel[0];
    execution->output = output[0];
    if (execution->keeper < 0) {
        close(channel[0]);
        close(output[0]);
        free(execution);
        return failure_set_errno(why, reason, "%s: cannot be started", command->arguments[0]);
    }
    fcntl(execution->output, F_SETFL, O_NONBLOCK);
    *out = execution;
    return CODE_OK;
}

static int output(struct execution *execution)
{
    return execution->output;
}

static int news(struct execution *execution)
{
    return execution->channel;
}

static enum exec_state look(struct execution *execution, int *value)
{
    while (execution->state == EXEC_RUNS) {
        struct exec_keeper_report report;
        ssize_t got = recv(execution->channel, &report, sizeof report, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            break;
        if (got != sizeof report) {
            execution->state = EXEC_VANISHED;
        } else if (report.kind == EXEC_RUNS) {
            execution->program = report.value;
        } else {
            execution->state = (enum exec_state)report.kind;
            execution->value = report.value;
        }
    }
    *value = execution->value;
    return execution->state;
}

static void send_signal(struct execution *execution, int number)
{
    if (execution->state == EXEC_RUNS)
        send(execution->channel, &number, sizeof number, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static long id(const struct execution *execution)
{
    return execution->program;
}

static void destroy(struct execution *execution)
{
    if (!execution)
        return;
    close(execution->channel); /* the keeper takes this as our death */
    close(execution->output);
    while (waitpid(execution->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    free(execution);
}

struct executor exec_local(void)
{
    return (struct executor){
        .start = start,
        .output = output,
        .news = news,
        .look = look,
        .send = send_signal,
        .id = id,
        .destroy = destroy,
    };
}
