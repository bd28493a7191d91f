/* The lab's tree of files: stored nodes from the catalog and the chunk store, derived nodes made by rules (rule.h),
 * behind one set of operations that knows nothing of FUSE.
 *
 * Every operation is atomic, thread-safe, and visible to all callers when it returns.  It is durable after
 * tree_fsync / tree_sync, or at the latest TREE_COMMIT_INTERVAL_MS after it (a background commit): all operations
 * since the last commit become durable together, bytes first, then one catalog transaction that names them.
 * So every state that a crash can leave behind is a state that the tree once had.
 *
 * No lock is held while a rule is called, so rules may use the tree (tree_path.h).
 */
#ifndef CYTOFS_TREE_H
#define CYTOFS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buffer.h"
#include "failure.h"

#define TREE_COMMIT_INTERVAL_MS 1000
#define TREE_NAME_MAX           255 /* bytes in one name, without the terminator */
#define TREE_FILE_BYTES_MAX     (INT64_C(1) << 44)
#define TREE_XATTR_BYTES_MAX    65536 /* one value */

/* Names that begin with this are reserved for things being put together (staging); they are never listed, and
 * renaming one to its final name makes it appear whole. */
#define TREE_STAGING_PREFIX ".cytofs-"

struct tree;
struct chunk_store; /* chunk_store.h */
struct member_key;  /* member_key.h */
struct member_public;
struct store_id;   /* identity.h */
struct mirror_set; /* mirror_set.h */
struct catalog;    /* catalog.h */

/* What FUSE calls a node id.  Stored nodes: the inode number, never reused.  Derived nodes: bit 63 is set. */
struct node_id {
    uint64_t value;
};
#define TREE_ROOT ((struct node_id){1})

enum node_kind { NODE_FILE, NODE_FOLDER, NODE_LINK, NODE_FIFO, NODE_SOCKET, NODE_CHARACTER, NODE_BLOCK };

/* The owner or group of what belongs to whoever mounts. */
#define TREE_MOUNTER (-1)

struct node_attributes {
    struct node_id id;
    enum node_kind kind;
    uint32_t mode;        /* permission bits only */
    int64_t owner, group; /* numbers, or TREE_MOUNTER */
    uint64_t device;      /* of a device: the number that it stands for, as the kernel writes it */
    uint64_t size;        /* bytes; derived files have their true size */
    uint64_t blocks;      /* 512-byte units */
    uint32_t links;
    int64_t access_ns, modify_ns, change_ns; /* since 1970 */
    bool derived;                            /* contents are made by a rule: do not cache attributes */
    bool stream;                             /* an endless derived file (read blocks, poll works): direct I/O, size 0 */
};

struct tree_open_options {
    struct chunk_store *chunks;           /* borrowed; outlives the tree */
    const char *catalog_path;             /* NULL keeps the catalog in memory */
    const struct member_key *member;      /* opens the spaces; borrowed while open.  NULL with an in-memory catalog
                                             makes a throw-away member */
    const struct store_id *store;         /* the store's id, for the wraps; NULL with an in-memory catalog */
    const char *member_name;              /* tree_create: recorded with the member's key.  Ignored by tree_open */
    const struct member_public *recovery; /* tree_create: a key that lies on paper; NULL for none */
    bool read_only;
    bool keep_nameless;    /* files that were open without a name when the tree was closed stay until tree_drop_nameless */
    const char *seen_path; /* a file outside of the store that keeps the number of its last commit, made where it is missing;
                              NULL: none.  A store that is older is refused with CODE_DENIED */
    bool accept_older;     /* but taken */
    bool repair;           /* rows that make no sense are put right first, in a transaction that repair_run commits
                              or nobody; to be given with read_only and accept_damage */
    bool accept_damage;    /* rows that are not as they were written last do not keep the tree from being opened, for fsck;
                              they still cannot be used */
    bool look_first;       /* into all folders, so that no user pays for being the first: for who serves the tree */
    struct mirror_set *mirrors; /* the folders that hold the catalog; borrowed; NULL: only that of catalog_path */
};

/* Makes the catalog of a new lab: root, its folders (datasets, jobs, experiments, models, lab), spaces, and the first
 * member. */
MUST_CHECK enum code tree_create(const struct tree_open_options *options, struct failure *why);
MUST_CHECK enum code tree_open(const struct tree_open_options *options, struct tree **out, struct failure *why);

/* Commits and closes.  No operation may be under way. */
void tree_close(struct tree *tree);

