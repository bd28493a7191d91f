/* Work started by a control file: see lab_task.h.
 *
 *     idle, done, incomplete, failed --write--> working --> done | incomplete | failed
 *
 * The thread lives while it works, and is joined by the next write or by lab_task_stop.  One lock (a leaf) guards
 * everything but what is set when the task is added. */
#include "lab_task.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "logging.h"
#include "rule.h"
#include "scope.h"

#define SAID_BYTES_MAX 65536

enum state { STATE_IDLE, STATE_WORKING, STATE_DONE, STATE_INCOMPLETE, STATE_FAILED };
static const char *const state_names[] = {"idle", "working", "done", "incomplete", "failed"};

struct lab_task {
    struct lab_task_work work;
    pthread_mutex_t lock;
    enum state state;
    bool stop, closed;
    bool thread_made; /* and not joined yet */
    pthread_t thread;
    uint64_t done, all;
    char *line;
    struct buffer said;
};

bool lab_task_progress(struct lab_task *task, uint64_t done, uint64_t all)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    task->done = done;
    task->all = all;
    return !task->stop;
}

/* With the lock.  A text of several lines becomes several lines. */
static void say(struct lab_task *task, const char *text)
{
    while (*text) {
        int length = (int)strcspn(text, "\n");
        buffer_printf(&task->said, "said    %.*s\n", length, text);
        text += length;
        text += *text == '\n';
    }
}

void lab_task_say(struct lab_task *task, const char *format, ...)
{
    char text[FAILURE_TEXT_MAX + LAB_TASK_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    say(task, text);
}

void lab_task_mark_incomplete(struct lab_task *task)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    task->state = STATE_INCOMPLETE;
}

static void *run(void *context)
{
    struct lab_task *task = context;
    struct failure why;
    enum code code = task->work.run(task->work.context, task->line, task, &why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    if (code != CODE_OK) {
        say(task, why.text);
        task->state = STATE_FAILED;
        logging_warning("%s: %s", task->work.path, why.text);
    } else if (task->state == STATE_WORKING) {
        task->state = STATE_DONE;
    }
    return NULL;
}

/* With the lock.  The thread is over or about to be: it takes the lock only before its end. */
static void join(struct lab_task *task)
{
    if (!task->thread_made)
        return;
    pthread_mutex_unlock(&task->lock);
    pthread_join(task->thread, NULL);
    pthread_mutex_lock(&task->lock);
    task->thread_made = false;
}

/* With the lock; nothing works. */
static enum code begin(struct lab_task *task, const char *line, struct failure *why)
{
    join(task);
    char *copy = strdup(line);
    if (!copy)
        return failure_set(why, CODE_NO_MEMORY, "%s: no memory", task->work.path);
    free(task->line);
    task->line = copy;
    buffer_clear(&task->said);
    task->said.failed = false;
    task->done = task->all = 0;
    task->stop = false;
    task->state = STATE_WORKING;
    int error = pthread_create(&task->thread, NULL, run, task);
    task->thread_made = error == 0;
    if (error)
        task->state = STATE_FAILED;
    return error ? failure_set_errno(why, error, "%s: starting", task->work.path) : CODE_OK;
}

enum code lab_task_start(struct lab_task *task, const char *line, struct failure *why)
{
    bool to_stop = strcmp(line, "stop") == 0;
    if (task->work.adjust && task->work.adjust(task->work.context, line))
        return CODE_OK;
    enum code code = to_stop ? CODE_OK : task->work.check(task->work.context, line, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    if (to_stop) {
        task->stop = true;
        return CODE_OK;
    }
    if (task->state == STATE_WORKING || task->closed)
        return failure_set(why, CODE_BUSY, "%s: \"%s\" is at work: wait, or write stop", task->work.path,
                           task->line ? task->line : "");
    if (code == CODE_OK)
        return begin(task, line, why);
    join(task);
    buffer_clear(&task->said);
    say(task, why->text);
    task->state = STATE_FAILED;
    return code;
}

static enum code command(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    struct lab_task *task = context;
    char line[LAB_TASK_LINE_MAX + 1];
    size_t length = count;
    while (length && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    if (length == 0 || length > LAB_TASK_LINE_MAX || memchr(text, '\n', length) || memchr(text, 0, length))
        return failure_set(why, CODE_INVALID, "%s: takes one line of text: %s", path, task->work.help);
    memcpy(line, text, length);
    line[length] = 0;
    return lab_task_start(task, line, why);
}

static enum code render(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct lab_task *task = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    buffer_printf(out, "state   %s\ndone    %" PRIu64 "\nall     %" PRIu64 "\nunit    %s\n", state_names[task->state],
                  task->done, task->all, task->work.unit);
    if (task->state == STATE_IDLE)
        buffer_printf(out, "said    %s\n", task->work.help);
    if (task->work.describe)
        task->work.describe(task->work.context, out);
    buffer_append_text(out, buffer_text(&task->said));
    return buffer_check(out, path, why);
}

enum code lab_task_add(struct tree *tree, const struct lab_task_work *work, struct lab_task **out, struct failure *why)
{
    struct lab_task *task = calloc(1, sizeof *task);
    if (!task)
        return failure_set(why, CODE_NO_MEMORY, "adding %s: no memory", work->path);
    task->work = *work;
    task->said.max = SAID_BYTES_MAX;
    pthread_mutex_init(&task->lock, NULL);
    const struct rule rule = {
        .kind = RULE_CONTROL, .pattern = work->path, .context = task, .render = render, .command = command};
    enum code code = rule_add(tree, &rule, why);
    if (code == CODE_OK)
        *out = task;
    else
        lab_task_destroy(task);
    return code;
}

void lab_task_stop(struct lab_task *task)
{
    if (!task)
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&task->lock);
    task->stop = task->closed = true;
    join(task);
}

void lab_task_destroy(struct lab_task *task)
{
    if (!task)
        return;
    lab_task_stop(task);
    pthread_mutex_destroy(&task->lock);
    buffer_free(&task->said);
    free(task->line);
    free(task);
}
