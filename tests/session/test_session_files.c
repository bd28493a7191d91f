/* Open files and folders through the protocol. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "scope.h"
#include "session_fixture.h"

static void what_is_written_reads_back_at_every_offset(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    enum { FILE_BYTES = 3 << 20, PIECE = 100000 };
    SCOPE_FREE char *expected = calloc(1, FILE_BYTES);
    struct random random = {.state = 11};
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(client, datasets, "a", O_RDWR, &entry, &open), 0);
    uint64_t end = 0;
    for (int i = 0; i < 100; i++) { /* overlapping pieces, and holes between them */
        uint32_t offset = random_below(&random, FILE_BYTES - PIECE);
        uint32_t count = 1 + random_below(&random, PIECE);
        for (uint32_t at = 0; at < count; at++)
            expected[offset + at] = (char)(i + 1);
        assert_int_equal(fuse_call_write(client, entry.nodeid, open.fh, offset, expected + offset, count), 0);
        end = offset + count > end ? offset + count : end;
    }
    SCOPE_FREE char *found = malloc(FILE_BYTES);
    size_t got;
    for (uint64_t at = 0; at < end; at += got) {
        assert_int_equal(fuse_call_read(client, entry.nodeid, open.fh, at, found + at, 131072, &got), 0);
        assert_true(got == 131072 || at + got == end);
    }
    assert_memory_equal(found, expected, end);
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(client, entry.nodeid, &attributes), 0);
    assert_int_equal(attributes.size, end);
    assert_int_equal(fuse_call_fsync(client, entry.nodeid, open.fh), 0);
    assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
}

static void opening_with_truncation_empties_the_file(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", "something"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    assert_int_equal(fuse_call_open(&fixture->client, node, O_WRONLY | O_TRUNC, &open), 0);
    session_fixture_expect(fixture, "datasets/a", "");
    assert_int_equal(fuse_call_release(&fixture->client, node, open.fh), 0);
}

static void exclusive_creation_refuses_an_existing_name(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", "kept"), 0);
    assert_int_equal(fuse_call_create(&fixture->client, datasets, "a", O_WRONLY | O_EXCL, &entry, &open), EEXIST);
    session_fixture_expect(fixture, "datasets/a", "kept");
}

