/* What one client changes, others are told: notifications to fed sessions. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "scope.h"
#include "session_fixture.h"
#include "tree_observe.h"
#include "tree_path.h"

/* Two clients on other machines, beside the fixture's own. */
struct pair {
    struct session_fixture *fixture;
    struct fuse_client ann, bob;
};

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    void *fixture;
    assert_non_null(pair);
    assert_int_equal(session_fixture_setup(&fixture), 0);
    pair->fixture = fixture;
    assert_true(fuse_client_start_fed(&pair->ann, pair->fixture->tree, NULL));
    assert_true(fuse_client_start_fed(&pair->bob, pair->fixture->tree, NULL));
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    void *fixture = pair->fixture;
    fuse_client_stop(&pair->ann);
    fuse_client_stop(&pair->bob);
    free(pair);
    return session_fixture_teardown(&fixture);
}

/* A notification, in words: "attributes 7", "contents 7 from 100", "name 5 a.txt", "removed 5 a.txt 7", "everything". */
static char *next_notice(struct fuse_client *client)
{
    int code;
    const void *body;
    SCOPE_BUFFER words = {0};
    if (fuse_client_await_notice(client, TESTING_PATIENCE_MS, &code, &body) != 0)
        fail_msg("no notification came");
    const struct fuse_notify_inval_inode_out *inode = body;
    const struct fuse_notify_inval_entry_out *entry = body;
    const struct fuse_notify_delete_out *removed = body;
    if (code == FUSE_NOTIFY_INVAL_INODE && inode->off < 0)
        buffer_printf(&words, "attributes %llu", (unsigned long long)inode->ino);
    else if (code == FUSE_NOTIFY_INVAL_INODE)
        buffer_printf(&words, "contents %llu from %lld", (unsigned long long)inode->ino, (long long)inode->off);
    else if (code == FUSE_NOTIFY_INVAL_ENTRY)
        buffer_printf(&words, "name %llu %s", (unsigned long long)entry->parent, (const char *)(entry + 1));
    else if (code == FUSE_NOTIFY_DELETE)
        buffer_printf(&words, "removed %llu %s %llu", (unsigned long long)removed->parent, (const char *)(removed + 1),
                      (unsigned long long)removed->child);
    else if (code == EXTRA_NOTIFY_EVERYTHING)
        buffer_append_text(&words, "everything");
    else
        buffer_printf(&words, "code %d", code);
    return strdup(buffer_text(&words));
}

