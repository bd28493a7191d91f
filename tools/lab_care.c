/* lab/scrub and lab/mirrors: see lab_care.h and fs/session/lab_task.h.
 *
 * A mirror is filled in the thread of lab/mirrors' task; what it needs of the tree is that no pack is dropped meanwhile. */
#include "lab_care.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "lab_store.h"
#include "lab_task.h"
#include "mirror_fill.h"
#include "mirror_set.h"
#include "scrub.h"
#include "tree_path.h"

#define SCRUB_HELP   "write \"start\", or \"start MB/S\"; \"rate MB/S\" changes it while it works; \"stop\""
#define MIRRORS_HELP "write \"add DIR\" or \"remove DIR\" (absolute paths), or \"fill\""

/* lab/scrub ---------------------------------------------------------------------------------------------------------------
 */

/* The number behind `word` and a blank, which may have an M or MB/s behind it; false where the line is another. */
static bool parse_rate(const char *line, const char *word, double *rate)
{
    char *end;
    size_t length = strlen(word);
    if (strncmp(line, word, length) != 0 || line[length] != ' ')
        return false;
    *rate = strtod(line + length + 1, &end);
    return end > line + length + 1 && (*end == 0 || strcmp(end, "M") == 0 || strcmp(end, "MB/s") == 0) && isfinite(*rate) &&
           *rate >= 0 && *rate <= 1e6;
}

static bool adjust_scrub(void *context, const char *line)
{
    struct lab_care *care = context;
    double rate;
    if (!parse_rate(line, "rate", &rate))
        return false;
    care->scrub_rate = (uint64_t)(rate * 1e6);
    return true;
}

static enum code check_scrub(void *context, const char *line, struct failure *why)
{
    (void)context;
    double rate;
    if (strcmp(line, "start") == 0 || parse_rate(line, "start", &rate))
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "\"%s\" is not understood: " SCRUB_HELP, line);
}

struct scrubbing {
    struct lab_care *care;
    struct lab_task *task;
};

static bool tell_scrub(void *context, uint64_t done, uint64_t all)
{
    const struct scrubbing *scrubbing = context;
    return lab_task_progress(scrubbing->task, done / 1000000, all / 1000000);
}

static void found(void *context, const struct scrub_finding *finding)
{
    static const char *const kinds[] = {
        [SCRUB_DAMAGED] = "DAMAGED", [SCRUB_MENDED] = "mended", [SCRUB_UNNAMED] = "unneeded", [SCRUB_AWAY] = "away"};
    const struct scrubbing *scrubbing = context;
    struct failure note;
    lab_task_say(scrubbing->task, "%s %s", kinds[finding->kind], finding->text);
    failure_set(&note, CODE_CORRUPT, "%s %s", kinds[finding->kind], finding->text);
    if (finding->kind == SCRUB_DAMAGED)
        tree_note_failure(scrubbing->care->store->tree, "lab/scrub", &note);
}

static void hold(void *context, bool held)
{
    const struct scrubbing *scrubbing = context;
    (held ? tree_hold_packs : tree_release_packs)(scrubbing->care->store->tree);
}

static enum code commit(void *context, bool wipe, struct failure *why)
{
    const struct scrubbing *scrubbing = context;
    struct tree *tree = scrubbing->care->store->tree;
    return wipe ? tree_renew_recent(tree, why) : tree_sync(tree, why);
}

static enum code run_scrub(void *context, const char *line, struct lab_task *task, struct failure *why)
{
    struct lab_care *care = context;
    struct scrubbing scrubbing = {care, task};
    struct scrub_summary summary;
    double rate;
    SCOPE_BUFFER text = {0};
    if (parse_rate(line, "start", &rate))
        care->scrub_rate = (uint64_t)(rate * 1e6);
    const struct scrub_options options = {.mirrors = care->store->mirrors,
                                          .chunks = care->store->chunks,
                                          .catalog = tree_catalog(care->store->tree),
                                          .rate = &care->scrub_rate,
                                          .progress = tell_scrub,
                                          .found = found,
                                          .hold = hold,
                                          .commit = commit,
                                          .context = &scrubbing};
    enum code code = scrub_run(&options, &summary, why);
    scrub_describe(&summary, &text);
    lab_task_say(task, "%s", buffer_text(&text));
    if (code == CODE_OK && (summary.damages > summary.mended || summary.away))
        lab_task_mark_incomplete(task);
    return code;
}

/* lab/mirrors -------------------------------------------------------------------------------------------------------------
 */

/* The path behind `word` and a blank; NULL where the line is another. */
static const char *path_behind(const char *line, const char *word)
{
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && line[length] == ' ' && line[length + 1] == '/' ? line + length + 1 : NULL;
}

static enum code check_mirrors(void *context, const char *line, struct failure *why)
{
    const struct lab_care *care = context;
    const char *path = path_behind(line, "add");
    size_t length = care->mountpoint ? strlen(care->mountpoint) : 0;
    if (path && length && strncmp(path, care->mountpoint, length) == 0 && (path[length] == '/' || path[length] == 0))
        return failure_set(why, CODE_INVALID, "%s lies in the lab itself: name a folder on another disk", path);
    if (path || path_behind(line, "remove") || strcmp(line, "fill") == 0 || strcmp(line, "show") == 0)
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "\"%s\" is not understood: " MIRRORS_HELP, line);
}

