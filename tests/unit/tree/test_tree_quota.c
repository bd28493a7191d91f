/* What members may use, and what they do: held against the sizes in the catalog, which know nothing of any count. */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "catalog_inode.h"
#include "lab_fixture.h"
#include "quota_list.h"
#include "random.h"
#include "scope.h"
#include "tree_members.h"
#include "tree_put.h"
#include "tree_quota.h"
#include "tree_range.h"
#include "viewer.h"

#define KIB (uint64_t)1024

static struct failure why;
static struct lab lab;
static struct viewer bob, eve;
static struct member_key *keys[2];

static void add_member(const char *name, struct member_key **key, struct viewer *viewer)
{
    struct member_card card;
    assert_code_ok(member_key_generate(key, &why), why);
    card.public = *member_key_public(*key);
    snprintf(card.name, sizeof card.name, "%s", name);
    assert_code_ok(members_add(lab.tree, &card, ROLE_SCIENTIST, &why), why);
    *viewer = (struct viewer){.role = ROLE_SCIENTIST, .id = card.public.id, .session = 1};
    snprintf(viewer->name, sizeof viewer->name, "%s", name);
}

static int setup(void **state)
{
    (void)state;
    lab_create(&lab);
    add_member("bob", &keys[0], &bob);
    add_member("eve", &keys[1], &eve);
    lab_make_folder(&lab, "datasets/cells");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    viewer_leave();
    lab_destroy(&lab);
    member_key_destroy(keys[0]);
    member_key_destroy(keys[1]);
    return 0;
}

static void allow(const char *name, const char *words)
{
    struct quota quota = tree_quota_said(lab.tree, name);
    assert_code_ok(quota_change(&quota, words, strlen(words), &why), why);
    assert_code_ok(tree_quota_say(lab.tree, name, &quota, &why), why);
}

static uint64_t used(const struct viewer *viewer)
{
    const struct tree_quota_storage storage = tree_quota_storage(lab.tree, viewer);
    return storage.bytes + storage.held;
}

/* As the member: creates or opens, and writes that many bytes at the offset. */
static enum code write_at(const struct viewer *viewer, const char *path, uint64_t offset, size_t count)
{
    const char *name;
    struct node_attributes attributes;
    struct tree_file *file;
    SCOPE_FREE void *bytes = calloc(1, count + 1);
    memset(bytes, 'x', count);
    struct node_id folder = lab_parent(&lab, path, &name);
    viewer_enter(viewer);
    enum code code = tree_create_file(lab.tree, folder, name, 0644, OPEN_WRITE, &attributes, &file, &why);
    if (code == CODE_OK) {
        code = tree_write(file, offset, bytes, count, &why);
        tree_release(file);
    }
    viewer_leave();
    return code;
}

static enum code resize(const char *path, uint64_t size)
{
    struct node_attributes attributes;
    const struct attribute_change change = {.which = CHANGE_SIZE, .size = size};
    return tree_change(lab.tree, lab_node(&lab, path), &change, &attributes, &why);
}

static enum code put(const struct viewer *viewer, const char *path, size_t count, uint64_t held)
{
    uint64_t number;
    const char *name;
    struct node_attributes attributes;
    SCOPE_FREE void *bytes = calloc(1, count + 1);
    struct tree_put what = {
        .what = {.kind = NODE_FILE, .mode = 0644}, .reserved = true, .bytes = bytes, .count = count, .held = held};
    what.folder = lab_parent(&lab, path, &name);
    what.name = name;
    assert_code_ok(tree_reserve(lab.tree, 1, &number, &why), why);
    what.inode = number;
    viewer_enter(viewer);
    enum code code = tree_put(lab.tree, &what, &attributes, &why);
    viewer_leave();
    return code;
}

static void remove_path(const char *path)
{
    assert_code_ok(tree_path_remove(lab.tree, path, &why), why);
}

