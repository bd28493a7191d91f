/* Random operations on the bytes of files, through the protocol, against a model in memory: writes, reads, truncation,
 * preallocation, punching, zeroing, copying between files and within one, seeking for holes, fsync, closing and opening.
 *
 *   test_session_data [STEPS [SEED]]      long runs by argument
 *
 * What happens lies in a window of a file; where the window begins differs from file to file, up to 16 TiB less a little:
 * the model knows the window, and everything before it is a hole. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"
#include "scope.h"
#include "session_fixture.h"
#include "tree.h"

#define FILES       3
#define CHUNK       131072u
#define WINDOW      (CHUNK * 6)
#define MESSAGE_MAX 100000u /* bytes in one WRITE or READ */
#define CHECK_EVERY 50
#define SIZE_LIMIT  (UINT64_C(1) << 44)

static int steps = 1500;
static uint64_t seed = 20;

static const uint64_t window_starts[FILES] = {0, UINT64_C(3) << 32, SIZE_LIMIT - WINDOW};

struct model_file {
    uint64_t node, handle;
    uint64_t start; /* of the window, in the file */
    uint64_t size;  /* of the file */
    uint8_t bytes[WINDOW];
};

struct data_test {
    struct session_fixture *fixture;
    struct fuse_client *client;
    struct random random;
    struct model_file files[FILES];
    int step;
    char what[200]; /* for the message */
};

#define check(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition))                                                                                                   \
            fail_msg("seed %llu, step %d, %s: not so: %s", (unsigned long long)seed, test->step, test->what, #condition);   \
    } while (0)

/* Offsets and lengths that like the borders of chunks. */
static uint32_t draw(struct data_test *test, uint32_t below)
{
    uint32_t value = random_below(&test->random, below);
    if (random_below(&test->random, 3) == 0)
        value -= value % CHUNK;
    else if (random_below(&test->random, 4) == 0 && value - value % CHUNK > 0)
        value -= value % CHUNK + 1;
    return value;
}

static void draw_range(struct data_test *test, uint32_t longest, uint32_t *offset, uint32_t *count)
{
    *offset = draw(test, WINDOW);
    uint32_t most = WINDOW - *offset < longest ? WINDOW - *offset : longest;
    *count = 1 + draw(test, most);
}

static void grow_model(struct model_file *file, uint32_t end)
{
    if (file->size < file->start + end)
        file->size = file->start + end;
}

static void write_some(struct data_test *test, struct model_file *file)
{
    uint32_t offset, count;
    draw_range(test, MESSAGE_MAX, &offset, &count);
    snprintf(test->what, sizeof test->what, "write %u + %u", offset, count);
    uint8_t value = random_below(&test->random, 8) ? (uint8_t)random_next(&test->random) : 0;
    for (uint32_t i = 0; i < count; i++)
        file->bytes[offset + i] = value ? (uint8_t)(value + i / 512) : 0;
    check(fuse_call_write(test->client, file->node, file->handle, file->start + offset, file->bytes + offset, count) == 0);
    grow_model(file, offset + count);
}

static void read_some(struct data_test *test, struct model_file *file)
{
    static uint8_t found[MESSAGE_MAX];
    uint32_t offset, count;
    size_t got;
    draw_range(test, MESSAGE_MAX, &offset, &count);
    snprintf(test->what, sizeof test->what, "read %u + %u", offset, count);
    check(fuse_call_read(test->client, file->node, file->handle, file->start + offset, found, count, &got) == 0);
    uint64_t left = file->size > file->start + offset ? file->size - file->start - offset : 0;
    check(got == (left < count ? left : count));
    check(memcmp(found, file->bytes + offset, got) == 0);
}

static void truncate_some(struct data_test *test, struct model_file *file)
{
    uint32_t size = draw(test, WINDOW + 1);
    snprintf(test->what, sizeof test->what, "truncate %u", size);
    const struct fuse_setattr_in change = {.valid = FATTR_SIZE, .size = file->start + size};
    check(fuse_call_setattr(test->client, file->node, &change, NULL) == 0);
    memset(file->bytes + size, 0, WINDOW - size);
    file->size = file->start + size;
}