static void expect_next(struct fuse_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void expect_next(struct fuse_client *client, const char *format, ...)
{
    char expected[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(expected, sizeof expected, format, arguments);
    va_end(arguments);
    SCOPE_FREE char *found = next_notice(client);
    assert_string_equal(found, expected);
}

/* Passes over others until it comes. */
static void expect_soon(struct fuse_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void expect_soon(struct fuse_client *client, const char *format, ...)
{
    char expected[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(expected, sizeof expected, format, arguments);
    va_end(arguments);
    for (;;) {
        SCOPE_FREE char *found = next_notice(client);
        if (strcmp(found, expected) == 0)
            return;
    }
}

static uint64_t node_of(struct fuse_client *client, const char *path)
{
    struct fuse_entry_out entry;
    int error = fuse_path_resolve(client, path, &entry);
    if (error)
        fail_msg("%s: errno %d", path, error);
    return entry.nodeid;
}

/* A dataset with a file in it, which both know. */
static uint64_t shared_file(struct pair *pair)
{
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_mkdir(&pair->fixture->client, session_fixture_node(pair->fixture, "datasets"), "d", &entry),
                     0);
    assert_int_equal(fuse_path_put(&pair->fixture->client, "datasets/d/a.txt", "first words"), 0);
    node_of(&pair->ann, "datasets/d/a.txt");
    return node_of(&pair->bob, "datasets/d/a.txt");
}

/* Both have heard all that happened until now. */
static void settle(struct pair *pair)
{
    tree_tell_everything(pair->fixture->tree);
    expect_soon(&pair->ann, "everything");
    expect_soon(&pair->bob, "everything");
}

static void who_knows_a_file_hears_that_it_was_written_and_where(void **state)
{
    struct pair *pair = *state;
    uint64_t node = shared_file(pair);
    struct fuse_open_out open;
    settle(pair);
    assert_int_equal(fuse_call_open(&pair->ann, node, O_WRONLY, &open), 0);
    assert_int_equal(fuse_call_write(&pair->ann, node, open.fh, 6, "WORDS and more", 14), 0);
    expect_next(&pair->bob, "contents %llu from 6", (unsigned long long)node);
    assert_int_equal(fuse_call_write(&pair->ann, node, open.fh, 1000, "far", 3), 0);
    expect_next(&pair->bob, "contents %llu from 20", (unsigned long long)node); /* the hole is news, too */
    assert_int_equal(fuse_call_release(&pair->ann, node, open.fh), 0);
    SCOPE_BUFFER text = {0};
    assert_int_equal(fuse_path_get(&pair->bob, "datasets/d/a.txt", &text), 0);
    assert_memory_equal(buffer_text(&text), "first WORDS and more", 20);
}

static void whoever_does_it_hears_nothing(void **state)
{
    struct pair *pair = *state;
    uint64_t node = shared_file(pair);
    settle(pair);
    assert_int_equal(fuse_path_put(&pair->ann, "datasets/d/a.txt", "by ann"), 0);
    assert_int_equal(fuse_path_put(&pair->bob, "datasets/d/a.txt", "by bob"), 0);
    expect_next(&pair->ann, "contents %llu from 0", (unsigned long long)node); /* bob's: of her own there was none before */
    settle(pair);
}

static void attributes_alone_leave_contents_alone(void **state)
{
    struct pair *pair = *state;
    uint64_t node = shared_file(pair);
    struct fuse_attr attributes;
    const struct fuse_setattr_in change = {.valid = FATTR_MODE, .mode = 0600};
    settle(pair);
    assert_int_equal(fuse_call_setattr(&pair->ann, node, &change, &attributes), 0);
    expect_next(&pair->bob, "attributes %llu", (unsigned long long)node);
    assert_int_equal(fuse_call_setxattr(&pair->ann, node, "user.stain", "H&E", 0), 0);
    expect_next(&pair->bob, "attributes %llu", (unsigned long long)node);
}

static void names_that_come_and_go_are_told_to_who_knows_the_folder(void **state)
{
    struct pair *pair = *state;
    unsigned long long node = shared_file(pair), folder = node_of(&pair->bob, "datasets/d");
    struct fuse_entry_out entry;
    settle(pair);
    assert_int_equal(fuse_call_mkdir(&pair->ann, folder, "made", &entry), 0);
    expect_soon(&pair->bob, "name %llu made", folder);
    assert_int_equal(fuse_call_rename(&pair->ann, folder, "a.txt", entry.nodeid, "b.txt", 0), 0);
    expect_soon(&pair->bob, "removed %llu a.txt %llu", folder, node);
    settle(pair); /* b.txt lies in a folder that bob never heard of */
    assert_int_equal(fuse_call_rename(&pair->ann, entry.nodeid, "b.txt", folder, "c.txt", 0), 0);
    expect_soon(&pair->bob, "name %llu c.txt", folder);
    assert_int_equal(fuse_call_remove(&pair->ann, folder, "c.txt", false), 0);
    expect_soon(&pair->bob, "removed %llu c.txt %llu", folder, node);
    assert_int_equal(fuse_call_symlink(&pair->ann, "nowhere", folder, "link", &entry), 0);
    expect_soon(&pair->bob, "name %llu link", folder);
}

static void what_one_does_not_know_one_does_not_hear_of(void **state)
{
    struct pair *pair = *state;
    uint64_t node = shared_file(pair);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_mkdir(&pair->ann, node_of(&pair->ann, "datasets"), "hers", &entry), 0);
    settle(pair);
    assert_int_equal(fuse_path_put(&pair->ann, "datasets/hers/x", "text"), 0);
    assert_int_equal(fuse_path_put(&pair->ann, "datasets/hers/x", "other text"), 0);
    assert_int_equal(fuse_path_put(&pair->ann, "datasets/d/a.txt", "text"), 0);
    expect_next(&pair->bob, "contents %llu from 0", (unsigned long long)node);
    fuse_call_forget(&pair->bob, node, 1);
    settle(pair);
    assert_int_equal(fuse_path_put(&pair->ann, "datasets/d/a.txt", "text"), 0);
    assert_int_equal(fuse_call_remove(&pair->ann, node_of(&pair->ann, "datasets/d"), "a.txt", false), 0);
    expect_next(&pair->bob, "name %llu a.txt", (unsigned long long)node_of(&pair->bob, "datasets/d"));
}

static void what_fails_is_not_told(void **state)
{
    struct pair *pair = *state;
    unsigned long long folder = (shared_file(pair), node_of(&pair->ann, "datasets/d")), root = FUSE_ROOT_ID;
    struct fuse_entry_out entry;
    settle(pair);
    assert_int_equal(fuse_call_mkdir(&pair->ann, folder, "a.txt", &entry), EEXIST);
    assert_int_equal(fuse_call_rename(&pair->ann, folder, "a.txt", root, "a.txt", 0), EPERM);
    assert_int_equal(fuse_call_rename(&pair->ann, root, "datasets", folder, "x", 0), EPERM);
    assert_int_equal(fuse_call_mkdir(&pair->ann, folder, "sign", &entry), 0);
    expect_next(&pair->bob, "name %llu sign", folder);
}

static void what_the_server_does_is_told_to_everyone(void **state)
{
    struct pair *pair = *state;
    unsigned long long node = shared_file(pair), folder = node_of(&pair->ann, "datasets/d");
    struct failure why;
    node_of(&pair->ann, "jobs");
    settle(pair);
    assert_code_ok(tree_path_append(pair->fixture->tree, "datasets/d/a.txt", " grow", 5, &why), why);
    expect_next(&pair->ann, "contents %llu from 11", node);
    expect_next(&pair->bob, "contents %llu from 11", node);
    assert_code_ok(tree_path_write(pair->fixture->tree, "datasets/d/report", 0644, "new", 3, &why), why);
    expect_soon(&pair->ann, "name %llu report", folder);
    expect_soon(&pair->bob, "name %llu report", folder);
}

static void snapshots_and_their_end_are_told(void **state)
{
    struct pair *pair = *state;
    struct fuse_entry_out entry;
    shared_file(pair);
    unsigned long long snapshots = node_of(&pair->bob, "datasets/d/.snap");
    settle(pair);
    assert_int_equal(fuse_call_mkdir(&pair->ann, snapshots, "v1", &entry), 0);
    expect_soon(&pair->bob, "name %llu v1", snapshots);
    assert_int_equal(fuse_call_remove(&pair->ann, snapshots, "v1", true), 0);
    expect_soon(&pair->bob, "name %llu v1", snapshots);
}

static void many_changes_at_once_arrive_each(void **state)
{
    struct pair *pair = *state;
    shared_file(pair);
    unsigned long long folder = node_of(&pair->bob, "datasets/d");
    node_of(&pair->ann, "datasets/d");
    settle(pair);
    for (int i = 0; i < 500; i++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/d/n%03d", i);
        assert_int_equal(fuse_path_put(&pair->ann, path, "x"), 0);
    }
    bool heard[500] = {false};
    for (int count = 0; count < 500;) {
        SCOPE_FREE char *found = next_notice(&pair->bob);
        unsigned long long parent;
        int number;
        if (sscanf(found, "name %llu n%d", &parent, &number) == 2 && parent == folder && number < 500 && !heard[number]) {
            heard[number] = true;
            count++;
        }
    }
}

static void missing_names_and_listings_may_be_kept_only_where_no_rule_makes_names(void **state)
{
    struct pair *pair = *state;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    shared_file(pair);
    uint64_t datasets = node_of(&pair->bob, "datasets"), ruled = node_of(&pair->bob, "datasets/d"),
             jobs = node_of(&pair->bob, "jobs");
    assert_int_equal(fuse_call_mkdir(&pair->bob, ruled, "plain", &entry), 0);
    uint64_t plain = entry.nodeid;
    const uint64_t kept[] = {datasets, plain}, asked[] = {ruled, jobs, FUSE_ROOT_ID};
    const struct fuse_open_in how = {.flags = O_RDONLY};
    for (size_t i = 0; i < 5; i++) {
        uint64_t folder = i < 2 ? kept[i] : asked[i - 2];
        const struct fuse_client_request request = {
            .opcode = FUSE_OPENDIR, .node = folder, .fixed = &how, .fixed_bytes = sizeof how};
        entry = (struct fuse_entry_out){.nodeid = 1}; /* filled by an answer that may be kept: no node, for a while */
        assert_int_equal(fuse_call_lookup(&pair->bob, folder, "missing", &entry), ENOENT);
        assert_true(i < 2 ? entry.nodeid == 0 && entry.entry_valid > 0 : entry.nodeid == 1);
        assert_int_equal(fuse_client_call(&pair->bob, &request, &open, sizeof open, NULL), 0);
        assert_int_equal(open.open_flags & FOPEN_CACHE_DIR, i < 2 ? FOPEN_CACHE_DIR : 0);
    }
    assert_int_equal(fuse_call_lookup(&pair->fixture->client, plain, "missing", &entry),
                     ENOENT); /* a mount hears of no names */
}

int main(void)
{
#define push_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        push_test(who_knows_a_file_hears_that_it_was_written_and_where),
        push_test(whoever_does_it_hears_nothing),
        push_test(attributes_alone_leave_contents_alone),
        push_test(names_that_come_and_go_are_told_to_who_knows_the_folder),
        push_test(what_one_does_not_know_one_does_not_hear_of),
        push_test(what_fails_is_not_told),
        push_test(what_the_server_does_is_told_to_everyone),
        push_test(snapshots_and_their_end_are_told),
        push_test(many_changes_at_once_arrive_each),
        push_test(missing_names_and_listings_may_be_kept_only_where_no_rule_makes_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
