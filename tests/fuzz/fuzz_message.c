/* Messages of a client on another machine that means harm.  An input is a run of messages, each: two bytes of length, then
 * the message from its opcode on (header fields that do not matter are filled in).  What passes the check goes into a
 * session of a lab in memory, each in memory of its own size, so that the address sanitizer sees the library read one byte
 * too many. */
#include "fuzzing.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "chunk_store.h"
#include "chunk_store_memory.h"
#include "extra.h"
#include "message_check.h"
#include "session.h"
#include "tree.h"
#include "viewer.h"

#define MESSAGES_MAX 64    /* of one input */
#define RENEW_INPUTS 20000 /* a lab in memory grows: it is made anew after so many */

static struct lab {
    struct chunk_store *chunks;
    struct tree *tree;
    struct session *session;
    uint64_t inputs;
} lab;

static const struct viewer viewer = {.name = "eve", .role = ROLE_SCIENTIST, .session = 1};

static void take_answer(void *context, const struct iovec *parts, int count)
{
    (void)context;
    const struct fuse_out_header *header = parts[0].iov_base;
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    assert(header->len == length && length <= MESSAGE_IO_MAX + 4096);
}

static void greet(void)
{
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } message = {.header = {.opcode = FUSE_INIT, .unique = 1}, .init = {.major = 7, .minor = 38, .flags = UINT32_MAX}};
    size_t length = message.header.len = sizeof message;
    struct message known;
    struct failure why;
    enum code code = message_check(&message, &length, 0, &known, &why);
    assert(code == CODE_OK);
    session_process(lab.session, &message, length);
}

static void end(void)
{
    session_destroy(lab.session);
    if (lab.tree)
        tree_close(lab.tree);
    chunk_store_destroy(lab.chunks);
    lab.session = NULL;
    lab.tree = NULL;
    lab.chunks = NULL;
}

static void renew(void)
{
    struct failure why;
    static bool registered;
    end();
    enum code code = chunk_store_memory_create(0, &lab.chunks, &why);
    const struct tree_open_options options = {.chunks = lab.chunks, .member_name = "ada"};
    if (code == CODE_OK)
        code = tree_open(&options, &lab.tree, &why);
    const struct session_peer peer = {.send = take_answer, .viewer = &viewer};
    const struct session_options session = {.peer = &peer};
    if (code == CODE_OK)
        code = session_start(lab.tree, &session, &lab.session, &why);
    assert(code == CODE_OK);
    if (!registered)
        atexit(end); /* keys lie where the leak checker does not look; now, so that it comes before the cryptographic
                        library's own end */
    registered = true;
    greet();
}

static void try_message(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct message known;
    size_t length = 4 + count; /* an input has no length field: it is the true one, or, by the last bit of the opcode's
                                  highest byte, a lie */
    uint8_t *message = malloc(length);
    assert(message);
    memcpy(message + 4, bytes, count);
    bytes_store32(message, (uint32_t)length);
    if (count >= 4 && bytes[3] & 0x80) {
        message[7] &= 0x7f;
        bytes_store32(message, (uint32_t)length + 7);
    }
    if (message_check(message, &length, 1, &known, &why) == CODE_OK)
        session_process(lab.session, message, length);
    else
        assert(why.text[0]);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (lab.inputs++ % RENEW_INPUTS == 0)
        renew();
    for (int i = 0; i < MESSAGES_MAX && count >= 2; i++) {
        size_t length = bytes_load16(bytes);
        if (length > count - 2)
            length = count - 2;
        try_message(bytes + 2, length);
        bytes += 2 + length;
        count -= 2 + length;
    }
    return 0;
}

/* Seeds: a message of each operation, on nodes that exist (1 the root, 2 and up its folders). */
static void put(uint8_t **at, uint32_t opcode, uint64_t node, const void *body, size_t count)
{
    struct fuse_in_header header = {.opcode = opcode, .unique = 2, .nodeid = node};
    size_t length = sizeof header - 4 + count;
    bytes_store16(*at, (uint16_t)length);
    memcpy(*at + 2, (uint8_t *)&header + 4, sizeof header - 4);
    memcpy(*at + 2 + sizeof header - 4, body, count);
    *at += 2 + length;
}

struct create_message {
    struct fuse_create_in fixed;
    char name[8];
};
struct write_message {
    struct fuse_write_in fixed;
    char data[24];
};
struct rename_message {
    struct fuse_rename2_in fixed;
    char names[4];
};
struct put_message {
    struct extra_put_in fixed;
    char name[4];
    char data[12];
};
struct forget_message {
    struct fuse_batch_forget_in fixed;
    struct fuse_forget_one one;
};
struct xattr_message {
    uint32_t size, flags;
    char name[8], value[4];
};

#define FOLDER 2  /* datasets, or another of the lab's folders */
#define MADE   64 /* about the number that a first new file gets; mutations find the right one */