/* The oracle: every row of the catalog that has a name, or is open. */
static uint64_t counted(int64_t owner, const struct tree_file *open)
{
    struct catalog_inode rows[64];
    uint64_t after = 0, sum = 0;
    size_t count;
    assert_code_ok(tree_sync(lab.tree, &why), why);
    do {
        assert_code_ok(catalog_inode_walk(tree_catalog(lab.tree), after, rows, 64, &count, &why), why);
        for (size_t i = 0; i < count; i++) {
            after = rows[i].inode;
            if (rows[i].kind == CATALOG_INODE_FILE && !(rows[i].flags & CATALOG_INODE_FROZEN) &&
                (rows[i].links || (open && tree_file_node(open).value == rows[i].inode)) &&
                (owner == TREE_MOUNTER ? rows[i].uid <= UINT32_MAX : rows[i].uid == owner))
                sum += rows[i].size;
        }
    } while (count == 64);
    return sum;
}

static void assert_counts_are_right(const struct tree_file *open)
{
    assert_int_equal(used(&bob), counted(viewer_owner(&bob.id), open));
    assert_int_equal(used(&eve), counted(viewer_owner(&eve.id), open));
    assert_int_equal(used(NULL), counted(TREE_MOUNTER, open));
}

/* Counting ----------------------------------------------------------------------------------------------------------- */

static void do_something(struct random *random, struct tree_file **held)
{
    static const char *const paths[] = {"datasets/cells/a", "datasets/cells/b", "datasets/cells/c", "datasets/cells/d"};
    const struct viewer *viewers[] = {&bob, &eve, NULL};
    const char *path = paths[random_below(random, 4)], *other = paths[random_below(random, 4)];
    const struct viewer *viewer = viewers[random_below(random, 3)];
    bool there = tree_path_exists(lab.tree, path);
    switch (random_below(random, 9)) {
    case 0:
    case 1:
        assert_code_ok(write_at(viewer, path, random_below(random, 400000), random_below(random, 200000)), why);
        break;
    case 2:
        if (there)
            assert_code_ok(resize(path, random_below(random, 500000)), why);
        break;
    case 3:
        if (there)
            remove_path(path);
        break;
    case 4:
        assert_code_ok(put(viewer, path, random_below(random, 100000), 0), why);
        break;
    case 5:
        if (there && strcmp(path, other) != 0) {
            struct node_id folder = lab_node(&lab, "datasets/cells");
            const struct tree_rename rename = {.from_folder = folder,
                                               .to_folder = folder,
                                               .from_name = strrchr(path, '/') + 1,
                                               .to_name = strrchr(other, '/') + 1};
            assert_code_ok(tree_rename(lab.tree, &rename, &why), why);
        }
        break;
    case 6:
        tree_release(*held); /* it may have lost its name meanwhile */
        *held = NULL;
        if (there)
            assert_code_ok(tree_open_file(lab.tree, lab_node(&lab, path), OPEN_READ | OPEN_WRITE, held, &why), why);
        break;
    case 7: {
        char label[TREE_NAME_MAX + 1] = "";
        assert_code_ok(tree_path_snapshot(lab.tree, "datasets/cells", false, label, &why), why);
        break;
    }
    case 8:
        if (*held)
            assert_code_ok(tree_write(*held, random_below(random, 300000), "more", 4, &why), why);
        break;
    }
}

static void what_members_use_is_what_the_catalog_says_after_anything_that_happens(void **state)
{
    (void)state;
    struct random random = {7};
    struct tree_file *held = NULL;
    for (int i = 0; i < 400; i++) {
        do_something(&random, &held);
        if (i % 10 == 0)
            assert_counts_are_right(held);
        if (i % 100 == 99) {
            tree_release(held);
            held = NULL;
            lab_reopen(&lab);
            assert_counts_are_right(NULL);
        }
    }
    tree_release(held);
    lab_check(&lab);
}

static void a_file_counts_until_the_last_who_has_it_open_closes_it(void **state)
{
    (void)state;
    struct tree_file *file;
    assert_code_ok(write_at(&bob, "datasets/cells/a", 0, 5000), why);
    assert_code_ok(tree_open_file(lab.tree, lab_node(&lab, "datasets/cells/a"), OPEN_READ, &file, &why), why);
    const struct node_id node = lab_node(&lab, "datasets/cells/a");
    tree_remember(lab.tree, node); /* as a client does that looked it up */
    remove_path("datasets/cells/a");
    assert_int_equal(used(&bob), 5000);
    tree_release(file);
    assert_int_equal(used(&bob), 0);
    assert_code_ok(tree_open_file(lab.tree, node, OPEN_READ | OPEN_NAMELESS, &file, &why), why);
    assert_int_equal(used(&bob), 5000);
    tree_release(file);
    tree_forget(lab.tree, node, 1);
    assert_int_equal(used(&bob), 0);
}

