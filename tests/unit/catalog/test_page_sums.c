/* The catalog's pages carry checksums: each flipped bit is found when the page is read, older files are brought over, and a
 * log that a crash left is taken in whatever the pages below it look like. */
#include "testing.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog.h"
#include "catalog_inode.h"
#include "catalog_schema.h"
#include "database.h"
#include "buffer.h"
#include "file.h"
#include "page_sum.h"
#include "random.h"
#include "scope.h"

#define ROWS 200

static struct failure why;

struct place {
    char folder[64], path[80], log[96];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/cytofs-sums-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof place->path, "%s/catalog.db", place->folder);
    snprintf(place->log, sizeof place->log, "%s-wal", place->path);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    assert_code_ok(file_remove_tree(place->folder, &why), why);
    free(place);
    return 0;
}

static struct catalog *open_catalog(const struct place *place, bool create)
{
    struct catalog *catalog;
    assert_code_ok(catalog_open(&(struct catalog_options){.path = place->path, .create = create}, &catalog, &why), why);
    return catalog;
}

static void put_rows(struct catalog *catalog, uint64_t size)
{
    bool lost;
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
    for (uint64_t inode = 1; inode <= ROWS; inode++) {
        struct catalog_inode row = {
            .inode = inode, .space = 1, .mode = 0644, .links = 1, .origin = inode, .generation = 1, .size = size};
        assert_code_ok(catalog_inode_put(catalog, &row, &why), why);
    }
    assert_code_ok(catalog_operation_end(catalog, true, &why), why);
    assert_code_ok(catalog_commit(catalog, &lost, &why), why);
}

/* Reads all rows; the first failure. */
static enum code read_rows(struct catalog *catalog, uint64_t size)
{
    for (uint64_t inode = 1; inode <= ROWS; inode++) {
        struct catalog_inode row;
        enum code code = catalog_inode_get(catalog, inode, &row, &why);
        if (code != CODE_OK)
            return code;
        assert_int_equal(row.size, size);
    }
    return CODE_OK;
}

static void flip(const char *path, uint64_t bit)
{
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
    byte ^= (uint8_t)(1 << bit % 8);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
}

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void each_page_of_a_closed_catalog_has_its_checksum(void **state)
{
    struct place *place = *state;
    struct catalog *catalog = open_catalog(place, true);
    put_rows(catalog, 5);
    catalog_close(catalog);
    SCOPE_BUFFER bytes = {0};
    assert_code_ok(file_read(place->path, 1 << 24, &bytes, &why), why);
    assert_true(bytes.length > 10 * PAGE_SUM_PAGE_BYTES && bytes.length % PAGE_SUM_PAGE_BYTES == 0);
    for (size_t at = 0; at < bytes.length; at += PAGE_SUM_PAGE_BYTES) {
        const uint8_t *page = (const uint8_t *)bytes.data + at;
        assert_false(page_sum_is_blank(page));
        assert_true(page_sum_check(page, at / PAGE_SUM_PAGE_BYTES + 1));
        assert_false(page_sum_check(page, at / PAGE_SUM_PAGE_BYTES + 2));
    }
}

/* quick_check reads every page. */
static enum code open_and_read_everything(const struct place *place)
{
    struct database *database;
    enum code code = database_open(&(struct database_options){.path = place->path}, &database, &why);
    if (code == CODE_OK) {
        code = database_check_whole(database, &why);
        database_close(database);
    }
    return code;
}

static void a_flipped_bit_anywhere_is_found_when_the_page_is_read(void **state)
{
    struct place *place = *state;
    struct catalog *catalog = open_catalog(place, true);
    put_rows(catalog, 5);
    catalog_close(catalog);
    uint64_t bits = 8 * file_bytes(place->path);
    struct random random = {20};
    assert_code_ok(open_and_read_everything(place), why);
    for (int i = 0; i < 400; i++) {
        /* Every other one in the header, where SQLite looks before it reads pages. */
        uint64_t bit = random_below(&random, i % 2 ? 8 * 100 : (uint32_t)bits);
        flip(place->path, bit);
        assert_int_equal(open_and_read_everything(place), CODE_CORRUPT);
        assert_non_null(strstr(why.text, "damaged"));
        flip(place->path, bit);
    }
    assert_code_ok(open_and_read_everything(place), why);
}