static void allocate_some(struct data_test *test, struct model_file *file)
{
    static const uint32_t modes[] = {FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0};
    uint32_t offset, count, mode = modes[random_below(&test->random, 5)];
    draw_range(test, WINDOW, &offset, &count);
    snprintf(test->what, sizeof test->what, "fallocate %#x %u + %u", mode, offset, count);
    const struct fuse_fallocate_in range = {
        .fh = file->handle, .offset = file->start + offset, .length = count, .mode = mode};
    int error = fuse_call_fallocate(test->client, file->node, &range);
    if (error == ENOSPC && !(mode & FALLOC_FL_PUNCH_HOLE))
        return; /* terabytes: the disk that the test runs on has not so much */
    check(error == 0);
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        memset(file->bytes + offset, 0, count);
    if (!(mode & FALLOC_FL_KEEP_SIZE))
        grow_model(file, offset + count);
}

static bool overlap(uint32_t a, uint32_t b, uint32_t count)
{
    return a < b + count && b < a + count;
}

static void copy_some(struct data_test *test, struct model_file *to)
{
    struct model_file *from = &test->files[random_below(&test->random, FILES)];
    uint32_t from_offset, to_offset = draw(test, WINDOW), count, copied;
    draw_range(test, WINDOW - to_offset, &from_offset, &count);
    if (random_below(&test->random, 2)) /* as a program that copies whole files: whole chunks can be shared */
        to_offset = to_offset / CHUNK * CHUNK + from_offset % CHUNK;
    if (to_offset + count > WINDOW)
        return;
    snprintf(test->what, sizeof test->what, "copy %u + %u of file %d to %u", from_offset, count, (int)(from - test->files),
             to_offset);
    const struct fuse_copy_file_range_in range = {.fh_in = from->handle,
                                                  .off_in = from->start + from_offset,
                                                  .nodeid_out = to->node,
                                                  .fh_out = to->handle,
                                                  .off_out = to->start + to_offset,
                                                  .len = count};
    int error = fuse_call_copy(test->client, from->node, &range, &copied);
    if (from == to && overlap(from_offset, to_offset, count)) {
        check(error == EINVAL);
        return;
    }
    if (error == ENOSPC)
        return;
    check(error == 0);
    uint64_t left = from->size > from->start + from_offset ? from->size - from->start - from_offset : 0;
    check(copied <= count && copied <= left && (copied > 0 || left == 0));
    memcpy(to->bytes + to_offset, from->bytes + from_offset, copied);
    if (copied)
        grow_model(to, to_offset + copied);
}

/* All that is said to be a hole must be zeros; data and holes take turns until the end. */
static void walk_holes(struct data_test *test, struct model_file *file)
{
    uint64_t at = file->start, found, end = file->size;
    bool data = random_below(&test->random, 2);
    snprintf(test->what, sizeof test->what, "seek");
    while (at < end) {
        int error = fuse_call_lseek(test->client, file->node, file->handle, at, data ? SEEK_DATA : SEEK_HOLE, &found);
        bool none = data && error == ENXIO;
        check(none || error == 0);
        found = none ? end : found;
        check(found >= at && found <= end);
        for (uint64_t i = at; data && i < found; i++)
            check(file->bytes[i - file->start] == 0);
        check(found > at || at == file->start || error == 0);
        data = !data;
        if (found == at && at != file->start)
            break; /* cannot be: two kinds at one place */
        at = found;
    }
    check(fuse_call_lseek(test->client, file->node, file->handle, end, SEEK_DATA, &found) == ENXIO);
}

static void reopen(struct data_test *test, struct model_file *file)
{
    struct fuse_open_out open;
    snprintf(test->what, sizeof test->what, "reopen");
    check(fuse_call_release(test->client, file->node, file->handle) == 0);
    check(fuse_call_open(test->client, file->node, O_RDWR, &open) == 0);
    file->handle = open.fh;
}