/* The client's kernel remembers names for a second, and by one of them may open what another client has replaced. */
static void opening_a_removed_file_makes_the_client_look_again(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client, other;
    struct fuse_open_out open, again;
    assert_int_equal(fuse_path_put(client, "datasets/a", "old"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_resolve(&other, "datasets", &entry), 0);
    uint64_t datasets = entry.nodeid;
    assert_int_equal(fuse_call_remove(&other, datasets, "a", false), 0);
    assert_int_equal(fuse_path_put(&other, "datasets/a", "new"), 0);
    assert_int_equal(fuse_call_open(client, node, O_RDWR, &open), ESTALE);

    /* But one that is open can be opened again, as /proc/self/fd does. */
    node = session_fixture_node(fixture, "datasets/a");
    assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
    assert_int_equal(fuse_call_remove(&other, datasets, "a", false), 0);
    assert_int_equal(fuse_call_open(client, node, O_RDWR, &again), 0);
    assert_int_equal(fuse_call_release(client, node, again.fh), 0);
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
    fuse_client_stop(&other);
}

static void two_appenders_interleave_whole_lines(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out first, second;
    assert_int_equal(fuse_path_put(client, "datasets/log", ""), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/log");
    assert_int_equal(fuse_call_open(client, node, O_WRONLY | O_APPEND, &first), 0);
    assert_int_equal(fuse_call_open(client, node, O_WRONLY | O_APPEND, &second), 0);
    assert_true(first.open_flags & FOPEN_DIRECT_IO);
    for (int i = 0; i < 100; i++) { /* offset 0, as of a kernel that knows nothing of the other */
        assert_int_equal(fuse_call_write(client, node, first.fh, 0, "aaa\n", 4), 0);
        assert_int_equal(fuse_call_write(client, node, second.fh, 0, "bb\n", 3), 0);
    }
    assert_int_equal(fuse_call_release(client, node, first.fh), 0);
    assert_int_equal(fuse_call_release(client, node, second.fh), 0);
    SCOPE_BUFFER expected = {0};
    for (int i = 0; i < 100; i++)
        buffer_append_text(&expected, "aaa\nbb\n");
    session_fixture_expect(fixture, "datasets/log", buffer_text(&expected));
}

static void a_file_made_to_be_written_only_is_written_past_the_page_cache(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    const struct {
        const char *name;
        uint32_t flags;
        bool direct;
    } cases[] = {
        {"a", O_CREAT | O_WRONLY, true}, {"b", O_CREAT | O_RDWR, false}, {"c", O_CREAT | O_WRONLY | O_APPEND, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
        assert_int_equal(fuse_call_create(client, datasets, cases[i].name, cases[i].flags, &entry, &open), 0);
        assert_int_equal(!!(open.open_flags & FOPEN_DIRECT_IO), cases[i].direct);
        assert_int_equal(fuse_call_write(client, entry.nodeid, open.fh, 0, "text", 4), 0);
        assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
        assert_int_equal(fuse_call_open(client, entry.nodeid, O_WRONLY, &open), 0); /* others may have its pages */
        assert_false(open.open_flags & FOPEN_DIRECT_IO);
        assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
    }
}

static void cached_pages_are_kept_until_the_contents_change(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_put(client, "datasets/a", "one"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
        if (i > 0)
            assert_true(open.open_flags & FOPEN_KEEP_CACHE);
        assert_true(open.open_flags & FOPEN_NOFLUSH);
        assert_int_equal(fuse_call_release(client, node, open.fh), 0);
    }
    struct fuse_client other;
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    assert_int_equal(fuse_path_put(&other, "datasets/a", "two"), 0);
    fuse_client_stop(&other);
    assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
    assert_false(open.open_flags & FOPEN_KEEP_CACHE);
    int code; /* and its size is asked for again */
    const void *body;
    assert_int_equal(fuse_client_await_notice(client, 0, &code, &body), 0);
    assert_int_equal(code, FUSE_NOTIFY_INVAL_INODE);
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
}

static void pages_of_what_is_made_as_it_is_read_are_never_kept(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = session_fixture_node(fixture, "lab/last-error");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
        assert_false(open.open_flags & FOPEN_KEEP_CACHE);
        assert_int_equal(fuse_call_release(client, node, open.fh), 0);
    }
}

static void space_can_be_preallocated_without_changing_the_size(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    struct fuse_attr attributes;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(client, datasets, "a", O_RDWR, &entry, &open), 0);
    struct fuse_fallocate_in in = {.fh = open.fh, .length = 1000, .mode = FALLOC_FL_KEEP_SIZE};
    const struct fuse_client_request request = {
        .opcode = FUSE_FALLOCATE, .node = entry.nodeid, .fixed = &in, .fixed_bytes = sizeof in};
    assert_int_equal(fuse_client_call(client, &request, NULL, 0, NULL), 0);
    assert_int_equal(fuse_call_getattr(client, entry.nodeid, &attributes), 0);
    assert_int_equal(attributes.size, 0);
    in.mode = 0;
    assert_int_equal(fuse_client_call(client, &request, NULL, 0, NULL), 0);
    assert_int_equal(fuse_call_getattr(client, entry.nodeid, &attributes), 0);
    assert_int_equal(attributes.size, 1000);
    in.mode = 0x40; /* FALLOC_FL_UNSHARE_RANGE */
    assert_int_equal(fuse_client_call(client, &request, NULL, 0, NULL), EOPNOTSUPP);
    assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
}

static void df_has_numbers(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_statfs_out numbers;
    const struct fuse_client_request request = {.opcode = FUSE_STATFS, .node = FUSE_ROOT_ID};
    assert_int_equal(fuse_client_call(&fixture->client, &request, &numbers, sizeof numbers, NULL), 0);
    assert_int_equal(numbers.st.namelen, 255);
    assert_int_equal(numbers.st.bsize, 4096);
    assert_true(numbers.st.bfree > 0 && numbers.st.bfree <= numbers.st.blocks);
}

/* Folders --------------------------------------------------------------------------------------------------------- */

enum { MANY = 3000 };

static void make_many(struct session_fixture *fixture, uint64_t folder)
{
    for (int i = 0; i < MANY; i++) {
        char name[32];
        struct fuse_entry_out entry;
        snprintf(name, sizeof name, "file-%04d", i);
        assert_int_equal(fuse_call_symlink(&fixture->client, "x", folder, name, &entry), 0);
    }
}

/* Each name once, and nothing else. */
static void expect_many(const struct buffer *names)
{
    static int seen[MANY];
    memset(seen, 0, sizeof seen);
    int lines = 0;
    for (const char *at = buffer_text(names); *at; at = strchr(at, '\n') + 1, lines++) {
        int number = -1;
        if (sscanf(at, "file-%d", &number) == 1 && number < MANY)
            seen[number]++;
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(seen[i], 1);
    assert_true(lines >= MANY);
}

static void a_folder_of_thousands_lists_each_name_once_both_ways(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out folder;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_mkdir(&fixture->client, datasets, "many", &folder), 0);
    make_many(fixture, folder.nodeid);
    for (int with_attributes = 0; with_attributes < 2; with_attributes++) {
        SCOPE_BUFFER names = {0};
        assert_int_equal(fuse_call_list(&fixture->client, folder.nodeid, with_attributes, &names), 0);
        expect_many(&names);
    }
}

struct churn {
    struct tree *tree;
    uint64_t folder;
    atomic_bool stop;
    int rounds;
};

/* A second client makes and removes other names all the while. */
static void *churn(void *argument)
{
    struct churn *work = argument;
    struct fuse_client client;
    if (!fuse_client_start(&client, work->tree, 2))
        return NULL;
    for (; !atomic_load(&work->stop); work->rounds++) {
        struct fuse_entry_out entry;
        char name[32];
        snprintf(name, sizeof name, "other-%d", work->rounds % 50);
        if (fuse_call_symlink(&client, "x", work->folder, name, &entry) == EEXIST)
            (void)fuse_call_remove(&client, work->folder, name, false);
    }
    fuse_client_stop(&client);
    return NULL;
}

static void listing_while_others_make_and_remove_neither_hides_nor_repeats(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out folder;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_mkdir(&fixture->client, datasets, "many", &folder), 0);
    make_many(fixture, folder.nodeid);
    struct churn work = {.tree = fixture->tree, .folder = folder.nodeid};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, churn, &work), 0);
    for (int i = 0; i < 10; i++) {
        SCOPE_BUFFER names = {0};
        assert_int_equal(fuse_call_list(&fixture->client, folder.nodeid, i % 2 == 0, &names), 0);
        expect_many(&names);
    }
    atomic_store(&work.stop, true);
    pthread_join(thread, NULL);
    assert_true(work.rounds > 0);
}

