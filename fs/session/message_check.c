/* Messages from the wire: see message_check.h.
 *
 * One row a known opcode: how long its fixed part is, how many names follow, what else.  Everything without a row is
 * answered ENOSYS, which is also how a kernel learns what a server cannot do.  Then a function for those whose fields need a
 * look.
 *
 * The layouts are those of protocol 7.31, which the library speaks: INIT is cut so that no later one is agreed on. */
#include "message_check.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "extra.h"
#include "tree.h"

#define MINOR_MIN  31
#define MAJOR      7
#define INIT_BYTES 16
#define INIT_FLAGS                                                                                                          \
    (FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_FLOCK_LOCKS |       \
     FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |           \
     FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS)
#define TARGET_MAX       4095
#define XATTR_SIZE_MAX   65536
#define XATTR_NAME_BYTES 255
#define FORGETS_MAX      (MESSAGE_IO_MAX / sizeof(struct fuse_forget_one))
#define NS_MAX           999999999
#define SETATTR_KNOWN                                                                                                       \
    (FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME | FATTR_FH | FATTR_ATIME_NOW |             \
     FATTR_MTIME_NOW | FATTR_LOCKOWNER | FATTR_CTIME | FATTR_KILL_SUIDGID)

enum names { NO_NAME, NAME, NAME_TARGET, TWO_NAMES, XATTR_NAME };
enum rest { NO_REST, DATA };

struct row {
    uint32_t opcode;
    const char *text;
    uint32_t fixed; /* bytes */
    enum names names;
    enum rest rest; /* bytes behind, whose number the fixed part says */
};

static const struct row rows[] = {
    {FUSE_LOOKUP, "LOOKUP", 0, NAME, NO_REST},
    {FUSE_FORGET, "FORGET", sizeof(struct fuse_forget_in), NO_NAME, NO_REST},
    {FUSE_GETATTR, "GETATTR", sizeof(struct fuse_getattr_in), NO_NAME, NO_REST},
    {FUSE_SETATTR, "SETATTR", sizeof(struct fuse_setattr_in), NO_NAME, NO_REST},
    {FUSE_READLINK, "READLINK", 0, NO_NAME, NO_REST},
    {FUSE_SYMLINK, "SYMLINK", 0, NAME_TARGET, NO_REST},
    {FUSE_MKNOD, "MKNOD", sizeof(struct fuse_mknod_in), NAME, NO_REST},
    {FUSE_MKDIR, "MKDIR", sizeof(struct fuse_mkdir_in), NAME, NO_REST},
    {FUSE_UNLINK, "UNLINK", 0, NAME, NO_REST},
    {FUSE_RMDIR, "RMDIR", 0, NAME, NO_REST},
    {FUSE_RENAME, "RENAME", sizeof(struct fuse_rename_in), TWO_NAMES, NO_REST},
    {FUSE_RENAME2, "RENAME2", sizeof(struct fuse_rename2_in), TWO_NAMES, NO_REST},
    {FUSE_LINK, "LINK", sizeof(struct fuse_link_in), NAME, NO_REST},
    {FUSE_OPEN, "OPEN", sizeof(struct fuse_open_in), NO_NAME, NO_REST},
    {FUSE_READ, "READ", sizeof(struct fuse_read_in), NO_NAME, NO_REST},
    {FUSE_WRITE, "WRITE", sizeof(struct fuse_write_in), NO_NAME, DATA},
    {FUSE_STATFS, "STATFS", 0, NO_NAME, NO_REST},
    {FUSE_RELEASE, "RELEASE", sizeof(struct fuse_release_in), NO_NAME, NO_REST},
    {FUSE_FSYNC, "FSYNC", sizeof(struct fuse_fsync_in), NO_NAME, NO_REST},
    {FUSE_SETXATTR, "SETXATTR", FUSE_COMPAT_SETXATTR_IN_SIZE, XATTR_NAME, DATA},
    {FUSE_GETXATTR, "GETXATTR", sizeof(struct fuse_getxattr_in), XATTR_NAME, NO_REST},
    {FUSE_LISTXATTR, "LISTXATTR", sizeof(struct fuse_getxattr_in), NO_NAME, NO_REST},
    {FUSE_REMOVEXATTR, "REMOVEXATTR", 0, XATTR_NAME, NO_REST},
    {FUSE_FLUSH, "FLUSH", sizeof(struct fuse_flush_in), NO_NAME, NO_REST},
    {FUSE_INIT, "INIT", INIT_BYTES, NO_NAME, DATA},
    {FUSE_OPENDIR, "OPENDIR", sizeof(struct fuse_open_in), NO_NAME, NO_REST},
    {FUSE_READDIR, "READDIR", sizeof(struct fuse_read_in), NO_NAME, NO_REST},
    {FUSE_READDIRPLUS, "READDIRPLUS", sizeof(struct fuse_read_in), NO_NAME, NO_REST},
    {FUSE_RELEASEDIR, "RELEASEDIR", sizeof(struct fuse_release_in), NO_NAME, NO_REST},
    {FUSE_FSYNCDIR, "FSYNCDIR", sizeof(struct fuse_fsync_in), NO_NAME, NO_REST},
    {FUSE_GETLK, "GETLK", sizeof(struct fuse_lk_in), NO_NAME, NO_REST},
    {FUSE_SETLK, "SETLK", sizeof(struct fuse_lk_in), NO_NAME, NO_REST},
    {FUSE_SETLKW, "SETLKW", sizeof(struct fuse_lk_in), NO_NAME, NO_REST},
    {FUSE_CREATE, "CREATE", sizeof(struct fuse_create_in), NAME, NO_REST},
    {FUSE_INTERRUPT, "INTERRUPT", sizeof(struct fuse_interrupt_in), NO_NAME, NO_REST},
    {FUSE_POLL, "POLL", sizeof(struct fuse_poll_in), NO_NAME, NO_REST},
    {FUSE_BATCH_FORGET, "BATCH_FORGET", sizeof(struct fuse_batch_forget_in), NO_NAME, DATA},
    {FUSE_FALLOCATE, "FALLOCATE", sizeof(struct fuse_fallocate_in), NO_NAME, NO_REST},
    {FUSE_LSEEK, "LSEEK", sizeof(struct fuse_lseek_in), NO_NAME, NO_REST},
    {FUSE_COPY_FILE_RANGE, "COPY_FILE_RANGE", sizeof(struct fuse_copy_file_range_in), NO_NAME, NO_REST},
    {EXTRA_FETCH, "FETCH", sizeof(struct extra_fetch_in), NO_NAME, NO_REST},
    {EXTRA_PUT, "PUT", sizeof(struct extra_put_in), NAME, DATA},
    {EXTRA_RESERVE, "RESERVE", sizeof(struct extra_reserve_in), NO_NAME, NO_REST},
    {EXTRA_REOPEN, "REOPEN", sizeof(struct extra_reopen_in), NO_NAME, NO_REST},
    {EXTRA_KEYS, "KEYS", 0, NO_NAME, NO_REST},
    {EXTRA_LEND, "LEND", 0, NO_NAME, DATA},
};

