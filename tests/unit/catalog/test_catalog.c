/* fs/catalog: rows, transactions, snapshots, refusals, and that no statement reads a table from end to end. */
#include "testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog.h"
#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_inode.h"
#include "catalog_name.h"
#include "catalog_schema.h"
#include "catalog_snapshot.h"
#include "catalog_space.h"
#include "file.h"
#include "resum.h"
#include "scope.h"

static int open_memory(void **state)
{
    struct failure why;
    struct catalog *catalog;
    assert_code_ok(catalog_open(&(struct catalog_options){.create = true}, &catalog, &why), why);
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
    *state = catalog;
    return 0;
}

static int close_catalog(void **state)
{
    catalog_close(*state);
    return 0;
}

static struct catalog_name name_in(uint64_t parent, const char *text)
{
    return (struct catalog_name){parent, text, strlen(text)};
}

static struct catalog_inode inode_row(uint64_t inode, enum catalog_inode_kind kind)
{
    return (struct catalog_inode){
        .inode = inode, .kind = kind, .space = 1, .mode = 0644, .links = 1, .origin = inode, .size = 10, .generation = 1};
}

static void put_inode(struct catalog *catalog, uint64_t inode, enum catalog_inode_kind kind, uint64_t parent,
                      const char *name)
{
    struct failure why;
    struct catalog_inode row = inode_row(inode, kind);
    struct catalog_name named = name_in(parent, name);
    assert_code_ok(catalog_inode_put(catalog, &row, &why), why);
    assert_code_ok(catalog_name_insert(catalog, &named, inode, &why), why);
}

static void put_chunk(struct catalog *catalog, uint64_t inode, uint64_t index, uint32_t pack, uint32_t bytes)
{
    struct failure why;
    struct catalog_chunk chunk = {
        .inode = inode, .index = index, .pack = pack, .bytes = bytes, .offset = 100, .generation = 1};
    assert_code_ok(catalog_chunk_put(catalog, &chunk, &why), why);
}

static void expect_use(struct catalog *catalog, uint32_t pack, uint64_t chunks, uint64_t bytes)
{
    struct failure why;
    uint64_t have_chunks, have_bytes;
    assert_code_ok(catalog_chunk_pack_use(catalog, pack, &have_chunks, &have_bytes, &why), why);
    assert_int_equal(have_chunks, chunks);
    assert_int_equal(have_bytes, bytes);
}

static void an_inode_comes_back_as_it_was_put(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    struct catalog_inode row = {.inode = 7,
                                .kind = CATALOG_INODE_LINK,
                                .flags = 5,
                                .space = 3,
                                .mode = 0751,
                                .size = UINT64_C(1) << 43,
                                .links = 2,
                                .access_ns = -1,
                                .modify_ns = INT64_MAX,
                                .change_ns = 3,
                                .version = 4,
                                .origin = 6,
                                .stamp = 8,
                                .stamp_ns = 9,
                                .uid = -1,
                                .gid = 4000000000,
                                .rdev = 77,
                                .generation = 5,
                                .sealed = true,
                                .sum = {1, 2, 3},
                                .proof = {4, 5, 6}};
    struct catalog_inode got;
    assert_code_ok(catalog_inode_put(catalog, &row, &why), why);
    assert_code_ok(catalog_inode_get(catalog, 7, &got, &why), why);
    assert_memory_equal(&got.inode, &row.inode, sizeof row.inode);
    assert_int_equal(got.kind, row.kind);
    assert_int_equal(got.flags, row.flags);
    assert_int_equal(got.mode, row.mode);
    assert_true(got.size == row.size && got.access_ns == row.access_ns && got.modify_ns == row.modify_ns &&
                got.origin == row.origin && got.stamp == row.stamp && got.stamp_ns == row.stamp_ns);
    assert_true(got.uid == row.uid && got.gid == row.gid && got.rdev == row.rdev && got.generation == row.generation);
    assert_true(got.sealed);
    assert_memory_equal(got.sum, row.sum, sizeof row.sum);
    assert_memory_equal(got.proof, row.proof, sizeof row.proof);
    assert_code_ok(catalog_inode_delete(catalog, 7, &why), why);
    assert_int_equal(catalog_inode_get(catalog, 7, &got, &why), CODE_NOT_FOUND);
}