static void what_programs_make_in_a_members_folder_is_that_members(void **state)
{
    (void)state;
    struct node_attributes folder, file;
    struct tree_file *open;
    const struct tree_new what = {
        .kind = NODE_FILE, .mode = 0644, .owner = TREE_MOUNTER, .group = TREE_MOUNTER, .for_folder = true};
    viewer_enter(&bob);
    assert_code_ok(tree_make_folder(lab.tree, lab_node(&lab, "datasets/cells"), "run", 0755, &folder, &why), why);
    viewer_leave();
    assert_code_ok(tree_make_file(lab.tree, folder.id, "log", &what, OPEN_WRITE, &file, &open, &why), why);
    assert_code_ok(tree_write(open, 0, "output", 6, &why), why);
    tree_release(open);
    assert_int_equal(file.owner, viewer_owner(&bob.id));
    assert_int_equal(used(&bob), 6);
    assert_int_equal(used(NULL), 0);
}

/* Limits ------------------------------------------------------------------------------------------------------------- */

static void nothing_grows_beyond_a_quota_by_any_way(void **state)
{
    (void)state;
    struct tree_file *file, *from;
    uint64_t copied;
    allow("bob", "storage=100K");
    assert_code_ok(write_at(&eve, "datasets/cells/eves", 0, 200 * KIB), why);
    assert_code_ok(write_at(&bob, "datasets/cells/a", 0, 90 * KIB), why);
    assert_int_equal(write_at(&bob, "datasets/cells/b", 0, 20 * KIB), CODE_QUOTA);
    assert_non_null(strstr(why.text, "100.0 KiB"));
    assert_non_null(strstr(why.text, "lab/quotas/bob"));
    assert_int_equal(write_at(&bob, "datasets/cells/a", 90 * KIB, 11 * KIB), CODE_QUOTA);
    assert_int_equal(resize("datasets/cells/a", 101 * KIB), CODE_QUOTA);
    assert_int_equal(put(&bob, "datasets/cells/c", 11 * KIB, 0), CODE_QUOTA);
    assert_false(tree_path_exists(lab.tree, "datasets/cells/c"));
    assert_int_equal(put(&bob, "datasets/cells/a", 101 * KIB, 0), CODE_QUOTA);
    assert_code_ok(tree_open_file(lab.tree, lab_node(&lab, "datasets/cells/a"), OPEN_WRITE, &file, &why), why);
    assert_int_equal(tree_allocate(file, 0, 0, 101 * KIB, &why), CODE_QUOTA);
    assert_code_ok(tree_open_file(lab.tree, lab_node(&lab, "datasets/cells/eves"), OPEN_READ, &from, &why), why);
    assert_code_ok(tree_sync(lab.tree, &why), why); /* so that whole chunks could be shared */
    const struct tree_copy copy = {.from = from, .to = file, .to_offset = 128 * KIB, .count = 128 * KIB};
    assert_int_equal(tree_copy(&copy, &copied, &why), CODE_QUOTA);
    tree_release(from);
    tree_release(file);
    assert_int_equal(used(&bob), 90 * KIB);
    assert_counts_are_right(NULL);
}

static void whoever_is_above_his_quota_may_write_over_remove_and_then_go_on(void **state)
{
    (void)state;
    assert_code_ok(write_at(&bob, "datasets/cells/a", 0, 90 * KIB), why);
    allow("bob", "storage=50K");
    assert_code_ok(write_at(&bob, "datasets/cells/a", 10, 50 * KIB), why);
    assert_int_equal(write_at(&bob, "datasets/cells/empty", 0, 0), CODE_OK);
    assert_int_equal(write_at(&bob, "datasets/cells/b", 0, 1), CODE_QUOTA);
    assert_code_ok(resize("datasets/cells/a", 49 * KIB), why);
    assert_code_ok(write_at(&bob, "datasets/cells/b", 0, KIB), why);
    assert_int_equal(write_at(&bob, "datasets/cells/b", KIB, 1), CODE_QUOTA);
    remove_path("datasets/cells/a");
    assert_code_ok(write_at(&bob, "datasets/cells/b", KIB, 49 * KIB), why);
}

