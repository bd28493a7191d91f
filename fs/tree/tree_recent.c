/* The log of recent writes: see tree_recent.h, FORMAT.md for the bytes.
 *
 * The log is a file of fixed size that is overwritten from its beginning after each commit, so that syncing it needs no
 * change of the disk's own tables.  While nobody fails, a record is valid if and only if it opens, follows the
 * catalog's last commit, and has the next sequence number: what a crash tore ends the log.
 *
 * The log lies in one folder, so while the store has mirrors nothing is written to it and commits do all the work.  A mirror is
 * not current before a commit has made void what the log held when the mirror's filling began (mirror_fill.h).
 *
 * Invariants
 *  1. Only the leader writes it, and makes no round meanwhile; so all records of a commit number lie in the file before the
 *     commit with the next number begins.
 *  2. node->recent holds all changes of the node since the commit that node->changed_in tells of, in their order, that
 *     are not in the log.  Everything that changes a node otherwise goes through node_change or file_note_change, which
 *     set changed_in.
 *  3. Copies that belong to a round that was collected are void: either it becomes durable, or nothing but a later round
 *     helps (commit.last).
 */
#include "tree_recent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aead.h"
#include "bytes.h"
#include "logging.h"
#include "mirror_set.h"
#include "space_keys.h"
#include "tree_commit.h"
#include "tree_contents.h"
#include "tree_lending.h"
#include "tree_space.h"

#define WRITE_BYTES_MAX  4096   /* larger writes are left to commits */
#define KEPT_BYTES_MAX   65536  /* of one node */
#define RECORD_MAGIC     "cyrl" /* no associated data of other sealed things begins so */
#define RECORD_HEAD      64
#define RECORD_OVERHEAD  (RECORD_HEAD + AEAD_OVERHEAD)
#define RECORD_BYTES_MAX (RECORD_OVERHEAD + WRITE_BYTES_MAX)

enum { /* where things lie in a record's head */
    AT_COUNT = 4,
    AT_COMMIT = 8,
    AT_SEQUENCE = 16,
    AT_INODE = 24,
    AT_OFFSET = 32,
    AT_MODIFY = 40,
    AT_SPACE = 48,
};

struct kept_write {
    uint64_t offset;
    int64_t modify_ns;
    uint32_t count;
    uint8_t bytes[];
};

struct recent_writes {
    struct recent_writes *next; /* in a batch */
    uint64_t round;             /* the commit round that they belong to */
    uint64_t inode, space_number;
    const struct space *space;
    uint64_t log_bytes;     /* that they take in the log */
    size_t length, capacity; /* of `writes`: struct kept_write, each padded to 8 bytes */
    uint8_t *writes;
};

/* Keeping ---------------------------------------------------------------------------------------------------------- */

static size_t padded(size_t count)
{
    return (sizeof(struct kept_write) + count + 7) / 8 * 8;
}

void recent_forget(struct node *node)
{
    if (!node->recent)
        return;
    free(node->recent->writes);
    free(node->recent);
    node->recent = NULL;
}

/* The node's copies, emptied where they belong to an earlier round; NULL without memory. */
static struct recent_writes *current_writes(struct tree *tree, struct node *node)
{
    uint64_t round = commit_round_of_changes(tree);
    if (!node->recent)
        node->recent = calloc(1, sizeof *node->recent);
    struct recent_writes *recent = node->recent;
    if (recent && recent->round != round) {
        recent->round = round;
        recent->length = 0;
        recent->log_bytes = 0;
    }
    return recent;
}

static bool keep(struct recent_writes *recent, const struct contents_write *write, int64_t modify_ns)
{
    size_t needed = recent->length + padded(write->count);
    if (needed > KEPT_BYTES_MAX)
        return false;
    if (needed > recent->capacity) {
        size_t capacity = recent->capacity ? recent->capacity * 2 : 256;
        while (capacity < needed)
            capacity *= 2;
        uint8_t *writes = realloc(recent->writes, capacity);
        if (!writes)
            return false;
        recent->writes = writes;
        recent->capacity = capacity;
    }
    struct kept_write *kept = (struct kept_write *)(void *)(recent->writes + recent->length);
    *kept = (struct kept_write){.offset = write->offset, .modify_ns = modify_ns, .count = (uint32_t)write->count};
    memcpy(kept->bytes, write->bytes, write->count);
    recent->length = needed;
    recent->log_bytes += RECORD_OVERHEAD + write->count;
    return true;
}

