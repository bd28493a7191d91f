/* The pack files of a folder: see pack_table.h.
 *
 * Invariants, all under `lock`
 *  1. files[] is sorted by number and holds every pack that has a name, and no other.
 *  2. A file with leases > 0 is open; open_count counts the open files of files[].
 *  3. A dropped file is not in files[]; whoever returns its last lease frees it.
 *  4. highest only grows: the number of a dropped pack is not used again (chunk_store_packs.c keeps a pack
 *     with the highest number in the folder, so that this holds over restarts too).
 */
#include "pack_table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk_store_packs.h"
#include "file.h"
#include "pack_format.h"
#include "scope.h"

#define NAME_DIGITS 8
#define NAME_SUFFIX ".pack"
#define NAME_BYTES  (NAME_DIGITS + sizeof NAME_SUFFIX)

struct pack_table {
    char *folder; /* for texts */
    int folder_fd;
    struct store_id store;
    pthread_mutex_t lock;
    struct pack_file **files;
    size_t count, capacity;
    size_t open_count;
    uint64_t clock; /* counts leases */
    uint32_t highest;
};

static void write_name(uint32_t number, char name[NAME_BYTES])
{
    assert(number >= 1 && number <= CHUNK_STORE_PACK_MAX);
    snprintf(name, NAME_BYTES, "%08u" NAME_SUFFIX, number % (CHUNK_STORE_PACK_MAX + 1));
}

/* The number of a pack's name; 0 where it is none. */
static uint32_t read_name(const char *name)
{
    uint32_t number = 0;
    if (strlen(name) != NAME_BYTES - 1 || strcmp(name + NAME_DIGITS, NAME_SUFFIX) != 0)
        return 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        number = 10 * number + (uint32_t)(name[i] - '0');
    }
    return number;
}

/* Opening -------------------------------------------------------------------------------------- */

static bool make_room(struct pack_table *table)
{
    if (table->count < table->capacity)
        return true;
    size_t capacity = table->capacity ? 2 * table->capacity : 64;
    struct pack_file **grown = table->count < CHUNK_STORE_PACKS_MAX ? realloc(table->files, capacity * sizeof *grown) : NULL;
    if (!grown)
        return false;
    table->files = grown;
    table->capacity = capacity;
    return true;
}

/* The index of the first file whose number is not below `number`. */
static size_t find_index(const struct pack_table *table, uint32_t number)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->files[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Adds a closed file in its place, which is behind the others nearly always. */
static struct pack_file *add_file(struct pack_table *table, uint32_t number, uint64_t bytes)
{
    struct pack_file *file = make_room(table) ? calloc(1, sizeof *file) : NULL;
    if (!file)
        return NULL;
    file->number = number;
    file->fd = -1;
    file->bytes = bytes;
    size_t index = find_index(table, number);
    memmove(&table->files[index + 1], &table->files[index], (table->count - index) * sizeof *table->files);
    table->files[index] = file;
    table->count++;
    if (number > table->highest)
        table->highest = number;
    return file;
}

static enum code add_files(struct pack_table *table, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(table->folder, 2 * CHUNK_STORE_PACKS_MAX, &names, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) { /* sorted by name, and so by number */
        uint32_t number = read_name(names.names[i]);
        struct stat status;
        if (number == 0)
            continue;
        if (fstatat(table->folder_fd, names.names[i], &status, AT_SYMLINK_NOFOLLOW) != 0)
            code = failure_set_errno(why, errno, "%s/%s: cannot be looked at", table->folder, names.names[i]);
        else if (!S_ISREG(status.st_mode))
            code = failure_set(why, CODE_CORRUPT, "%s/%s: is not a file", table->folder, names.names[i]);
        else if (!add_file(table, number, (uint64_t)status.st_size))
            code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->folder);
    }
    file_names_free(&names);
    return code;
}

enum code pack_table_open(const char *folder, const struct store_id *store, struct pack_table **out, struct failure *why)
{
    struct pack_table *table = calloc(1, sizeof *table);
    if (!table)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    table->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    table->store = *store;
    table->folder = strdup(folder);
    pthread_mutex_init(&table->lock, NULL);
    enum code code = CODE_OK;
    if (table->folder_fd < 0)
        code = failure_set_errno(why, errno, "%s: the folder of packs cannot be opened", folder);
    else if (!table->folder)
        code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    else
        code = add_files(table, why);
    if (code != CODE_OK)
        pack_table_destroy(table);
    else
        *out = table;
    return code;
}

static void free_file(struct pack_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}