static void a_quota_is_the_owners_whoever_writes(void **state)
{
    (void)state;
    allow("bob", "storage=10K");
    assert_code_ok(write_at(&bob, "datasets/cells/a", 0, 10 * KIB), why);
    assert_int_equal(write_at(NULL, "datasets/cells/a", 10 * KIB, 1), CODE_QUOTA);
    assert_code_ok(write_at(NULL, "datasets/cells/mine", 0, 50 * KIB), why);
    allow("ada", "storage=50K"); /* who opened the lab */
    assert_int_equal(write_at(NULL, "datasets/cells/mine", 50 * KIB, 1), CODE_QUOTA);
}

static void quotas_are_there_again_when_the_lab_is_opened_again(void **state)
{
    (void)state;
    allow("everyone", "storage=10K jobs=3");
    allow("bob", "storage=none gpus=2");
    assert_code_ok(write_at(&eve, "datasets/cells/a", 0, 9 * KIB), why);
    lab_reopen(&lab);
    assert_int_equal(write_at(&eve, "datasets/cells/b", 0, 2 * KIB), CODE_QUOTA);
    assert_code_ok(write_at(&bob, "datasets/cells/c", 0, 20 * KIB), why);
    const struct quota quota = tree_quota_of(lab.tree, "bob");
    assert_int_equal(quota.most[QUOTA_STORAGE], QUOTA_UNLIMITED);
    assert_int_equal(quota.most[QUOTA_JOBS], 3);
    assert_int_equal(quota.most[QUOTA_GPUS], 2);
    assert_int_equal(quota.most[QUOTA_CPUS], QUOTA_UNLIMITED);
    allow("everyone", "storage=default");
    assert_code_ok(write_at(&eve, "datasets/cells/b", 0, 20 * KIB), why);
    assert_int_equal(tree_quota_say(lab.tree, "nobody", &quota, &why), CODE_NOT_FOUND);
    assert_code_ok(tree_quota_forget(lab.tree, "bob", &why), why);
    assert_int_equal(tree_quota_of(lab.tree, "bob").most[QUOTA_GPUS], QUOTA_UNLIMITED);
}

static void what_is_set_aside_is_there_for_files_on_their_way_and_for_nothing_else(void **state)
{
    (void)state;
    allow("bob", "storage=80K");
    uint64_t held = tree_quota_hold(lab.tree, &bob, 1000 * KIB);
    assert_int_equal(held, 10 * KIB); /* a part of what is left */
    assert_int_equal(used(&bob), held);
    assert_code_ok(write_at(&bob, "datasets/cells/a", 0, 70 * KIB), why);
    assert_int_equal(write_at(&bob, "datasets/cells/a", 70 * KIB, 1), CODE_QUOTA);
    assert_int_equal(put(&bob, "datasets/cells/b", 4 * KIB, 0), CODE_QUOTA);
    assert_int_equal(put(&bob, "datasets/cells/b", 11 * KIB, 10 * KIB), CODE_QUOTA);
    assert_int_equal(used(&bob), 80 * KIB); /* it is set aside again */
    assert_code_ok(put(&bob, "datasets/cells/b", 4 * KIB, 4 * KIB), why);
    assert_int_equal(used(&bob), 80 * KIB);
    allow("bob", "storage=1K");
    assert_code_ok(put(&bob, "datasets/cells/c", 6 * KIB, 6 * KIB), why); /* it was promised */
    assert_int_equal(used(&bob), 80 * KIB);
    assert_counts_are_right(NULL);
    assert_int_equal(tree_quota_hold(lab.tree, &bob, KIB), 0);
    assert_int_equal(tree_quota_hold(lab.tree, &eve, 1000 * KIB), 1000 * KIB);
    tree_quota_let_go(lab.tree, &eve, 1000 * KIB);
    assert_int_equal(used(&eve), 0);
}

/* Texts -------------------------------------------------------------------------------------------------------------- */

