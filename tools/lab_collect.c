/* lab/gc: see lab_collect.h and fs/session/lab_task.h. */
#include "lab_collect.h"

#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "lab_task.h"
#include "tree_collect.h"

#define HELP "write \"now\", or how many percent of a pack must be dead for it to be emptied"

/* 0 for "now": the default. */
static enum code parse(const char *line, unsigned *percent, struct failure *why)
{
    int length = 0;
    *percent = 0;
    if (strcmp(line, "now") == 0)
        return CODE_OK;
    if (sscanf(line, "%3u%n", percent, &length) != 1 || line[length] || *percent < 1 || *percent > 100)
        return failure_set(why, CODE_INVALID, "\"%s\" is no percentage from 1 to 100: " HELP, line);
    return CODE_OK;
}

static enum code check(void *context, const char *line, struct failure *why)
{
    (void)context;
    unsigned percent;
    return parse(line, &percent, why);
}

static bool tell(void *context, uint64_t done, uint64_t all)
{
    return lab_task_progress(context, done / 1000000, all / 1000000);
}

static enum code run(void *context, const char *line, struct lab_task *task, struct failure *why)
{
    struct tree_collect_options options = {.unhurried = true, .progress = tell, .context = task};
    struct tree_collect_summary summary;
    SCOPE_BUFFER text = {0};
    enum code code = parse(line, &options.dead_percent, why);
    if (code == CODE_OK)
        code = tree_collect(context, &options, &summary, why);
    if (code != CODE_OK)
        return code;
    tree_collect_describe(&summary, &text);
    lab_task_say(task, "%s", buffer_text(&text));
    if (summary.packs_stuck)
        lab_task_mark_incomplete(task);
    return CODE_OK;
}

enum code lab_collect_add(struct tree *tree, struct lab_task **out, struct failure *why)
{
    const struct lab_task_work work = {
        .path = "lab/gc", .unit = "MB", .help = HELP, .check = check, .run = run, .context = tree};
    return lab_task_add(tree, &work, out, why);
}
