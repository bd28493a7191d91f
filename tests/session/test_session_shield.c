/* Ways around the rights that a member might try: numbers of nodes that were never told, links, requests that the server
 * carries out with keys of its own. */
#include <errno.h>
#include <string.h>

#include <linux/fuse.h>

#include "members_scene.h"
#include "people_view.h"
#include "session.h"
#include "session_gate.h"
#include "testing.h"
#include "tree_members.h"
#include "tree_path.h"

static enum code admit(struct scene *scene, uint32_t opcode, uint64_t node, const void *body, size_t count)
{
    struct {
        struct fuse_in_header header;
        uint8_t body[256];
    } sent = {
        .header = {.len = (uint32_t)(sizeof(struct fuse_in_header) + count), .opcode = opcode, .unique = 2, .nodeid = node}};
    struct failure why;
    struct message known;
    size_t length = sent.header.len;
    memcpy(sent.body, body, count);
    return session_gate_admit(scene->session, &sent, &length, 1, &known, &why);
}

static void what_was_not_shared_does_not_even_tell_its_size(void **state)
{
    struct scene *scene = *state;
    const struct fuse_getattr_in ask = {0};
    static const char *const hidden[] = {"home/ada/f", "datasets/closed/f"};
    for (int role = 0; role < ROLE_COUNT; role++)
        for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
            scene->bob.role = (enum member_role)role;
            assert_int_equal(admit(scene, FUSE_GETATTR, members_scene_node(scene, hidden[i]), &ask, sizeof ask),
                             CODE_DENIED);
            assert_int_equal(admit(scene, FUSE_READLINK, members_scene_node(scene, hidden[i]), "", 0), CODE_DENIED);
        }
    assert_int_equal(admit(scene, FUSE_GETATTR, members_scene_node(scene, "datasets/closed"), &ask, sizeof ask), CODE_OK);
}

static enum code ask_as_bob(struct scene *scene, const char *space, const char *request)
{
    struct failure why;
    viewer_enter(&scene->bob);
    enum code code = people_view_command(scene->tree, space, request, strlen(request), &why);
    viewer_leave();
    return code;
}

static bool bob_may_open(struct scene *scene, const char *path)
{
    const struct fuse_open_in open = {0};
    return admit(scene, FUSE_OPEN, members_scene_node(scene, path), &open, sizeof open) == CODE_OK;
}

static void nobody_shares_with_himself_what_only_the_server_can_read(void **state)
{
    struct scene *scene = *state;
    static const char *const requests[] = {"share bob", "share everyone", "unshare ada", "rotate", "unshare everyone"};
    for (int role = 0; role < ROLE_COUNT; role++)
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
            scene->bob.role = (enum member_role)role;
            assert_int_equal(ask_as_bob(scene, "closed", requests[i]), CODE_DENIED);
            assert_int_equal(ask_as_bob(scene, "home-ada", requests[i]), CODE_DENIED);
        }
    assert_false(bob_may_open(scene, "datasets/closed/f"));
}

static void who_made_a_dataset_says_who_reads_it(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(ask_as_bob(scene, "shared", "unshare ada"), CODE_DENIED);
    assert_int_equal(ask_as_bob(scene, "mine", "unshare everyone"), CODE_OK);
    assert_true(bob_may_open(scene, "datasets/mine/f"));
    assert_int_equal(ask_as_bob(scene, "mine", "share ada"), CODE_OK);
    assert_int_equal(ask_as_bob(scene, "lab", "rotate"), CODE_DENIED);
    scene->bob.role = ROLE_STEWARD;
    assert_int_equal(ask_as_bob(scene, "shared", "rotate"), CODE_OK);
}

static void who_leaves_is_the_member_who_asks(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    SCOPE_BUFFER text = {0};
    assert_true(bob_may_open(scene, "datasets/shared/f"));
    assert_int_equal(ask_as_bob(scene, "shared", "leave"), CODE_OK);
    assert_false(bob_may_open(scene, "datasets/shared/f"));
    assert_code_ok(tree_path_read(scene->tree, "datasets/shared/f", 100, &text, &why), why); /* ada reads on */
    assert_int_equal(ask_as_bob(scene, "home-bob", "leave"), CODE_INVALID); /* nobody could ever read it again */
}

static void put_link(struct scene *scene, const char *path, const char *target)
{
    struct failure why;
    viewer_enter(&scene->bob);
    enum code code = tree_path_link(scene->tree, path, target, &why);
    viewer_leave();
    assert_code_ok(code, why);
}

static enum code follow(struct scene *scene, const char *path)
{
    struct failure why;
    SCOPE_BUFFER text = {0};
    enum code code = tree_path_read(scene->tree, path, 100, &text, &why);
    struct node_id link = {members_scene_node(scene, path)};
    assert_int_equal(tree_check_link(scene->tree, link, &why) == CODE_OK, code == CODE_OK);
    return code;
}