void pack_table_destroy(struct pack_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++) {
        assert(table->files[i]->leases == 0);
        free_file(table->files[i]);
    }
    free(table->files);
    free(table->folder);
    if (table->folder_fd >= 0)
        close(table->folder_fd);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* Leases --------------------------------------------------------------------------------------- */

static struct pack_file *find_file(const struct pack_table *table, uint32_t number)
{
    size_t index = find_index(table, number);
    return index < table->count && table->files[index]->number == number ? table->files[index] : NULL;
}

/* Closes the file that was not leased for longest, where too many are open. */
static void close_oldest(struct pack_table *table)
{
    if (table->open_count <= PACK_TABLE_OPEN_MAX)
        return;
    struct pack_file *oldest = NULL;
    for (size_t i = 0; i < table->count; i++) {
        struct pack_file *file = table->files[i];
        if (file->fd >= 0 && file->leases == 0 && (!oldest || file->used < oldest->used))
            oldest = file;
    }
    if (!oldest)
        return;
    close(oldest->fd);
    oldest->fd = -1;
    table->open_count--;
}

static enum code check_header(const struct pack_table *table, int fd, uint32_t number, struct failure *why)
{
    uint8_t bytes[PACK_HEADER_BYTES] = {0};
    struct pack_header header;
    ssize_t got = pread(fd, bytes, sizeof bytes, 0);
    if (got < 0)
        return failure_set_errno(why, errno, "cannot be read");
    enum code code = pack_format_read_header(bytes, &header, why);
    if (code != CODE_OK)
        return code;
    if (header.number != number)
        return failure_set(why, CODE_CORRUPT, "is pack %u under another name", header.number);
    if (memcmp(&header.store, &table->store, sizeof header.store) != 0)
        return failure_set(why, CODE_CORRUPT, "belongs to another store");
    return CODE_OK;
}

static enum code open_file(struct pack_table *table, struct pack_file *file, struct failure *why)
{
    char name[NAME_BYTES];
    write_name(file->number, name);
    int fd = openat(table->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && (errno == EROFS || errno == EACCES))
        fd = openat(table->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s/%s: cannot be opened", table->folder, name);
    enum code code = check_header(table, fd, file->number, why);
    if (code != CODE_OK) {
        close(fd);
        return failure_wrap(why, code, "%s/%s", table->folder, name);
    }
    file->fd = fd;
    table->open_count++;
    return CODE_OK;
}

enum code pack_table_lease(struct pack_table *table, uint32_t number, struct pack_file **out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    struct pack_file *file = find_file(table, number);
    if (!file)
        return failure_set(why, CODE_NOT_FOUND, "%s: pack %u is not there", table->folder, number);
    if (file->fd < 0) {
        enum code code = open_file(table, file, why);
        if (code != CODE_OK)
            return code;
    }
    file->leases++;
    file->used = ++table->clock;
    close_oldest(table);
    *out = file;
    return CODE_OK;
}

void pack_table_return(struct pack_table *table, struct pack_file *file)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    assert(file->leases > 0);
    file->leases--;
    if (file->leases == 0 && file->dropped)
        free_file(file);
}

/* Making and dropping -------------------------------------------------------------------------- */

/* Makes the file with its header; the descriptor, or -1 with errno set and nothing left behind. */
static int make_file(const struct pack_table *table, uint32_t number)
{
    char name[NAME_BYTES];
    uint8_t header[PACK_HEADER_BYTES];
    write_name(number, name);
    pack_format_write_header(&(struct pack_header){table->store, number}, header);
    int fd = openat(table->folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    ssize_t put = pwrite(fd, header, sizeof header, 0);
    if (put == (ssize_t)sizeof header)
        return fd;
    int error = put < 0 ? errno : ENOSPC;
    close(fd);
    unlinkat(table->folder_fd, name, 0);
    errno = error;
    return -1;
}

enum code pack_table_create(struct pack_table *table, struct pack_file **out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    uint32_t number = table->highest + 1;
    if (number > CHUNK_STORE_PACK_MAX)
        return failure_set(why, CODE_NO_SPACE, "%s: all pack numbers are used up", table->folder);
    if (!make_room(table))
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->folder);
    int fd = make_file(table, number);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: pack %u cannot be made", table->folder, number);
    struct pack_file *file = add_file(table, number, PACK_HEADER_BYTES);
    if (!file) {
        close(fd);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->folder);
    }
    file->fd = fd;
    file->leases = 1;
    file->used = ++table->clock;
    table->open_count++;
    close_oldest(table);
    *out = file;
    return CODE_OK;
}

