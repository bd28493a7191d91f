/* Quotas as a member on another machine meets them: EDQUOT and the words for it, df's numbers, lab/quotas, README, and bytes
 * set aside for files that are written behind (RESERVE, PUT). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "members_scene.h"
#include "people_quota.h"
#include "session.h"
#include "scope.h"
#include "session_gate.h"
#include "session_saved.h"
#include "testing.h"
#include "tree_path.h"
#include "tree_quota.h"
#include "viewer.h"

#define KIB 1024u

struct talk {
    struct scene scene;
    char answer[70000];
    size_t bytes;
};

static struct failure why;

static void take(void *context, const struct iovec *parts, int count)
{
    struct talk *talk = context;
    const struct fuse_out_header *header = parts[0].iov_base;
    if (header->unique == 0)
        return; /* it tells of a change */
    talk->bytes = 0;
    for (int i = 0; i < count; i++) {
        assert_true(talk->bytes + parts[i].iov_len <= sizeof talk->answer);
        memcpy(talk->answer + talk->bytes, parts[i].iov_base, parts[i].iov_len);
        talk->bytes += parts[i].iov_len;
    }
}

/* One message of bob's: through the gate, and carried out where it lets it.  Returns the errno. */
static int say(struct talk *talk, uint32_t opcode, uint64_t node, const struct iovec *parts, int count)
{
    static uint64_t unique = 2;
    uint64_t room[9000];
    char *message = (char *)room;
    size_t length = sizeof(struct fuse_in_header);
    struct message known;
    for (int i = 0; i < count; i++) {
        assert_true(length + parts[i].iov_len <= sizeof room);
        memcpy(message + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    const struct fuse_in_header header = {.len = (uint32_t)length, .opcode = opcode, .unique = unique += 2, .nodeid = node};
    memcpy(message, &header, sizeof header);
    if (session_gate_admit(talk->scene.session, message, &length, opcode != FUSE_INIT, &known, &why) == CODE_OK)
        session_process(talk->scene.session, message, length);
    return -((const struct fuse_out_header *)talk->answer)->error;
}

static const void *body(const struct talk *talk)
{
    return talk->answer + sizeof(struct fuse_out_header);
}

static int create(struct talk *talk, const char *folder, const char *name, uint64_t *handle)
{
    const struct fuse_create_in in = {.flags = O_WRONLY | O_CREAT, .mode = 0644};
    const struct iovec parts[] = {{(void *)&in, sizeof in}, {(void *)name, strlen(name) + 1}};
    int error = say(talk, FUSE_CREATE, members_scene_node(&talk->scene, folder), parts, 2);
    *handle = 0;
    if (!error)
        memcpy(handle, (const char *)body(talk) + sizeof(struct fuse_entry_out), sizeof *handle);
    return error;
}

static int write_kib(struct talk *talk, const char *path, uint64_t handle, uint32_t from, uint32_t kib)
{
    SCOPE_FREE char *bytes = calloc(kib + 1, KIB);
    const struct fuse_write_in in = {.fh = handle, .offset = (uint64_t)from * KIB, .size = kib * KIB};
    const struct iovec parts[] = {{(void *)&in, sizeof in}, {bytes, kib * KIB}};
    return say(talk, FUSE_WRITE, members_scene_node(&talk->scene, path), parts, 2);
}

static struct extra_reserve_out reserve(struct talk *talk, uint32_t count, uint32_t bytes)
{
    struct extra_reserve_out out;
    const struct extra_reserve_in in = {.count = count, .bytes = bytes};
    const struct iovec part = {(void *)&in, sizeof in};
    assert_int_equal(say(talk, EXTRA_RESERVE, FUSE_ROOT_ID, &part, 1), 0);
    memcpy(&out, body(talk), sizeof out);
    return out;
}

static int put_kib(struct talk *talk, const char *name, uint64_t number, uint32_t kib)
{
    SCOPE_FREE char *bytes = calloc(kib + 1, KIB);
    const struct extra_put_in in = {
        .node = number, .mode = 0644, .name_length = (uint32_t)strlen(name) + 1, .size = kib * KIB};
    const struct iovec parts[] = {{(void *)&in, sizeof in}, {(void *)name, strlen(name) + 1}, {bytes, kib * KIB}};
    return say(talk, EXTRA_PUT, members_scene_node(&talk->scene, "home/bob"), parts, 3);
}

static void allow(struct talk *talk, const char *words)
{
    assert_code_ok(people_quota_command(talk->scene.tree, "bob", words, strlen(words), &why), why);
}

static uint64_t used(struct talk *talk)
{
    const struct tree_quota_storage storage = tree_quota_storage(talk->scene.tree, &talk->scene.bob);
    return storage.bytes + storage.held;
}

/* As bob sees it, or, without a viewer, who opened the lab. */
static void read_as(struct talk *talk, const struct viewer *viewer, const char *path, struct buffer *out)
{
    viewer_enter(viewer);
    enum code code = tree_path_read(talk->scene.tree, path, 65536, out, &why);
    viewer_leave();
    assert_code_ok(code, why);
}

static int setup(void **state)
{
    struct talk *talk = calloc(1, sizeof *talk);
    talk->scene.answered = take;
    talk->scene.answered_context = talk;
    members_scene_make(&talk->scene);
    const struct fuse_init_in init = {.major = 7, .minor = 36, .max_readahead = 1 << 20, .flags = FUSE_BIG_WRITES};
    const struct iovec part = {(void *)&init, sizeof init};
    assert_int_equal(say(talk, FUSE_INIT, 0, &part, 1), 0);
    *state = talk;
    return 0;
}

static int teardown(void **state)
{
    struct talk *talk = *state;
    members_scene_destroy(&talk->scene);
    free(talk);
    return 0;
}

static void what_is_too_much_is_refused_and_the_words_are_in_his_last_error(void **state)
{
    struct talk *talk = *state;
    SCOPE_BUFFER his = {0};
    uint64_t handle;
    allow(talk, "storage=40K");
    assert_int_equal(create(talk, "home/bob", "a", &handle), 0);
    assert_int_equal(write_kib(talk, "home/bob/a", handle, 0, 30), 0);
    assert_int_equal(write_kib(talk, "home/bob/a", handle, 30, 20), EDQUOT);
    const struct fuse_setattr_in grow = {.valid = FATTR_SIZE, .size = 50 * KIB};
    const struct iovec setattr = {(void *)&grow, sizeof grow};
    assert_int_equal(say(talk, FUSE_SETATTR, members_scene_node(&talk->scene, "home/bob/a"), &setattr, 1), EDQUOT);
    const struct fuse_fallocate_in more = {.fh = handle, .length = 50 * KIB};
    const struct iovec fallocate = {(void *)&more, sizeof more};
    assert_int_equal(say(talk, FUSE_FALLOCATE, members_scene_node(&talk->scene, "home/bob/a"), &fallocate, 1), EDQUOT);
    read_as(talk, &talk->scene.bob, "lab/last-error", &his);
    assert_non_null(strstr(buffer_text(&his), "bob's files may have 40.0 KiB in all"));
    assert_int_equal(write_kib(talk, "home/bob/a", handle, 30, 5), 0);
}

static void df_shows_the_quota_and_what_is_left_of_it(void **state)
{
    struct talk *talk = *state;
    struct fuse_kstatfs before, after;
    assert_int_equal(say(talk, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0), 0);
    memcpy(&before, body(talk), sizeof before);
    uint64_t handle;
    allow(talk, "storage=80K");
    assert_int_equal(create(talk, "home/bob", "a", &handle), 0);
    assert_int_equal(write_kib(talk, "home/bob/a", handle, 0, 36), 0);
    assert_int_equal(say(talk, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0), 0);
    memcpy(&after, body(talk), sizeof after);
    assert_true(before.bavail > 20);
    assert_int_equal(after.blocks, 80 / 4);
    assert_int_equal(after.bavail, (80 * KIB - used(talk)) / 4096);
}

/* Each has files of his own there; 0 where there is none of that name. */
static uint64_t find_quotas(struct talk *talk, const struct viewer *viewer, const char *name)
{
    struct node_attributes folder, file;
    assert_code_ok(tree_path_attributes(talk->scene.tree, "lab/quotas", &folder, &why), why);
    viewer_enter(viewer);
    enum code code = tree_lookup(talk->scene.tree, folder.id, name, &file, &why);
    viewer_leave();
    return code == CODE_OK ? file.id.value : 0;
}

static bool sees(struct talk *talk, const struct viewer *viewer, const char *name)
{
    return find_quotas(talk, viewer, name) != 0;
}

static void everybody_sees_his_own_and_an_admin_all_of_them(void **state)
{
    struct talk *talk = *state;
    struct viewer *bob = &talk->scene.bob;
    SCOPE_BUFFER file = {0}, readme = {0};
    allow(talk, "storage=10M jobs=2");
    assert_true(sees(talk, bob, "bob"));
    assert_false(sees(talk, bob, "ada"));
    assert_false(sees(talk, bob, "everyone"));
    read_as(talk, bob, "lab/quotas/bob", &file);
    assert_non_null(strstr(buffer_text(&file), "storage   10.0 MiB; used: "));
    assert_non_null(strstr(buffer_text(&file), "jobs      2 waiting or running\n"));
    assert_non_null(strstr(buffer_text(&file), "gpus      no limit (as everyone)\n"));
    read_as(talk, bob, "README", &readme);
    assert_non_null(strstr(buffer_text(&readme), "quotas: storage 10.0 MiB, jobs 2, gpus no limit, cpus no limit."));
    bob->role = ROLE_ADMIN;
    assert_true(sees(talk, bob, "ada"));
    assert_true(sees(talk, bob, "everyone"));
    assert_false(sees(talk, bob, "nobody"));
    assert_true(sees(talk, NULL, "ada"));
}

static int write_quota(struct talk *talk, const char *words)
{
    const struct fuse_open_in in = {.flags = O_WRONLY};
    const struct iovec part = {(void *)&in, sizeof in};
    struct fuse_open_out opened;
    uint64_t node = find_quotas(talk, &talk->scene.bob, "bob");
    int error = say(talk, FUSE_OPEN, node, &part, 1);
    if (error)
        return error;
    memcpy(&opened, body(talk), sizeof opened);
    const struct fuse_write_in write = {.fh = opened.fh, .size = (uint32_t)strlen(words)};
    const struct iovec parts[] = {{(void *)&write, sizeof write}, {(void *)words, strlen(words)}};
    return say(talk, FUSE_WRITE, node, parts, 2);
}

static void only_an_admin_changes_them_and_a_mistake_changes_nothing(void **state)
{
    struct talk *talk = *state;
    assert_int_equal(write_quota(talk, "storage=none"), EACCES);
    talk->scene.bob.role = ROLE_STEWARD;
    assert_int_equal(write_quota(talk, "storage=none"), EACCES);
    talk->scene.bob.role = ROLE_ADMIN;
    assert_int_equal(write_quota(talk, "jobs=3 gpus=1\n"), 0);
    assert_int_equal(write_quota(talk, "jobs=5 cows=2\n"), EINVAL);
    assert_int_equal(tree_quota_of(talk->scene.tree, "bob").most[QUOTA_JOBS], 3);
    assert_int_equal(tree_quota_of(talk->scene.tree, "bob").most[QUOTA_GPUS], 1);
}

static void a_file_that_was_promised_room_is_taken_whatever_came_between(void **state)
{
    struct talk *talk = *state;
    uint64_t handle;
    allow(talk, "storage=200K");
    struct extra_reserve_out got = reserve(talk, 10, 1 << 20);
    assert_true(got.count == 10 && got.bytes > 16 * KIB && got.bytes <= 25 * KIB);
    assert_int_equal(reserve(talk, 0, 0x7fffffff).count, 0);
    assert_int_equal(create(talk, "home/bob", "a", &handle), 0);
    uint32_t from = 0;
    while (from < 200 && write_kib(talk, "home/bob/a", handle, from, 4) == 0)
        from += 4;
    assert_true(from > 100 && from < 200); /* some was kept for what is to come */
    assert_int_equal(put_kib(talk, "promised", got.first, 16), 0);
    allow(talk, "storage=1K");
    assert_int_equal(put_kib(talk, "more", got.first + 1, 8), 0);
    assert_int_equal(put_kib(talk, "too much", got.first + 2, 60), EDQUOT);
}

static void what_was_set_aside_is_given_back_when_the_session_ends_and_kept_when_the_server_is_started_anew(void **state)
{
    struct talk *talk = *state;
    SCOPE_BUFFER saved = {0};
    uint64_t before = used(talk);
    allow(talk, "storage=1M");
    assert_true(reserve(talk, 0, 50 * KIB).bytes > 0);
    assert_int_equal(reserve(talk, 0, 0).bytes, 0);
    assert_int_equal(used(talk), before);
    uint32_t got = reserve(talk, 1, 100 * KIB).bytes;
    assert_true(got > 0);
    assert_int_equal(used(talk), before + got);
    session_save(talk->scene.session, &saved);
    session_destroy(talk->scene.session);
    assert_int_equal(used(talk), before);
    const struct session_peer peer = {.send = take, .context = talk, .viewer = &talk->scene.bob};
    const struct session_options options = {.peer = &peer};
    assert_code_ok(session_start(talk->scene.tree, &options, &talk->scene.session, &why), why);
    assert_code_ok(session_restore(talk->scene.session, saved.data, saved.length, &why), why);
    assert_int_equal(used(talk), before + got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_too_much_is_refused_and_the_words_are_in_his_last_error, setup, teardown),
        cmocka_unit_test_setup_teardown(df_shows_the_quota_and_what_is_left_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(everybody_sees_his_own_and_an_admin_all_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(only_an_admin_changes_them_and_a_mistake_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_was_promised_room_is_taken_whatever_came_between, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_was_set_aside_is_given_back_when_the_session_ends_and_kept_when_the_server_is_started_anew, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