/* The server's own rules and programs read by path with all the keys that it holds. */
static void a_members_link_leads_the_server_no_further_than_him(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    put_link(scene, "datasets/mine/stolen", "../../home/ada/f");
    put_link(scene, "datasets/mine/closed", "../closed/f");
    put_link(scene, "datasets/mine/own", "f");
    put_link(scene, "datasets/mine/shared", "../shared/f");
    put_link(scene, "datasets/mine/chained", "stolen");
    put_link(scene, "datasets/mine/made", "../../README");
    put_link(scene, "datasets/mine/outside", "/etc/passwd");
    assert_int_equal(follow(scene, "datasets/mine/stolen"), CODE_DENIED);
    assert_int_equal(follow(scene, "datasets/mine/closed"), CODE_DENIED);
    assert_int_equal(follow(scene, "datasets/mine/chained"), CODE_DENIED);
    assert_int_equal(follow(scene, "datasets/mine/made"), CODE_DENIED);
    assert_int_equal(follow(scene, "datasets/mine/outside"), CODE_NOT_FOUND);
    assert_int_equal(follow(scene, "datasets/mine/own"), CODE_OK);
    assert_int_equal(follow(scene, "datasets/mine/shared"), CODE_OK);
    assert_code_ok(tree_path_link(scene->tree, "experiments/e/a/l", "../../../home/ada/f", &why), why);
    assert_int_equal(follow(scene, "experiments/e/a/l"), CODE_OK); /* ada's own link */
}

/* A spec acts for who made the file. */
static void nobody_makes_anothers_file_a_job(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    struct {
        struct fuse_rename_in fixed;
        char names[16];
    } rename = {.fixed = {.newdir = members_scene_node(scene, "jobs")}, .names = "f\0new.yaml"};
    assert_code_ok(tree_path_write(scene->tree, "datasets/mine/adas", 0644, "run: x", 6, &why), why);
    scene->bob.role = ROLE_STEWARD;
    assert_int_equal(
        admit(scene, FUSE_RENAME, members_scene_node(scene, "datasets/shared"), &rename, sizeof rename.fixed + 11),
        CODE_DENIED);
    assert_int_equal(admit(scene, FUSE_RENAME, members_scene_node(scene, "home/bob"), &rename, sizeof rename.fixed + 11),
                     CODE_OK);
    memcpy(rename.names, "adas\0n.yaml", 12);
    assert_int_equal(
        admit(scene, FUSE_RENAME, members_scene_node(scene, "datasets/mine"), &rename, sizeof rename.fixed + 12),
        CODE_DENIED);
}

struct shown {
    uint32_t mode;
};

static void take_mode(void *context, const struct iovec *parts, int count)
{
    uint8_t bytes[512];
    size_t length = 0;
    for (int i = 0; i < count && length + parts[i].iov_len <= sizeof bytes; i++) {
        memcpy(bytes + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    const struct fuse_attr_out *out = (const void *)(bytes + sizeof(struct fuse_out_header));
    if (length == sizeof(struct fuse_out_header) + sizeof *out)
        ((struct shown *)context)->mode = out->attr.mode;
}

static uint32_t mode_of(struct scene *scene, const char *path)
{
    struct shown shown = {0};
    struct {
        struct fuse_in_header header;
        struct fuse_getattr_in in;
    } ask = {.header = {.len = sizeof ask, .opcode = FUSE_GETATTR, .unique = 3, .nodeid = members_scene_node(scene, path)}};
    scene->answered = take_mode;
    scene->answered_context = &shown;
    session_process(scene->session, &ask, sizeof ask);
    scene->answered = NULL;
    return shown.mode & 0777;
}

static void modes_say_what_the_viewer_may_do(void **state)
{
    struct scene *scene = *state;
    struct {
        struct fuse_in_header header;
        struct fuse_init_in in;
    } greeting = {.header = {.len = sizeof greeting, .opcode = FUSE_INIT, .unique = 1}, .in = {.major = 7, .minor = 31}};
    session_process(scene->session, &greeting, sizeof greeting);
    static const struct {
        const char *path;
        uint32_t as_viewer, as_scientist, as_steward;
    } table[] = {
        {"datasets", 0555, 0755, 0755},
        {"datasets/shared", 0555, 0555, 0755},
        {"datasets/shared/f", 0444, 0444, 0644},
        {"datasets/mine", 0555, 0755, 0755},
        {"datasets/mine/f", 0444, 0644, 0644},
        {"datasets/closed", 0, 0, 0},
        {"home/bob", 0755, 0755, 0755},
        {"home/ada", 0, 0, 0},
        {"home/bob/f", 0644, 0644, 0644},
        {"models/m/1/f", 0444, 0444, 0444},
        {"jobs", 0555, 0755, 0755},
        {"lab/spaces/mine", 0444, 0644, 0644},
        {"experiments/e/a", 0555, 0555, 0555},
        {"", 0555, 0555, 0555},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const uint32_t expected[] = {table[i].as_viewer, table[i].as_scientist, table[i].as_steward};
        for (int role = ROLE_VIEWER; role <= ROLE_STEWARD; role++) {
            scene->bob.role = (enum member_role)role;
            uint32_t mode = mode_of(scene, table[i].path) & (strncmp(table[i].path, "home", 4) == 0 ? 0700 : 0755);
            if (mode != (expected[role] & (strncmp(table[i].path, "home", 4) == 0 ? 0700 : 0755)))
                fail_msg("%s for a %s: %o", table[i].path, member_role_name((enum member_role)role), mode);
        }
    }
}

int main(void)
{
#define shield_test(name) cmocka_unit_test_setup_teardown(name, members_scene_setup, members_scene_teardown)
    const struct CMUnitTest tests[] = {
        shield_test(what_was_not_shared_does_not_even_tell_its_size),
        shield_test(nobody_shares_with_himself_what_only_the_server_can_read),
        shield_test(who_made_a_dataset_says_who_reads_it),
        shield_test(who_leaves_is_the_member_who_asks),
        shield_test(a_members_link_leads_the_server_no_further_than_him),
        shield_test(nobody_makes_anothers_file_a_job),
        shield_test(modes_say_what_the_viewer_may_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
