/* See hostile_messages.h.  A message is put together from its opcode's layout with fields that are mostly plausible, since
 * nonsense alone never gets past the first check. */
#include "hostile_messages.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"

#define KNOWN_MAX    256
#define MESSAGE_MAX  16384
#define DATA_MAX     6000
#define UNIQUES_KEPT 64

enum names { NO_NAME, NAME, NAME_TARGET, TWO_NAMES, XATTR_NAME };

static const struct layout {
    uint32_t opcode, fixed;
    enum names names;
    unsigned weight;
} layouts[] = {
    {FUSE_LOOKUP, 0, NAME, 8},
    {FUSE_FORGET, sizeof(struct fuse_forget_in), NO_NAME, 1},
    {FUSE_GETATTR, sizeof(struct fuse_getattr_in), NO_NAME, 4},
    {FUSE_SETATTR, sizeof(struct fuse_setattr_in), NO_NAME, 3},
    {FUSE_READLINK, 0, NO_NAME, 2},
    {FUSE_SYMLINK, 0, NAME_TARGET, 3},
    {FUSE_MKNOD, sizeof(struct fuse_mknod_in), NAME, 2},
    {FUSE_MKDIR, sizeof(struct fuse_mkdir_in), NAME, 2},
    {FUSE_UNLINK, 0, NAME, 2},
    {FUSE_RMDIR, 0, NAME, 1},
    {FUSE_RENAME, sizeof(struct fuse_rename_in), TWO_NAMES, 2},
    {FUSE_RENAME2, sizeof(struct fuse_rename2_in), TWO_NAMES, 3},
    {FUSE_LINK, sizeof(struct fuse_link_in), NAME, 4},
    {FUSE_OPEN, sizeof(struct fuse_open_in), NO_NAME, 8},
    {FUSE_READ, sizeof(struct fuse_read_in), NO_NAME, 10},
    {FUSE_WRITE, sizeof(struct fuse_write_in), NO_NAME, 8},
    {FUSE_STATFS, 0, NO_NAME, 1},
    {FUSE_RELEASE, sizeof(struct fuse_release_in), NO_NAME, 4},
    {FUSE_FSYNC, sizeof(struct fuse_fsync_in), NO_NAME, 1},
    {FUSE_SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE, XATTR_NAME, 3},
    {FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), XATTR_NAME, 4},
    {FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), NO_NAME, 3},
    {FUSE_REMOVEXATTR, 0, XATTR_NAME, 1},
    {FUSE_FLUSH, sizeof(struct fuse_flush_in), NO_NAME, 4},
    {FUSE_INIT, 16, NO_NAME, 1},
    {FUSE_OPENDIR, sizeof(struct fuse_open_in), NO_NAME, 5},
    {FUSE_READDIR, sizeof(struct fuse_read_in), NO_NAME, 5},
    {FUSE_READDIRPLUS, sizeof(struct fuse_read_in), NO_NAME, 5},
    {FUSE_RELEASEDIR, sizeof(struct fuse_release_in), NO_NAME, 3},
    {FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), NO_NAME, 1},
    {FUSE_GETLK, sizeof(struct fuse_lk_in), NO_NAME, 2},
    {FUSE_SETLK, sizeof(struct fuse_lk_in), NO_NAME, 3},
    {FUSE_SETLKW, sizeof(struct fuse_lk_in), NO_NAME, 2},
    {FUSE_CREATE, sizeof(struct fuse_create_in), NAME, 6},
    {FUSE_INTERRUPT, sizeof(struct fuse_interrupt_in), NO_NAME, 2},
    {FUSE_POLL, sizeof(struct fuse_poll_in), NO_NAME, 2},
    {FUSE_BATCH_FORGET, sizeof(struct fuse_batch_forget_in), NO_NAME, 1},
    {FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), NO_NAME, 2},
    {FUSE_LSEEK, sizeof(struct fuse_lseek_in), NO_NAME, 2},
    {FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), NO_NAME, 4},
    {FUSE_IOCTL, 32, NO_NAME, 1},
    {FUSE_BMAP, 16, NO_NAME, 1},
    {FUSE_NOTIFY_REPLY, 40, NO_NAME, 1},
    {FUSE_DESTROY, 0, NO_NAME, 1},
    {FUSE_ACCESS, 8, NO_NAME, 1},
    {EXTRA_FETCH, sizeof(struct extra_fetch_in), NO_NAME, 8},
    {EXTRA_PUT, sizeof(struct extra_put_in), NAME, 6},
    {EXTRA_RESERVE, sizeof(struct extra_reserve_in), NO_NAME, 1},
    {EXTRA_REOPEN, sizeof(struct extra_reopen_in), NO_NAME, 6},
    {EXTRA_KEYS, 0, NO_NAME, 1},
    {EXTRA_LEND, 0, NO_NAME, 2},
};
#define LAYOUTS (sizeof layouts / sizeof *layouts)