static void do_step(struct data_test *test)
{
    struct model_file *file = &test->files[random_below(&test->random, FILES)];
    switch (random_below(&test->random, 16)) {
    case 0:
        truncate_some(test, file);
        break;
    case 1:
    case 2:
        allocate_some(test, file);
        break;
    case 3:
    case 4:
    case 5:
        copy_some(test, file);
        break;
    case 6:
        walk_holes(test, file);
        break;
    case 7:
        reopen(test, file);
        break;
    case 8:
        snprintf(test->what, sizeof test->what, "fsync");
        check(fuse_call_fsync(test->client, file->node, file->handle) == 0);
        break;
    case 9:
    case 10:
    case 11:
        read_some(test, file);
        break;
    default:
        write_some(test, file);
    }
}

static void compare_all(struct data_test *test)
{
    static uint8_t found[MESSAGE_MAX];
    for (int i = 0; i < FILES; i++) {
        struct model_file *file = &test->files[i];
        struct fuse_attr attributes;
        snprintf(test->what, sizeof test->what, "comparing file %d", i);
        check(fuse_call_getattr(test->client, file->node, &attributes) == 0);
        check(attributes.size == file->size);
        size_t got = 1;
        for (uint64_t at = 0; got && file->start + at < file->size; at += got) {
            uint64_t left = file->size - file->start - at;
            uint32_t count = left < MESSAGE_MAX ? (uint32_t)left : MESSAGE_MAX;
            check(fuse_call_read(test->client, file->node, file->handle, file->start + at, found, count, &got) == 0);
            check(got == count && memcmp(found, file->bytes + at, got) == 0);
        }
    }
}

static void random_operations_give_the_bytes_of_the_model(void **state)
{
    struct data_test *test = calloc(1, sizeof *test);
    assert_non_null(test);
    test->fixture = *state;
    test->client = &test->fixture->client;
    test->random.state = seed;
    uint64_t datasets = session_fixture_node(test->fixture, "datasets");
    for (int i = 0; i < FILES; i++) {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
        char name[2] = {(char)('a' + i), 0};
        assert_int_equal(fuse_call_create(test->client, datasets, name, O_RDWR, &entry, &open), 0);
        test->files[i] = (struct model_file){.node = entry.nodeid, .handle = open.fh, .start = window_starts[i]};
    }
    for (test->step = 0; test->step < steps; test->step++) {
        do_step(test);
        if (test->step % CHECK_EVERY == 0)
            compare_all(test);
    }
    compare_all(test);
    free(test);
}

static uint64_t make(struct session_fixture *fixture, const char *name, struct fuse_open_out *open)
{
    struct fuse_entry_out entry;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(&fixture->client, datasets, name, O_RDWR, &entry, open), 0);
    return entry.nodeid;
}

