/* The folder of a store: see store_folder.h.
 *
 * FORMAT is written last, by a rename, and everything before it is durable by then: a folder with FORMAT is a
 * whole store, one without is none.  The lock is taken before FORMAT is looked at, so that two processes
 * cannot make a store in one place.  The lock file stays for ever: removing it would let two processes hold
 * locks on two files of one name.
 */
#include "store_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "entropy.h"
#include "file.h"
#include "hex.h"
#include "scope.h"
#include "summed_text.h"

#define FORMAT_FILE      "FORMAT"
#define LOCK_FILE        "lock"
#define PACKS_FOLDER     "packs"
#define CATALOG_FILE     "catalog.db"
#define RECENT_FILE      "recent.log"
#define FORMAT_MAGIC     "cytofs store "
#define FORMAT_BYTES_MAX 256
#define FOLDER_NAMES_MAX 1000 /* more than any store's folder holds */

struct store_folder {
    char *path, *packs, *catalog;
    struct store_id id;
    bool read_only;
    int lock_fd;
};

static enum code out_of_memory(const char *path, struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
}

/* Paths and the lock --------------------------------------------------------------------------- */

static enum code make_paths(const char *path, struct store_folder **out, struct failure *why)
{
    struct store_folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return out_of_memory(path, why);
    folder->lock_fd = -1;
    folder->path = strdup(path);
    folder->packs = file_join(path, PACKS_FOLDER);
    folder->catalog = file_join(path, CATALOG_FILE);
    *out = folder;
    if (folder->path && folder->packs && folder->catalog)
        return CODE_OK;
    store_folder_close(folder);
    return out_of_memory(path, why);
}

/* The process id that the lock file holds; 0 where it holds none. */
static long read_holder(int fd)
{
    char text[32] = "";
    if (pread(fd, text, sizeof text - 1, 0) <= 0)
        return 0;
    return strtol(text, NULL, 10);
}

long store_folder_holder(const char *path)
{
    SCOPE_FREE char *lock = file_join(path, LOCK_FILE);
    SCOPE_CLOSE int fd = lock ? open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    return fd >= 0 ? read_holder(fd) : 0;
}

/* Best effort: the number is for a message, the lock itself is the kernel's. */
static void write_holder(int fd)
{
    char text[32];
    int count = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)count, 0) != count)
        return;
}

static enum code take_lock(struct store_folder *folder, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->path, LOCK_FILE);
    if (!path)
        return out_of_memory(folder->path, why);
    int flags = folder->read_only ? O_RDONLY : O_RDWR | O_CREAT;
    folder->lock_fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (folder->lock_fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    if (flock(folder->lock_fd, (folder->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return failure_set_errno(why, errno, "%s: cannot be locked", path);
        long holder = read_holder(folder->lock_fd);
        return failure_set(why, CODE_BUSY,
                           "%s: is in use by process %ld: name the folder where it is mounted, or end that process",
                           folder->path, holder);
    }
    if (!folder->read_only)
        write_holder(folder->lock_fd);
    return CODE_OK;
}

/* FORMAT --------------------------------------------------------------------------------------- */

/* The line with the id, which ends the text. */
static bool take_id(const char *line, size_t count, struct store_id *id)
{
    size_t digits = 2 * IDENTITY_BYTES;
    return count == sizeof "id \n" - 1 + digits && memcmp(line, "id ", 3) == 0 && line[count - 1] == '\n' &&
           hex_decode(line + 3, digits, id->bytes, IDENTITY_BYTES);
}

/* *older: it has the format from before it had a checksum. */
static enum code parse_format(const struct buffer *text, struct store_id *id, bool *older, struct failure *why)
{
    const char *at = buffer_text(text);
    size_t magic = strlen(FORMAT_MAGIC), body = text->length;
    if (text->length < magic || memcmp(at, FORMAT_MAGIC, magic) != 0)
        return failure_set(why, CODE_CORRUPT, "is no store of cytofs, or its FORMAT file is damaged");
    char *end;
    unsigned long format = strtoul(at + magic, &end, 10);
    if (end == at + magic || *end != '\n')
        return failure_set(why, CODE_CORRUPT, "its FORMAT file is damaged: no number of a format");
    *older = format == STORE_FOLDER_FORMAT_UNSUMMED;
    if (!*older && !summed_text_check(at, text->length, &body))
        return failure_set(why, format > STORE_FOLDER_FORMAT ? CODE_NEWER_FORMAT : CODE_CORRUPT,
                           format > STORE_FOLDER_FORMAT
                               ? "was made by a newer cytofs (format %lu, this one knows %d): update cytofs"
                               : "its FORMAT file is damaged: its checksum is another (format %lu of %d)",
                           format, STORE_FOLDER_FORMAT);
    if (format > STORE_FOLDER_FORMAT)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "was made by a newer cytofs (format %lu, this one knows %d): update cytofs", format,
                           STORE_FOLDER_FORMAT);
    const char *line = end + 1;
    if (format == 0 || (size_t)(line - at) > body || !take_id(line, body - (size_t)(line - at), id))
        return failure_set(why, CODE_CORRUPT, "its FORMAT file is damaged: no id");
    return CODE_OK;
}

static enum code read_format(struct store_folder *folder, bool *older, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->path, FORMAT_FILE);
    SCOPE_BUFFER text = {0};
    if (!path)
        return out_of_memory(folder->path, why);
    enum code code = file_read(path, FORMAT_BYTES_MAX, &text, why);
    if (code == CODE_TOO_LARGE)
        return failure_set(why, CODE_CORRUPT, "%s: its FORMAT file is damaged: too long", folder->path);
    if (code != CODE_OK)
        return code;
    code = parse_format(&text, &folder->id, older, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "%s", folder->path);
}