enum code pack_table_check_header(struct pack_table *table, const struct pack_file *file, struct failure *why)
{
    enum code code = check_header(table, file->fd, file->number, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "%s: pack %u", table->folder, file->number);
}

/* 0, or -1 with errno. */
static int mend_header(const struct pack_table *table, int fd, uint32_t number)
{
    uint8_t header[PACK_HEADER_BYTES];
    if (check_header(table, fd, number, NULL) == CODE_OK)
        return 0;
    pack_format_write_header(&(struct pack_header){table->store, number}, header);
    ssize_t put = pwrite(fd, header, sizeof header, 0);
    if (put >= 0 && put < (ssize_t)sizeof header)
        errno = ENOSPC;
    return put == (ssize_t)sizeof header ? 0 : -1;
}

/* Opens the file of a pack for mending: made where it is missing, with a header that is sound.  -1 with errno. */
static int open_for_mending(const struct pack_table *table, uint32_t number, bool *made)
{
    char name[NAME_BYTES];
    write_name(number, name);
    int fd = openat(table->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    *made = fd < 0 && errno == ENOENT;
    if (*made)
        return make_file(table, number);
    if (fd < 0 || mend_header(table, fd, number) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

enum code pack_table_ensure(struct pack_table *table, uint32_t number, struct pack_file **out, bool *made,
                            struct failure *why)
{
    *made = false;
    if (pack_table_lease(table, number, out, NULL) == CODE_OK) {
        if (mend_header(table, (*out)->fd, number) == 0)
            return CODE_OK;
        int error = errno;
        pack_table_return(table, *out);
        return failure_set_errno(why, error, "%s: the header of pack %u cannot be mended", table->folder, number);
    }
    if (number < 1 || number > CHUNK_STORE_PACK_MAX)
        return failure_set(why, CODE_INVALID, "%s: there is no pack %u", table->folder, number);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    int fd = open_for_mending(table, number, made);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: pack %u cannot be mended", table->folder, number);
    struct pack_file *file = find_file(table, number);
    if (!file)
        file = add_file(table, number, PACK_HEADER_BYTES);
    if (!file || file->fd >= 0) { /* somebody else was quicker */
        close(fd);
        if (!file)
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->folder);
    } else {
        file->fd = fd;
        table->open_count++;
    }
    file->leases++;
    file->used = ++table->clock;
    *out = file;
    return CODE_OK;
}

enum code pack_table_drop(struct pack_table *table, uint32_t number, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t index = find_index(table, number);
    struct pack_file *file = find_file(table, number);
    if (!file)
        return failure_set(why, CODE_NOT_FOUND, "%s: pack %u is not there", table->folder, number);
    char name[NAME_BYTES];
    write_name(number, name);
    if (unlinkat(table->folder_fd, name, 0) != 0 && errno != ENOENT)
        return failure_set_errno(why, errno, "%s/%s: cannot be removed", table->folder, name);
    table->count--;
    memmove(&table->files[index], &table->files[index + 1], (table->count - index) * sizeof *table->files);
    if (file->fd >= 0)
        table->open_count--;
    file->dropped = true;
    if (file->leases == 0)
        free_file(file);
    return CODE_OK;
}

enum code pack_table_sync_folder(struct pack_table *table, struct failure *why)
{
    if (fsync(table->folder_fd) != 0)
        return failure_set_errno(why, errno, "%s: cannot be synced", table->folder);
    return CODE_OK;
}

/* What is there -------------------------------------------------------------------------------- */

uint32_t pack_table_highest(struct pack_table *table)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    return table->highest;
}

void pack_table_set_bytes(struct pack_table *table, struct pack_file *file, uint64_t bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    file->bytes = bytes;
}

uint64_t pack_table_bytes(struct pack_table *table, const struct pack_file *file)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    return file->bytes;
}

enum code pack_table_list(struct pack_table *table, struct chunk_pack_list *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    *out = (struct chunk_pack_list){calloc(table->count + 1, sizeof *out->packs), table->count};
    if (!out->packs)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->folder);
    for (size_t i = 0; i < table->count; i++)
        out->packs[i] = (struct chunk_pack){.number = table->files[i]->number, .bytes = table->files[i]->bytes};
    return CODE_OK;
}

void pack_table_totals(struct pack_table *table, uint64_t *packs, uint64_t *bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    *packs = table->count;
    *bytes = 0;
    for (size_t i = 0; i < table->count; i++)
        *bytes += table->files[i]->bytes;
}
