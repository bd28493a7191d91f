/* Registering a model: see model_register.h.
 *
 *     <run>/model    --copy, fsync-->  models/<model>/.cytofs-<experiment>-<run>/        hidden; a leftover is removed first
 *                    add "run: <run>" to its lineage.yaml, make its files read-only
 *                    --rename, never replacing-->  models/<model>/<N>                   the version exists, whole
 *                    models/<model>/latest -> <N>, unless it names a later one
 *                    <run>/model  <->  symbolic link to the version, then the old folder is removed
 *
 * Every step can be the last one before a crash.  What tells the next attempt how far it came:
 * 1. lineage.yaml of a version names its run, in the line "run: experiments/<e>/<run>", before the version has its number;
 * so there is at most one version a run, and it can be found.
 * 2. the steps behind the rename do nothing where they are done already.
 * Two nodes that take the same number: one rename gets EEXIST and tries the next.  The node's thread.
 */
#include "model_register.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"
#include "folder_copy.h"

#define VERSIONS_MAX      100000
#define LINEAGE_BYTES_MAX ((size_t)1 << 20)
#define RENAME_TRIES      100

struct work {
    const struct model_registration *asked;
    char folder[4096]; /* <lab>/models/<model> */
    char source[4096]; /* <lab>/<run>/model */
    struct failure *why;
};

static enum code prepare(struct work *work, const struct model_registration *asked, struct failure *why)
{
    *work = (struct work){.asked = asked, .why = why};
    int folder = snprintf(work->folder, sizeof work->folder, "%s/models/%s", asked->lab, asked->model);
    int source = snprintf(work->source, sizeof work->source, "%s/%s/model", asked->lab, asked->run);
    if (folder < 0 || source < 0 || (size_t)folder + 300 > sizeof work->folder || (size_t)source >= sizeof work->source)
        return failure_set(why, CODE_NAME_TOO_LONG, "models/%s: the path is too long", asked->model);
    return CODE_OK;
}

/* N of a version's name; 0 where it is none. */
static long version_number(const char *name)
{
    if (name[0] < '1' || name[0] > '9' || strlen(name) > 9)
        return 0;
    char *end;
    long number = strtol(name, &end, 10);
    return *end == 0 ? number : 0;
}

/* Finding ---------------------------------------------------------------------------------------------------------- */

static bool lineage_names_run(const char *path, const char *run)
{
    SCOPE_BUFFER text = {0};
    if (file_read(path, LINEAGE_BYTES_MAX, &text, NULL) != CODE_OK)
        return false;
    SCOPE_FREE char *line = NULL;
    if (asprintf(&line, "run: %s\n", run) < 0)
        return false;
    for (const char *at = buffer_text(&text); (at = strstr(at, line)); at++)
        if (at == text.data || at[-1] == '\n')
            return true;
    return false;
}

/* The highest version, and the one that is this run's; 0 where there is none. */
static enum code find_versions(struct work *work, long *highest, long *own)
{
    *highest = *own = 0;
    struct file_names names;
    enum code code = file_list(work->folder, VERSIONS_MAX, &names, work->why);
    if (code == CODE_NOT_FOUND)
        return CODE_OK;
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; i < names.count; i++) {
        long number = version_number(names.names[i]);
        if (number > *highest)
            *highest = number;
    }
    /* From the end of the listing, where newer ones mostly stand. */
    for (size_t i = names.count; i-- > 0 && *own == 0;) {
        char path[4096 + 300];
        snprintf(path, sizeof path, "%s/%.200s/lineage.yaml", work->folder, names.names[i]);
        if (version_number(names.names[i]) && lineage_names_run(path, work->asked->run))
            *own = version_number(names.names[i]);
    }
    file_names_free(&names);
    return CODE_OK;
}

bool model_register_done(const struct model_registration *registration)
{
    struct work work;
    long highest = 0, own = 0;
    return prepare(&work, registration, NULL) == CODE_OK && find_versions(&work, &highest, &own) == CODE_OK && own > 0;
}

/* Putting together ------------------------------------------------------------------------------------------------ */

static enum code check_source(const struct work *work)
{
    struct file_names names;
    if (!file_is_folder(work->source))
        return failure_set(work->why, CODE_INVALID,
                           "register: %s: the program ended well but made no folder model/ to register", work->asked->model);
    enum code code = file_list(work->source, MODEL_FILES_MAX, &names, work->why);
    if (code != CODE_OK)
        return code;
    size_t count = names.count;
    file_names_free(&names);
    if (count == 0)
        return failure_set(work->why, CODE_INVALID, "register: %s: the program ended well but left its folder model/ empty",
                           work->asked->model);
    return CODE_OK;
}

