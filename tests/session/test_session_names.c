/* Names and attributes through the protocol. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scope.h"
#include "session_fixture.h"

static void the_answer_to_init_allows_large_writes_and_parallel_folders(void **state)
{
    struct session_fixture *fixture = *state;
    assert_int_equal(fixture->client.greeting.major, 7);
    assert_int_equal(fixture->client.greeting.max_write, 7 << 17); /* whole chunks, and fewer pages than there may be */
    assert_int_equal(fixture->client.greeting.max_pages * sysconf(_SC_PAGESIZE), 1 << 20);
    assert_true(fixture->client.greeting.flags & FUSE_PARALLEL_DIROPS);
    assert_true(fixture->client.greeting.flags & FUSE_DO_READDIRPLUS);
    assert_false(fixture->client.greeting.flags & FUSE_WRITEBACK_CACHE);
}

static void a_missing_name_is_enoent_and_not_remembered(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_lookup(&fixture->client, FUSE_ROOT_ID, "nothing", &entry), ENOENT);
    assert_int_equal(fuse_call_lookup(&fixture->client, 123456, "nothing", &entry), ENOENT);
}

static void everything_belongs_to_who_mounted_and_chown_to_another_is_refused_in_words(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_attr attributes;
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", "text"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    assert_int_equal(fuse_call_getattr(&fixture->client, node, &attributes), 0);
    assert_int_equal(attributes.uid, geteuid());
    const struct fuse_setattr_in to_same = {.valid = FATTR_UID | FATTR_GID, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(fuse_call_setattr(&fixture->client, node, &to_same, NULL), 0);
    const struct fuse_setattr_in to_other = {.valid = FATTR_UID, .uid = geteuid() + 1};
    assert_int_equal(fuse_call_setattr(&fixture->client, node, &to_other, NULL), EPERM);
    SCOPE_BUFFER words = {0};
    assert_int_equal(fuse_path_get(&fixture->client, "lab/last-error", &words), 0);
    assert_non_null(strstr(buffer_text(&words), "datasets/a"));
    assert_non_null(strstr(buffer_text(&words), "--no-same-owner"));
}

static void mode_times_and_size_can_be_changed(void **state)
{
    struct session_fixture *fixture = *state;
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", "0123456789"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    const struct fuse_setattr_in change = {
        .valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME | FATTR_ATIME,
        .mode = 0600,
        .size = 4,
        .mtime = 1000000000,
        .mtimensec = 7,
        .atime = 5,
    };
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_setattr(&fixture->client, node, &change, &attributes), 0);
    assert_int_equal(attributes.mode, S_IFREG | 0600);
    assert_int_equal(attributes.size, 4);
    assert_int_equal(attributes.mtime, 1000000000);
    assert_int_equal(attributes.mtimensec, 7);
    assert_int_equal(attributes.atime, 5);
    session_fixture_expect(fixture, "datasets/a", "0123");
}

static void times_before_1970_are_shown_as_set(void **state)
{
    struct session_fixture *fixture = *state;
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", ""), 0);
    const struct fuse_setattr_in change = {.valid = FATTR_MTIME, .mtime = (uint64_t)-2, .mtimensec = 250000000};
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_setattr(&fixture->client, session_fixture_node(fixture, "datasets/a"), &change, &attributes),
                     0);
    assert_true((int64_t)attributes.mtime == -2);
    assert_int_equal(attributes.mtimensec, 250000000);
}

static void folders_are_made_and_only_empty_ones_removed(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out folder, inner;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_mkdir(client, datasets, "d", &folder), 0);
    assert_int_equal(folder.attr.mode, S_IFDIR | 0755);
    assert_int_equal(fuse_call_mkdir(client, datasets, "d", &inner), EEXIST);
    assert_int_equal(fuse_call_mkdir(client, folder.nodeid, "inner", &inner), 0);
    assert_int_equal(fuse_call_remove(client, datasets, "d", true), ENOTEMPTY);
    assert_int_equal(fuse_call_remove(client, datasets, "d", false), EISDIR);
    assert_int_equal(fuse_call_remove(client, folder.nodeid, "inner", true), 0);
    assert_int_equal(fuse_call_remove(client, datasets, "d", true), 0);
    assert_int_equal(fuse_call_lookup(client, datasets, "d", &inner), ENOENT);
}

static void rename_replaces_refuses_or_exchanges_as_asked(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    assert_int_equal(fuse_path_put(client, "datasets/a", "A"), 0);
    assert_int_equal(fuse_path_put(client, "datasets/b", "B"), 0);
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_rename(client, datasets, "a", datasets, "b", 1), EEXIST); /* RENAME_NOREPLACE */
    assert_int_equal(fuse_call_rename(client, datasets, "a", datasets, "b", 2), 0);      /* RENAME_EXCHANGE */
    session_fixture_expect(fixture, "datasets/a", "B");
    session_fixture_expect(fixture, "datasets/b", "A");
    assert_int_equal(fuse_call_rename(client, datasets, "a", datasets, "b", 0), 0);
    session_fixture_expect(fixture, "datasets/b", "B");
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_lookup(client, datasets, "a", &entry), ENOENT);
    assert_int_equal(fuse_call_rename(client, datasets, "b", datasets, "c", 4), 0); /* RENAME_WHITEOUT */
    session_fixture_expect(fixture, "datasets/c", "B");
    assert_int_equal(fuse_call_lookup(client, datasets, "b", &entry), 0);
    assert_int_equal(entry.attr.mode, S_IFCHR);
    assert_int_equal(entry.attr.rdev, 0);
    assert_int_equal(fuse_call_rename(client, datasets, "c", datasets, "d", 4 | 2), EINVAL);
    assert_int_equal(fuse_call_rename(client, datasets, "c", datasets, "d", 8), EINVAL);
}