const char *tree_member_name(const struct tree *tree);

/* The name of the member on whose behalf this thread works (viewer.h). */
const char *tree_viewer_name(const struct tree *tree);

/* Names and attributes ------------------------------------------------------------------------------------------- */

MUST_CHECK enum code tree_lookup(struct tree *tree, struct node_id folder, const char *name, struct node_attributes *out,
                                 struct failure *why);
MUST_CHECK enum code tree_attributes(struct tree *tree, struct node_id node, struct node_attributes *out,
                                     struct failure *why);

enum {
    CHANGE_MODE = 1,
    CHANGE_SIZE = 2,
    CHANGE_ACCESS = 4,
    CHANGE_MODIFY = 8,
    CHANGE_OWNER = 16,
    CHANGE_GROUP = 32,
    CHANGE_DROPS_SET_ID = 64 /* takes the set-uid and set-gid bits of anything but a folder, before a mode is set */
};
struct attribute_change {
    unsigned which; /* CHANGE_* */
    uint32_t mode;
    int64_t owner, group; /* numbers, or TREE_MOUNTER */
    uint64_t size;
    int64_t access_ns, modify_ns;
};

/* Changes all of it or nothing.  The time of the change is always set. */
MUST_CHECK enum code tree_change(struct tree *tree, struct node_id node, const struct attribute_change *change,
                                 struct node_attributes *out, struct failure *why);

/* What to make: its kind, and whom it belongs to. */
struct tree_new {
    enum node_kind kind;
    uint32_t mode;
    int64_t owner, group; /* numbers, or TREE_MOUNTER; in a folder with the set-gid bit the group is the folder's */
    uint64_t device;      /* of a device */
    const char *target;   /* of a symbolic link */
    bool for_folder; /* a file or folder made by the lab for a member, in what is that member's: it is that member's, too */
};

/* Makes anything but a file's contents: CODE_EXISTS where the name is taken. */
MUST_CHECK enum code tree_make(struct tree *tree, struct node_id folder, const char *name, const struct tree_new *what,
                               struct node_attributes *out, struct failure *why);

/* The same for what belongs to whoever mounts. */
MUST_CHECK enum code tree_make_folder(struct tree *tree, struct node_id folder, const char *name, uint32_t mode,
                                      struct node_attributes *out, struct failure *why);
MUST_CHECK enum code tree_make_link(struct tree *tree, struct node_id folder, const char *name, const char *target,
                                    struct node_attributes *out, struct failure *why);
MUST_CHECK enum code tree_read_link(struct tree *tree, struct node_id node, struct buffer *target, struct failure *why);
MUST_CHECK enum code tree_hard_link(struct tree *tree, struct node_id node, struct node_id folder, const char *name,
                                    struct node_attributes *out, struct failure *why);
MUST_CHECK enum code tree_unlink(struct tree *tree, struct node_id folder, const char *name, struct failure *why);
MUST_CHECK enum code tree_remove_folder(struct tree *tree, struct node_id folder, const char *name, struct failure *why);

enum { RENAME_NO_REPLACE_FLAG = 1, RENAME_EXCHANGE_FLAG = 2, RENAME_WHITEOUT_FLAG = 4 };
struct tree_rename {
    struct node_id from_folder, to_folder;
    const char *from_name, *to_name;
    unsigned flags;       /* as renameat2(2) */
    int64_t owner, group; /* of what RENAME_WHITEOUT_FLAG leaves behind */
};
MUST_CHECK enum code tree_rename(struct tree *tree, const struct tree_rename *rename, struct failure *why);

/* One more, or `count` fewer, references that a client holds on a node (FUSE lookup counts).  A node without names
 * goes away when its last reference and last handle are gone. */
void tree_remember(struct tree *tree, struct node_id node);
void tree_forget(struct tree *tree, struct node_id node, uint64_t count);

/* Files ------------------------------------------------------------------------------------------------------------ */

struct tree_file; /* an open file */

enum {
    OPEN_READ = 1,
    OPEN_WRITE = 2,
    OPEN_APPEND = 4,
    OPEN_TRUNCATE = 8,
    OPEN_EXCLUSIVE = 16,
    OPEN_CHANGED = 128,    /* it was written to already, by a handle of before (tree_parting.h) */
    OPEN_NAMELESS = 64,    /* open it even where it has no name any more: the client has it open already */
    OPEN_DROPS_SET_ID = 32 /* whoever writes has no right to keep the file's set-uid and set-gid bits */
};