static const char *const names[] = {
    "datasets",   "home",   "ada",        "bob",    "f",      "closed",  "shared", "mine",    "x",         "y",
    "z",          "jobs",   "a.yaml",     "b.yaml", "c.yaml", "c.error", "lab",    "members", "spaces",    "home-ada",
    "production", "e",      "a",          "b",      "1",      "2",       "3",      ".snap",   "v1",        "secret",
    "deep",       "er",     "last-error", "README", "queue",  "events",  "link",   "status",  ".cytofs-x", "board.csv",
    "trace",      "health", "..",         ".",      "sl/ash", "",        "audit",  "metrics"};
static const char *const targets[] = {
    "../../home/ada/secret", "../closed/secret", "/etc/passwd", "f", "../home/ada/secret", "../../../home/ada/secret", "."};
static const char *const xattrs[] = {
    "user.secret",        "user.a",   "security.capability", "system.posix_acl_access", "cytofs.record",
    "user.cytofs.number", "trusted.x"};
static const char *const texts[] = {"share bob\n",
                                    "share everyone\n",
                                    "unshare ada\n",
                                    "leave\n",
                                    "rotate\n",
                                    "role admin\n",
                                    "invite admin\n",
                                    "dataset: datasets/closed\ntrain: {network: celldet-n, epochs: 1}\n",
                                    "run: cat ../../home/ada/secret\n",
                                    "dataset: datasets/mine/.snap/../../closed\ntrain: {epochs: 1}\n"};

struct hostile_messages {
    uint64_t random, unique;
    uint64_t nodes[KNOWN_MAX], handles[KNOWN_MAX];
    size_t node_count, handle_count, first_made; /* nodes before first_made were given by the test, and stay */
    uint32_t opcodes[UNIQUES_KEPT];              /* of the latest messages, by unique number */
    uint8_t bytes[MESSAGE_MAX];
    size_t count;
    unsigned weight_all;
};

static uint64_t draw(struct hostile_messages *messages)
{
    messages->random ^= messages->random << 13;
    messages->random ^= messages->random >> 7;
    messages->random ^= messages->random << 17;
    return messages->random;
}

static uint64_t below(struct hostile_messages *messages, uint64_t bound)
{
    return draw(messages) % bound;
}

#define ONE_OF(messages, list) ((list)[below(messages, sizeof(list) / sizeof *(list))])

struct hostile_messages *hostile_messages_create(uint64_t seed)
{
    struct hostile_messages *messages = calloc(1, sizeof *messages);
    if (!messages)
        abort();
    messages->random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    for (size_t i = 0; i < LAYOUTS; i++)
        messages->weight_all += layouts[i].weight;
    return messages;
}

void hostile_messages_destroy(struct hostile_messages *messages)
{
    free(messages);
}

void hostile_messages_forget(struct hostile_messages *messages)
{
    messages->node_count = messages->handle_count = messages->first_made = 0;
}

void hostile_messages_add_node(struct hostile_messages *messages, uint64_t node)
{
    if (messages->node_count < KNOWN_MAX)
        messages->nodes[messages->node_count++] = node;
    messages->first_made = messages->node_count;
}

static void learn_node(struct hostile_messages *messages, uint64_t node)
{
    if (messages->node_count < KNOWN_MAX)
        messages->nodes[messages->node_count++] = node;
    else
        messages->nodes[messages->first_made + below(messages, KNOWN_MAX - messages->first_made)] = node;
}

