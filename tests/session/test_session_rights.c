/* Who may do what: every role, on everything that a lab holds, by every operation that a client on another machine can send;
 * what the gate lets through and what it refuses.  The expectations are written down here a second time, by operation, from
 * what the roles are for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "members_scene.h"
#include "session_gate.h"
#include "testing.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_path.h"
#include "viewer.h"

static const char role_letters[ROLE_COUNT + 1] = "vstane"; /* viewer scientist sTeward admin node endpoint */

/* Messages ---------------------------------------------------------------------------------------------------------- */

struct sent {
    struct fuse_in_header header;
    uint8_t body[400];
    size_t count;
};

static void add(struct sent *sent, const void *bytes, size_t count)
{
    memcpy(sent->body + sent->count, bytes, count);
    sent->count += count;
}

static enum code try_message(struct scene *scene, struct sent *sent, uint32_t opcode, uint64_t node)
{
    struct failure why;
    struct message known;
    size_t length = sizeof sent->header + sent->count;
    sent->header = (struct fuse_in_header){.len = (uint32_t)length, .opcode = opcode, .unique = 2, .nodeid = node};
    enum code code = session_gate_admit(scene->session, sent, &length, 1, &known, &why);
    if (code != CODE_OK && code != CODE_DENIED)
        fail_msg("%s: %s", message_opcode_name(opcode), why.text);
    return code;
}

/* "a/b/c" in "a/b" and "c". */
static uint64_t split(struct scene *scene, const char *path, const char **name)
{
    char above[200];
    const char *slash = strrchr(path, '/');
    snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    return members_scene_node(scene, above);
}

enum operation {
    LIST,
    READ,
    WRITE,
    CREATE,
    MKDIR,
    SYMLINK,
    PUT,
    FETCH,
    CHMOD,
    XATTR,
    REMOVE,
    RENAME_AWAY,
    RENAME_ONTO,
    LINK_FROM,
    OPERATIONS
};

static const char *const operation_names[OPERATIONS] = {"list",    "read",        "write",       "create",   "mkdir",
                                                        "symlink", "put",         "fetch",       "chmod",    "xattr",
                                                        "remove",  "rename away", "rename onto", "link from"};