static void a_name_is_taken_once(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    uint64_t inode;
    struct catalog_name name = name_in(1, "a\0b");
    assert_code_ok(catalog_name_insert(catalog, &name, 5, &why), why);
    assert_int_equal(catalog_name_insert(catalog, &name, 6, &why), CODE_EXISTS);
    assert_code_ok(catalog_name_find(catalog, &name, &inode, &why), why);
    assert_int_equal(inode, 5);
    assert_code_ok(catalog_name_delete(catalog, &name, &why), why);
    assert_int_equal(catalog_name_find(catalog, &name, &inode, &why), CODE_NOT_FOUND);
}

static void packs_count_the_chunks_that_live_in_them(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    uint32_t dead;
    put_chunk(catalog, 5, 0, 1, 1000);
    put_chunk(catalog, 5, 1, 1, 500);
    put_chunk(catalog, 6, 0, 2, 70);
    expect_use(catalog, 1, 2, 1500);
    put_chunk(catalog, 5, 0, 2, 900); /* rewritten into another pack */
    expect_use(catalog, 1, 1, 500);
    expect_use(catalog, 2, 2, 970);
    assert_int_equal(catalog_chunk_dead_pack(catalog, 0, &dead, &why), CODE_NO_DATA);
    assert_code_ok(catalog_chunk_delete(catalog, 5, 1, &why), why);
    assert_code_ok(catalog_chunk_dead_pack(catalog, 0, &dead, &why), why);
    assert_int_equal(dead, 1);
    assert_code_ok(catalog_chunk_forget_pack(catalog, 1, &why), why);
    assert_code_ok(catalog_chunk_delete_from(catalog, 5, 0, &why), why);
    expect_use(catalog, 2, 1, 70);
}

static void what_is_taken_back_was_never_there(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    put_inode(catalog, 5, CATALOG_INODE_FILE, 1, "kept");
    assert_code_ok(catalog_operation_end(catalog, true, &why), why);
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
    put_inode(catalog, 6, CATALOG_INODE_FILE, 1, "dropped");
    put_chunk(catalog, 6, 0, 1, 10);
    assert_code_ok(catalog_operation_end(catalog, false, &why), why);
    struct catalog_inode row;
    assert_code_ok(catalog_inode_get(catalog, 5, &row, &why), why);
    assert_int_equal(catalog_inode_get(catalog, 6, &row, &why), CODE_NOT_FOUND);
    expect_use(catalog, 1, 0, 0);
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
}

static void a_copy_has_everything_but_what_is_left_out(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    put_inode(catalog, 10, CATALOG_INODE_FOLDER, 2, "dataset");
    put_inode(catalog, 11, CATALOG_INODE_FOLDER, 10, "snap");
    put_inode(catalog, 12, CATALOG_INODE_FOLDER, 11, "old");
    put_inode(catalog, 13, CATALOG_INODE_FOLDER, 10, "images");
    put_inode(catalog, 14, CATALOG_INODE_FILE, 13, "1.png");
    struct catalog_name second = name_in(10, "also 1.png");
    struct catalog_inode twice = inode_row(14, CATALOG_INODE_FILE);
    twice.links = 2;
    assert_code_ok(catalog_name_insert(catalog, &second, 14, &why), why);
    assert_code_ok(catalog_inode_put(catalog, &twice, &why), why);
    put_chunk(catalog, 14, 0, 3, 99);
    struct catalog_copy copy = {.folder = 10, .except = 11, .first_inode = 100, .flags = CATALOG_INODE_FROZEN};
    uint64_t count, images, file, again;
    assert_code_ok(catalog_snapshot_copy(catalog, &copy, &count, &why), why);
    assert_int_equal(count, 3);
    struct catalog_name names[] = {name_in(100, "images"), name_in(100, "snap"), name_in(100, "also 1.png")};
    assert_code_ok(catalog_name_find(catalog, &names[0], &images, &why), why);
    assert_int_equal(catalog_name_find(catalog, &names[1], &file, &why), CODE_NOT_FOUND);
    assert_code_ok(catalog_name_find(catalog, &names[2], &file, &why), why);
    struct catalog_name below = name_in(images, "1.png");
    assert_code_ok(catalog_name_find(catalog, &below, &again, &why), why);
    assert_true(again == file && file != 14);
    struct catalog_inode row;
    assert_code_ok(catalog_inode_get(catalog, file, &row, &why), why);
    assert_true(row.origin == 14 && row.links == 2 && row.flags == CATALOG_INODE_FROZEN);
    expect_use(catalog, 3, 2, 198);
    assert_code_ok(catalog_snapshot_select(catalog, 100, &why), why);
    assert_true(catalog_snapshot_contains(catalog, file));
    assert_false(catalog_snapshot_contains(catalog, 14));
    assert_code_ok(catalog_snapshot_delete(catalog, &why), why);
    expect_use(catalog, 3, 1, 99);
    assert_int_equal(catalog_inode_get(catalog, file, &row, &why), CODE_NOT_FOUND);
}

