/* Lists a folder and those below it, once; everything after works on the sorted list alone.  Symbolic links
 * to files are followed, links to folders are not: a link can lead round in circles. */
#include "scan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "file.h"
#include "scope.h"

static enum code add_path(struct scan *scan, size_t *capacity, char *path, struct failure *why)
{
    if (scan->count == SCAN_FILES_MAX) {
        free(path);
        return failure_set(why, CODE_TOO_LARGE, "%s: more than %d files", scan->folder, SCAN_FILES_MAX);
    }
    if (scan->count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 256;
        char **grown = realloc(scan->paths, wanted * sizeof *grown);
        if (!grown) {
            free(path);
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", scan->folder);
        }
        scan->paths = grown;
        *capacity = wanted;
    }
    scan->paths[scan->count++] = path;
    return CODE_OK;
}

/* Whether what lstat told is an ordinary file, or a link to one. */
static bool is_file(const char *path, struct stat *status)
{
    if (S_ISLNK(status->st_mode) && stat(path, status) != 0)
        return false;
    return S_ISREG(status->st_mode);
}

static enum code scan_below(struct scan *scan, size_t *capacity, const char *inner, int depth, struct failure *why)
{
    SCOPE_FREE char *folder = file_join(scan->folder, inner);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", scan->folder);
    if (depth > SCAN_DEPTH_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: more than %d folders inside each other", folder, SCAN_DEPTH_MAX);
    struct file_names names;
    enum code code = file_list(folder, SCAN_FILES_MAX, &names, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        if (names.names[i][0] == '.')
            continue;
        char *relative = file_join(inner, names.names[i]);
        SCOPE_FREE char *full = file_join(folder, names.names[i]);
        struct stat status;
        if (!relative || !full) {
            free(relative);
            code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", scan->folder);
        } else if (lstat(full, &status) != 0) {
            free(relative); /* gone since the folder was listed */
        } else if (S_ISDIR(status.st_mode)) {
            code = scan_below(scan, capacity, relative, depth + 1, why);
            free(relative);
        } else if (is_file(full, &status)) {
            code = add_path(scan, capacity, relative, why);
        } else {
            free(relative);
        }
    }
    file_names_free(&names);
    return code;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum code scan_folder(const char *folder, struct scan *out, struct failure *why)
{
    *out = (struct scan){.folder = strdup(folder)};
    if (!out->folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    size_t capacity = 0;
    enum code code = scan_below(out, &capacity, "", 0, why);
    if (code != CODE_OK)
        scan_free(out);
    else if (out->count > 0)
        qsort(out->paths, out->count, sizeof *out->paths, compare_paths);
    return code;
}

void scan_free(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        free(scan->paths[i]);
    free(scan->paths);
    free(scan->folder);
    *scan = (struct scan){0};
}

size_t scan_lower_bound(const struct scan *scan, const char *path)
{
    size_t low = 0, high = scan->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(scan->paths[middle], path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool scan_has(const struct scan *scan, const char *path)
{
    size_t at = scan_lower_bound(scan, path);
    return at < scan->count && strcmp(scan->paths[at], path) == 0;
}

bool scan_is_image_name(const char *path)
{
    static const char *const extensions[] = {"png", "jpg", "jpeg", "tif", "tiff"};
    const char *extension = file_extension(path);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(extension, extensions[i]) == 0)
            return true;
    return false;
}