/* Whether the gate lets bob's session do that. */
static bool is_allowed(struct scene *scene, enum operation operation, const char *path)
{
    struct sent sent = {.count = 0};
    const char *name;
    uint64_t folder;
    switch (operation) {
    case LIST:
        add(&sent, &(struct fuse_open_in){0}, sizeof(struct fuse_open_in));
        return try_message(scene, &sent, FUSE_OPENDIR, members_scene_node(scene, path)) == CODE_OK;
    case READ:
        add(&sent, &(struct fuse_open_in){.flags = O_RDONLY}, sizeof(struct fuse_open_in));
        return try_message(scene, &sent, FUSE_OPEN, members_scene_node(scene, path)) == CODE_OK;
    case WRITE:
        add(&sent, &(struct fuse_open_in){.flags = O_WRONLY}, sizeof(struct fuse_open_in));
        return try_message(scene, &sent, FUSE_OPEN, members_scene_node(scene, path)) == CODE_OK;
    case FETCH:
        add(&sent, &(struct extra_fetch_in){.size = 4}, sizeof(struct extra_fetch_in));
        return try_message(scene, &sent, EXTRA_FETCH, members_scene_node(scene, path)) == CODE_OK;
    case CHMOD:
        add(&sent, &(struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0600}, sizeof(struct fuse_setattr_in));
        return try_message(scene, &sent, FUSE_SETATTR, members_scene_node(scene, path)) == CODE_OK;
    case XATTR:
        add(&sent, "\4\0\0\0\0\0\0\0user.a\0abcd", 19);
        return try_message(scene, &sent, FUSE_SETXATTR, members_scene_node(scene, path)) == CODE_OK;
    case CREATE:
        folder = split(scene, path, &name);
        add(&sent, &(struct fuse_create_in){.flags = O_WRONLY, .mode = 0644}, sizeof(struct fuse_create_in));
        add(&sent, name, strlen(name) + 1);
        return try_message(scene, &sent, FUSE_CREATE, folder) == CODE_OK;
    case MKDIR:
        folder = split(scene, path, &name);
        add(&sent, &(struct fuse_mkdir_in){.mode = 0755}, sizeof(struct fuse_mkdir_in));
        add(&sent, name, strlen(name) + 1);
        return try_message(scene, &sent, FUSE_MKDIR, folder) == CODE_OK;
    case SYMLINK:
        folder = split(scene, path, &name);
        add(&sent, name, strlen(name) + 1);
        add(&sent, "target", 7);
        return try_message(scene, &sent, FUSE_SYMLINK, folder) == CODE_OK;
    case PUT:
        folder = split(scene, path, &name);
        add(&sent, &(struct extra_put_in){.node = 1000, .mode = 0644, .name_length = (uint32_t)strlen(name) + 1},
            sizeof(struct extra_put_in));
        add(&sent, name, strlen(name) + 1);
        return try_message(scene, &sent, EXTRA_PUT, folder) == CODE_OK;
    case REMOVE:
        folder = split(scene, path, &name);
        add(&sent, name, strlen(name) + 1);
        return try_message(scene, &sent, FUSE_UNLINK, folder) == CODE_OK;
    case RENAME_AWAY:
        folder = split(scene, path, &name);
        add(&sent, &(struct fuse_rename_in){.newdir = members_scene_node(scene, "home/bob")}, sizeof(struct fuse_rename_in));
        add(&sent, name, strlen(name) + 1);
        add(&sent, "taken", 6);
        return try_message(scene, &sent, FUSE_RENAME, folder) == CODE_OK;
    case RENAME_ONTO:
        folder = split(scene, path, &name);
        add(&sent, &(struct fuse_rename_in){.newdir = folder}, sizeof(struct fuse_rename_in));
        add(&sent, "f", 2);
        add(&sent, name, strlen(name) + 1);
        return try_message(scene, &sent, FUSE_RENAME, members_scene_node(scene, "home/bob")) == CODE_OK;
    case LINK_FROM:
        add(&sent, &(struct fuse_link_in){.oldnodeid = members_scene_node(scene, path)}, sizeof(struct fuse_link_in));
        add(&sent, "hard", 5);
        return try_message(scene, &sent, FUSE_LINK, members_scene_node(scene, "home/bob")) == CODE_OK;
    case OPERATIONS:
        break;
    }
    return false;
}

/* The table ---------------------------------------------------------------------------------------------------------- */

#define PEOPLE  "vsta"
#define ALL_SIX "vstane"
#define MAKERS  "sta"
#define OPS(...)                                                                                                            \
    {                                                                                                                       \
        __VA_ARGS__, OPERATIONS                                                                                             \
    }

