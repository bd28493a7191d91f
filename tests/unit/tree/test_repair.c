/* fsck --repair: catalogs and packs damaged at random, by a seeded generator; what was readable before is readable
 * afterwards with the same bytes, and the store is whole then.  Each single kind of damage has a test of its own beside. */
#include "testing.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "chunk_store_packs.h"
#include "file.h"
#include "lab_fixture.h"
#include "random.h"
#include "repair.h"
#include "resum.h"
#include "seeded_file.h"

#define FILES 14

static struct failure why;

static const char *path_in(const struct lab *lab, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", lab->folder, name);
    return path;
}

/* Opening for a look, or for a repair. */
static enum code open_with(struct lab *lab, bool repair)
{
    char catalog[128];
    struct chunk_store_packs_options packs = {.store = lab->store};
    assert_code_ok(chunk_store_packs_open(path_in(lab, "packs"), &packs, &lab->chunks, &why), why);
    snprintf(catalog, sizeof catalog, "%s", path_in(lab, "catalog.db"));
    const struct tree_open_options options = {.chunks = lab->chunks,
                                              .catalog_path = catalog,
                                              .member = lab->member,
                                              .store = &lab->store,
                                              .read_only = true,
                                              .accept_damage = true,
                                              .repair = repair};
    enum code code = tree_open(&options, &lab->tree, &why);
    if (code != CODE_OK) {
        chunk_store_destroy(lab->chunks);
        lab->chunks = NULL;
    }
    return code;
}

/* SQL's own random() and randomblob(), seeded: the same damage each time. */
static struct random dice = {1};

static void sql_random(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_int64(context, (sqlite3_int64)random_next(&dice));
}

static void sql_random_blob(sqlite3_context *context, int count, sqlite3_value **values)
{
    uint8_t bytes[1024];
    int length = count == 1 ? sqlite3_value_int(values[0]) : 0;
    for (int i = 0; i < length && i < (int)sizeof bytes; i++)
        bytes[i] = (uint8_t)random_next(&dice);
    sqlite3_result_blob(context, bytes, length, SQLITE_TRANSIENT);
}

