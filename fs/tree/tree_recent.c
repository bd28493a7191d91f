/* The log of recent writes: see tree_recent.h, FORMAT.md for the bytes.
 *
 * The log is a file of fixed size that is overwritten from its beginning after each commit, so that syncing it needs no
 * change of the disk's own tables.  While nobody fails, a record is valid if and only if it opens, follows the
 * catalog's last commit, and has the next sequence number: what a crash tore ends the log.
 *
 * Its files, one in each folder of a mirrored store, are tree_recent_log.c's; the records' bytes recent_format.c's.
 *
 * Where a lab is opened to be looked at only, the records are applied in memory and committed by nobody.
 *
 * Invariants
 *  1. Only the leader writes it, and makes no round meanwhile; so all records of a commit number lie in the file before the
 *     commit with the next number begins.
 *  2. node->recent holds all changes of the node since the commit that node->changed_in tells of, in their order, that
 *     are not in the log.  Everything that changes a node otherwise goes through node_change or file_note_change, which
 *     set changed_in.
 *  3. What is due is taken while nobody waits for it yet.  Who then fsyncs it finds nothing to be done; he is told at once,
 * or when the leader who took it has ended (tree_waiting.c), since nobody is told of anything while one leads.
 *  4. Copies that belong to a round that was collected are void: either it becomes durable, or nothing but a later round
 *     helps (commit.last).
 */
#include "tree_recent.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "logging.h"
#include "recent_format.h"
#include "space_keys.h"
#include "tree_commit.h"
#include "tree_contents.h"
#include "tree_lending.h"
#include "tree_recent_log.h"
#include "tree_space.h"
#include "tree_waiting.h"

#define KEPT_BYTES_MAX 65536 /* of one node */
#define DUE_BYTES_MAX  4096  /* of one node, and there may be the batch's BATCH_BYTES before it */
#define BATCH_BYTES    32768

struct kept_write {
    uint64_t offset;
    int64_t modify_ns;
    uint32_t count;
    uint8_t bytes[];
};

struct recent_writes {
    struct recent_writes *next;                    /* in a batch */
    struct recent_writes *due_previous, *due_next; /* in tree->recent.due, where it is due */
    bool due;
    struct node *node; /* that they belong to, while it has them */
    uint64_t round;    /* the commit round that they belong to */
    uint64_t inode, space_number;
    const struct space *space;
    uint64_t log_bytes;      /* that they take in the log */
    size_t length, capacity; /* of `writes`: struct kept_write, each padded to 8 bytes */
    uint8_t *writes;
};

/* Keeping ---------------------------------------------------------------------------------------------------------- */

static size_t padded(size_t count)
{
    return (sizeof(struct kept_write) + count + 7) / 8 * 8;
}

static void make_due(struct tree *tree, struct recent_writes *recent)
{
    if (recent->due)
        return;
    recent->due = true;
    recent->due_previous = NULL;
    recent->due_next = tree->recent.due;
    if (recent->due_next)
        recent->due_next->due_previous = recent;
    tree->recent.due = recent;
    tree->recent.due_count++;
}

static void leave_due(struct tree *tree, struct recent_writes *recent)
{
    if (!recent->due)
        return;
    recent->due = false;
    *(recent->due_previous ? &recent->due_previous->due_next : &tree->recent.due) = recent->due_next;
    if (recent->due_next)
        recent->due_next->due_previous = recent->due_previous;
    tree->recent.due_count--;
}

void recent_note_sync(struct node *node)
{
    node->syncs = true;
}

void recent_forget(struct tree *tree, struct node *node)
{
    if (!node->recent)
        return;
    leave_due(tree, node->recent);
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
    recent->log_bytes += RECENT_FORMAT_OVERHEAD + write->count;
    return true;
}

/* The number alone does not say it: it may have been set aside long before the file was made. */
static bool is_in_catalog(const struct node *node)
{
    static const uint8_t none[CATALOG_PROOF_BYTES];
    return memcmp(node->kept_proof, none, sizeof none) != 0;
}

void recent_note_write(struct tree *tree, struct node *node, uint64_t before, const struct contents_write *write)
{
    struct space *space;
    if (!tree->recent.log || !recent_log_takes_writes(tree->recent.log) || write->count > RECENT_FORMAT_WRITE_MAX ||
        write->lent_count || before > tree->commit.durable || node->row.inode >= tree->commit.inodes_durable ||
        node->row.links == 0 || !is_in_catalog(node) || tree->keys_changed_in > tree->commit.durable ||
        lending_is_lent(tree, node->row.space) || space_find(tree, node->row.space, &space, NULL) != CODE_OK)
        return;
    struct recent_writes *recent = current_writes(tree, node);
    if (!recent || !keep(recent, write, node->row.modify_ns))
        return;
    if (node->syncs)
        make_due(tree, recent);
    recent->node = node;
    recent->inode = node->row.inode;
    recent->space = space;
    recent->space_number = node->row.space;
    node->changed_in = before;
}