static const struct {
    const char *path;
    enum operation operations[8];
    const char *allowed;
} table[] = {
    /* The frame is everyone's to look at and nobody's to change. */
    {"", OPS(LIST), ALL_SIX},
    {"README", OPS(READ), ALL_SIX},
    {"README", OPS(WRITE, REMOVE), ""},
    {"anything", OPS(CREATE, MKDIR, SYMLINK, PUT), ""},
    {"datasets", OPS(LIST), ALL_SIX},
    {"datasets", OPS(CHMOD, REMOVE, RENAME_AWAY), ""},
    {"home", OPS(LIST), ALL_SIX},
    {"home/carol", OPS(MKDIR, CREATE), ""},
    /* Datasets: new ones by scientists; changed by who made them and by stewards; the closed one by nobody whom it was not
       shared with. */
    {"datasets/new", OPS(MKDIR, CREATE, SYMLINK, PUT), MAKERS},
    {"datasets/mine", OPS(LIST), "vstane"},
    {"datasets/mine/f", OPS(READ, FETCH), "vstane"},
    {"datasets/mine/f", OPS(WRITE, CHMOD, XATTR, REMOVE, RENAME_ONTO, CREATE, PUT), MAKERS},
    {"datasets/mine/new", OPS(CREATE, MKDIR, SYMLINK, PUT), MAKERS},
    {"datasets/mine", OPS(REMOVE, CHMOD), MAKERS},
    {"datasets/mine/f", OPS(RENAME_AWAY, LINK_FROM), MAKERS},
    {"datasets/shared", OPS(LIST), "vstan"},
    {"datasets/shared/f", OPS(READ, FETCH), "vstan"},
    {"datasets/shared/f", OPS(WRITE, CHMOD, XATTR, REMOVE, RENAME_ONTO, CREATE, PUT), "ta"},
    {"datasets/shared/f", OPS(RENAME_AWAY, LINK_FROM), "ta"},
    {"datasets/shared/new", OPS(CREATE, MKDIR, SYMLINK, PUT), "ta"},
    {"datasets/closed", OPS(LIST, CHMOD, XATTR, REMOVE), ""},
    {"datasets/closed/f", OPS(READ, FETCH, WRITE, CHMOD, XATTR, REMOVE, RENAME_AWAY), ""},
    {"datasets/closed/f", OPS(CREATE, PUT, MKDIR, RENAME_ONTO, LINK_FROM), ""},
    {"datasets/closed/new", OPS(CREATE, MKDIR, SYMLINK, PUT, REMOVE), ""},
    /* Homes. */
    {"home/bob", OPS(LIST), PEOPLE},
    {"home/bob/f", OPS(READ, FETCH, WRITE, CHMOD, XATTR, REMOVE), PEOPLE},
    {"home/bob/new", OPS(CREATE, MKDIR, SYMLINK, PUT), PEOPLE},
    {"home/ada", OPS(LIST, CHMOD, REMOVE), ""},
    {"home/ada/f", OPS(READ, FETCH, WRITE, CHMOD, XATTR, REMOVE, RENAME_AWAY), ""},
    {"home/ada/new", OPS(CREATE, MKDIR, SYMLINK, PUT, REMOVE), ""},
    {"home/ada/f", OPS(LINK_FROM, RENAME_ONTO), ""},
    /* Jobs: one's own; an admin may cancel others', a node works for all. */
    {"jobs", OPS(LIST), "vstane"},
    {"jobs/new.yaml", OPS(CREATE), "stan"},
    {"jobs/b.yaml", OPS(READ), "vstan"},
    {"jobs/b.yaml", OPS(WRITE, CHMOD, REMOVE), "stan"},
    {"jobs/b.yaml", OPS(RENAME_ONTO), "sta"}, /* from home/bob, which a node may not even read */
    {"jobs/a.yaml", OPS(READ, FETCH), "vstan"},
    {"jobs/a.yaml", OPS(WRITE, CHMOD, XATTR), "n"},
    {"jobs/a.yaml", OPS(REMOVE), "an"},
    {"jobs/a.yaml", OPS(CREATE, PUT), "n"},
    {"jobs/a.yaml", OPS(LINK_FROM), ""},
    /* Runs. */
    {"experiments/e", OPS(LIST), "vstan"},
    {"experiments/new", OPS(MKDIR), "stan"},
    {"experiments/e", OPS(REMOVE, CHMOD), ""},
    {"experiments/e/new", OPS(MKDIR), "stan"},
    {"experiments/e/b/f", OPS(READ, FETCH), "vstan"},
    {"experiments/e/b/f", OPS(WRITE, CHMOD, XATTR, REMOVE), "stan"},
    {"experiments/e/b/new", OPS(CREATE, MKDIR, PUT), "stan"},
    {"experiments/e/a/f", OPS(READ, FETCH), "vstan"},
    {"experiments/e/a/f", OPS(WRITE, CHMOD, XATTR, REMOVE), "n"},
    {"experiments/e/a/f", OPS(RENAME_ONTO), ""},
    {"experiments/e/a/new", OPS(CREATE, MKDIR, SYMLINK, PUT), "n"},
    {"experiments/e/a", OPS(REMOVE, CHMOD), "n"},
    /* Models: versions belong to who made them, aliases to stewards. */
    {"models", OPS(LIST), ALL_SIX},
    {"models/new", OPS(MKDIR), "stan"},
    {"models/m/3", OPS(MKDIR), "stan"},
    {"models/m/1/f", OPS(READ, FETCH), ALL_SIX},
    {"models/m/1/f", OPS(WRITE, CHMOD, XATTR, REMOVE), ""},
    {"models/m/1/new", OPS(CREATE, PUT, MKDIR), ""},
    {"models/m/1", OPS(REMOVE), ""},
    {"models/m/2/f", OPS(WRITE, CHMOD, REMOVE), "stan"},
    {"models/m/production", OPS(REMOVE, RENAME_ONTO), "ta"},
    /* The lab's own. */
    {"lab", OPS(LIST), ALL_SIX},
    {"lab/new", OPS(CREATE, MKDIR, PUT), ""},
    {"lab/health", OPS(READ), ALL_SIX},
    {"lab/last-error", OPS(READ), ALL_SIX},
    {"lab/trace", OPS(READ), PEOPLE},
    {"lab/trace", OPS(WRITE), "a"},
    {"lab/members", OPS(LIST), ALL_SIX},
    {"lab/members/ada", OPS(READ), PEOPLE},
    {"lab/members/ada", OPS(WRITE, REMOVE), "a"},
    {"lab/members/bob", OPS(WRITE, REMOVE), "a"},
    {"lab/members/carol", OPS(CREATE), "a"},
    {"lab/members/carol", OPS(SYMLINK, MKDIR), "a"},
    {"lab/spaces/shared", OPS(READ), PEOPLE},
    {"lab/spaces/shared", OPS(WRITE), "sta"},
    {"lab/quotas", OPS(LIST), ALL_SIX},
    {"lab/quotas/bob", OPS(READ), PEOPLE},
    {"lab/quotas/bob", OPS(WRITE), "a"},
    {"lab/quotas/bob", OPS(REMOVE, RENAME_AWAY), ""},
    {"lab/quotas/carol", OPS(CREATE, SYMLINK, MKDIR, PUT), ""},
};