static void attributes_come_and_go(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    struct catalog_attribute attribute = {5, "name", 4, "value", 5};
    SCOPE_BUFFER value = {0};
    assert_int_equal(catalog_attribute_get(catalog, &attribute, &value, &why), CODE_NO_DATA);
    assert_code_ok(catalog_attribute_put(catalog, &attribute, &why), why);
    assert_code_ok(catalog_attribute_get(catalog, &attribute, &value, &why), why);
    assert_string_equal(buffer_text(&value), "value");
    assert_code_ok(catalog_attribute_delete(catalog, &attribute, &why), why);
    assert_int_equal(catalog_attribute_delete(catalog, &attribute, &why), CODE_NO_DATA);
}

static void spaces_wraps_and_members_come_back(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    struct catalog_member member = {.id = {1, 2}, .public_key = {3}, .name = "ada"}, found;
    struct catalog_space space = {.space = 4, .id = {9}, .generation = 1, .oldest = 1}, got;
    assert_code_ok(catalog_space_add_member(catalog, &member, &why), why);
    assert_code_ok(catalog_space_find_member(catalog, member.id, &found, &why), why);
    assert_string_equal(found.name, "ada");
    assert_int_equal(found.member, member.member);
    assert_code_ok(catalog_space_put(catalog, &space, &why), why);
    struct catalog_wrap wrap = {
        .space = 4, .member = member.member, .sender = member.member, .generation = 1, .count = 3, .wrapped = "xyz"};
    assert_code_ok(catalog_space_put_wrap(catalog, &wrap, &why), why);
    wrap.count = 0;
    assert_code_ok(catalog_space_get_wrap(catalog, &wrap, &why), why);
    assert_int_equal(wrap.count, 3);
    assert_code_ok(catalog_space_next(catalog, 3, &got, &why), why);
    assert_int_equal(got.space, 4);
    assert_code_ok(catalog_space_delete(catalog, 4, &why), why);
    assert_int_equal(catalog_space_get_wrap(catalog, &wrap, &why), CODE_NO_DATA);
}