static void punching_terabytes_of_nothing_is_quick_and_keeps_the_ends(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = make(fixture, "huge", &open), found;
    assert_int_equal(fuse_call_write(client, node, open.fh, 0, "head", 4), 0);
    assert_int_equal(fuse_call_write(client, node, open.fh, SIZE_LIMIT / 2, "middle", 6), 0);
    assert_int_equal(fuse_call_write(client, node, open.fh, SIZE_LIMIT - 4, "tail", 4), 0);
    assert_int_equal(fuse_call_fsync(client, node, open.fh), 0);
    assert_int_equal(fuse_call_lseek(client, node, open.fh, CHUNK, SEEK_DATA, &found), 0);
    assert_int_equal(found, SIZE_LIMIT / 2);
    const struct fuse_fallocate_in range = {
        .fh = open.fh, .offset = 2, .length = SIZE_LIMIT - 4, .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    assert_int_equal(fuse_call_fallocate(client, node, &range), 0);
    char bytes[8] = {0};
    size_t got;
    assert_int_equal(fuse_call_read(client, node, open.fh, 0, bytes, 8, &got), 0);
    assert_memory_equal(bytes, "he\0\0\0\0\0", 8);
    assert_int_equal(fuse_call_read(client, node, open.fh, SIZE_LIMIT - 4, bytes, 8, &got), 0);
    assert_int_equal(got, 4);
    assert_memory_equal(bytes, "\0\0il", 4);
    assert_int_equal(fuse_call_lseek(client, node, open.fh, CHUNK, SEEK_DATA, &found), 0);
    assert_int_equal(found, SIZE_LIMIT - CHUNK);
}

static void a_file_does_not_grow_beyond_its_limit(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = make(fixture, "limit", &open);
    assert_int_equal(fuse_call_write(client, node, open.fh, SIZE_LIMIT - 1, "x", 1), 0);
    assert_int_equal(fuse_call_write(client, node, open.fh, SIZE_LIMIT - 1, "xy", 2), EFBIG);
    assert_int_equal(fuse_call_write(client, node, open.fh, INT64_MAX - 1, "x", 1), EFBIG);
    const struct fuse_setattr_in change = {.valid = FATTR_SIZE, .size = SIZE_LIMIT + 1};
    assert_int_equal(fuse_call_setattr(client, node, &change, NULL), EFBIG);
    const struct fuse_fallocate_in range = {.fh = open.fh, .offset = SIZE_LIMIT, .length = 1};
    assert_int_equal(fuse_call_fallocate(client, node, &range), EFBIG);
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(client, node, &attributes), 0);
    assert_int_equal(attributes.size, SIZE_LIMIT);
}

static void what_cannot_be_done_to_ranges_is_refused_cleanly(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = make(fixture, "file", &open), found;
    uint32_t copied;
    assert_int_equal(fuse_call_write(client, node, open.fh, 0, "contents", 8), 0);
    struct fuse_fallocate_in range = {.fh = open.fh, .length = 4, .mode = FALLOC_FL_COLLAPSE_RANGE};
    assert_int_equal(fuse_call_fallocate(client, node, &range), EOPNOTSUPP);
    range.mode = FALLOC_FL_INSERT_RANGE;
    assert_int_equal(fuse_call_fallocate(client, node, &range), EOPNOTSUPP);
    range.mode = FALLOC_FL_PUNCH_HOLE; /* would change the size */
    assert_int_equal(fuse_call_fallocate(client, node, &range), EOPNOTSUPP);
    assert_int_equal(fuse_call_lseek(client, node, open.fh, 0, SEEK_END, &found), EINVAL);
    assert_int_equal(fuse_call_lseek(client, node, open.fh, 8, SEEK_HOLE, &found), ENXIO);
    const struct fuse_copy_file_range_in onto_itself = {
        .fh_in = open.fh, .nodeid_out = node, .fh_out = open.fh, .off_out = 2, .len = 4};
    assert_int_equal(fuse_call_copy(client, node, &onto_itself, &copied), EINVAL);
    const struct fuse_copy_file_range_in to_nothing = {.fh_in = open.fh, .nodeid_out = node, .fh_out = 77, .len = 4};
    assert_int_equal(fuse_call_copy(client, node, &to_nothing, &copied), EBADF);
    session_fixture_expect(fixture, "datasets/file", "contents");
}

static void copying_needs_the_rights_that_reading_and_writing_need(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out from, to, only_written, only_read;
    uint64_t source = make(fixture, "source", &from), target = make(fixture, "target", &to);
    SCOPE_FREE char *bytes = malloc(CHUNK);
    memset(bytes, 'x', CHUNK);
    for (uint64_t at = 0; at < 2 * CHUNK; at += CHUNK)
        assert_int_equal(fuse_call_write(client, source, from.fh, at, bytes, CHUNK), 0);
    assert_int_equal(fuse_call_fsync(client, source, from.fh), 0);
    assert_int_equal(fuse_call_open(client, source, O_WRONLY, &only_written), 0);
    assert_int_equal(fuse_call_open(client, target, O_RDONLY, &only_read), 0);
    struct fuse_copy_file_range_in range = {
        .fh_in = only_written.fh, .nodeid_out = target, .fh_out = to.fh, .len = 2 * CHUNK};
    uint32_t copied;
    assert_int_equal(fuse_call_copy(client, source, &range, &copied), EACCES);
    range.fh_in = from.fh;
    range.fh_out = only_read.fh;
    assert_int_equal(fuse_call_copy(client, source, &range, &copied), EACCES);
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(client, target, &attributes), 0);
    assert_int_equal(attributes.size, 0);
    range.fh_out = to.fh;
    assert_int_equal(fuse_call_copy(client, source, &range, &copied), 0);
    assert_int_equal(copied, 2 * CHUNK);
}