static enum code write_format(struct store_folder *folder, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder->path, FORMAT_FILE);
    char digits[HEX_TEXT_BYTES(IDENTITY_BYTES)];
    SCOPE_BUFFER text = {.max = FORMAT_BYTES_MAX};
    if (!path)
        return out_of_memory(folder->path, why);
    hex_encode(folder->id.bytes, IDENTITY_BYTES, digits);
    buffer_printf(&text, FORMAT_MAGIC "%d\nid %s\n", STORE_FOLDER_FORMAT, digits);
    summed_text_finish(&text);
    enum code code = buffer_check(&text, folder->path, why);
    if (code == CODE_OK)
        code = file_sync_folder(folder->path, why); /* packs/ and lock first */
    if (code == CODE_OK)
        code = file_replace(path, buffer_text(&text), text.length, why);
    return code == CODE_OK ? file_sync_folder(folder->path, why) : code;
}

/* Creating and opening ------------------------------------------------------------------------- */

static bool begins_with(const char *name, const char *beginning)
{
    return strncmp(name, beginning, strlen(beginning)) == 0;
}

/* What a create that was interrupted may have left beside an empty packs/, which it has made durable before. */
static bool is_left_over(const char *name)
{
    return begins_with(name, CATALOG_FILE) || strcmp(name, RECENT_FILE) == 0;
}

/* Whether the folder holds nothing but what an interrupted create may have left. */
static enum code check_unused(const char *path, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(path, FOLDER_NAMES_MAX, &names, why);
    if (code == CODE_TOO_LARGE)
        return failure_set(why, CODE_NOT_EMPTY, "%s: is full of other files: name an empty or a new folder", path);
    if (code != CODE_OK)
        return code;
    bool packs = false;
    for (size_t i = 0; i < names.count; i++)
        packs |= strcmp(names.names[i], PACKS_FOLDER) == 0;
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        const char *name = names.names[i];
        if (strcmp(name, FORMAT_FILE) == 0)
            code = failure_set(why, CODE_EXISTS, "%s: is a store already", path);
        else if (strcmp(name, LOCK_FILE) != 0 && strcmp(name, PACKS_FOLDER) != 0 &&
                 !begins_with(name, FORMAT_FILE ".tmp-") && !(packs && is_left_over(name)))
            code = failure_set(why, CODE_NOT_EMPTY, "%s: holds other files (%s): name an empty or a new folder", path, name);
    }
    file_names_free(&names);
    return code;
}

static enum code check_no_packs(const struct store_folder *folder, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(folder->packs, FOLDER_NAMES_MAX, &names, why);
    if (code == CODE_TOO_LARGE || (code == CODE_OK && names.count > 0))
        code = failure_set(why, CODE_NOT_EMPTY, "%s: holds files: name an empty or a new folder", folder->packs);
    file_names_free(&names);
    return code;
}

/* With the lock, and after check_unused and check_no_packs. */
static enum code remove_left_overs(const struct store_folder *folder, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(folder->path, FOLDER_NAMES_MAX, &names, why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        SCOPE_FREE char *path = is_left_over(names.names[i]) ? file_join(folder->path, names.names[i]) : NULL;
        if (path)
            code = file_remove_tree(path, why);
    }
    file_names_free(&names);
    return code;
}