static void run_sql(struct lab *lab, const char *sql)
{
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(path_in(lab, "catalog.db"), &connection), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(connection, "random", 0, SQLITE_UTF8, NULL, sql_random, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(connection, "randomblob", 1, SQLITE_UTF8, NULL, sql_random_blob, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_exec(connection, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
    assert_code_ok(resum_file(path_in(lab, "catalog.db"), &why), why);
}

static int make_lab(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    char path[128], label[TREE_NAME_MAX + 1] = "v1";
    lab_create(lab);
    lab_make_folder(lab, "datasets/cells");
    lab_make_folder(lab, "datasets/cells/above");
    lab_make_folder(lab, "datasets/cells/above/below");
    lab_make_folder(lab, "experiments/one");
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/file-%d",
                 i % 3 == 0   ? "datasets/cells"
                 : i % 3 == 1 ? "datasets/cells/above/below"
                              : "experiments/one",
                 i);
        seeded_file_write(lab, path, 1000 + (uint32_t)i * 30000, (uint64_t)i + 1);
    }
    assert_code_ok(tree_path_link(lab->tree, "datasets/cells/link", "above/below", &why), why);
    struct node_attributes attributes;
    assert_code_ok(tree_hard_link(lab->tree, lab_node(lab, "datasets/cells/file-3"), lab_node(lab, "datasets/cells/above"),
                                  "second", &attributes, &why),
                   why);
    assert_code_ok(tree_path_snapshot(lab->tree, "datasets/cells", false, label, &why), why);
    seeded_file_write(lab, "datasets/cells/file-0", 200000, 77);
    *state = lab;
    return 0;
}

static int remove_lab(void **state)
{
    lab_destroy(*state);
    free(*state);
    return 0;
}

/* Everything that can be read, by path: "path NUL length(8) bytes". */
struct survey {
    struct lab *lab;
    struct buffer found;
    size_t files;
};

static void survey_folder(struct survey *survey, const char *path);

struct place {
    struct survey *survey;
    const char *folder;
};

static bool survey_entry(void *context, const char *name, const struct node_attributes *attributes)
{
    struct place *place = context;
    struct survey *survey = place->survey;
    char path[512];
    struct failure refused;
    snprintf(path, sizeof path, "%s%s%s", place->folder, *place->folder ? "/" : "", name);
    if (attributes->kind == NODE_FOLDER) {
        if (strlen(path) < 300)
            survey_folder(survey, path);
        return true;
    }
    SCOPE_BUFFER bytes = {0};
    enum code code = attributes->kind == NODE_LINK
                         ? tree_path_read_link(survey->lab->tree, path, &bytes, &refused)
                         : tree_path_read(survey->lab->tree, path, (size_t)8 << 20, &bytes, &refused);
    if (code != CODE_OK)
        return true;
    uint64_t length = bytes.length;
    buffer_append(&survey->found, path, strlen(path) + 1);
    buffer_append(&survey->found, &length, sizeof length);
    buffer_append(&survey->found, buffer_text(&bytes), bytes.length);
    survey->files++;
    return true;
}

static void survey_folder(struct survey *survey, const char *path)
{
    struct place place = {survey, path};
    struct failure refused;
    SCOPE_BUFFER snapshots = {0};
    if (tree_path_list(survey->lab->tree, path, survey_entry, &place, &refused) != CODE_OK)
        return;
    buffer_printf(&snapshots, "%s/.snap", path);
    if (tree_path_exists(survey->lab->tree, buffer_text(&snapshots)))
        survey_folder(survey, buffer_text(&snapshots));
}

static void take_survey(struct lab *lab, struct survey *survey)
{
    *survey = (struct survey){.lab = lab};
    survey_folder(survey, "");
    assert_false(survey->found.failed);
}

/* All that was found before is found now, the same. */
static void expect_surveyed(struct lab *lab, const struct survey *survey)
{
    const char *at = survey->found.data, *end = at + survey->found.length;
    while (at < end) {
        const char *path = at;
        uint64_t length;
        struct node_attributes attributes;
        struct failure refused;
        SCOPE_BUFFER bytes = {0};
        at += strlen(path) + 1;
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        if (tree_path_read_link(lab->tree, path, &bytes, &refused) != CODE_OK &&
            tree_path_read(lab->tree, path, (size_t)8 << 20, &bytes, &refused) != CODE_OK)
            fail_msg("%s could be read before: %s", path, refused.text);
        assert_int_equal(bytes.length, length);
        if (length)
            assert_memory_equal(bytes.data, at, length);
        at += length;
        assert_true(tree_path_attributes(lab->tree, path, &attributes, NULL) == CODE_OK || bytes.length);
    }
}

static void repair_lab(struct lab *lab, bool accept, struct repair_summary *summary)
{
    SCOPE_BUFFER report = {0};
    assert_code_ok(open_with(lab, true), why);
    assert_code_ok(repair_run(lab->tree, &(struct repair_options){.accept = accept}, &report, summary, &why), why);
    if (summary->problems_left)
        fail_msg("%s", buffer_text(&report));
    lab_close(lab);
}

/* Damaged already and closed: what can be read stays, and the lab is whole and works afterwards. */
static void expect_repaired(struct lab *lab)
{
    struct survey before = {0};
    struct repair_summary summary;
    if (open_with(lab, false) == CODE_OK) {
        take_survey(lab, &before);
        lab_close(lab);
    }
    repair_lab(lab, true, &summary);
    lab_open(lab);
    lab_check(lab);
    if (before.files)
        expect_surveyed(lab, &before);
    lab_write(lab, "experiments/afterwards", "it works");
    lab_reopen(lab);
    lab_check(lab);
    lab_expect(lab, "experiments/afterwards", "it works");
    buffer_free(&before.found);
}

/* One row, chosen once: an expression in its place would be asked again for each row. */
#define CHOOSE(columns, rest) "CREATE TEMP TABLE chosen AS SELECT " columns " FROM " rest " ORDER BY random() LIMIT 1; "
#define A_NAME                CHOOSE("parent, name", "names WHERE parent > 16")
#define THAT_NAME             " WHERE (parent, name) IN (SELECT parent, name FROM chosen)"
#define AN_INODE              CHOOSE("inode", "inodes WHERE inode > 16")
#define A_FILE                CHOOSE("inode", "inodes WHERE kind = 0")
#define THAT_INODE            " WHERE inode IN (SELECT inode FROM chosen)"
#define A_CHUNK               CHOOSE("inode, idx", "chunks")
#define THAT_CHUNK            " WHERE (inode, idx) IN (SELECT inode, idx FROM chosen)"

static const char *const damages[] = {
    A_NAME "DELETE FROM names" THAT_NAME,
    A_NAME "UPDATE names SET name = randomblob(length(name))" THAT_NAME,
    A_NAME "UPDATE names SET inode = 99999" THAT_NAME,
    AN_INODE "INSERT OR IGNORE INTO names(parent, name, inode) SELECT 4, randomblob(24), inode FROM chosen",
    AN_INODE "DELETE FROM inodes" THAT_INODE,
    AN_INODE "UPDATE inodes SET links = links + 1 + abs(random() % 5)" THAT_INODE,
    A_FILE "UPDATE inodes SET size = size + 1 + abs(random() % 500000)" THAT_INODE,
    A_FILE "UPDATE inodes SET size = size / 2" THAT_INODE,
    A_FILE "UPDATE inodes SET size = -1" THAT_INODE,
    AN_INODE "UPDATE inodes SET kind = 77" THAT_INODE,
    AN_INODE "UPDATE inodes SET origin = 5" THAT_INODE,
    AN_INODE "UPDATE inodes SET space = 12345" THAT_INODE,
    AN_INODE "UPDATE inodes SET mode = 511, version = 3, digest = randomblob(32)" THAT_INODE,
    A_CHUNK "DELETE FROM chunks" THAT_CHUNK,
    A_CHUNK "UPDATE chunks SET offset = offset + 24" THAT_CHUNK,
    A_CHUNK "UPDATE chunks SET pack = -3" THAT_CHUNK,
    A_CHUNK "UPDATE chunks SET pack = 12345" THAT_CHUNK,
    A_CHUNK "UPDATE chunks SET bytes = 4294967295" THAT_CHUNK,
    A_CHUNK "UPDATE chunks SET idx = idx + 40" THAT_CHUNK,
    A_CHUNK "UPDATE chunks SET nonce = randomblob(12)" THAT_CHUNK,
    "DELETE FROM names WHERE inode BETWEEN 2 AND 10",
    "UPDATE inodes SET generation = 5"
    " WHERE inode IN (SELECT max(inode) FROM inodes)",
    "UPDATE packs SET live_chunks = live_chunks + 3, live_bytes = 1",
    "DELETE FROM packs",
    "DELETE FROM attributes",
    "UPDATE attributes SET value = randomblob(length(value))",
    "DELETE FROM numbers WHERE which < 3",
    "UPDATE numbers SET value = 1 WHERE which = 0",
    "UPDATE spaces SET digest = randomblob(length(digest)) WHERE space = 1",
    /* A folder holds the one that it lies in. */
    "UPDATE names SET parent = (SELECT inode FROM names WHERE parent = (SELECT inode FROM inodes WHERE inode > 17 AND kind "
    "= 1 "
    "AND flags = 0 ORDER BY inode LIMIT 1) AND inode IN (SELECT inode FROM inodes WHERE kind = 1)) "
    "WHERE inode = (SELECT inode FROM inodes WHERE inode > 17 AND kind = 1 AND flags = 0 ORDER BY inode LIMIT 1)",
};

#define DAMAGES (sizeof damages / sizeof *damages)

/* Whether the check finds something, or the lab does not even open. */
static bool is_damaged(struct lab *lab)
{
    struct check_summary summary = {0};
    SCOPE_BUFFER report = {0};
    if (open_with(lab, false) != CODE_OK)
        return true;
    enum code code = check_run(lab->tree, &(struct check_options){.contents = true}, &report, &summary, &why);
    lab_close(lab);
    return code != CODE_OK || summary.problems > 0;
}

static void each_kind_of_damage_is_repaired(void **state)
{
    (void)state;
    for (size_t i = 0; i < DAMAGES; i++) {
        void *made;
        make_lab(&made);
        lab_close(made);
        run_sql(made, damages[i]);
        if (!is_damaged(made))
            fail_msg("no damage: %s", damages[i]);
        expect_repaired(made);
        remove_lab(&made);
    }
}

static void damage_packs(struct lab *lab, struct random *random)
{
    struct file_names names;
    assert_code_ok(file_list(path_in(lab, "packs"), 100, &names, &why), why);
    for (size_t i = 0; i < names.count; i++) {
        char path[256];
        struct stat status;
        snprintf(path, sizeof path, "%s/packs/%s", lab->folder, names.names[i]);
        assert_int_equal(stat(path, &status), 0);
        int fd = open(path, O_RDWR);
        for (int flips = 0; flips < 3; flips++) {
            uint8_t byte = (uint8_t)random_next(random);
            assert_int_equal(pwrite(fd, &byte, 1, 64 + random_below(random, (uint32_t)status.st_size - 64)), 1);
        }
        close(fd);
        if (random_below(random, 4) == 0)
            assert_int_equal(truncate(path, status.st_size / 2), 0);
    }
    file_names_free(&names);
}

static void whatever_is_damaged_at_random_nothing_readable_is_lost(void **state)
{
    (void)state;
    const char *soak = getenv("CYTOFS_SOAK_ROUNDS"), *seed = getenv("CYTOFS_SEED");
    unsigned rounds = soak ? (unsigned)strtoul(soak, NULL, 10) : 12;
    struct random random = {seed ? strtoull(seed, NULL, 10) : 20261122};
    dice = random_stream(random.state, 1);
    for (unsigned round = 0; round < rounds; round++) {
        void *made;
        make_lab(&made);
        lab_close(made);
        uint32_t count = 1 + random_below(&random, 5);
        for (uint32_t i = 0; i < count; i++)
            run_sql(made, damages[random_below(&random, DAMAGES)]);
        if (random_below(&random, 2))
            damage_packs(made, &random);
        expect_repaired(made);
        remove_lab(&made);
    }
}

static void a_lost_pack_costs_its_bytes_and_no_file(void **state)
{
    struct lab *lab = *state;
    struct repair_summary summary;
    SCOPE_BUFFER bytes = {0};
    lab_close(lab);
    assert_int_equal(unlink(path_in(lab, "packs/00000001.pack")), 0);
    repair_lab(lab, false, &summary); /* every row is as it was written: nothing needs to be accepted */
    assert_int_equal(summary.unproven, 0);
    assert_true(summary.parts_lost > FILES);
    lab_open(lab);
    lab_check(lab); /* it is known, and no news */
    assert_int_equal(tree_path_read(lab->tree, "datasets/cells/file-6", 1 << 20, &bytes, &why), CODE_CORRUPT);
    lab_write(lab, "datasets/cells/file-6", "written anew");
    lab_reopen(lab);
    lab_expect(lab, "datasets/cells/file-6", "written anew");
    lab_check(lab);
}

static void what_cannot_be_vouched_for_is_left_alone_until_it_is_accepted(void **state)
{
    struct lab *lab = *state;
    struct repair_summary summary;
    lab_close(lab);
    run_sql(lab, "UPDATE inodes SET size = 10 WHERE inode = (SELECT max(inode) FROM inodes WHERE kind = 0 AND flags = 0)");
    repair_lab(lab, false, &summary);
    assert_true(summary.unproven > 0);
    assert_false(summary.changed);
    repair_lab(lab, true, &summary);
    assert_true(summary.changed);
    repair_lab(lab, false, &summary);
    assert_int_equal(summary.unproven, 0);
    assert_false(summary.changed);
    lab_open(lab);
    lab_check(lab);
}

static void a_whole_store_is_not_changed(void **state)
{
    struct lab *lab = *state;
    struct repair_summary summary;
    struct survey before;
    take_survey(lab, &before);
    assert_true(before.files > FILES);
    lab_close(lab);
    repair_lab(lab, false, &summary);
    assert_false(summary.changed);
    lab_open(lab);
    expect_surveyed(lab, &before);
    buffer_free(&before.found);
}

#define with_lab(test) cmocka_unit_test_setup_teardown(test, make_lab, remove_lab)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_lab(a_whole_store_is_not_changed),
        with_lab(a_lost_pack_costs_its_bytes_and_no_file),
        with_lab(what_cannot_be_vouched_for_is_left_alone_until_it_is_accepted),
        cmocka_unit_test(each_kind_of_damage_is_repaired),
        cmocka_unit_test(whatever_is_damaged_at_random_nothing_readable_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
