/* Owners: what a session that keeps them (root's, for others) does with who asks, and with the set-uid and set-gid bits,
 * which the kernel leaves to it.  The client says whom it asks for; permissions are the kernel's to check, and are not
 * tested here (tests/mount does). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session_fixture.h"
#include "testing.h"
#include "tree.h"

#define ALICE 1001
#define BOB   1002
#define LAB   2000 /* a group */

static int setup(void **state)
{
    if (session_fixture_setup(state) != 0)
        return -1;
    struct session_fixture *fixture = *state;
    fuse_client_stop(&fixture->client);
    assert_true(fuse_client_start_with_owners(&fixture->client, fixture->tree, 4));
    return 0;
}

static void ask_as(struct session_fixture *fixture, uint32_t user, uint32_t group)
{
    fixture->client.user = user;
    fixture->client.group = group;
}

static struct fuse_attr attributes_of(struct session_fixture *fixture, uint64_t node)
{
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(&fixture->client, node, &attributes), 0);
    return attributes;
}

static struct fuse_attr change(struct session_fixture *fixture, uint64_t node, struct fuse_setattr_in wanted)
{
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_setattr(&fixture->client, node, &wanted, &attributes), 0);
    return attributes;
}

static struct fuse_attr set_mode(struct session_fixture *fixture, uint64_t node, uint32_t mode)
{
    return change(fixture, node, (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = mode});
}

static uint64_t make_folder(struct session_fixture *fixture, uint64_t folder, const char *name)
{
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_mkdir(&fixture->client, folder, name, &entry), 0);
    return entry.nodeid;
}

static uint64_t make_file(struct session_fixture *fixture, uint64_t folder, const char *name, uint64_t *handle)
{
    struct fuse_entry_out entry;
    struct fuse_open_out opened;
    assert_int_equal(fuse_call_create(&fixture->client, folder, name, O_WRONLY, &entry, &opened), 0);
    *handle = opened.fh;
    return entry.nodeid;
}

static void what_is_made_belongs_to_whoever_asked(void **state)
{
    struct session_fixture *fixture = *state;
    ask_as(fixture, ALICE, LAB);
    uint64_t handle, folder = make_folder(fixture, session_fixture_node(fixture, "datasets"), "a");
    uint64_t file = make_file(fixture, folder, "file", &handle);
    assert_int_equal(attributes_of(fixture, folder).uid, ALICE);
    assert_int_equal(attributes_of(fixture, folder).gid, LAB);
    assert_int_equal(attributes_of(fixture, file).uid, ALICE);
    struct fuse_entry_out link;
    ask_as(fixture, BOB, BOB);
    assert_int_equal(fuse_call_symlink(&fixture->client, "file", folder, "link", &link), 0);
    assert_int_equal(link.attr.uid, BOB);
    assert_int_equal(link.attr.gid, BOB);
}

static void a_folder_with_the_set_group_bit_hands_its_group_down(void **state)
{
    struct session_fixture *fixture = *state;
    ask_as(fixture, ALICE, LAB);
    uint64_t handle, folder = make_folder(fixture, session_fixture_node(fixture, "datasets"), "a");
    set_mode(fixture, folder, S_ISGID | 0775);
    ask_as(fixture, BOB, BOB);
    struct fuse_attr file = attributes_of(fixture, make_file(fixture, folder, "file", &handle));
    struct fuse_attr below = attributes_of(fixture, make_folder(fixture, folder, "below"));
    assert_int_equal(file.uid, BOB);
    assert_int_equal(file.gid, LAB);
    assert_int_equal(file.mode & S_ISGID, 0);
    assert_int_equal(below.gid, LAB);
    assert_int_equal(below.mode & S_ISGID, S_ISGID);
}

static void a_new_owner_takes_the_set_id_bits_of_files_and_leaves_those_of_folders(void **state)
{
    struct session_fixture *fixture = *state;
    uint64_t handle, folder = make_folder(fixture, session_fixture_node(fixture, "datasets"), "a");
    uint64_t file = make_file(fixture, folder, "file", &handle);
    set_mode(fixture, file, 06755);
    struct fuse_attr given =
        change(fixture, file, (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID, .uid = BOB, .gid = LAB});
    assert_int_equal(given.uid, BOB);
    assert_int_equal(given.gid, LAB);
    assert_int_equal(given.mode & 07777, 0755);
    set_mode(fixture, file, 06745);
    struct fuse_attr locked = change(fixture, file, (struct fuse_setattr_in){.valid = FATTR_GID, .gid = BOB});
    assert_int_equal(locked.mode & 07777, 02745); /* no group may run it: the bit means something else */
    set_mode(fixture, folder, 06755);
    given = change(fixture, folder, (struct fuse_setattr_in){.valid = FATTR_UID, .uid = BOB});
    assert_int_equal(given.mode & 07777, 06755);
}

