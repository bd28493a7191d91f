/* Operations between relay and server that the kernel's protocol lacks: private opcodes in ordinary messages (struct
 * fuse_in_header, answered by struct fuse_out_header), all numbers little-endian.  The header's nodeid is the node, or the
 * folder, that is meant. Version 1; told apart by WIRE_VERSION in the links' HELLO. */
#ifndef CYTOFS_EXTRA_H
#define CYTOFS_EXTRA_H

#include <linux/fuse.h>
#include <stdint.h>

#include "identity.h"
#include "member_key.h"

enum extra_opcode {
    EXTRA_FETCH = 0x63790001,   /* a file's contents, without opening it */
    EXTRA_PUT = 0x63790002,     /* a new small file, whole */
    EXTRA_RESERVE = 0x63790003, /* inode numbers for files to be put */
    EXTRA_REOPEN = 0x63790004,  /* a handle for what was open before the server forgot */
    EXTRA_KEYS = 0x63790005,    /* wrapped keys that the server cannot open and the member can */
    EXTRA_LEND = 0x63790006,    /* those keys, opened */
};

/* A notification: the `error` of a struct fuse_out_header whose unique is 0, without a body.  Everything may have changed,
 * also who may see it: the client drops all that it has cached. */
#define EXTRA_NOTIFY_EVERYTHING 0x6379

#define EXTRA_FETCH_MAX   (1u << 20) /* bytes in one answer */
#define EXTRA_PUT_MAX     (1u << 20) /* bytes of contents */
#define EXTRA_RESERVE_MAX 4096       /* numbers in one answer */

/* FETCH: up to `size` bytes at `offset`, and the attributes as they were then.  Fewer bytes only at the end of the file.
 * Stored regular files only: EINVAL for others. */
struct extra_fetch_in {
    uint64_t offset;
    uint32_t size; /* 0: the attributes alone */
    uint32_t padding;
};
struct extra_fetch_out {
    struct fuse_attr attr;
    uint32_t size, padding; /* followed by `size` bytes */
};

/* PUT: makes `name` in the folder with the contents, as CREATE, WRITE, FLUSH, RELEASE would; all or nothing.  Answered by
 * struct fuse_entry_out, which counts as a lookup; or, where a rule does not like the contents, as FLUSH would be, and the
 * file is there all the same.  Where the name has that node already, it is a repetition: fine, whatever the flags. */
enum {
    EXTRA_PUT_EXCLUSIVE =
        1, /* fails with EEXIST where there is such a name; else a file's contents are replaced, and its node answered */
    EXTRA_PUT_MADE = 2 /* contents for the file that an earlier PUT has made with this number: ENOENT where the name leads
                          elsewhere by now */
};
struct extra_put_in {
    uint64_t node;  /* the inode number that it gets: one that was reserved for this client and not used yet, else EINVAL */
    uint32_t mode;  /* permission bits */
    uint32_t flags; /* EXTRA_PUT_* */
    int64_t modify_ns, access_ns; /* since 1970 */
    uint32_t name_length;         /* with its terminator; the name follows, then `size` bytes */
    uint32_t size;
};

/* RESERVE: consecutive inode numbers for this client alone, until its session ends; and bytes of the member's quota, set
 * aside for files that will be put, beside those that are already: as long as a client has closed no more than it was given,
 * none of its files is refused for the quota.  Where both are 0, all bytes that are set aside are given back. */
struct extra_reserve_in {
    uint32_t count; /* 0: none */
    uint32_t bytes;
};
struct extra_reserve_out {
    uint64_t first; /* 0 where count is */
    uint32_t count;
    uint32_t bytes; /* that were set aside: less where the quota is nearly used up */
};

/* REOPEN: as OPEN or OPENDIR, also for what has no name any more (as long as the server still has it). */
struct extra_reopen_in {
    uint32_t flags;  /* as of open(2), without O_CREAT, O_EXCL, O_TRUNC */
    uint32_t folder; /* 1: a folder */
};                   /* answered by struct fuse_open_out */

/* KEYS: no body.  Answered by as many of these as fit one message; once lent, a key is not listed again. */
struct extra_wrapped_key {
    uint8_t store[IDENTITY_BYTES], space[IDENTITY_BYTES];
    uint64_t number;             /* of the space */
    uint32_t generation, length; /* of `wrapped` */
    uint8_t sender_id[IDENTITY_BYTES], sender_key[MEMBER_KEY_BYTES];
    uint8_t wrapped[128];
};

/* LEND: as many of these as fit; forgotten when the member's last session ends. */
struct extra_lent_key {
    uint64_t number;
    uint32_t generation, padding;
    uint8_t key[32]; /* of the space */
};

#endif