static void learn_handle(struct hostile_messages *messages, uint64_t handle)
{
    if (messages->handle_count < KNOWN_MAX)
        messages->handles[messages->handle_count++] = handle;
    else
        messages->handles[below(messages, KNOWN_MAX)] = handle;
}

void hostile_messages_learn(struct hostile_messages *messages, uint64_t unique, const void *body, size_t count)
{
    uint64_t number;
    uint32_t opcode = messages->opcodes[unique % UNIQUES_KEPT];
    bool is_entry = opcode == FUSE_LOOKUP || opcode == FUSE_MKNOD || opcode == FUSE_MKDIR || opcode == FUSE_SYMLINK ||
                    opcode == FUSE_LINK || opcode == FUSE_CREATE || opcode == EXTRA_PUT;
    if (unique > messages->unique || unique + UNIQUES_KEPT <= messages->unique)
        return;
    if (is_entry && count >= sizeof(struct fuse_entry_out)) {
        memcpy(&number, body, sizeof number);
        learn_node(messages, number);
    }
    size_t at = opcode == FUSE_CREATE ? sizeof(struct fuse_entry_out) : 0;
    if ((opcode == FUSE_OPEN || opcode == FUSE_OPENDIR || opcode == FUSE_CREATE || opcode == EXTRA_REOPEN) &&
        count >= at + sizeof number) {
        memcpy(&number, (const uint8_t *)body + at, sizeof number);
        learn_handle(messages, number);
    }
}

/* Fields --------------------------------------------------------------------------------------------------------------- */

static uint64_t some_node(struct hostile_messages *messages)
{
    uint64_t kind = below(messages, 20);
    if (kind == 0)
        return draw(messages);
    if (kind < 3 || messages->node_count == 0)
        return below(messages, 200);
    return messages->nodes[below(messages, messages->node_count)];
}

static uint64_t some_handle(struct hostile_messages *messages)
{
    if (messages->handle_count == 0 || below(messages, 20) == 0)
        return draw(messages);
    return messages->handles[below(messages, messages->handle_count)];
}

static uint64_t some_number(struct hostile_messages *messages)
{
    static const uint64_t numbers[] = {0,   0,    0,     1,       2,          3,         7,         64,
                                       100, 4096, 65536, 1 << 20, UINT32_MAX, INT64_MAX, UINT64_MAX};
    return ONE_OF(messages, numbers);
}

static void append(struct hostile_messages *messages, const void *bytes, size_t count)
{
    if (count > MESSAGE_MAX - messages->count)
        count = MESSAGE_MAX - messages->count;
    memcpy(messages->bytes + messages->count, bytes, count);
    messages->count += count;
}

static void append_text(struct hostile_messages *messages, const char *text)
{
    append(messages, text, strlen(text) + 1);
}

/* Returns how many bytes. */
static size_t append_data(struct hostile_messages *messages)
{
    size_t before = messages->count;
    if (below(messages, 2)) {
        const char *text = ONE_OF(messages, texts);
        append(messages, text, strlen(text));
    } else {
        uint8_t data[DATA_MAX];
        size_t count = below(messages, 50) ? below(messages, 100) : below(messages, DATA_MAX);
        memset(data, (int)draw(messages), count);
        append(messages, data, count);
    }
    return messages->count - before;
}

static uint32_t some_open_flags(struct hostile_messages *messages)
{
    static const uint32_t flags[] = {O_RDONLY,          O_RDONLY,           O_RDONLY,           O_WRONLY, O_RDWR,
                                     O_RDWR | O_APPEND, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC, 3,        UINT32_MAX};
    return ONE_OF(messages, flags);
}

