/* The folder of a backup: see backup_folder.h.  A point appears by one rename, when everything that it names is durable, and
 * goes by one rename, before anything of it is removed.  The lock file stays for ever, as a store's does. */
#include "backup_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk_store.h"
#include "file.h"
#include "hex.h"
#include "scope.h"
#include "timing.h"

#define HEAD_FILE        "BACKUP"
#define HEAD_MAGIC       "cytofs backup "
#define HEAD_FORMAT      1
#define HEAD_BYTES_MAX   256
#define LOCK_FILE        "lock"
#define PACKS_FOLDER     "packs"
#define POINTS_FOLDER    "points"
#define AUDIT_FOLDER     "audit"
#define POINT_FILE       "point"
#define NEW_POINT        "new"
#define OLD_POINT        "old"
#define LOCK_PATIENCE_MS 2000
#define LOCK_RETRY_US    50000
#define NAMES_MAX        ((size_t)1 << 24)

struct backup_folder {
    char *path, *packs, *points;
    struct store_id store;
    int lock_fd;
};

static enum code out_of_memory(const char *path, struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

static enum code make_paths(const char *path, struct backup_folder **out, struct failure *why)
{
    struct backup_folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return out_of_memory(path, why);
    folder->lock_fd = -1;
    folder->path = strdup(path);
    folder->packs = file_join(path, PACKS_FOLDER);
    folder->points = file_join(path, POINTS_FOLDER);
    *out = folder;
    return folder->path && folder->packs && folder->points ? CODE_OK : out_of_memory(path, why);
}

static enum code take_lock(struct backup_folder *folder, bool shared, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->path, LOCK_FILE);
    if (!path)
        return out_of_memory(folder->path, why);
    folder->lock_fd = open(path, (shared ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (folder->lock_fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    /* A process that was killed a moment ago holds it until the kernel has done with it. */
    int64_t deadline_ms = timing_monotonic_ms() + LOCK_PATIENCE_MS;
    while (flock(folder->lock_fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
           timing_monotonic_ms() < deadline_ms)
        usleep(LOCK_RETRY_US);
    if (flock(folder->lock_fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
        return CODE_OK;
    if (errno != EWOULDBLOCK)
        return failure_set_errno(why, errno, "%s: cannot be locked", path);
    return failure_set(why, CODE_BUSY, "%s: a backup or a restore is at work in it: wait for its end", folder->path);
}

static enum code parse_head(const char *text, struct store_id *store, struct failure *why)
{
    unsigned format;
    int length = 0;
    if (sscanf(text, HEAD_MAGIC "%9u\nstore %n", &format, &length) != 1)
        return failure_set(why, CODE_CORRUPT, "is no backup of cytofs, or its file " HEAD_FILE " is damaged");
    if (format != HEAD_FORMAT)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "was made by a newer cytofs (format %u, this one knows %d): update cytofs", format, HEAD_FORMAT);
    if (!length || strlen(text + length) != 2 * IDENTITY_BYTES + 1 || text[length + 2 * IDENTITY_BYTES] != '\n' ||
        !hex_decode(text + length, 2 * IDENTITY_BYTES, store->bytes, IDENTITY_BYTES))
        return failure_set(why, CODE_CORRUPT, "its file " HEAD_FILE " is damaged: no store's id");
    return CODE_OK;
}

static enum code read_head(struct backup_folder *folder, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->path, HEAD_FILE);
    SCOPE_BUFFER text = {0};
    if (!path)
        return out_of_memory(folder->path, why);
    enum code code = file_read(path, HEAD_BYTES_MAX, &text, why);
    if (code != CODE_OK)
        return code;
    code = parse_head(buffer_text(&text), &folder->store, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "%s", folder->path);
}

static enum code write_head(struct backup_folder *folder, const struct store_id *store, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->path, HEAD_FILE);
    char digits[HEX_TEXT_BYTES(IDENTITY_BYTES)], text[HEAD_BYTES_MAX];
    if (!path)
        return out_of_memory(folder->path, why);
    folder->store = *store;
    hex_encode(store->bytes, IDENTITY_BYTES, digits);
    int count = snprintf(text, sizeof text, HEAD_MAGIC "%d\nstore %s\n", HEAD_FORMAT, digits);
    enum code code = file_replace(path, text, (size_t)count, why);
    return code == CODE_OK ? file_sync_folder(folder->path, why) : code;
}

/* Whether nothing of somebody else's lies there. */
static enum code check_unused(const char *path, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(path, NAMES_MAX, &names, why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        const char *name = names.names[i];
        if (strcmp(name, LOCK_FILE) != 0 && strcmp(name, PACKS_FOLDER) != 0 && strcmp(name, POINTS_FOLDER) != 0 &&
            strcmp(name, AUDIT_FOLDER) != 0 && strncmp(name, HEAD_FILE ".tmp-", strlen(HEAD_FILE ".tmp-")) != 0)
            code = failure_set(why, CODE_NOT_EMPTY, "%s: holds other files (%s): name an empty or a new folder", path, name);
    }
    file_names_free(&names);
    return code;
}

static enum code clear_left_overs(struct backup_folder *folder, struct failure *why)
{
    static const char *const left[] = {NEW_POINT, OLD_POINT};
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < sizeof left / sizeof *left; i++) {
        SCOPE_FREE char *path = file_join(folder->points, left[i]);
        code = path ? file_remove_tree(path, why) : out_of_memory(folder->path, why);
    }
    return code;
}

static enum code fill(struct backup_folder *folder, const struct store_id *store, bool exists, struct failure *why)
{
    enum code code = take_lock(folder, false, why);
    if (code == CODE_OK && exists)
        code = read_head(folder, why);
    if (code == CODE_OK && exists && memcmp(&folder->store, store, sizeof *store) != 0)
        code = failure_set(why, CODE_INVALID, "%s: holds the backup of another store: name a folder of its own for this one",
                           folder->path);
    if (code == CODE_OK)
        code = file_make_folders_durable(folder->packs, why);
    if (code == CODE_OK)
        code = file_make_folders_durable(folder->points, why);
    if (code == CODE_OK && !exists)
        code = write_head(folder, store, why);
    return code == CODE_OK ? clear_left_overs(folder, why) : code;
}

static bool has_head(const char *path)
{
    SCOPE_FREE char *head = file_join(path, HEAD_FILE);
    return head && file_exists(head);
}

enum code backup_folder_create(const char *path, const struct store_id *store, struct backup_folder **out,
                               struct failure *why)
{
    *out = NULL;
    bool exists = has_head(path);
    enum code code = exists ? CODE_OK : file_make_folders_durable(path, why);
    if (code == CODE_OK && !exists)
        code = check_unused(path, why);
    struct backup_folder *folder = NULL;
    if (code == CODE_OK)
        code = make_paths(path, &folder, why);
    if (code == CODE_OK)
        code = fill(folder, store, exists, why);
    if (code == CODE_OK)
        *out = folder;
    else
        backup_folder_close(folder);
    return code;
}

enum code backup_folder_open(const char *path, struct backup_folder **out, struct failure *why)
{
    *out = NULL;
    struct backup_folder *folder = NULL;
    if (!has_head(path))
        return failure_set(why, CODE_NOT_FOUND, "%s: there is no backup here (make one: cytofs backup STORE %s)", path,
                           path);
    enum code code = make_paths(path, &folder, why);
    if (code == CODE_OK)
        code = take_lock(folder, true, why);
    if (code == CODE_OK)
        code = read_head(folder, why);
    if (code == CODE_OK)
        *out = folder;
    else
        backup_folder_close(folder);
    return code;
}

void backup_folder_close(struct backup_folder *folder)
{
    if (!folder)
        return;
    if (folder->lock_fd >= 0)
        close(folder->lock_fd);
    free(folder->path);
    free(folder->packs);
    free(folder->points);
    free(folder);
}

const struct store_id *backup_folder_store(const struct backup_folder *folder)
{
    return &folder->store;
}

/* Points ----------------------------------------------------------------------------------------------------------- */

/* The number that a name of exactly `digits` digits is; 0 where it is none. */
static uint32_t number_of(const char *name, size_t digits)
{
    if (strspn(name, "0123456789") != digits || name[digits] != 0)
        return 0;
    return (uint32_t)strtoul(name, NULL, 10);
}

enum code backup_folder_points(const struct backup_folder *folder, uint32_t **numbers, size_t *count, struct failure *why)
{
    struct file_names names;
    *count = 0;
    *numbers = NULL;
    enum code code = file_list(folder->points, NAMES_MAX, &names, why);
    if (code != CODE_OK)
        return code;
    *numbers = calloc(names.count + 1, sizeof **numbers);
    for (size_t i = 0; *numbers && i < names.count; i++) {
        uint32_t number = number_of(names.names[i], 6);
        if (number)
            (*numbers)[(*count)++] = number;
    }
    file_names_free(&names);
    return *numbers ? CODE_OK : out_of_memory(folder->path, why);
}

enum code backup_folder_read_point(const struct backup_folder *folder, uint32_t number, struct backup_point *out,
                                   struct failure *why)
{
    *out = (struct backup_point){0};
    SCOPE_FREE char *path = backup_folder_point_path(folder, number, POINT_FILE);
    SCOPE_BUFFER text = {.max = BACKUP_POINT_BYTES_MAX + 1};
    if (!path)
        return out_of_memory(folder->path, why);
    enum code code = file_read(path, BACKUP_POINT_BYTES_MAX, &text, why);
    if (code == CODE_OK)
        code = backup_point_read(buffer_text(&text), text.length, out, why);
    if (code == CODE_OK && (out->number != number || memcmp(&out->store, &folder->store, sizeof out->store) != 0))
        code = failure_set(why, CODE_CORRUPT, "belongs to another point or store");
    return code == CODE_OK ? code : failure_wrap(why, code, "%s: point %u", folder->path, number);
}

char *backup_folder_pack_path(const struct backup_folder *folder, uint32_t pack, uint32_t variant)
{
    char name[32];
    if (variant)
        snprintf(name, sizeof name, "%08u-%u.pack", pack, variant);
    else
        snprintf(name, sizeof name, "%08u.pack", pack);
    return file_join(folder->packs, name);
}

char *backup_folder_audit_path(const struct backup_folder *folder, const char *name)
{
    SCOPE_FREE char *above = file_join(folder->path, AUDIT_FOLDER);
    return above ? file_join(above, name) : NULL;
}

char *backup_folder_point_path(const struct backup_folder *folder, uint32_t number, const char *name)
{
    char *path = NULL;
    int made = number ? asprintf(&path, "%s/%06u/%s", folder->points, number, name)
                      : asprintf(&path, "%s/" NEW_POINT "/%s", folder->points, name);
    return made < 0 ? NULL : path;
}

enum code backup_folder_begin_point(const struct backup_folder *folder, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->points, NEW_POINT);
    if (!path)
        return out_of_memory(folder->path, why);
    enum code code = file_remove_tree(path, why);
    if (code == CODE_OK && mkdir(path, 0700) != 0)
        code = failure_set_errno(why, errno, "%s: the folder cannot be made", path);
    return code;
}

static enum code move_point(const struct backup_folder *folder, const char *from, const char *to, struct failure *why)
{
    SCOPE_FREE char *from_path = file_join(folder->points, from);
    SCOPE_FREE char *to_path = file_join(folder->points, to);
    if (!from_path || !to_path)
        return out_of_memory(folder->path, why);
    if (rename(from_path, to_path) != 0)
        return failure_set_errno(why, errno, "%s: cannot be renamed to %s", from_path, to);
    return file_sync_folder(folder->points, why);
}

enum code backup_folder_end_point(const struct backup_folder *folder, const struct backup_point *point, struct failure *why)
{
    char name[16];
    snprintf(name, sizeof name, "%06u", point->number);
    SCOPE_FREE char *path = backup_folder_point_path(folder, 0, POINT_FILE);
    SCOPE_FREE char *here = file_join(folder->points, NEW_POINT);
    SCOPE_BUFFER text = {0};
    if (!path || !here)
        return out_of_memory(folder->path, why);
    enum code code = backup_point_write(point, &text, why);
    if (code == CODE_OK)
        code = file_sync_folder(folder->packs, why);
    if (code == CODE_OK)
        code = file_replace(path, text.data, text.length, why);
    if (code == CODE_OK)
        code = file_sync_folder(here, why);
    return code == CODE_OK ? move_point(folder, NEW_POINT, name, why) : code;
}

/* Removing --------------------------------------------------------------------------------------------------------- */

enum code backup_folder_remove_point(const struct backup_folder *folder, uint32_t number, struct failure *why)
{
    char name[16];
    snprintf(name, sizeof name, "%06u", number);
    SCOPE_FREE char *old = file_join(folder->points, OLD_POINT);
    if (!old)
        return out_of_memory(folder->path, why);
    enum code code = file_remove_tree(old, why);
    if (code == CODE_OK)
        code = move_point(folder, name, OLD_POINT, why);
    return code == CODE_OK ? file_remove_tree(old, why) : code;
}

/* All points, read.  One that cannot be read keeps every pack. */
static enum code read_points(const struct backup_folder *folder, struct backup_point **points, size_t *count,
                             struct failure *why)
{
    SCOPE_FREE uint32_t *numbers = NULL;
    size_t all;
    *count = 0;
    *points = NULL;
    enum code code = backup_folder_points(folder, &numbers, &all, why);
    if (code == CODE_OK && !(*points = calloc(all + 1, sizeof **points)))
        code = out_of_memory(folder->path, why);
    for (; code == CODE_OK && *count < all; (*count)++)
        code = backup_folder_read_point(folder, numbers[*count], &(*points)[*count], why);
    return code;
}

static bool is_needed(const struct backup_point *points, size_t count, uint32_t number, uint32_t variant)
{
    for (size_t i = 0; i < count; i++) {
        const struct backup_pack *pack = backup_point_find_pack(&points[i], number);
        if (pack && pack->variant == variant)
            return true;
    }
    return false;
}

/* The number and variant that a pack's file name states. */
static bool parse_pack_name(const char *name, uint32_t *number, uint32_t *variant)
{
    int length = 0;
    *variant = 0;
    if (strspn(name, "0123456789") != 8 || sscanf(name, "%8u%n", number, &length) != 1)
        return false;
    if (name[8] == '-' && sscanf(name + 8, "-%9u%n", variant, &length) == 1)
        length += 8;
    return strcmp(name + length, ".pack") == 0;
}

static enum code remove_pack(const struct backup_folder *folder, const char *name, uint64_t *bytes, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->packs, name);
    struct stat status;
    if (!path)
        return out_of_memory(folder->path, why);
    if (stat(path, &status) != 0 || unlink(path) != 0)
        return failure_set_errno(why, errno, "%s: cannot be removed", path);
    *bytes += (uint64_t)status.st_size;
    return CODE_OK;
}

enum code backup_folder_remove_packs(const struct backup_folder *folder, uint64_t *bytes, struct failure *why)
{
    struct backup_point *points;
    struct file_names names = {0};
    size_t count;
    *bytes = 0;
    enum code code = read_points(folder, &points, &count, why);
    if (code == CODE_OK)
        code = file_list(folder->packs, NAMES_MAX, &names, why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        uint32_t number, variant;
        if (parse_pack_name(names.names[i], &number, &variant) && !is_needed(points, count, number, variant))
            code = remove_pack(folder, names.names[i], bytes, why);
    }
    file_names_free(&names);
    for (size_t i = 0; points && i <= count; i++)
        backup_point_free(&points[i]); /* the one behind the last may be half read */
    free(points);
    return code;
}
