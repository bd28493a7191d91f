/* A training's files: see run_files.h.
 *
 * Invariant: a key's buffer holds whole lines that are not yet in its file.  After a successful flush every
 * buffer is empty; after a failed one nothing more is promised, since the caller gives up.
 */
#include "run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "scope.h"
#include "timing.h"

#define FLUSH_INTERVAL_MS 1000
#define METRIC_FILE_MAX   ((size_t)1 << 30)
#define VALUE_FILE_MAX    4096

struct metric {
    char key[RUN_FILES_KEY_MAX];
    struct buffer lines;
};

struct run_files {
    char *folder;
    struct metric metrics[RUN_FILES_KEYS_MAX];
    size_t metric_count;
    bool overflowed; /* more keys than there is room for */
    int64_t flushed_ms;
};

static char *path_of(const struct run_files *files, const char *kind, const char *key)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s/%s", files->folder, kind, key) < 0 ? NULL : path;
}

static enum code make_folder_above(const char *path, struct failure *why)
{
    SCOPE_FREE char *folder = strdup(path);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    *strrchr(folder, '/') = 0;
    return file_make_folders(folder, why);
}

enum code run_files_create(const char *folder, struct run_files **out, struct failure *why)
{
    static const char *const parts[] = {"metrics", "params", "tags", "artifacts"};
    struct run_files *files = calloc(1, sizeof *files);
    if (files)
        files->folder = strdup(folder);
    if (!files || !files->folder) {
        free(files);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    }
    enum code code = CODE_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == CODE_OK; i++) {
        SCOPE_FREE char *path = file_join(folder, parts[i]);
        code = path ? file_make_folders(path, why) : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    }
    if (code != CODE_OK) {
        run_files_destroy(files);
        return code;
    }
    *out = files;
    return CODE_OK;
}

void run_files_destroy(struct run_files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->metric_count; i++)
        buffer_free(&files->metrics[i].lines);
    free(files->folder);
    free(files);
}

static struct metric *find_metric(struct run_files *files, const char *key)
{
    for (size_t i = 0; i < files->metric_count; i++)
        if (strcmp(files->metrics[i].key, key) == 0)
            return &files->metrics[i];
    if (files->metric_count == RUN_FILES_KEYS_MAX || strlen(key) >= RUN_FILES_KEY_MAX)
        return NULL;
    struct metric *metric = &files->metrics[files->metric_count++];
    strcpy(metric->key, key);
    return metric;
}

void run_files_metric(struct run_files *files, const char *key, double value, int64_t step)
{
    if (!isfinite(value))
        return;
    struct metric *metric = find_metric(files, key);
    if (metric)
        buffer_printf(&metric->lines, "%lld %.8g %lld\n", (long long)timing_wall_ms(), value, (long long)step);
    else
        files->overflowed = true;
}

static enum code flush_metric(struct run_files *files, struct metric *metric, struct failure *why)
{
    enum code code = buffer_check(&metric->lines, metric->key, why);
    if (code != CODE_OK || metric->lines.length == 0)
        return code;
    SCOPE_FREE char *path = path_of(files, "metrics", metric->key);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "writing metrics: out of memory");
    code = file_append(path, metric->lines.data, metric->lines.length, why);
    if (code == CODE_NOT_FOUND) {
        code = make_folder_above(path, why);
        if (code == CODE_OK)
            code = file_append(path, metric->lines.data, metric->lines.length, why);
    }
    buffer_clear(&metric->lines);
    return code;
}

enum code run_files_flush(struct run_files *files, bool now, struct failure *why)
{
    int64_t ms = timing_monotonic_ms();
    if (!now && ms - files->flushed_ms < FLUSH_INTERVAL_MS)
        return CODE_OK;
    files->flushed_ms = ms;
    if (files->overflowed)
        return failure_set(why, CODE_TOO_LARGE, "writing metrics: more than %d of them", RUN_FILES_KEYS_MAX);
    for (size_t i = 0; i < files->metric_count; i++) {
        enum code code = flush_metric(files, &files->metrics[i], why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "writing metrics");
    }
    return CODE_OK;
}