void recent_note_write(struct tree *tree, struct node *node, uint64_t before, const struct contents_write *write)
{
    struct space *space;
    if (tree->recent.fd < 0 || write->count > WRITE_BYTES_MAX || write->stored || before > tree->commit.durable ||
        node->row.inode >= tree->commit.inodes_durable || node->row.links == 0 ||
        (tree->mirrors && mirror_set_is_mirrored(tree->mirrors)) ||
        tree->keys_changed_in > tree->commit.durable || lending_is_lent(tree, node->row.space) ||
        space_find(tree, node->row.space, &space, NULL) != CODE_OK)
        return;
    struct recent_writes *recent = current_writes(tree, node);
    if (!recent || !keep(recent, write, node->row.modify_ns))
        return;
    recent->inode = node->row.inode;
    recent->space = space;
    recent->space_number = node->row.space;
    node->changed_in = before;
}

enum recent_need recent_need_of(const struct tree *tree, const struct node *node)
{
    if (tree->commit.last.code != CODE_OK || tree->commit.broken.code != CODE_OK ||
        node->changed_in > tree->commit.durable)
        return RECENT_ROUND;
    if (!node->recent || node->recent->length == 0 || node->recent->round <= tree->commit.durable)
        return RECENT_NOTHING;
    return node->recent->round == tree->commit.started + 1 ? RECENT_LOG : RECENT_ROUND;
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

void recent_take(struct node *node, struct recent_batch *batch)
{
    struct recent_writes *recent = node->recent;
    if (!recent)
        return;
    node->recent = NULL;
    if (!batch->end)
        batch->end = &batch->first;
    recent->next = NULL;
    *batch->end = recent;
    batch->end = &recent->next;
    batch->bytes += recent->log_bytes;
}

static void empty_batch(struct recent_batch *batch)
{
    for (struct recent_writes *recent = batch->first, *next; recent; recent = next) {
        next = recent->next;
        free(recent->writes);
        free(recent);
    }
    *batch = (struct recent_batch){0};
}

/* What is authenticated and not stored besides the head: the store. */
static void make_associated(const struct tree *tree, const uint8_t head[RECORD_HEAD],
                            uint8_t associated[RECORD_HEAD + IDENTITY_BYTES])
{
    memcpy(associated, head, RECORD_HEAD);
    memcpy(associated + RECORD_HEAD, tree->store.bytes, IDENTITY_BYTES);
}

static enum code seal_record(struct tree *tree, const struct recent_writes *recent, const struct kept_write *kept,
                             uint8_t *record, struct failure *why)
{
    uint8_t associated[RECORD_HEAD + IDENTITY_BYTES];
    memset(record, 0, RECORD_HEAD);
    memcpy(record, RECORD_MAGIC, AT_COUNT);
    bytes_store32(record + AT_COUNT, kept->count);
    bytes_store64(record + AT_COMMIT, tree->commit.number);
    bytes_store64(record + AT_SEQUENCE, tree->recent.sequence);
    bytes_store64(record + AT_INODE, recent->inode);
    bytes_store64(record + AT_OFFSET, kept->offset);
    bytes_store64(record + AT_MODIFY, (uint64_t)kept->modify_ns);
    bytes_store64(record + AT_SPACE, recent->space_number);
    make_associated(tree, record, associated);
    const struct aead_message message = {associated, sizeof associated, kept->bytes, kept->count};
    return aead_seal(recent->space->keys.contents, &message, record + RECORD_HEAD, why);
}

static enum code seal_batch(struct tree *tree, const struct recent_batch *batch, uint8_t *bytes, struct failure *why)
{
    for (const struct recent_writes *recent = batch->first; recent; recent = recent->next)
        for (size_t at = 0; at < recent->length;) {
            const struct kept_write *kept = (const struct kept_write *)(const void *)(recent->writes + at);
            enum code code = seal_record(tree, recent, kept, bytes, why);
            if (code != CODE_OK)
                return code;
            tree->recent.sequence++;
            bytes += RECORD_OVERHEAD + kept->count;
            at += padded(kept->count);
        }
    return CODE_OK;
}

static enum code write_at(int fd, const uint8_t *bytes, size_t count, uint64_t offset, struct failure *why)
{
    for (size_t done = 0; done < count;) {
        ssize_t put = pwrite(fd, bytes + done, count - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            return failure_set_errno(why, errno, "writing %s", RECENT_LOG_NAME);
        done += put > 0 ? (size_t)put : 0;
    }
    return CODE_OK;
}

/* Gives the log its whole size, so that later syncs need not change it. */
static enum code make_ready(struct tree *tree, struct failure *why)
{
    struct stat status;
    if (tree->recent.ready)
        return CODE_OK;
    if (fstat(tree->recent.fd, &status) != 0)
        return failure_set_errno(why, errno, "looking at %s", RECENT_LOG_NAME);
    if ((uint64_t)status.st_size < RECENT_LOG_BYTES) {
        SCOPE_FREE uint8_t *zeros = calloc(1, RECENT_LOG_BYTES);
        enum code code = zeros ? write_at(tree->recent.fd, zeros, RECENT_LOG_BYTES, 0, why)
                               : failure_set(why, CODE_NO_MEMORY, "making %s: no memory", RECENT_LOG_NAME);
        if (code != CODE_OK)
            return code;
        if (fsync(tree->recent.fd) != 0)
            return failure_set_errno(why, errno, "syncing %s", RECENT_LOG_NAME);
    }
    tree->recent.ready = true;
    return CODE_OK;
}

/* Begins anew where a commit has made void what the log holds. */
static void follow_commits(struct tree *tree)
{
    if (tree->recent.follows == tree->commit.number)
        return;
    tree->recent.follows = tree->commit.number;
    tree->recent.end = 0;
    tree->recent.sequence = 0;
}

static enum code write_batch(struct tree *tree, const struct recent_batch *batch, struct failure *why)
{
    enum code code = make_ready(tree, why);
    if (code != CODE_OK)
        return code;
    follow_commits(tree);
    if (batch->bytes > RECENT_LOG_BYTES - tree->recent.end)
        return failure_set(why, CODE_NO_SPACE, "%s is full", RECENT_LOG_NAME);
    SCOPE_FREE uint8_t *bytes = malloc(batch->bytes);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "writing %s: no memory", RECENT_LOG_NAME);
    code = seal_batch(tree, batch, bytes, why);
    if (code == CODE_OK)
        code = write_at(tree->recent.fd, bytes, batch->bytes, tree->recent.end, why);
    if (code == CODE_OK && fdatasync(tree->recent.fd) != 0)
        code = failure_set_errno(why, errno, "syncing %s", RECENT_LOG_NAME);
    tree->recent.end += code == CODE_OK ? batch->bytes : 0;
    return code;
}

enum code recent_write(struct tree *tree, struct recent_batch *batch, struct failure *why)
{
    enum code code = write_batch(tree, batch, why);
    empty_batch(batch);
    if (code == CODE_OK || code == CODE_NO_SPACE)
        return code;
    /* Nobody can say what the log holds, so it takes no more: sequence numbers would not follow. */
    logging_warning("small writes are no longer made durable by themselves: %s", why->text);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    recent_close(tree);
    return code;
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

struct record {
    uint64_t inode, offset, space;
    int64_t modify_ns;
    uint32_t count;
    uint8_t bytes[WRITE_BYTES_MAX];
};

static bool read_at(int fd, uint8_t *bytes, size_t count, uint64_t offset)
{
    for (size_t done = 0; done < count;) {
        ssize_t got = pread(fd, bytes + done, count - done, (off_t)(offset + done));
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* The next record; CODE_NO_DATA where the log ends. */
static enum code read_record(struct tree *tree, struct record *out, struct failure *why)
{
    uint8_t bytes[RECORD_BYTES_MAX], associated[RECORD_HEAD + IDENTITY_BYTES];
    if (!read_at(tree->recent.fd, bytes, RECORD_HEAD, tree->recent.end))
        return CODE_NO_DATA;
    out->count = bytes_load32(bytes + AT_COUNT);
    out->inode = bytes_load64(bytes + AT_INODE);
    out->offset = bytes_load64(bytes + AT_OFFSET);
    out->modify_ns = (int64_t)bytes_load64(bytes + AT_MODIFY);
    out->space = bytes_load64(bytes + AT_SPACE);
    if (memcmp(bytes, RECORD_MAGIC, AT_COUNT) != 0 || out->count < 1 || out->count > WRITE_BYTES_MAX ||
        bytes_load64(bytes + AT_COMMIT) != tree->commit.number ||
        bytes_load64(bytes + AT_SEQUENCE) != tree->recent.sequence ||
        !read_at(tree->recent.fd, bytes + RECORD_HEAD, out->count + AEAD_OVERHEAD, tree->recent.end + RECORD_HEAD))
        return CODE_NO_DATA;
    struct space *space;
    enum code code = space_find(tree, out->space, &space, why);
    if (code != CODE_OK)
        return code == CODE_DENIED
                   ? failure_set(why, CODE_DENIED,
                                 "the lab was not unmounted properly, and what was written last lies in a space that "
                                 "you have no key of: let a member of that space mount it once")
                   : CODE_NO_DATA;
    make_associated(tree, bytes, associated);
    const struct aead_message message = {associated, sizeof associated, bytes + RECORD_HEAD,
                                         out->count + AEAD_OVERHEAD};
    code = aead_open(space->keys.contents, &message, out->bytes, why);
    return code == CODE_CORRUPT ? CODE_NO_DATA : code;
}

static enum code apply(struct tree *tree, const struct record *record, struct failure *why)
{
    struct node *node;
    enum code code = node_get(tree, record->inode, &node, why);
    if (code == CODE_OK && (node->row.kind != CATALOG_INODE_FILE || node->row.space != record->space ||
                            node->row.flags & CATALOG_INODE_FROZEN))
        code = failure_set(why, CODE_CORRUPT, "%s tells of a write that cannot have been", RECENT_LOG_NAME);
    const struct contents_write write = {.offset = record->offset, .bytes = record->bytes, .count = record->count};
    if (code == CODE_OK)
        code = contents_write(tree, node, &write, why);
    if (code != CODE_OK)
        return code;
    node->row.modify_ns = node->row.change_ns = record->modify_ns;
    node->row.version++;
    node->changed_in = commit_round_of_changes(tree);
    node_stamp(tree, node, record->modify_ns);
    return CODE_OK;
}

static enum code apply_all(struct tree *tree, struct failure *why)
{
    struct record record;
    enum code code;
    while ((code = read_record(tree, &record, why)) == CODE_OK) {
        code = apply(tree, &record, why);
        if (code != CODE_OK)
            return code;
        tree->recent.end += RECORD_OVERHEAD + record.count;
        tree->recent.sequence++;
    }
    if (code == CODE_NO_DATA && tree->recent.sequence)
        logging_info("applied %llu writes that a crash had left in %s", (unsigned long long)tree->recent.sequence,
                     RECENT_LOG_NAME);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code recent_open(struct tree *tree, struct failure *why)
{
    if (!tree->catalog_path || tree->read_only)
        return CODE_OK;
    const char *slash = strrchr(tree->catalog_path, '/');
    SCOPE_FREE char *path = NULL;
    if (asprintf(&path, "%.*s%s", slash ? (int)(slash - tree->catalog_path) + 1 : 0, tree->catalog_path,
                 RECENT_LOG_NAME) < 0)
        return failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
    tree->recent.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (tree->recent.fd < 0)
        return failure_set_errno(why, errno, "opening %s", path);
    tree->recent.follows = tree->commit.number;
    tree->commit.inodes_durable = tree->next_inode;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return apply_all(tree, why);
}

void recent_close(struct tree *tree)
{
    if (tree->recent.fd >= 0)
        close(tree->recent.fd);
    tree->recent.fd = -1;
}