static const struct row *find_row(uint32_t opcode)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].opcode == opcode)
            return &rows[i];
    return NULL;
}

const char *message_opcode_name(uint32_t opcode)
{
    const struct row *row = find_row(opcode);
    return row ? row->text : "unknown";
}

static enum code refuse(const struct row *row, const char *what, struct failure *why)
{
    return failure_set(why, CODE_INVALID, "a message %s with %s", row->text, what);
}

/* Names ------------------------------------------------------------------------------------------------------------ */

/* Cuts a text with its terminator off the front of *rest; NULL where it has none within *left, or is empty, or too long. */
static const char *take_text(const char **rest, size_t *left, size_t max)
{
    const char *text = *rest;
    size_t length = strnlen(text, *left);
    if (length == *left || length == 0 || length > max)
        return NULL;
    *rest += length + 1;
    *left -= length + 1;
    return text;
}

static const char *take_name(const char **rest, size_t *left)
{
    const char *name = take_text(rest, left, TREE_NAME_MAX);
    if (!name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return NULL;
    return name;
}

static enum code take_names(const struct row *row, struct message *out, const char **rest, size_t *left, struct failure *why)
{
    if (row->names == NO_NAME)
        return CODE_OK;
    out->name = row->names == XATTR_NAME ? take_text(rest, left, XATTR_NAME_BYTES) : take_name(rest, left);
    if (row->names == TWO_NAMES)
        out->second_name = take_name(rest, left);
    else if (row->names == NAME_TARGET)
        out->second_name = take_text(rest, left, TARGET_MAX);
    if (!out->name || (row->names >= NAME_TARGET && row->names <= TWO_NAMES && !out->second_name))
        return refuse(row, "a name that is none", why);
    return CODE_OK;
}

/* Fields ------------------------------------------------------------------------------------------------------------ */

static bool is_range(uint64_t offset, uint64_t count)
{
    return offset <= INT64_MAX && count <= INT64_MAX - offset;
}

static bool check_io(uint64_t offset, uint32_t size)
{
    return size <= MESSAGE_IO_MAX && is_range(offset, size);
}

/* Open flags that the kernel keeps for itself, or a session has another operation for. */
static bool check_open(uint32_t flags)
{
    return (flags & O_ACCMODE) != O_ACCMODE && !(flags & (O_CREAT | O_EXCL | O_NOCTTY));
}

static bool check_setattr(const struct fuse_setattr_in *set)
{
    return !(set->valid & ~(uint32_t)SETATTR_KNOWN) && set->size <= INT64_MAX && set->atimensec <= NS_MAX &&
           set->mtimensec <= NS_MAX;
}

static bool check_lock(const struct fuse_lk_in *lock)
{
    return lock->lk.type <= F_UNLCK && lock->lk.start <= lock->lk.end && lock->lk.start <= INT64_MAX &&
           !(lock->lk_flags & ~(uint32_t)FUSE_LK_FLOCK);
}

static bool check_put(const struct extra_put_in *put, const struct message *out, size_t left)
{
    return put->size == left && put->size <= EXTRA_PUT_MAX && put->name_length == strlen(out->name) + 1 &&
           !(put->mode & ~07777u) && (put->flags == 0 || put->flags == EXTRA_PUT_EXCLUSIVE || put->flags == EXTRA_PUT_MADE);
}

/* Those of which nothing but the open file is of interest. */
static void note_handle(struct message *out)
{
    const void *body = out->body;
    switch (out->opcode) {
    case FUSE_GETATTR:
        out->handle = ((const struct fuse_getattr_in *)body)->fh;
        break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        out->handle = ((const struct fuse_release_in *)body)->fh;
        break;
    case FUSE_FLUSH:
        out->handle = ((const struct fuse_flush_in *)body)->fh;
        break;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        out->handle = ((const struct fuse_fsync_in *)body)->fh;
        break;
    case FUSE_POLL:
        out->handle = ((const struct fuse_poll_in *)body)->fh;
        break;
    }
}

/* What names and opens; true for all others. */
static bool check_naming(struct message *out)
{
    const void *body = out->body;
    switch (out->opcode) {
    case FUSE_RENAME:
        out->second_node = ((const struct fuse_rename_in *)body)->newdir;
        return out->second_node != 0;
    case FUSE_RENAME2:
        out->second_node = ((const struct fuse_rename2_in *)body)->newdir;
        return out->second_node != 0;
    case FUSE_LINK:
        out->second_node = ((const struct fuse_link_in *)body)->oldnodeid;
        return out->second_node != 0;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        out->flags = ((const struct fuse_open_in *)body)->flags;
        return check_open(out->flags);
    case FUSE_CREATE:
        out->flags = ((const struct fuse_create_in *)body)->flags;
        return (out->flags & O_ACCMODE) != O_ACCMODE;
    case EXTRA_REOPEN:
        out->flags = ((const struct extra_reopen_in *)body)->flags;
        return check_open(out->flags) && !(out->flags & O_TRUNC) && ((const struct extra_reopen_in *)body)->folder <= 1;
    default:
        return true;
    }
}

/* What reads and writes a range of bytes; true for all others. */
static bool check_range(struct message *out, size_t left)
{
    switch (out->opcode) {
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: {
        const struct fuse_read_in *read = out->body;
        out->handle = read->fh;
        /* The place in a listing is a number of the listing's own. */
        return out->opcode == FUSE_READ ? check_io(read->offset, read->size) : read->size <= MESSAGE_IO_MAX;
    }
    case FUSE_WRITE: {
        const struct fuse_write_in *write = out->body;
        out->handle = write->fh;
        return write->size == left && check_io(write->offset, write->size);
    }
    case FUSE_FALLOCATE: {
        const struct fuse_fallocate_in *allocate = out->body;
        out->handle = allocate->fh;
        return is_range(allocate->offset, allocate->length) && allocate->mode <= INT32_MAX;
    }
    case FUSE_LSEEK: {
        const struct fuse_lseek_in *seek = out->body;
        out->handle = seek->fh;
        return seek->offset <= INT64_MAX;
    }
    case FUSE_COPY_FILE_RANGE: {
        const struct fuse_copy_file_range_in *copy = out->body;
        out->handle = copy->fh_in;
        out->second_node = copy->nodeid_out;
        return out->second_node != 0 && is_range(copy->off_in, copy->len) && is_range(copy->off_out, copy->len) &&
               copy->flags == 0;
    }
    case EXTRA_FETCH: {
        const struct extra_fetch_in *fetch = out->body;
        return fetch->size <= EXTRA_FETCH_MAX && is_range(fetch->offset, fetch->size);
    }
    default:
        return true;
    }
}

/* Attributes, locks, and what only relays send; true for all others. */
static bool check_rest(struct message *out, size_t left)
{
    const void *body = out->body;
    switch (out->opcode) {
    case FUSE_SETATTR:
        out->flags = ((const struct fuse_setattr_in *)body)->valid;
        out->handle = ((const struct fuse_setattr_in *)body)->fh;
        return check_setattr(body);
    case FUSE_SETXATTR:
        return ((const struct fuse_setxattr_in *)body)->size == left && left <= XATTR_SIZE_MAX;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        return ((const struct fuse_getxattr_in *)body)->size <= XATTR_SIZE_MAX;
    case FUSE_GETLK:
    case FUSE_SETLK:
    case FUSE_SETLKW:
        out->handle = ((const struct fuse_lk_in *)body)->fh;
        return check_lock(body);
    case FUSE_BATCH_FORGET: {
        const struct fuse_batch_forget_in *forget = body;
        return forget->count <= FORGETS_MAX && forget->count * sizeof(struct fuse_forget_one) == left;
    }
    case EXTRA_PUT:
        return check_put(body, out, left);
    case EXTRA_RESERVE:
        return ((const struct extra_reserve_in *)body)->count <= EXTRA_RESERVE_MAX;
    case EXTRA_LEND:
        return left % sizeof(struct extra_lent_key) == 0;
    default:
        return true;
    }
}

/* What the opcode says beyond lengths and names; `left` bytes follow those. */
static bool check_fields(struct message *out, size_t left)
{
    note_handle(out);
    return check_naming(out) && check_range(out, left) && check_rest(out, left);
}

/* These are about the whole, or name nodes of their own. */
static bool needs_node(uint32_t opcode)
{
    return opcode != FUSE_INIT && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT && opcode != EXTRA_KEYS &&
           opcode != EXTRA_LEND && opcode != EXTRA_RESERVE && opcode != FUSE_STATFS;
}

/* INIT, cut to the layout and the abilities that the library and this program know. */
static enum code check_init(struct fuse_in_header *header, struct fuse_init_in *init, size_t *length, struct failure *why)
{
    if (init->major != MAJOR || init->minor < MINOR_MIN)
        return failure_set(why, CODE_INVALID,
                           "the workstation's kernel speaks version %u.%u of the FUSE protocol; it takes %d.%d", init->major,
                           init->minor, MAJOR, MINOR_MIN);
    init->flags &= INIT_FLAGS;
    *length = sizeof *header + INIT_BYTES;
    header->len = (uint32_t)*length;
    return CODE_OK;
}

enum code message_check(void *bytes, size_t *length, int greeted, struct message *out, struct failure *why)
{
    struct fuse_in_header *header = bytes;
    *out = (struct message){0};
    if (*length < sizeof *header)
        return failure_set(why, CODE_INVALID, "a message of %zu bytes", *length);
    *out = (struct message){.opcode = header->opcode, .unique = header->unique, .node = header->nodeid};
    if (header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET || header->opcode == FUSE_INTERRUPT)
        out->unique = 0;
    const struct row *row = find_row(header->opcode);
    if (!row)
        return failure_set(why, CODE_UNSUPPORTED, "operation %u is not one that this server knows", header->opcode);
    if (header->len != *length || header->total_extlen || (header->unique & UINT64_C(1) << 63))
        return refuse(row, "a wrong header", why);
    if ((header->opcode == FUSE_INIT) == (greeted != 0))
        return refuse(row, greeted ? "no need: it was greeted" : "no greeting before it", why);
    header->uid = geteuid();
    header->gid = getegid();
    header->pid = 0;
    const char *rest = (const char *)(header + 1);
    size_t left = *length - sizeof *header;
    if (left < row->fixed || (needs_node(header->opcode) && header->nodeid == 0))
        return refuse(row, "a wrong length, or no node", why);
    out->body = rest;
    rest += row->fixed;
    left -= row->fixed;
    enum code code = take_names(row, out, &rest, &left, why);
    if (code != CODE_OK)
        return code;
    if ((row->rest == NO_REST && left != 0) || !check_fields(out, left))
        return refuse(row, "fields that no kernel writes", why);
    if (header->opcode == FUSE_INIT)
        return check_init(header, (struct fuse_init_in *)(header + 1), length, why);
    return CODE_OK;
}