static void writing_and_truncating_take_the_set_id_bits_unless_root_does_it(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_open_out opened;
    uint64_t handle, file = make_file(fixture, session_fixture_node(fixture, "datasets"), "file", &handle);
    struct fuse_client *client = &fixture->client;
    const struct fuse_setattr_in shorter = {.valid = FATTR_SIZE, .size = 2};

    ask_as(fixture, 0, 0);
    assert_int_equal(fuse_call_open(client, file, O_WRONLY | O_APPEND, &opened), 0);
    set_mode(fixture, file, 06755);
    assert_int_equal(fuse_call_write(client, file, opened.fh, 0, "root", 4), 0);
    assert_int_equal(attributes_of(fixture, file).mode & 07777, 06755);
    assert_int_equal(change(fixture, file, shorter).mode & 07777, 06755);

    ask_as(fixture, ALICE, ALICE);
    assert_int_equal(fuse_call_open(client, file, O_WRONLY | O_APPEND, &opened), 0);
    assert_int_equal(fuse_call_write(client, file, opened.fh, 0, "alice", 5), 0);
    assert_int_equal(attributes_of(fixture, file).mode & 07777, 0755);
    set_mode(fixture, file, 06755);
    assert_int_equal(change(fixture, file, shorter).mode & 07777, 0755);
}

struct special {
    const char *name;
    uint32_t mode;
    dev_t device;
};

static void pipes_sockets_and_devices_keep_their_kind_and_number_and_have_no_contents(void **state)
{
    static const struct special specials[] = {{"pipe", S_IFIFO | 0640, 0},
                                              {"socket", S_IFSOCK | 0600, 0},
                                              {"character", S_IFCHR | 0666, 0x0103},
                                              {"block", S_IFBLK | 0660, 0x0801}};
    struct session_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        const struct fuse_mknod_in in = {.mode = specials[i].mode, .rdev = (uint32_t)specials[i].device};
        const struct fuse_client_request request = {
            .opcode = FUSE_MKNOD,
            .node = session_fixture_node(fixture, "datasets"),
            .fixed = &in,
            .fixed_bytes = sizeof in,
            .first = specials[i].name,
            .first_bytes = strlen(specials[i].name) + 1,
        };
        struct fuse_entry_out entry;
        struct fuse_open_out opened;
        assert_int_equal(fuse_client_call(&fixture->client, &request, &entry, sizeof entry, NULL), 0);
        assert_int_equal(entry.attr.mode, specials[i].mode);
        assert_int_equal(entry.attr.rdev, specials[i].device);
        assert_int_equal(entry.attr.size, 0);
        assert_int_equal(fuse_call_open(&fixture->client, entry.nodeid, O_RDONLY, &opened), EINVAL);
    }
}

static void a_session_without_owners_shows_all_as_its_own_and_gives_nothing_away(void **state)
{
    struct session_fixture *fixture = *state;
    ask_as(fixture, ALICE, LAB);
    make_folder(fixture, session_fixture_node(fixture, "datasets"), "a");
    struct fuse_client other;
    struct fuse_entry_out entry;
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    assert_int_equal(fuse_path_resolve(&other, "datasets/a", &entry), 0);
    assert_int_equal(entry.attr.uid, geteuid());
    assert_int_equal(entry.attr.gid, getegid());
    fuse_client_stop(&other);
    assert_int_equal(attributes_of(fixture, session_fixture_node(fixture, "datasets/a")).uid, ALICE);
}

#define owners_test(name) cmocka_unit_test_setup_teardown(name, setup, session_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        owners_test(what_is_made_belongs_to_whoever_asked),
        owners_test(a_folder_with_the_set_group_bit_hands_its_group_down),
        owners_test(a_new_owner_takes_the_set_id_bits_of_files_and_leaves_those_of_folders),
        owners_test(writing_and_truncating_take_the_set_id_bits_unless_root_does_it),
        owners_test(pipes_sockets_and_devices_keep_their_kind_and_number_and_have_no_contents),
        owners_test(a_session_without_owners_shows_all_as_its_own_and_gives_nothing_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