static void rereading_an_open_folder_from_its_start_shows_new_names(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    const struct fuse_open_in in = {0};
    struct fuse_open_out open;
    char bytes[4096];
    size_t before, after;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    const struct fuse_client_request opening = {
        .opcode = FUSE_OPENDIR, .node = datasets, .fixed = &in, .fixed_bytes = sizeof in};
    assert_int_equal(fuse_client_call(client, &opening, &open, sizeof open, NULL), 0);
    const struct fuse_read_in read = {.fh = open.fh, .size = sizeof bytes};
    const struct fuse_client_request reading = {
        .opcode = FUSE_READDIR, .node = datasets, .fixed = &read, .fixed_bytes = sizeof read};
    assert_int_equal(fuse_client_call(client, &reading, bytes, sizeof bytes, &before), 0);
    assert_int_equal(fuse_path_put(client, "datasets/new", ""), 0);
    assert_int_equal(fuse_client_call(client, &reading, bytes, sizeof bytes, &after), 0);
    assert_true(after > before);
    const struct fuse_release_in release = {.fh = open.fh};
    const struct fuse_client_request closing = {
        .opcode = FUSE_RELEASEDIR, .node = datasets, .fixed = &release, .fixed_bytes = sizeof release};
    assert_int_equal(fuse_client_call(client, &closing, NULL, 0, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(what_is_written_reads_back_at_every_offset),
        session_test(opening_with_truncation_empties_the_file),
        session_test(exclusive_creation_refuses_an_existing_name),
        session_test(opening_a_removed_file_makes_the_client_look_again),
        session_test(two_appenders_interleave_whole_lines),
        session_test(a_file_made_to_be_written_only_is_written_past_the_page_cache),
        session_test(cached_pages_are_kept_until_the_contents_change),
        session_test(pages_of_what_is_made_as_it_is_read_are_never_kept),
        session_test(space_can_be_preallocated_without_changing_the_size),
        session_test(df_has_numbers),
        session_test(a_folder_of_thousands_lists_each_name_once_both_ways),
        session_test(listing_while_others_make_and_remove_neither_hides_nor_repeats),
        session_test(rereading_an_open_folder_from_its_start_shows_new_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