static void words_are_understood_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        uint64_t storage, jobs;
    } good[] = {{"storage=100G jobs=4", 100 * KIB * KIB * KIB, 4},
                {"storage=0", 0, QUOTA_UNSET},
                {" jobs=none\n", QUOTA_UNSET, QUOTA_UNLIMITED},
                {"storage=7K storage=8K", 8 * KIB, QUOTA_UNSET},
                {"", QUOTA_UNSET, QUOTA_UNSET},
                {"storage=8388607T", 8388607 * KIB * KIB * KIB * KIB, QUOTA_UNSET}};
    static const char *const bad[] = {"storage",
                                      "storage=",
                                      "storage=1X",
                                      "storage=1GB",
                                      "storage=-1",
                                      "jobs=4K",
                                      "jobs=many",
                                      "=4",
                                      "cows=3",
                                      "jobs=1 cows=3",
                                      "storage=8388608T",
                                      "storage=9223372036854775808",
                                      "jobs=99999999999999999999999",
                                      "jobs = 4"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct quota quota = quota_unset;
        assert_code_ok(quota_change(&quota, good[i].words, strlen(good[i].words), &why), why);
        assert_int_equal(quota.most[QUOTA_STORAGE], good[i].storage);
        assert_int_equal(quota.most[QUOTA_JOBS], good[i].jobs);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct quota quota = quota_unset;
        if (quota_change(&quota, bad[i], strlen(bad[i]), &why) != CODE_INVALID)
            fail_msg("\"%s\" was understood", bad[i]);
        assert_memory_equal(&quota, &quota_unset, sizeof quota);
    }
}

static void a_list_is_read_as_it_was_written_and_refused_when_anything_is_wrong_with_it(void **state)
{
    (void)state;
    SCOPE_FREE struct quota_list *list = calloc(1, sizeof *list);
    SCOPE_BUFFER text = {0}, again = {0};
    const char *good = "cytofs quotas 1\nquota 107374182400 4 - none bob\nquota - - 1 - everyone\n";
    static const char *const bad[] = {"",
                                      "cytofs quotas 1",
                                      "cytofs quotas 1\nquota 1 2 3 4 bob",
                                      "cytofs quotas 1\nquota 1 2 3 bob\n",
                                      "cytofs quotas 1\nquota 1 2 3 4 \n",
                                      "cytofs quotas 1\nquota 1 2 3 4 b b\n",
                                      "cytofs quotas 1\nquota -1 2 3 4 bob\n",
                                      "cytofs quotas 1\nquota 9223372036854775808 2 3 4 bob\n",
                                      "cytofs quotas 1\nlimit 1 2 3 4 bob\n"};
    assert_code_ok(quota_list_parse(good, strlen(good), list, &why), why);
    assert_int_equal(quota_list_get(list, "bob").most[QUOTA_CPUS], QUOTA_UNLIMITED);
    quota_list_print(list, &text);
    assert_string_equal(buffer_text(&text), good);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(quota_list_parse(bad[i], strlen(bad[i]), list, &why), CODE_CORRUPT);
    assert_int_equal(quota_list_parse("cytofs quotas 2\n", 16, list, &why), CODE_NEWER_FORMAT);
    list->count = 0;
    struct quota one = quota_unset;
    one.most[QUOTA_JOBS] = 1;
    for (int i = 0; i <= QUOTA_LIST_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "member%d", i);
        assert_int_equal(quota_list_put(list, name, &one, &why), i < QUOTA_LIST_MAX ? CODE_OK : CODE_TOO_LARGE);
    }
    assert_code_ok(quota_list_put(list, "member7", &quota_unset, &why), why);
    assert_int_equal(list->count, QUOTA_LIST_MAX - 1);
    quota_list_print(list, &again);
    assert_code_ok(quota_list_parse(buffer_text(&again), again.length, list, &why), why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_members_use_is_what_the_catalog_says_after_anything_that_happens, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_counts_until_the_last_who_has_it_open_closes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_programs_make_in_a_members_folder_is_that_members, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_grows_beyond_a_quota_by_any_way, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_is_above_his_quota_may_write_over_remove_and_then_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_quota_is_the_owners_whoever_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(quotas_are_there_again_when_the_lab_is_opened_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_set_aside_is_there_for_files_on_their_way_and_for_nothing_else, setup,
                                        teardown),
        cmocka_unit_test(words_are_understood_whole_or_not_at_all),
        cmocka_unit_test(a_list_is_read_as_it_was_written_and_refused_when_anything_is_wrong_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