static void put_files(uint8_t **at)
{
    put(at, FUSE_CREATE, FOLDER, &(struct create_message){{.flags = 2, .mode = 0644}, "created"},
        sizeof(struct create_message));
    put(at, FUSE_WRITE, MADE, &(struct write_message){{.size = 24}, "twenty-three characters"},
        sizeof(struct write_message));
    put(at, FUSE_READ, MADE, &(struct fuse_read_in){.size = 4096}, sizeof(struct fuse_read_in));
    put(at, FUSE_OPEN, MADE, &(struct fuse_open_in){.flags = 2}, sizeof(struct fuse_open_in));
    put(at, FUSE_FLUSH, MADE, &(struct fuse_flush_in){0}, sizeof(struct fuse_flush_in));
    put(at, FUSE_FSYNC, MADE, &(struct fuse_fsync_in){0}, sizeof(struct fuse_fsync_in));
    put(at, FUSE_FALLOCATE, MADE, &(struct fuse_fallocate_in){.length = 100}, sizeof(struct fuse_fallocate_in));
    put(at, FUSE_LSEEK, MADE, &(struct fuse_lseek_in){.whence = 3}, sizeof(struct fuse_lseek_in));
    put(at, FUSE_SETLKW, MADE, &(struct fuse_lk_in){.lk = {.end = 10, .type = 1}}, sizeof(struct fuse_lk_in));
    put(at, FUSE_POLL, MADE, &(struct fuse_poll_in){.kh = 5}, sizeof(struct fuse_poll_in));
    put(at, FUSE_COPY_FILE_RANGE, MADE, &(struct fuse_copy_file_range_in){.nodeid_out = MADE, .len = 9},
        sizeof(struct fuse_copy_file_range_in));
    put(at, FUSE_RELEASE, MADE, &(struct fuse_release_in){0}, sizeof(struct fuse_release_in));
    put(at, EXTRA_FETCH, MADE, &(struct extra_fetch_in){.size = 4096}, sizeof(struct extra_fetch_in));
    put(at, EXTRA_REOPEN, MADE, &(struct extra_reopen_in){.flags = 0}, sizeof(struct extra_reopen_in));
}

static void put_names(uint8_t **at)
{
    put(at, FUSE_LOOKUP, FUSE_ROOT_ID, "datasets", 9);
    put(at, FUSE_MKDIR, FOLDER, &(struct create_message){{.flags = 0755}, "cells\0"}, 14);
    put(at, FUSE_SYMLINK, FOLDER, "link\0target", 12);
    put(at, FUSE_MKNOD, FOLDER, &(struct create_message){{.flags = 0100644}, "mknod"}, 22);
    put(at, FUSE_RENAME2, FOLDER, &(struct rename_message){{.newdir = FOLDER}, "a\0b"}, sizeof(struct rename_message));
    put(at, FUSE_LINK, FOLDER, "\100\0\0\0\0\0\0\0hard", 13);
    put(at, FUSE_UNLINK, FOLDER, "a", 2);
    put(at, FUSE_RMDIR, FOLDER, "cells", 6);
    put(at, FUSE_READLINK, MADE, "", 0);
    put(at, EXTRA_RESERVE, FUSE_ROOT_ID, &(struct extra_reserve_in){.count = 16}, sizeof(struct extra_reserve_in));
    put(at, EXTRA_PUT, FOLDER,
        &(struct put_message){{.node = MADE, .mode = 0644, .name_length = 4, .size = 12}, "put", "eleven bytes"},
        sizeof(struct put_message));
    put(at, EXTRA_KEYS, FUSE_ROOT_ID, "", 0);
    put(at, EXTRA_LEND, FUSE_ROOT_ID, &(struct extra_lent_key){.number = 4, .generation = 1}, sizeof(struct extra_lent_key));
}

static void put_attributes(uint8_t **at)
{
    put(at, FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){0}, sizeof(struct fuse_getattr_in));
    put(at, FUSE_SETATTR, FOLDER, &(struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0700},
        sizeof(struct fuse_setattr_in));
    put(at, FUSE_SETXATTR, FOLDER, &(struct xattr_message){.size = 4, .name = "user.ab", .value = "abc"},
        sizeof(struct xattr_message));
    put(at, FUSE_GETXATTR, FOLDER, &(struct xattr_message){.size = 100, .name = "user.ab"}, 16);
    put(at, FUSE_LISTXATTR, FOLDER, &(struct fuse_getxattr_in){.size = 100}, sizeof(struct fuse_getxattr_in));
    put(at, FUSE_REMOVEXATTR, FOLDER, "user.ab", 8);
    put(at, FUSE_OPENDIR, FUSE_ROOT_ID, &(struct fuse_open_in){0}, sizeof(struct fuse_open_in));
    put(at, FUSE_READDIRPLUS, FUSE_ROOT_ID, &(struct fuse_read_in){.size = 4096}, sizeof(struct fuse_read_in));
    put(at, FUSE_RELEASEDIR, FUSE_ROOT_ID, &(struct fuse_release_in){0}, sizeof(struct fuse_release_in));
    put(at, FUSE_STATFS, FUSE_ROOT_ID, "", 0);
    put(at, FUSE_INTERRUPT, FUSE_ROOT_ID, &(struct fuse_interrupt_in){.unique = 2}, sizeof(struct fuse_interrupt_in));
    put(at, FUSE_FORGET, FOLDER, &(struct fuse_forget_in){.nlookup = 1}, sizeof(struct fuse_forget_in));
    put(at, FUSE_BATCH_FORGET, 0, &(struct forget_message){{.count = 1}, {.nodeid = MADE, .nlookup = 1}},
        sizeof(struct forget_message));
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static void (*const make[])(uint8_t **) = {put_files, put_names, put_attributes};
    if (index >= sizeof make / sizeof *make)
        return NULL;
    uint8_t *seed = malloc(8192), *end = seed;
    assert(seed);
    make[index](&end);
    *count = (size_t)(end - seed);
    return seed;
}