enum recent_need recent_need_of(const struct tree *tree, const struct node *node)
{
    if (tree->commit.last.code != CODE_OK || tree->commit.broken.code != CODE_OK || node->changed_in > tree->commit.durable)
        return RECENT_ROUND;
    if (!node->recent || node->recent->length == 0 || node->recent->round <= tree->commit.durable)
        return RECENT_NOTHING;
    return node->recent->round == tree->commit.started + 1 ? RECENT_LOG : RECENT_ROUND;
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

void recent_take(struct tree *tree, struct node *node, struct recent_batch *batch)
{
    struct recent_writes *recent = node->recent;
    if (!recent)
        return;
    leave_due(tree, recent);
    node->recent = NULL;
    if (!batch->end)
        batch->end = &batch->first;
    recent->next = NULL;
    *batch->end = recent;
    batch->end = &recent->next;
    batch->bytes += recent->log_bytes;
}

unsigned recent_take_due(struct tree *tree, struct recent_batch *batch)
{
    unsigned count = 0;
    for (struct recent_writes *recent = tree->recent.due, *next; recent; recent = next) {
        struct node *node = recent->node;
        next = recent->due_next;
        leave_due(tree, recent);
        node->syncs = false;
        if (recent->log_bytes > DUE_BYTES_MAX || batch->bytes > BATCH_BYTES || recent_need_of(tree, node) != RECENT_LOG)
            continue;
        recent_take(tree, node, batch);
        count++;
    }
    return count;
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
static void make_associated(const struct tree *tree, const uint8_t head[RECENT_FORMAT_HEAD],
                            uint8_t associated[RECENT_FORMAT_HEAD + IDENTITY_BYTES])
{
    memcpy(associated, head, RECENT_FORMAT_HEAD);
    memcpy(associated + RECENT_FORMAT_HEAD, tree->store.bytes, IDENTITY_BYTES);
}

static enum code seal_record(const struct tree *tree, const struct recent_writes *recent, const struct kept_write *kept,
                             uint64_t sequence, uint8_t *record, struct failure *why)
{
    uint8_t associated[RECENT_FORMAT_HEAD + IDENTITY_BYTES];
    const struct recent_head head = {.count = kept->count,
                                     .commit = tree->commit.number,
                                     .sequence = sequence,
                                     .inode = recent->inode,
                                     .offset = kept->offset,
                                     .modify_ns = kept->modify_ns,
                                     .space = recent->space_number};
    recent_format_write_head(&head, record);
    make_associated(tree, record, associated);
    const struct aead_message message = {associated, sizeof associated, kept->bytes, kept->count};
    enum code code = aead_seal(recent->space->keys.contents, &message, record + RECENT_FORMAT_HEAD, why);
    if (code == CODE_OK)
        recent_format_write_sum(record, recent_format_bytes(&head));
    return code;
}

/* *sequence: of the first record; of the one after the last when it is done. */
static enum code seal_batch(const struct tree *tree, const struct recent_batch *batch, uint64_t *sequence, uint8_t *bytes,
                            struct failure *why)
{
    for (const struct recent_writes *recent = batch->first; recent; recent = recent->next)
        for (size_t at = 0; at < recent->length;) {
            const struct kept_write *kept = (const struct kept_write *)(const void *)(recent->writes + at);
            enum code code = seal_record(tree, recent, kept, (*sequence)++, bytes, why);
            if (code != CODE_OK)
                return code;
            bytes += RECENT_FORMAT_OVERHEAD + kept->count;
            at += padded(kept->count);
        }
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
    follow_commits(tree);
    if (batch->bytes > RECENT_FORMAT_FILE_BYTES - tree->recent.end)
        return failure_set(why, CODE_NO_SPACE, RECENT_FORMAT_FILE " is full");
    size_t left = RECENT_FORMAT_FILE_BYTES - tree->recent.end - batch->bytes;
    size_t end = left < RECENT_FORMAT_HEAD ? left : RECENT_FORMAT_HEAD; /* zeros, overwritten by the next record */
    SCOPE_FREE uint8_t *bytes = calloc(1, batch->bytes + end);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "writing " RECENT_FORMAT_FILE ": no memory");
    uint64_t sequence = tree->recent.sequence;
    enum code code = seal_batch(tree, batch, &sequence, bytes, why);
    if (code == CODE_OK)
        code = recent_log_write(tree->recent.log, tree->recent.end, bytes, batch->bytes + end, why);
    if (code != CODE_OK)
        return code;
    tree->recent.sequence = sequence;
    tree->recent.end += batch->bytes;
    return CODE_OK;
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

void recent_wipe(struct tree *tree)
{
    pthread_mutex_lock(&tree->lock);
    while (tree->commit.leading)
        pthread_cond_wait(&tree->commit.finished, &tree->lock);
    bool is_void = tree->recent.log && (tree->recent.end == 0 || tree->recent.follows != tree->commit.number);
    tree->commit.leading = is_void;
    pthread_mutex_unlock(&tree->lock);
    if (!is_void)
        return;
    recent_log_wipe(tree->recent.log);
    pthread_mutex_lock(&tree->lock);
    tree->commit.leading = false;
    pthread_cond_broadcast(&tree->commit.finished);
    pthread_mutex_unlock(&tree->lock);
    waiting_lead(tree);
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

struct record {
    struct recent_head head;
    uint8_t bytes[RECENT_FORMAT_WRITE_MAX];
};

/* What lies where the next record would be. */
static enum recent_state read_bytes(struct tree *tree, uint8_t bytes[RECENT_FORMAT_RECORD_MAX], struct recent_head *head)
{
    size_t count = recent_log_read(tree->recent.log, tree->recent.end, bytes, RECENT_FORMAT_RECORD_MAX);
    return recent_format_read(bytes, count, head);
}

static enum code closed_space(struct failure *why)
{
    return failure_set(why, CODE_DENIED,
                       "the lab was not unmounted properly, and what was written last lies in a space that you have no "
                       "key of: let a member of that space mount it once");
}

/* The next record; CODE_NO_DATA where the log ends. */
static enum code read_record(struct tree *tree, struct record *out, struct failure *why)
{
    uint8_t bytes[RECENT_FORMAT_RECORD_MAX], associated[RECENT_FORMAT_HEAD + IDENTITY_BYTES];
    enum recent_state state = read_bytes(tree, bytes, &out->head);
    if (state == RECENT_NONE || out->head.commit != tree->commit.number || out->head.sequence != tree->recent.sequence)
        return CODE_NO_DATA;
    if (state == RECENT_DAMAGED) {
        logging_warning(RECENT_FORMAT_FILE
                        ": the record at %llu was torn by a crash, or is damaged: it, and what may follow it, "
                        "is not there",
                        (unsigned long long)tree->recent.end);
        return CODE_NO_DATA;
    }
    struct space *space;
    enum code code = space_find(tree, out->head.space, &space, why);
    if (code != CODE_OK)
        return code == CODE_DENIED ? closed_space(why) : CODE_NO_DATA;
    make_associated(tree, bytes, associated);
    const struct aead_message message = {associated, sizeof associated, bytes + RECENT_FORMAT_HEAD,
                                         out->head.count + AEAD_OVERHEAD};
    code = aead_open(space->keys.contents, &message, out->bytes, why);
    return code == CODE_CORRUPT ? CODE_NO_DATA : code;
}

static enum code apply(struct tree *tree, const struct record *record, struct failure *why)
{
    struct node *node;
    const struct recent_head *head = &record->head;
    enum code code = node_get(tree, head->inode, &node, why);
    if (code == CODE_OK &&
        (node->row.kind != CATALOG_INODE_FILE || node->row.space != head->space || node->row.flags & CATALOG_INODE_FROZEN))
        code = failure_set(why, CODE_CORRUPT, RECENT_FORMAT_FILE " tells of a write that cannot have been");
    struct contents_write write = {.offset = head->offset, .bytes = record->bytes, .count = head->count};
    if (code == CODE_OK)
        code = contents_write(tree, node, &write, why);
    if (code != CODE_OK)
        return code;
    node->row.modify_ns = node->row.change_ns = head->modify_ns;
    node->row.version++;
    node->changed_in = commit_round_of_changes(tree);
    node_stamp(tree, node, head->modify_ns);
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
        tree->recent.end += recent_format_bytes(&record.head);
        tree->recent.sequence++;
    }
    if (code == CODE_DENIED && tree->read_only) {
        logging_warning("some of what was written last is not shown: it lies in a space that you have no key of");
        return CODE_OK;
    }
    if (code == CODE_NO_DATA && tree->recent.sequence)
        logging_info("applied %llu writes that a crash had left in " RECENT_FORMAT_FILE,
                     (unsigned long long)tree->recent.sequence);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code recent_open(struct tree *tree, struct failure *why)
{
    if (!tree->catalog_path)
        return CODE_OK;
    enum code code = recent_log_open(tree->catalog_path, tree->mirrors, tree->read_only, &tree->recent.log, why);
    if (code != CODE_OK)
        return code;
    tree->recent.follows = tree->commit.number;
    tree->commit.inodes_durable = tree->next_inode;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return apply_all(tree, why);
}

void recent_close(struct tree *tree)
{
    recent_log_close(tree->recent.log);
    tree->recent.log = NULL;
}