struct filling {
    struct lab_care *care;
    struct lab_task *task;
};

static bool tell_fill(void *context, uint64_t done, uint64_t all)
{
    const struct filling *filling = context;
    return lab_task_progress(filling->task, done / 1000000, all / 1000000);
}

static enum code settle(void *context, struct failure *why)
{
    const struct filling *filling = context;
    return tree_sync(filling->care->store->tree, why);
}

static enum code run_mirrors(void *context, const char *line, struct lab_task *task, struct failure *why)
{
    struct lab_care *care = context;
    struct lab_store *store = care->store;
    struct filling filling = {care, task};
    const struct mirror_fill fill = {store->mirrors, store->chunks, tree_catalog(store->tree), settle, tell_fill, &filling};
    const char *path;
    size_t left = 0, side;
    enum code code = CODE_OK;
    tree_hold_packs(store->tree);
    if ((path = path_behind(line, "add"))) {
        code = mirror_set_add(store->mirrors, path, &side, why);
        if (code == CODE_OK)
            code = mirror_fill_run(&fill, side, why);
    } else if ((path = path_behind(line, "remove"))) {
        code = mirror_set_remove(store->mirrors, path, why);
    } else if (strcmp(line, "fill") == 0) {
        mirror_fill_all(&fill, &left);
    }
    tree_release_packs(store->tree);
    if (code != CODE_OK)
        return code;
    SCOPE_BUFFER text = {0};
    mirror_set_describe(store->mirrors, &text);
    lab_task_say(task, "%s", buffer_text(&text));
    for (side = 0; side < mirror_set_count(store->mirrors); side++)
        if (mirror_set_path(store->mirrors, side) && !mirror_set_is_current(store->mirrors, side))
            lab_task_mark_incomplete(task);
    return CODE_OK;
}

/* What is to be done about a folder, from the line that tells of it: "LOST     PATH  (why)". */
static void advise(const char *line, struct buffer *out)
{
    static const char lost[] = "LOST     ";
    if (strncmp(line, lost, sizeof lost - 1) != 0)
        return;
    const char *path = line + sizeof lost - 1, *why = strstr(path, "  (");
    int length = (int)(why ? why - path : (ptrdiff_t)strlen(path));
    buffer_printf(out,
                  "to do   see to the disk of %.*s, then: echo add %.*s > lab/mirrors; or do without it: echo remove %.*s > "
                  "lab/mirrors\n",
                  length, path, length, path, length, path);
}

static void describe_mirrors(void *context, struct buffer *out)
{
    const struct lab_care *care = context;
    SCOPE_BUFFER text = {0};
    mirror_set_describe(care->store->mirrors, &text);
    SCOPE_BUFFER advice = {0};
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        buffer_printf(out, "folder  %s\n", line);
        advise(line, &advice);
    }
    buffer_append_text(out, buffer_text(&advice));
}

static void tell(void *context, const char *text)
{
    const struct lab_care *care = context;
    struct failure note;
    failure_set(&note, CODE_IO, "%s", text);
    tree_note_failure(care->store->tree, "lab/mirrors", &note);
}

/* Both -------------------------------------------------------------------------------------------------------------------
 */

enum code lab_care_add(struct lab_care *care, struct failure *why)
{
    const struct lab_task_work scrub = {.path = "lab/scrub",
                                        .unit = "MB",
                                        .help = SCRUB_HELP,
                                        .check = check_scrub,
                                        .run = run_scrub,
                                        .adjust = adjust_scrub,
                                        .context = care};
    const struct lab_task_work mirrors = {.path = "lab/mirrors",
                                          .unit = "MB",
                                          .help = MIRRORS_HELP,
                                          .check = check_mirrors,
                                          .run = run_mirrors,
                                          .describe = describe_mirrors,
                                          .context = care};
    care->scrub_rate = SCRUB_RATE_DEFAULT;
    if (!care->store->mirrors)
        return CODE_OK;
    enum code code = lab_task_add(care->store->tree, &scrub, &care->scrub, why);
    if (code == CODE_OK)
        code = lab_task_add(care->store->tree, &mirrors, &care->mirrors, why);
    mirror_set_tell(care->store->mirrors, tell, care);
    return code;
}

void lab_care_begin(struct lab_care *care)
{
    struct mirror_set *mirrors = care->store->mirrors;
    bool behind = false;
    for (size_t side = 0; mirrors && side < mirror_set_count(mirrors); side++) {
        enum mirror_state state = mirror_set_state(mirrors, side);
        behind |= state == MIRROR_BEHIND;
        if (state == MIRROR_LOST)
            tell(care, "MIRROR MISSING: a mirror is not there, and the lab goes on without it (cat lab/mirrors)");
    }
    struct failure why;
    if (behind && lab_task_start(care->mirrors, "fill", &why) != CODE_OK)
        tell(care, why.text);
}

void lab_care_stop(struct lab_care *care)
{
    lab_task_stop(care->scrub);
    lab_task_stop(care->mirrors);
    if (care->store && care->store->mirrors)
        mirror_set_tell(care->store->mirrors, NULL, NULL);
}

void lab_care_destroy(struct lab_care *care)
{
    lab_task_destroy(care->scrub);
    lab_task_destroy(care->mirrors);
}