static enum code fill_folder(struct store_folder *folder, struct failure *why)
{
    enum code code = take_lock(folder, why);
    if (code == CODE_OK)
        code = check_unused(folder->path, why); /* again, now that nobody else can be making one */
    if (code == CODE_OK && mkdir(folder->packs, 0700) != 0 && errno != EEXIST)
        code = failure_set_errno(why, errno, "%s: the folder cannot be made", folder->packs);
    if (code == CODE_OK)
        code = check_no_packs(folder, why);
    if (code == CODE_OK)
        code = remove_left_overs(folder, why);
    return code == CODE_OK ? file_sync_folder(folder->path, why) : code;
}

enum code store_folder_prepare(const char *path, const struct store_id *id, struct store_folder **out, struct failure *why)
{
    enum code code = file_make_folders_durable(path, why);
    if (code == CODE_OK)
        code = check_unused(path, why); /* before a lock file is put into somebody's folder */
    struct store_folder *folder = NULL;
    if (code == CODE_OK)
        code = make_paths(path, &folder, why);
    if (code != CODE_OK)
        return code;
    folder->id = *id;
    code = fill_folder(folder, why);
    if (code != CODE_OK)
        store_folder_close(folder);
    else
        *out = folder;
    return code;
}

enum code store_folder_finish(struct store_folder *folder, struct failure *why)
{
    return write_format(folder, why);
}

enum code store_folder_create(const char *path, struct store_folder **out, struct failure *why)
{
    struct store_id id;
    struct store_folder *folder;
    enum code code = entropy_fill(id.bytes, IDENTITY_BYTES, why);
    if (code == CODE_OK)
        code = store_folder_prepare(path, &id, &folder, why);
    if (code != CODE_OK)
        return code;
    code = write_format(folder, why);
    if (code != CODE_OK)
        store_folder_close(folder);
    else
        *out = folder;
    return code;
}

enum code store_folder_open(const char *path, bool read_only, struct store_folder **out, struct failure *why)
{
    SCOPE_FREE char *format = file_join(path, FORMAT_FILE);
    if (!format)
        return out_of_memory(path, why);
    if (!file_exists(format))
        return failure_set(why, CODE_NOT_FOUND, "%s: there is no store here (make one: cytofs init %s)", path, path);
    struct store_folder *folder = NULL;
    enum code code = make_paths(path, &folder, why);
    if (code != CODE_OK)
        return code;
    folder->read_only = read_only;
    code = take_lock(folder, why);
    bool older = false;
    if (code == CODE_OK)
        code = read_format(folder, &older, why);
    if (code == CODE_OK && older && !read_only)
        code = write_format(folder, why);
    if (code != CODE_OK)
        store_folder_close(folder);
    else
        *out = folder;
    return code;
}

/* The lock file is open, so no other file can have come to its number. */
bool store_folder_is_in_place(const struct store_folder *folder)
{
    struct stat ours, there;
    SCOPE_FREE char *lock = file_join(folder->path, LOCK_FILE);
    SCOPE_FREE char *format = file_join(folder->path, FORMAT_FILE);
    return lock && format && fstat(folder->lock_fd, &ours) == 0 && stat(lock, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino && access(format, F_OK) == 0;
}

enum code store_folder_rewrite_format(const char *path, const struct store_id *id, struct failure *why)
{
    struct store_folder *folder = NULL;
    enum code code = make_paths(path, &folder, why);
    if (code != CODE_OK)
        return code;
    folder->id = *id;
    code = take_lock(folder, why);
    if (code == CODE_OK)
        code = write_format(folder, why);
    store_folder_close(folder);
    return code;
}

enum code store_folder_check_format(struct store_folder *folder, struct failure *why)
{
    struct store_id id = folder->id;
    bool older;
    enum code code = read_format(folder, &older, why);
    if (code == CODE_OK && memcmp(&id, &folder->id, sizeof id) != 0)
        code = failure_set(why, CODE_CORRUPT, "%s: its FORMAT file has another id than before", folder->path);
    folder->id = id;
    return code == CODE_NEWER_FORMAT || code == CODE_NOT_FOUND ? CODE_CORRUPT : code;
}

void store_folder_unlock(struct store_folder *folder)
{
    if (folder->lock_fd >= 0)
        close(folder->lock_fd);
    folder->lock_fd = -1;
}

void store_folder_close(struct store_folder *folder)
{
    if (!folder)
        return;
    if (folder->lock_fd >= 0)
        close(folder->lock_fd);
    free(folder->path);
    free(folder->packs);
    free(folder->catalog);
    free(folder);
}

const struct store_id *store_folder_id(const struct store_folder *folder)
{
    return &folder->id;
}

const char *store_folder_path(const struct store_folder *folder)
{
    return folder->path;
}

const char *store_folder_packs_path(const struct store_folder *folder)
{
    return folder->packs;
}

const char *store_folder_catalog_path(const struct store_folder *folder)
{
    return folder->catalog;
}