static void a_rotated_space_loses_old_wraps_and_those_of_who_left(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    struct catalog_member members[2] = {{.id = {1}, .name = "ada"}, {.id = {2}, .name = "bob", .flags = 1}}, found;
    struct catalog_space space = {.space = 4, .id = {9}, .generation = 1, .oldest = 1}, got;
    assert_code_ok(catalog_space_put(catalog, &space, &why), why);
    for (int i = 0; i < 2; i++) {
        assert_code_ok(catalog_space_add_member(catalog, &members[i], &why), why);
        for (uint32_t generation = 1; generation <= 2; generation++) {
            struct catalog_wrap wrap = {
                .space = 4, .member = members[i].member, .sender = members[0].member, .generation = generation, .count = 1};
            assert_code_ok(catalog_space_put_wrap(catalog, &wrap, &why), why);
        }
    }
    space.generation = 2;
    space.shared = true;
    assert_code_ok(catalog_space_set(catalog, &space, &why), why);
    assert_code_ok(catalog_space_next(catalog, 3, &got, &why), why);
    assert_true(got.generation == 2 && got.oldest == 1 && got.shared);
    uint64_t holder;
    assert_code_ok(catalog_space_delete_wraps_of(catalog, 4, members[0].member, &why), why);
    assert_code_ok(catalog_space_next_holder(catalog, 4, 0, &holder, &why), why);
    assert_int_equal(holder, members[1].member);
    assert_int_equal(catalog_space_next_holder(catalog, 4, holder, &holder, &why), CODE_NO_DATA);
    assert_code_ok(catalog_space_delete_old_wraps(catalog, 4, 2, &why), why);
    struct catalog_wrap wrap = {.space = 4, .member = members[1].member, .generation = 1};
    assert_int_equal(catalog_space_get_wrap(catalog, &wrap, &why), CODE_NO_DATA);
    wrap.generation = 2;
    assert_code_ok(catalog_space_get_wrap(catalog, &wrap, &why), why);
    assert_code_ok(catalog_space_remove_member(catalog, members[1].member, &why), why);
    assert_code_ok(catalog_space_next_member(catalog, members[0].member, &found, &why), why);
    assert_true(found.flags == 1 && found.added_ms > 0 && found.removed_ms >= found.added_ms);

    SCOPE_BUFFER readers = {0};
    assert_code_ok(catalog_space_get_readers(catalog, 4, &readers, &why), why);
    assert_int_equal(readers.length, 0);
    assert_code_ok(catalog_space_set_readers(catalog, 4, "sealed", 6, &why), why);
    assert_code_ok(catalog_space_get_readers(catalog, 4, &readers, &why), why);
    assert_string_equal(buffer_text(&readers), "sealed");
}

static void impossible_generations_are_refused(void **state)
{
    struct catalog *catalog = *state;
    struct failure why;
    struct catalog_space space = {.space = 4, .id = {9}, .generation = 1, .oldest = 2}, got;
    assert_code_ok(catalog_space_put(catalog, &space, &why), why);
    assert_int_equal(catalog_space_next(catalog, 3, &got, &why), CODE_CORRUPT);
}

struct file_lab {
    char folder[64], path[96];
};