/* The fixed part, as the operation wants it. */
static void fill_fixed(struct hostile_messages *messages, const struct layout *layout, uint8_t *fixed)
{
    for (size_t at = 0; at + 4 <= layout->fixed; at += 4) {
        uint32_t number = (uint32_t)some_number(messages);
        memcpy(fixed + at, &number, 4);
    }
    uint64_t handle = some_handle(messages), node = some_node(messages);
    uint32_t flags = some_open_flags(messages);
    bool plausible = below(messages, 8) != 0;
    switch (layout->opcode) {
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
        memcpy(fixed, &node, sizeof node);
        if (layout->opcode == FUSE_RENAME2)
            memcpy(fixed + 8, &(uint32_t){(uint32_t)below(messages, 4)}, 4);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        *(struct fuse_open_in *)fixed = (struct fuse_open_in){.flags = flags};
        break;
    case EXTRA_REOPEN:
        *(struct extra_reopen_in *)fixed = (struct extra_reopen_in){.flags = flags, .folder = (uint32_t)below(messages, 3)};
        break;
    case FUSE_CREATE:
        *(struct fuse_create_in *)fixed =
            (struct fuse_create_in){.flags = flags | (below(messages, 2) ? O_CREAT : O_CREAT | O_EXCL), .mode = 0644};
        break;
    case FUSE_MKNOD:
        *(struct fuse_mknod_in *)fixed =
            (struct fuse_mknod_in){.mode = (uint32_t)draw(messages) & 0177777, .rdev = (uint32_t)below(messages, 3)};
        break;
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        if (plausible)
            *(struct fuse_read_in *)fixed =
                (struct fuse_read_in){.fh = handle, .size = 8192, .offset = below(messages, 3) ? 0 : below(messages, 9)};
        else
            memcpy(fixed, &handle, sizeof handle);
        break;
    case FUSE_WRITE:
        *(struct fuse_write_in *)fixed =
            (struct fuse_write_in){.fh = handle,
                                   .offset = plausible ? below(messages, 10000) : some_number(messages),
                                   .write_flags = (uint32_t)below(messages, 8)};
        break;
    case FUSE_SETATTR:
        ((struct fuse_setattr_in *)fixed)->valid &= plausible ? 0x1ff : UINT32_MAX;
        ((struct fuse_setattr_in *)fixed)->fh = handle;
        if (plausible)
            ((struct fuse_setattr_in *)fixed)->atimensec = ((struct fuse_setattr_in *)fixed)->mtimensec = 1;
        break;
    case FUSE_GETLK:
    case FUSE_SETLK:
    case FUSE_SETLKW:
        if (plausible)
            *(struct fuse_lk_in *)fixed = (struct fuse_lk_in){
                .fh = handle,
                .owner = below(messages, 4),
                .lk = {.start = below(messages, 9), .end = 9 + below(messages, 9), .type = (uint32_t)below(messages, 3)},
                .lk_flags = (uint32_t)below(messages, 2)};
        break;
    case FUSE_COPY_FILE_RANGE:
        *(struct fuse_copy_file_range_in *)fixed =
            (struct fuse_copy_file_range_in){.fh_in = handle,
                                             .nodeid_out = node,
                                             .fh_out = some_handle(messages),
                                             .off_in = below(messages, 100),
                                             .off_out = below(messages, 100),
                                             .len = plausible ? below(messages, 5000) : some_number(messages)};
        break;
    case EXTRA_FETCH:
        *(struct extra_fetch_in *)fixed = (struct extra_fetch_in){.size = plausible ? 4096 : (uint32_t)some_number(messages),
                                                                  .offset = below(messages, 3) ? 0 : some_number(messages)};
        break;
    case FUSE_INTERRUPT:
        ((struct fuse_interrupt_in *)fixed)->unique = messages->unique - below(messages, 8);
        break;
    case FUSE_FALLOCATE:
        *(struct fuse_fallocate_in *)fixed =
            (struct fuse_fallocate_in){.fh = handle,
                                       .offset = below(messages, 100),
                                       .length = plausible ? below(messages, 9999) : some_number(messages),
                                       .mode = (uint32_t)below(messages, 32)};
        break;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        memcpy(fixed, &(uint32_t){below(messages, 2) ? 1000 : 0}, 4);
        break;
    default:
        if (layout->fixed >= 8 && below(messages, 2))
            memcpy(fixed, &handle, sizeof handle); /* where handles stand in most */
    }
}