/* Creates (or, without OPEN_EXCLUSIVE, opens an existing) file. */
MUST_CHECK enum code tree_make_file(struct tree *tree, struct node_id folder, const char *name, const struct tree_new *what,
                                    unsigned flags, struct node_attributes *attributes, struct tree_file **out,
                                    struct failure *why);

/* The same for what belongs to whoever mounts. */
MUST_CHECK enum code tree_create_file(struct tree *tree, struct node_id folder, const char *name, uint32_t mode,
                                      unsigned flags, struct node_attributes *attributes, struct tree_file **out,
                                      struct failure *why);

/* CODE_NOT_FOUND where the file has no name any more and OPEN_NAMELESS is not among the flags. */
MUST_CHECK enum code tree_open_file(struct tree *tree, struct node_id node, unsigned flags, struct tree_file **out,
                                    struct failure *why);

/* Reads up to count bytes at offset; *got < count only at the end of the file.  A stream's read ignores offset, and
 * gives CODE_AGAIN where it has nothing yet (see tree_file_watch). */
MUST_CHECK enum code tree_read(struct tree_file *file, uint64_t offset, void *bytes, size_t count, size_t *got,
                               struct failure *why);

/* Writes all of it or fails.  With OPEN_APPEND the offset is ignored: the bytes go to the end, whole. */
MUST_CHECK enum code tree_write(struct tree_file *file, uint64_t offset, const void *bytes, size_t count,
                                struct failure *why);

/* The same for a page that a client changed through a map: it has its place, also where the handle by which it comes was
 * opened with OPEN_APPEND. */
MUST_CHECK enum code tree_write_page(struct tree_file *file, uint64_t offset, const void *bytes, size_t count,
                                     struct failure *why);

/* The same two for who has to answer a writer.  taken(context) is called without any lock once the write can no longer fail,
 * and not where it fails.  What is left then, sealing whole chunks and storing them, is done before this returns, beside
 * whatever the writer does next; the bytes stay as they are until then. */
struct tree_writing {
    uint64_t offset;
    const void *bytes;
    size_t count;
    bool placed; /* as tree_write_page */
    void (*taken)(void *context);
    void *context;
};
MUST_CHECK enum code tree_write_answered(struct tree_file *file, const struct tree_writing *writing, struct failure *why);

/* What close(2) answers: asks the rules that check contents (rule.h). */
MUST_CHECK enum code tree_flush(struct tree_file *file, struct failure *why);
MUST_CHECK enum code tree_fsync(struct tree_file *file, struct failure *why);

/* The same without waiting: done(context, code, why) is called once, from any thread, maybe before this returns.  The handle
 * must not be released before. */
typedef void tree_fsync_done(void *context, enum code code, const struct failure *why);
void tree_fsync_start(struct tree_file *file, tree_fsync_done *done, void *context);

/* The handle is gone afterwards; rules act now. */
void tree_release(struct tree_file *file);

struct node_id tree_file_node(const struct tree_file *file);

/* Counts up whenever the node's contents change other than through this very handle's session: lets a session
 * decide whether the kernel's cached pages are still good. */
uint64_t tree_file_version(const struct tree_file *file);

/* Preallocates or punches: mode as fallocate(2) (0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE); others
 * CODE_UNSUPPORTED. */
MUST_CHECK enum code tree_allocate(struct tree_file *file, int mode, uint64_t offset, uint64_t count, struct failure *why);

/* The next data (or hole) at `offset` or behind it, as lseek(2)'s SEEK_DATA (SEEK_HOLE); the end of the file counts as a
 * hole. In steps of whole chunks.  CODE_NO_OFFSET at and behind the end, and where no data follows. */
enum tree_seek { SEEK_TO_DATA, SEEK_TO_HOLE };
MUST_CHECK enum code tree_seek(struct tree_file *file, uint64_t offset, enum tree_seek to, uint64_t *found,
                               struct failure *why);

/* Copies a range from one file to another, or to elsewhere in the same, as copy_file_range(2): *copied is less than count at
 * the end of `from`, and may be less anywhere, but is 0 only there.  Holes stay holes. */
struct tree_copy {
    struct tree_file *from, *to;
    uint64_t from_offset, to_offset, count;
};
MUST_CHECK enum code tree_copy(const struct tree_copy *copy, uint64_t *copied, struct failure *why);

/* Registers interest in a stream: `wake(context)` is called once, from any thread, when a read would give something.
 * NULL takes the registration back.  Returns whether it is readable right now. */