static void every_role_on_everything_by_every_operation(void **state)
{
    struct scene *scene = *state;
    size_t wrong = 0, cases = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (const enum operation *operation = table[i].operations; *operation != OPERATIONS; operation++)
            for (int role = 0; role < ROLE_COUNT; role++) {
                scene->bob.role = (enum member_role)role;
                bool expected = strchr(table[i].allowed, role_letters[role]) != NULL;
                cases++;
                if (is_allowed(scene, *operation, table[i].path) == expected)
                    continue;
                wrong++;
                print_message("%s may%s %s \"%s\"\n", member_role_name((enum member_role)role), expected ? " not" : "",
                              operation_names[*operation], table[i].path);
            }
    print_message("%zu cases\n", cases);
    assert_int_equal(wrong, 0);
}

static void a_refusal_says_who_may_not_do_what_and_only_to_him(void **state)
{
    struct scene *scene = *state;
    SCOPE_BUFFER text = {0};
    scene->bob.role = ROLE_VIEWER;
    assert_false(is_allowed(scene, MKDIR, "datasets/new"));
    viewer_enter(&scene->bob);
    tree_recent_failures(scene->tree, &text);
    viewer_leave();
    assert_non_null(strstr(buffer_text(&text), "as a viewer you may not make a new dataset"));
    struct viewer carol = {.name = "carol", .id = {{7}}, .session = 2};
    buffer_clear(&text);
    viewer_enter(&carol);
    tree_recent_failures(scene->tree, &text);
    viewer_leave();
    assert_int_equal(text.length, 0);
}

/* A dataset that is moved, or whose readers change, is judged by where it is now. */
static void rights_follow_what_is_shared_now(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    scene->bob.role = ROLE_SCIENTIST;
    assert_true(is_allowed(scene, READ, "datasets/shared/f"));
    assert_code_ok(readers_unshare(scene->tree, "shared", "bob", &why), why);
    assert_false(is_allowed(scene, READ, "datasets/shared/f"));
    assert_code_ok(readers_share(scene->tree, "closed", "bob", &why), why);
    assert_true(is_allowed(scene, READ, "datasets/closed/f"));
    assert_false(is_allowed(scene, WRITE, "datasets/closed/f"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_role_on_everything_by_every_operation, members_scene_setup,
                                        members_scene_teardown),
        cmocka_unit_test_setup_teardown(a_refusal_says_who_may_not_do_what_and_only_to_him, members_scene_setup,
                                        members_scene_teardown),
        cmocka_unit_test_setup_teardown(rights_follow_what_is_shared_now, members_scene_setup, members_scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