static enum code add_lineage(const struct work *work, const char *staging)
{
    SCOPE_FREE char *path = file_join(staging, "lineage.yaml");
    if (!path)
        return failure_set(work->why, CODE_NO_MEMORY, "models/%s: out of memory", work->asked->model);
    if (lineage_names_run(path, work->asked->run))
        return CODE_OK;
    SCOPE_BUFFER line = {0};
    struct stat status;
    if (stat(path, &status) != 0)
        buffer_append_text(&line, "# Made by a program of its own: what it trained, and on what, is in its run's spec.\n");
    else
        buffer_append_text(&line, "\n"); /* the text before may lack its last line feed */
    buffer_printf(&line, "run: %s\n", work->asked->run);
    return file_append(path, buffer_text(&line), line.length, work->why);
}

static enum code build_staging(const struct work *work, const char *staging)
{
    enum code code = file_make_folders(work->folder, work->why);
    if (code == CODE_OK)
        code = file_remove_tree(staging, work->why);
    struct folder_copy_limits limits = {.files = MODEL_FILES_MAX, .depth = MODEL_DEPTH_MAX};
    if (code == CODE_OK)
        code = folder_copy(work->source, staging, limits, work->why);
    if (code == CODE_OK)
        code = add_lineage(work, staging);
    if (code == CODE_OK)
        code = folder_copy_seal(staging, work->why);
    return code;
}

/* Gives the staging folder the next free number. */
static enum code publish(const struct work *work, const char *staging, long highest, long *own)
{
    for (long number = highest + 1; number <= highest + RENAME_TRIES; number++) {
        char path[4096 + 300];
        snprintf(path, sizeof path, "%s/%ld", work->folder, number);
        if (renameat2(AT_FDCWD, staging, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
            *own = number;
            return CODE_OK;
        }
        if (errno != EEXIST)
            return failure_set_errno(work->why, errno, "models/%s/%ld: cannot be made", work->asked->model, number);
    }
    return failure_set(work->why, CODE_BUSY, "models/%s: others are registering versions all the time", work->asked->model);
}

static enum code make_version(const struct work *work, long highest, long *own)
{
    enum code code = check_source(work);
    if (code != CODE_OK)
        return code;
    /* The run's path makes the name the same on each attempt: staging folders are never listed. */
    char name[256], staging[4096 + 300];
    const char *below = strchr(work->asked->run, '/');
    snprintf(name, sizeof name, ".cytofs-%.230s", below ? below + 1 : work->asked->run);
    for (char *slash; (slash = strchr(name, '/'));)
        *slash = '-';
    snprintf(staging, sizeof staging, "%s/%s", work->folder, name);
    code = build_staging(work, staging);
    return code == CODE_OK ? publish(work, staging, highest, own) : code;
}

/* Pointing at it --------------------------------------------------------------------------------------------------- */

static enum code point_latest(const struct work *work, long own)
{
    char path[4096 + 300], temporary[4096 + 300], target[32];
    snprintf(path, sizeof path, "%s/latest", work->folder);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    if (version_number(target) >= own)
        return CODE_OK;
    snprintf(temporary, sizeof temporary, "%s/.cytofs-latest-%ld", work->folder, own);
    snprintf(target, sizeof target, "%ld", own);
    unlink(temporary);
    if (symlink(target, temporary) != 0 || rename(temporary, path) != 0)
        return failure_set_errno(work->why, errno, "models/%s/latest: cannot be made", work->asked->model);
    return CODE_OK;
}

/* The link takes the folder's place in one step, so that the run's model can be read at any moment. */
static enum code replace_source(const struct work *work, long own)
{
    char target[300], link[4096 + 300];
    struct stat status;
    if (lstat(work->source, &status) == 0 && S_ISLNK(status.st_mode))
        return CODE_OK;
    bool exists = lstat(work->source, &status) == 0;
    snprintf(target, sizeof target, "../../../models/%.200s/%ld", work->asked->model, own);
    snprintf(link, sizeof link, "%s/%s/.cytofs-model", work->asked->lab, work->asked->run);
    enum code code = file_remove_tree(link, work->why);
    if (code != CODE_OK)
        return code;
    if (symlink(target, link) != 0 || renameat2(AT_FDCWD, link, AT_FDCWD, work->source, exists ? RENAME_EXCHANGE : 0) != 0)
        return failure_set_errno(work->why, errno, "%s/model: cannot be made a link to the version", work->asked->run);
    return exists ? file_remove_tree(link, work->why) : CODE_OK;
}

enum code model_register(const struct model_registration *registration, char path[MODEL_PATH_MAX], struct failure *why)
{
    struct work work;
    long highest, own;
    enum code code = prepare(&work, registration, why);
    if (code == CODE_OK)
        code = find_versions(&work, &highest, &own);
    if (code == CODE_OK && own == 0)
        code = make_version(&work, highest, &own);
    if (code == CODE_OK)
        code = point_latest(&work, own);
    if (code == CODE_OK)
        code = replace_source(&work, own);
    if (code == CODE_OK)
        snprintf(path, MODEL_PATH_MAX, "models/%s/%ld", registration->model, own);
    return code;
}