static void append_names(struct hostile_messages *messages, enum names kind)
{
    if (kind == NO_NAME)
        return;
    append_text(messages, kind == XATTR_NAME ? ONE_OF(messages, xattrs) : ONE_OF(messages, names));
    if (kind == TWO_NAMES)
        append_text(messages, ONE_OF(messages, names));
    else if (kind == NAME_TARGET)
        append_text(messages, ONE_OF(messages, targets));
}

/* What follows the names, and what the fixed part says of it. */
static void append_rest(struct hostile_messages *messages, const struct layout *layout, size_t fixed_at, size_t name_length)
{
    uint8_t *fixed = messages->bytes + fixed_at;
    if (layout->opcode == FUSE_WRITE)
        ((struct fuse_write_in *)fixed)->size = (uint32_t)append_data(messages);
    if (layout->opcode == FUSE_SETXATTR) {
        memcpy(fixed + 4, &(uint32_t){(uint32_t)below(messages, 3)}, 4);
        memcpy(fixed, &(uint32_t){(uint32_t)append_data(messages)}, 4);
    }
    if (layout->opcode == EXTRA_PUT)
        *(struct extra_put_in *)fixed = (struct extra_put_in){.node = some_node(messages),
                                                              .mode = 0644,
                                                              .flags = (uint32_t)below(messages, 2),
                                                              .name_length = (uint32_t)name_length,
                                                              .size = (uint32_t)append_data(messages)};
    if (layout->opcode == EXTRA_LEND) {
        struct extra_lent_key key = {.number = below(messages, 12), .generation = (uint32_t)below(messages, 3)};
        append(messages, &key, sizeof key);
    }
    if (layout->opcode == FUSE_BATCH_FORGET) {
        struct fuse_forget_one one = {.nodeid = some_node(messages), .nlookup = some_number(messages)};
        uint32_t count = (uint32_t)below(messages, 5);
        memcpy(fixed, &count, sizeof count);
        for (uint32_t i = 0; i < count; i++)
            append(messages, &one, sizeof one);
    }
}

static void spoil(struct hostile_messages *messages)
{
    size_t flips = 1 + below(messages, 4);
    for (size_t i = 0; i < flips; i++) {
        size_t at = sizeof(uint32_t) + below(messages, messages->count - sizeof(uint32_t)); /* mostly not the length */
        messages->bytes[at] ^= (uint8_t)(1u << below(messages, 8));
    }
    if (below(messages, 4) == 0)
        messages->count = 1 + below(messages, messages->count);
    if (below(messages, 4) == 0)
        messages->bytes[below(messages, messages->count)] = (uint8_t)draw(messages);
    uint32_t length = (uint32_t)messages->count;
    if (messages->count >= sizeof length && below(messages, 8))
        memcpy(messages->bytes, &length, sizeof length);
}

static const struct layout *some_layout(struct hostile_messages *messages)
{
    uint64_t at = below(messages, messages->weight_all);
    size_t i = 0;
    for (; at >= layouts[i].weight; i++)
        at -= layouts[i].weight;
    return &layouts[i];
}

size_t hostile_messages_next(struct hostile_messages *messages, const void **bytes)
{
    _Alignas(8) uint8_t fixed[128] = {0};
    const struct layout *layout = some_layout(messages);
    struct fuse_in_header header = {.opcode = layout->opcode,
                                    .unique = ++messages->unique,
                                    .nodeid = some_node(messages),
                                    .uid = (uint32_t)draw(messages)};
    messages->opcodes[messages->unique % UNIQUES_KEPT] = layout->opcode;
    messages->count = 0;
    append(messages, &header, sizeof header);
    fill_fixed(messages, layout, fixed);
    append(messages, fixed, layout->fixed);
    size_t names_at = messages->count;
    append_names(messages, layout->names);
    append_rest(messages, layout, sizeof header, messages->count - names_at);
    uint32_t length = (uint32_t)messages->count;
    memcpy(messages->bytes, &length, sizeof length);
    if (below(messages, 2))
        spoil(messages);
    *bytes = messages->bytes;
    return messages->count;
}