static void make_path(struct file_lab *lab)
{
    snprintf(lab->folder, sizeof lab->folder, "/tmp/cytofs-catalog-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    snprintf(lab->path, sizeof lab->path, "%s/catalog.db", lab->folder);
}

static void what_was_not_committed_is_gone_after_closing(void **state)
{
    (void)state;
    struct file_lab lab;
    struct failure why;
    struct catalog *catalog, *second;
    struct catalog_inode row;
    bool lost;
    make_path(&lab);
    struct catalog_options create = {.path = lab.path, .create = true}, open = {.path = lab.path};
    assert_int_equal(catalog_open(&open, &catalog, &why), CODE_NOT_FOUND);
    assert_code_ok(catalog_open(&create, &catalog, &why), why);
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
    put_inode(catalog, 5, CATALOG_INODE_FILE, 1, "committed");
    assert_code_ok(catalog_operation_end(catalog, true, &why), why);
    assert_code_ok(catalog_commit(catalog, &lost, &why), why);
    assert_code_ok(catalog_sync(catalog, &why), why);
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
    put_inode(catalog, 6, CATALOG_INODE_FILE, 1, "pending");
    assert_code_ok(catalog_operation_end(catalog, true, &why), why);
    assert_true(catalog_pending(catalog));
    assert_int_equal(catalog_open(&open, &second, &why), CODE_BUSY);
    catalog_close(catalog);
    assert_int_equal(catalog_open(&create, &catalog, &why), CODE_EXISTS);
    assert_code_ok(catalog_open(&open, &catalog, &why), why);
    assert_code_ok(catalog_inode_get(catalog, 5, &row, &why), why);
    assert_int_equal(catalog_inode_get(catalog, 6, &row, &why), CODE_NOT_FOUND);
    catalog_close(catalog);
    assert_code_ok(file_remove_tree(lab.folder, &why), why);
}

/* An oracle of its own: plain SQLite on the same file. */
static void run_sql(const char *path, const char *sql)
{
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
    struct failure why;
    assert_code_ok(resum_file(path, &why), why);
}

static void newer_and_foreign_files_are_refused(void **state)
{
    (void)state;
    struct file_lab lab;
    struct failure why;
    struct catalog *catalog;
    make_path(&lab);
    struct catalog_options create = {.path = lab.path, .create = true}, open = {.path = lab.path};
    assert_code_ok(catalog_open(&create, &catalog, &why), why);
    catalog_close(catalog);
    run_sql(lab.path, "PRAGMA user_version = 99");
    assert_int_equal(catalog_open(&open, &catalog, &why), CODE_NEWER_FORMAT);
    assert_code_ok(file_write(lab.path,
                              "this is a text and no database at all, however long it gets to be ......................."
                              "......................................................................................",
                              170, &why),
                   why);
    assert_int_equal(catalog_open(&open, &catalog, &why), CODE_CORRUPT);
    assert_code_ok(file_remove_tree(lab.folder, &why), why);
}

/* Those that read whole tables, knowingly: statistics, checks, what is few, and the temporary table of a copy. */
static bool may_scan(int statement)
{
    return statement == SQL_INODE_TOTALS || statement == SQL_COPY_COUNT || statement == SQL_COPY_SPACE ||
           statement == SQL_COPY_CLEAR || statement == SQL_COPY_INODES || statement == SQL_COPY_NAMES ||
           statement == SQL_COPY_CHUNKS || statement == SQL_COPY_PACKS || statement == SQL_DIGEST_SPACES ||
           statement == SQL_DIGEST_MEMBERS || statement == SQL_COPY_ATTRIBUTES || statement == SQL_COPY_DROP_PACKS;
}

static int forbid_scan(void *context, int columns, char **values, char **names)
{
    (void)names;
    const char *detail = values[columns - 1];
    bool bad = strncmp(detail, "SCAN ", 5) == 0 && !strstr(detail, "below") && !strstr(detail, "CONSTANT ROW") &&
               !strstr(detail, "gone") && !strstr(detail, "subquery") && !strstr(detail, "inodes_orphaned") &&
               !strstr(detail, "packs_dead"); /* indices of the few rows that are looked for */
    if (bad)
        fail_msg("%s: %s", (const char *)context, detail);
    return 0;
}

static void no_statement_reads_a_growing_table_from_end_to_end(void **state)
{
    (void)state;
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(":memory:", &connection), SQLITE_OK);
    for (int version = 0; version < CATALOG_FORMAT; version++)
        assert_int_equal(sqlite3_exec(connection, catalog_schema_migrations[version], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, catalog_schema_temporary, NULL, NULL, NULL), SQLITE_OK);
    for (int statement = SQL_NUMBER_GET; statement < SQL_COUNT; statement++) {
        if (may_scan(statement))
            continue;
        const char *sql = catalog_schema_statements[statement];
        SCOPE_BUFFER explain = {0};
        buffer_printf(&explain, "EXPLAIN QUERY PLAN %s", sql);
        assert_int_equal(sqlite3_exec(connection, explain.data, forbid_scan, (void *)(uintptr_t)sql, NULL), SQLITE_OK);
    }
    sqlite3_close(connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_inode_comes_back_as_it_was_put, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(a_name_is_taken_once, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(packs_count_the_chunks_that_live_in_them, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(what_is_taken_back_was_never_there, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(a_copy_has_everything_but_what_is_left_out, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(attributes_come_and_go, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(spaces_wraps_and_members_come_back, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(a_rotated_space_loses_old_wraps_and_those_of_who_left, open_memory, close_catalog),
        cmocka_unit_test_setup_teardown(impossible_generations_are_refused, open_memory, close_catalog),
        cmocka_unit_test(what_was_not_committed_is_gone_after_closing),
        cmocka_unit_test(newer_and_foreign_files_are_refused),
        cmocka_unit_test(no_statement_reads_a_growing_table_from_end_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