bool tree_file_watch(struct tree_file *file, void (*wake)(void *context), void *context);

/* The advisory locks on the tree's files, of all its clients (lock_table.h); lives as long as the tree. */
struct lock_table;
struct lock_table *tree_locks(struct tree *tree);

/* Folders ---------------------------------------------------------------------------------------------------------- */

struct tree_folder; /* an open folder: a stable listing */

MUST_CHECK enum code tree_open_folder(struct tree *tree, struct node_id node, struct tree_folder **out, struct failure *why);

/* One entry after another, cursor 0 first ("." and ".." are not among them).  False at the end.  *name is valid until
 * the folder is closed. */
bool tree_folder_entry(struct tree_folder *folder, uint64_t cursor, const char **name, struct node_attributes *attributes);
void tree_close_folder(struct tree_folder *folder);

/* Extended attributes (user.* and the like; names and values are encrypted) ------------------------------------ */

#define TREE_XATTR_SNAPSHOT_NUMBER "user.cytofs.number" /* of .snap/<label>: read only, not listed */

enum { XATTR_CREATE_FLAG = 1, XATTR_REPLACE_FLAG = 2 };
MUST_CHECK enum code tree_set_xattr(struct tree *tree, struct node_id node, const char *name, const void *value,
                                    size_t count, int flags, struct failure *why);
MUST_CHECK enum code tree_get_xattr(struct tree *tree, struct node_id node, const char *name, struct buffer *value,
                                    struct failure *why);
MUST_CHECK enum code tree_list_xattrs(struct tree *tree, struct node_id node, struct buffer *names,
                                      struct failure *why); /* NUL-separated, as listxattr(2) */
MUST_CHECK enum code tree_remove_xattr(struct tree *tree, struct node_id node, const char *name, struct failure *why);

/* The whole --------------------------------------------------------------------------------------------------------- */

MUST_CHECK enum code tree_sync(struct tree *tree, struct failure *why);

/* The same; and what the log of recent writes holds, which is needed no more then, is overwritten at its beginning. */
MUST_CHECK enum code tree_renew_recent(struct tree *tree, struct failure *why);

/* A line for each folder that holds the store, where there are several (mirror_set_describe). */
void tree_describe_mirrors(struct tree *tree, struct buffer *out);

/* The catalog, for those that look after its pages and touch no rows (catalog_pages.h). */
struct catalog *tree_catalog(struct tree *tree);

/* Between the two no pack of chunks is dropped: what the catalog's last committed state names, and every later one, stays
 * readable where it lies.  For copying from the chunk store beside the tree.  They count. */
void tree_hold_packs(struct tree *tree);
void tree_release_packs(struct tree *tree);

/* Writes the catalog as of the last commit to a new file (catalog_image.h).  With tree_sync before it: of now. */
MUST_CHECK enum code tree_save_catalog(struct tree *tree, const char *path, struct failure *why);

/* Counts include what snapshots hold; in a large lab they may lag by some seconds. */
struct tree_statistics {
    uint64_t files, folders; /* files and symbolic links; folders */
    uint64_t bytes_logical;  /* the sum of the files' sizes */
    uint64_t bytes_stored;   /* what the chunk store takes, with what is to be given back */
    uint64_t bytes_shared;   /* that did not have to be stored, since the tree was opened: the space had them */
    uint64_t dirty_bytes;    /* of contents that are in memory only */
    uint64_t commits;        /* since the tree was opened */
    uint64_t bytes_free;     /* on the device that holds the chunks */
};
void tree_statistics(struct tree *tree, struct tree_statistics *out);

/* A snapshot is found by its label, by its number (from 1 in each dataset, never given out twice), and by a moment (when.h):
 * the last one made at or before it.  .snap/<number> and .snap/<moment> are symbolic links to the label that are not listed;
 * no label may look like one of them. */

/* Makes folder/.snap/<label>, a read-only image of everything below `folder` as it is now, in time that does not grow
 * with bytes.  `mkdir folder/.snap/label` calls this too.  With reuse, a snapshot that already equals the present
 * state is taken instead and its label returned.  label: in, a wanted label ("" for the next free "auto-N"); out, the
 * label used, up to TREE_NAME_MAX bytes. */
MUST_CHECK enum code tree_snapshot(struct tree *tree, struct node_id folder, bool reuse, char label[TREE_NAME_MAX + 1],
                                   struct failure *why);

#endif