static enum code write_value(struct run_files *files, const char *kind, const char *key, const char *value,
                             struct failure *why)
{
    SCOPE_FREE char *path = path_of(files, kind, key);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "writing %s: out of memory", kind);
    SCOPE_BUFFER present = {0};
    bool says_so = file_read(path, VALUE_FILE_MAX, &present, NULL) == CODE_OK && strcmp(buffer_text(&present), value) == 0;
    return says_so ? CODE_OK : file_write(path, value, strlen(value), why);
}

enum code run_files_param(struct run_files *files, const char *key, const char *value, struct failure *why)
{
    return write_value(files, "params", key, value, why);
}

enum code run_files_tag(struct run_files *files, const char *key, const char *value, struct failure *why)
{
    return write_value(files, "tags", key, value, why);
}

/* In place and without truncating first, so that a reader never meets an empty file: the line is written over
 * the old one in a single write, then what is left of a longer old line goes. */
enum code run_files_progress(struct run_files *files, int64_t done, int64_t total, double per_second, struct failure *why)
{
    SCOPE_FREE char *path = file_join(files->folder, "progress");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "writing progress: out of memory");
    char line[128];
    int length = snprintf(line, sizeof line, "%lld %lld steps %.3f\n", (long long)done, (long long)total, per_second);
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened for writing", path);
    ssize_t put;
    do
        put = pwrite(fd, line, (size_t)length, 0);
    while (put < 0 && errno == EINTR);
    if (put != length || ftruncate(fd, length) != 0)
        return failure_set_errno(why, put >= 0 && put < length ? ENOSPC : errno, "%s: cannot be written", path);
    return CODE_OK;
}

/* The length of the text's leading lines whose last field is a step up to `step`. */
static size_t kept_length(const char *text, int64_t step)
{
    const char *at = text;
    while (*at) {
        const char *end = strchr(at, '\n');
        const char *blank = end ? memrchr(at, ' ', (size_t)(end - at)) : NULL;
        if (!blank || strtoll(blank + 1, NULL, 10) > step)
            break;
        at = end + 1;
    }
    return (size_t)(at - text);
}

static enum code rewind_file(const char *path, int64_t step, struct failure *why)
{
    SCOPE_BUFFER text = {.max = METRIC_FILE_MAX};
    enum code code = file_read(path, METRIC_FILE_MAX - 1, &text, why);
    if (code != CODE_OK)
        return code;
    size_t kept = kept_length(buffer_text(&text), step);
    return kept == text.length ? CODE_OK : file_replace(path, buffer_text(&text), kept, why);
}

static enum code rewind_folder(const char *folder, int64_t step, int depth, struct failure *why)
{
    struct file_names names = {0};
    enum code code = file_list(folder, 10000, &names, why);
    for (size_t i = 0; i < names.count && code == CODE_OK; i++) {
        SCOPE_FREE char *path = file_join(folder, names.names[i]);
        if (!path)
            code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
        else if (!file_is_folder(path))
            code = rewind_file(path, step, why);
        else if (depth > 0)
            code = rewind_folder(path, step, depth - 1, why);
    }
    file_names_free(&names);
    return code;
}

enum code run_files_rewind(struct run_files *files, const char *group, int64_t step, struct failure *why)
{
    SCOPE_FREE char *folder = path_of(files, "metrics", group);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", files->folder);
    return file_is_folder(folder) ? rewind_folder(folder, step, 8, why) : CODE_OK;
}

void run_files_key_part(const char *name, char *out, size_t room)
{
    size_t at = 0;
    for (; name[at] && at + 1 < room; at++) {
        char c = name[at];
        bool is_plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        out[at] = is_plain ? c : '_';
    }
    out[at] = 0;
}
