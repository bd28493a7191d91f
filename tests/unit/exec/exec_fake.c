/* See exec_fake.h.  The output is a pipe that has been filled and closed, the news a pipe that is readable. */
#include "exec_fake.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct execution {
    const struct exec_fake_plan *plan;
    int output, news;
};

static int filled_pipe(const char *text)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        abort();
    if (write(ends[1], text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(ends[1]);
    return ends[0];
}

static enum code start(void *context, const struct exec_command *command, struct execution **out, struct failure *why)
{
    const struct exec_fake_plan *plan = context;
    if (plan->refusal)
        return failure_set(why, CODE_NO_MEMORY, "%s: %s", command->arguments[0], plan->refusal);
    *out = calloc(1, sizeof **out);
    if (!*out)
        abort();
    **out = (struct execution){plan, filled_pipe(plan->output), filled_pipe("!")};
    return CODE_OK;
}

static int output(struct execution *execution)
{
    return execution->output;
}

static int news(struct execution *execution)
{
    return execution->news;
}

static enum exec_state look(struct execution *execution, int *value)
{
    *value = execution->plan->value;
    return execution->plan->state;
}

static void send_signal(struct execution *execution, int number)
{
    (void)execution;
    (void)number;
}

static long id(const struct execution *execution)
{
    (void)execution;
    return 42;
}

static void destroy(struct execution *execution)
{
    if (!execution)
        return;
    close(execution->output);
    close(execution->news);
    free(execution);
}

struct executor exec_fake(struct exec_fake_plan *plan)
{
    return (struct executor){
        .context = plan,
        .start = start,
        .output = output,
        .news = news,
        .look = look,
        .send = send_signal,
        .id = id,
        .destroy = destroy,
    };
}
