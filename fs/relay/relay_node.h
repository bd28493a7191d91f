/* Inside fs/relay: files and folders that we were told of, and their names. */
#ifndef CYTOFS_RELAY_NODE_H
#define CYTOFS_RELAY_NODE_H

#include "relay_call.h"

#define RELAY_NODE_BUCKETS 65536
#define RELAY_DERIVED      (UINT64_C(1) << 63) /* set in the ids of nodes that the server makes as they are read */

struct relay_entry;
struct relay_fresh;
struct relay_listing;
struct relay_piece;

struct relay_node {
    uint64_t id, generation;
    struct relay_node *next; /* in its bucket */
    uint64_t kernel_lookups; /* that the kernel has to give back */
    uint64_t server_lookups; /* that we have to give back to the server */
    bool known;              /* attr is what the server has, until it tells */
    bool stored;             /* the server tells us when it changes */
    bool touched;            /* used since the last sweep */
    bool lost;               /* it could not be made: EIO */
    struct fuse_attr attr;
    uint32_t opens;             /* handles */
    uint32_t writing;           /* WRITEs under way that the kernel was told are done */
    struct relay_write *writes; /* their ranges */
    struct relay_queue waiting; /* for those to be answered, or for `fresh` to be made */
    struct relay_fresh *fresh;  /* it is not on the server yet */
    struct relay_entry *names;  /* entries that lead here */

    /* relay_durable.h */
    uint64_t change; /* the number of its last change that the server has answered and may not have made durable; 0: none */
    int64_t change_ms; /* when that was */
    bool doubtful;     /* some of it may be lost: to be told */

    /* A folder. */
    struct relay_entry *first, *last; /* in listing order */
    uint32_t entry_count;
    bool complete;                 /* these are all of its entries */
    struct relay_listing *listing; /* is being listed */
    bool walked;                   /* somebody reads it: the folders in it are listed ahead */
    int64_t unlistable_ms;         /* until then listing it again is no use */
    uint32_t fresh_children;       /* made here and not at the server yet; until they are, our times of it count */
    uint32_t busy;                 /* what must keep it in the table */
    uint64_t ahead_order;          /* up to which entry contents were fetched ahead */
    uint32_t jumps, runs;          /* openings of its files in a row: out of order, in order */
    struct relay_entry *opened;    /* the file opened last; NULL: none, or it is gone */
    struct relay_entry *ahead_all; /* where fetching all of it goes on */
    bool scattered;                /* all of it is being fetched */

    /* A file. */
    struct relay_piece *pieces;
    uint64_t opened_version; /* of the pages that the kernel may have */
    int64_t hot_ms;          /* changed while we were fetching it: until then reads go to the server */
    bool no_xattrs;
};

struct relay_entry {
    struct relay_entry *next; /* in its bucket */
    struct relay_node *folder, *child;
    struct relay_entry *before, *behind; /* in the folder */
    struct relay_entry *other;           /* the child's next name */
    uint64_t order;
    uint64_t listed; /* stamp of the listing that it was last in */
    uint32_t length;
    char name[];
};

struct relay_nodes {
    struct relay_node *buckets[RELAY_NODE_BUCKETS];
    struct relay_entry *entries[RELAY_NODE_BUCKETS];
    size_t count;
    uint64_t last_order;
    size_t sweep;   /* the bucket where the next sweep begins */
    uint64_t *ripe; /* ids of nodes without a name that the kernel does not hold: to be forgotten soon */
    size_t ripe_count, ripe_room;
};

struct relay_node *relay_node_find(struct relay *relay, uint64_t id);
struct relay_node *relay_node_get(struct relay *relay, uint64_t id); /* makes it where it is missing */

/* Something about it is changing, or has changed: what was asked for before is not kept, what we had is dropped. */
void relay_node_changed(struct relay *relay, struct relay_node *node);
void relay_node_changed_id(struct relay *relay, uint64_t id);
/* Whether an answer asked for at `stamp` may be kept. */
bool relay_node_unchanged_since(const struct relay *relay, uint64_t id, uint64_t stamp);

/* The same for changes of others alone: our own are known to us. */
void relay_node_changed_by_others(struct relay *relay, uint64_t id);
bool relay_node_left_alone_since(const struct relay *relay, uint64_t id, uint64_t stamp);

/* The server told us of a node, which counts as a lookup: with attributes (ours is the owner), as of `stamp`. */
struct relay_node *relay_node_learn(struct relay *relay, struct fuse_entry_out *entry, uint64_t stamp);
/* New attributes of a node. */
void relay_node_take_attributes(struct relay *relay, struct relay_node *node, struct fuse_attr *attr, bool stored,
                                uint64_t stamp);

/* What the kernel is told: the node with its attributes, to be kept as long as we keep them. */
void relay_node_fill_entry(const struct relay *relay, const struct relay_node *node, struct fuse_entry_out *out);
void relay_node_fill_attr(const struct relay *relay, const struct relay_node *node, struct fuse_attr_out *out);

/* Whether what it holds is known by its listing alone: stored files below datasets/ and home/. */
bool relay_node_is_plain(const struct relay *relay, const struct relay_node *folder);

/* When the contents last changed, as one number. */
uint64_t relay_node_version(const struct relay_node *node);

/* Where it is, for the log. */
void relay_node_path(const struct relay_node *node, char *path, size_t size);
/* Tells the log that something written to it did not get through. */
void relay_node_path_warn(const struct relay_node *node, int error);

void relay_node_forget(struct relay *relay, struct relay_output *out, uint64_t id, uint64_t count);
/* Forgets what nobody has used for long, where there is too much. */
void relay_node_sweep(struct relay *relay, struct relay_output *out);
void relay_node_tell_forgets(struct relay *relay, struct relay_output *out);
void relay_node_clear(struct relay *relay);

struct relay_entry *relay_entry_find(struct relay *relay, const struct relay_node *folder, const char *name);
/* The name leads there from now on. */
struct relay_entry *relay_entry_set(struct relay *relay, struct relay_node *folder, const char *name,
                                    struct relay_node *child);
void relay_entry_remove(struct relay *relay, struct relay_entry *entry);
void relay_entry_remove_all(struct relay *relay, struct relay_node *folder);

#endif