static void a_move_between_datasets_is_exdev_so_that_mv_copies(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out from, to;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_mkdir(client, datasets, "from", &from), 0);
    assert_int_equal(fuse_call_mkdir(client, datasets, "to", &to), 0);
    assert_int_equal(fuse_path_put(client, "datasets/from/a", "text"), 0);
    assert_int_equal(fuse_call_rename(client, from.nodeid, "a", to.nodeid, "a", 0), EXDEV);
    session_fixture_expect(fixture, "datasets/from/a", "text");
}

static void a_symbolic_link_reads_back_and_its_size_is_its_length(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out entry;
    SCOPE_BUFFER target = {0};
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_symlink(&fixture->client, "../jobs/x", datasets, "link", &entry), 0);
    assert_int_equal(entry.attr.mode & S_IFMT, S_IFLNK);
    assert_int_equal(entry.attr.size, strlen("../jobs/x"));
    assert_int_equal(fuse_call_readlink(&fixture->client, entry.nodeid, &target), 0);
    assert_string_equal(buffer_text(&target), "../jobs/x");
}

static void a_hard_link_is_the_same_file_under_two_names(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", "one"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_link(&fixture->client, node, datasets, "b", &entry), 0);
    assert_int_equal(entry.nodeid, node);
    assert_int_equal(entry.attr.nlink, 2);
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/b", "two"), 0);
    session_fixture_expect(fixture, "datasets/a", "two");
}

static void an_unlinked_file_lives_while_it_is_open(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    struct fuse_attr attributes;
    char bytes[16];
    size_t got;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(client, datasets, "gone", 2, &entry, &open), 0);
    assert_int_equal(fuse_call_write(client, entry.nodeid, open.fh, 0, "still", 5), 0);
    assert_int_equal(fuse_call_remove(client, datasets, "gone", false), 0);
    assert_int_equal(fuse_call_read(client, entry.nodeid, open.fh, 0, bytes, sizeof bytes, &got), 0);
    assert_memory_equal(bytes, "still", 5);
    assert_int_equal(fuse_call_getattr(client, entry.nodeid, &attributes), 0);
    assert_int_equal(attributes.nlink, 0);
    assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
    fuse_call_forget(client, entry.nodeid, 1);
    session_fixture_expect_gone(fixture, entry.nodeid);
}

static void extended_attributes_can_be_set_listed_replaced_and_removed(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    assert_int_equal(fuse_path_put(client, "datasets/a", ""), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    SCOPE_BUFFER value = {0};
    SCOPE_BUFFER names = {0};
    assert_int_equal(fuse_call_getxattr(client, node, "user.stain", &value), ENODATA);
    assert_int_equal(fuse_call_setxattr(client, node, "user.stain", "DAPI", 0), 0);
    assert_int_equal(fuse_call_setxattr(client, node, "user.stain", "H&E", 1), EEXIST); /* XATTR_CREATE */
    assert_int_equal(fuse_call_setxattr(client, node, "user.other", "x", 2), ENODATA);  /* XATTR_REPLACE */
    assert_int_equal(fuse_call_setxattr(client, node, "user.stain", "H&E", 2), 0);
    assert_int_equal(fuse_call_getxattr(client, node, "user.stain", &value), 0);
    assert_string_equal(buffer_text(&value), "H&E");
    assert_int_equal(fuse_call_listxattr(client, node, &names), 0);
    assert_int_equal(names.length, sizeof "user.stain");
    assert_string_equal(buffer_text(&names), "user.stain");
    assert_int_equal(fuse_call_removexattr(client, node, "user.stain"), 0);
    assert_int_equal(fuse_call_removexattr(client, node, "user.stain"), ENODATA);
}

static void a_name_of_255_bytes_fits_and_one_more_does_not(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out entry;
    char name[257];
    memset(name, 'n', sizeof name - 1);
    name[256] = '\0';
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_mkdir(&fixture->client, datasets, name, &entry), ENAMETOOLONG);
    name[255] = '\0';
    assert_int_equal(fuse_call_mkdir(&fixture->client, datasets, name, &entry), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(the_answer_to_init_allows_large_writes_and_parallel_folders),
        session_test(a_missing_name_is_enoent_and_not_remembered),
        session_test(everything_belongs_to_who_mounted_and_chown_to_another_is_refused_in_words),
        session_test(mode_times_and_size_can_be_changed),
        session_test(times_before_1970_are_shown_as_set),
        session_test(folders_are_made_and_only_empty_ones_removed),
        session_test(rename_replaces_refuses_or_exchanges_as_asked),
        session_test(a_move_between_datasets_is_exdev_so_that_mv_copies),
        session_test(a_symbolic_link_reads_back_and_its_size_is_its_length),
        session_test(a_hard_link_is_the_same_file_under_two_names),
        session_test(an_unlinked_file_lives_while_it_is_open),
        session_test(extended_attributes_can_be_set_listed_replaced_and_removed),
        session_test(a_name_of_255_bytes_fits_and_one_more_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