/* What was stored is shared, also where the range does not begin with a whole chunk. */
static void copying_stored_chunks_stores_nothing_more(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out from, to;
    uint64_t source = make(fixture, "source", &from), target = make(fixture, "target", &to);
    SCOPE_FREE uint8_t *bytes = malloc(CHUNK);
    struct random random = {.state = 5};
    for (uint64_t at = 0; at < 16; at++) {
        for (uint32_t i = 0; i < CHUNK; i++)
            bytes[i] = (uint8_t)random_next(&random);
        assert_int_equal(fuse_call_write(client, source, from.fh, at * CHUNK, bytes, CHUNK), 0);
    }
    assert_int_equal(fuse_call_fsync(client, source, from.fh), 0);
    struct tree_statistics before, after;
    tree_statistics(fixture->tree, &before);
    const struct fuse_copy_file_range_in range = {.fh_in = from.fh,
                                                  .off_in = CHUNK / 2,
                                                  .nodeid_out = target,
                                                  .fh_out = to.fh,
                                                  .off_out = CHUNK / 2,
                                                  .len = 15 * CHUNK + CHUNK / 2};
    uint32_t copied;
    assert_int_equal(fuse_call_copy(client, source, &range, &copied), 0);
    assert_int_equal(copied, range.len);
    assert_int_equal(fuse_call_fsync(client, target, to.fh), 0);
    tree_statistics(fixture->tree, &after);
    assert_true(after.bytes_stored - before.bytes_stored < 2 * CHUNK);
    size_t got;
    assert_int_equal(fuse_call_read(client, target, to.fh, 15 * CHUNK, bytes, CHUNK, &got), 0);
    SCOPE_FREE uint8_t *expected = malloc(CHUNK);
    assert_int_equal(fuse_call_read(client, source, from.fh, 15 * CHUNK, expected, CHUNK, &got), 0);
    assert_memory_equal(bytes, expected, CHUNK);
}

/* The kernel sends a map's page by any handle of the inode that may write. */
static void a_page_that_comes_by_an_appending_handle_goes_to_its_place(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_put(client, "datasets/a", "0123456789"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    assert_int_equal(fuse_call_open(client, node, O_WRONLY | O_APPEND, &open), 0);
    const struct fuse_write_in in = {.fh = open.fh, .offset = 2, .size = 4, .write_flags = FUSE_WRITE_CACHE};
    const struct fuse_client_request request = {
        .opcode = FUSE_WRITE, .node = node, .fixed = &in, .fixed_bytes = sizeof in, .first = "page", .first_bytes = 4};
    assert_int_equal(fuse_client_call(client, &request, NULL, 0, NULL), 0);
    assert_int_equal(fuse_call_write(client, node, open.fh, 0, "end", 3), 0);
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
    session_fixture_expect(fixture, "datasets/a", "01page6789end");
}

int main(int count, char **arguments)
{
    if (count > 1)
        steps = atoi(arguments[1]);
    if (count > 2)
        seed = strtoull(arguments[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        session_test(random_operations_give_the_bytes_of_the_model),
        session_test(punching_terabytes_of_nothing_is_quick_and_keeps_the_ends),
        session_test(a_file_does_not_grow_beyond_its_limit),
        session_test(copying_needs_the_rights_that_reading_and_writing_need),
        session_test(copying_stored_chunks_stores_nothing_more),
        session_test(a_page_that_comes_by_an_appending_handle_goes_to_its_place),
        session_test(what_cannot_be_done_to_ranges_is_refused_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