static void a_flipped_bit_in_the_log_is_found_when_it_is_read_and_never_gets_into_the_file(void **state)
{
    struct place *place = *state;
    struct catalog *catalog = open_catalog(place, true);
    put_rows(catalog, 5);
    catalog_close(catalog);
    catalog = open_catalog(place, false);
    put_rows(catalog, 6);
    uint64_t frames = (file_bytes(place->log) - 32) / 4120;
    assert_true(frames >= 2);
    for (uint64_t frame = 0; frame < frames; frame++)
        flip(place->log, 8 * (32 + frame * 4120 + 24 + 2000));
    /* What the connection keeps in memory is good; closing brings the log into the file, frame by frame, and is refused. */
    assert_code_ok(read_rows(catalog, 6), why);
    catalog_close(catalog);
    for (uint64_t frame = 0; frame < frames; frame++)
        flip(place->log, 8 * (32 + frame * 4120 + 24 + 2000));
    catalog = open_catalog(place, false);
    assert_code_ok(read_rows(catalog, 6), why);
    catalog_close(catalog);
}

static void run_sql(sqlite3 *connection, const char *sql)
{
    if (sqlite3_exec(connection, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
}

/* As the first version of this program made them. */
static void make_older(const struct place *place)
{
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(place->path, &connection), SQLITE_OK);
    run_sql(connection, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL");
    run_sql(connection, catalog_schema_migrations[0]);
    run_sql(connection, "PRAGMA user_version=1");
    run_sql(connection, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
                        "INSERT INTO inodes SELECT i, 0, 0, 1, 420, 9, 1, 0, 0, 0, 0, i, 0, 0 FROM n");
    sqlite3_close(connection);
}

static void an_older_file_is_read_as_it_is_and_gets_checksums_at_the_first_opening_for_writing(void **state)
{
    struct place *place = *state;
    struct database *database;
    make_older(place);
    SCOPE_BUFFER before = {0}, after = {0};
    assert_code_ok(file_read(place->path, 1 << 24, &before, &why), why);
    assert_true(page_sum_is_older((const uint8_t *)before.data));
    assert_code_ok(database_open(&(struct database_options){.path = place->path, .read_only = true}, &database, &why), why);
    assert_code_ok(database_check_whole(database, &why), why);
    database_close(database);
    assert_code_ok(file_read(place->path, 1 << 24, &after, &why), why);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);

    assert_code_ok(open_and_read_everything(place), why);
    buffer_clear(&after);
    assert_code_ok(file_read(place->path, 1 << 24, &after, &why), why);
    for (size_t at = 0; at < after.length; at += PAGE_SUM_PAGE_BYTES)
        assert_true(page_sum_check((const uint8_t *)after.data + at, at / PAGE_SUM_PAGE_BYTES + 1));
    sqlite3 *connection; /* an oracle: plain SQLite */
    sqlite3_stmt *count;
    assert_int_equal(sqlite3_open(place->path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection, "SELECT count(*), sum(size) FROM inodes", -1, &count, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(count, 0), 200);
    assert_int_equal(sqlite3_column_int(count, 1), 1800);
    sqlite3_finalize(count);
    sqlite3_close(connection);
}

static void an_interrupted_bringing_over_is_repeated(void **state)
{
    struct place *place = *state;
    char copy[160];
    make_older(place);
    snprintf(copy, sizeof copy, "%s.summed", place->path);
    assert_code_ok(file_write(copy, "half a copy", 11, &why), why);
    assert_code_ok(open_and_read_everything(place), why);
    assert_false(file_exists(copy));
}

/* A power cut while the log was brought into the file: pages are torn there and whole in the log. */
static void torn_pages_that_the_log_holds_do_no_harm(void **state)
{
    struct place *place = *state;
    struct catalog *catalog = open_catalog(place, true);
    put_rows(catalog, 5);
    catalog_close(catalog);
    catalog = open_catalog(place, false);
    put_rows(catalog, 6);
    assert_code_ok(catalog_sync(catalog, &why), why);
    SCOPE_BUFFER log = {0};
    assert_code_ok(file_read(place->log, 1 << 24, &log, &why), why);
    catalog_close(catalog);
    assert_code_ok(file_write(place->log, log.data, log.length, &why), why);
    SCOPE_CLOSE int fd = open(place->path, O_RDWR);
    for (size_t frame = 0; frame < (log.length - 32) / 4120; frame++) {
        const uint8_t *head = (const uint8_t *)log.data + 32 + frame * 4120;
        off_t page = (off_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
        assert_int_equal(pwrite(fd, "torn", 4, (page - 1) * 4096 + 4000), 4);
    }
    catalog = open_catalog(place, false);
    assert_code_ok(read_rows(catalog, 6), why);
    catalog_close(catalog);
    assert_code_ok(open_and_read_everything(place), why);
}

#define in_place(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_place(each_page_of_a_closed_catalog_has_its_checksum),
        in_place(a_flipped_bit_anywhere_is_found_when_the_page_is_read),
        in_place(a_flipped_bit_in_the_log_is_found_when_it_is_read_and_never_gets_into_the_file),
        in_place(an_older_file_is_read_as_it_is_and_gets_checksums_at_the_first_opening_for_writing),
        in_place(an_interrupted_bringing_over_is_repeated),
        in_place(torn_pages_that_the_log_holds_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
