/* Backups of labs that are in use, and what is put back from them: the oracle is what the test itself wrote. */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup_make.h"
#include "backup_restore.h"
#include "file.h"
#include "lab_fixture.h"
#include "random.h"

#define FILES 12

static struct failure why;

struct place {
    struct lab lab;
    char above[32], backup[128], restored[48];
    uint64_t seeds[FILES]; /* of what each file holds; 0: it is not there */
    uint32_t bytes[FILES];
    struct random random;
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    lab_create(&place->lab);
    strcpy(place->above, "/tmp/cytofs-backup-XXXXXX");
    if (!mkdtemp(place->above))
        return -1;
    snprintf(place->backup, sizeof place->backup, "%s/backup", place->above);
    snprintf(place->restored, sizeof place->restored, "%s/restored", place->above);
    char format[128];
    snprintf(format, sizeof format, "%s/FORMAT", place->lab.folder);
    assert_code_ok(file_write(format, "a format\n", 9, &why), why);
    lab_make_folder(&place->lab, "datasets/cells");
    place->random.state = 11;
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    lab_destroy(&place->lab);
    assert_code_ok(file_remove_tree(place->above, &why), why);
    free(place);
    return 0;
}

static void fill(uint8_t *bytes, uint32_t count, uint64_t seed)
{
    struct random random = {seed};
    for (uint32_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)random_next(&random);
}

static void path_of(char path[64], int file)
{
    snprintf(path, 64, "datasets/cells/file-%d", file);
}

static void write_file(struct place *place, int file, uint32_t count)
{
    char path[64];
    uint8_t *bytes = malloc(count + 1);
    path_of(path, file);
    place->seeds[file] = random_next(&place->random) | 1;
    place->bytes[file] = count;
    fill(bytes, count, place->seeds[file]);
    assert_code_ok(tree_path_write(place->lab.tree, path, 0644, bytes, count, &why), why);
    free(bytes);
}

static void change_some(struct place *place, int changes)
{
    for (int i = 0; i < changes; i++) {
        int file = (int)random_below(&place->random, FILES);
        if (random_below(&place->random, 4) == 0) {
            char path[64];
            path_of(path, file);
            assert_code_ok(tree_path_remove(place->lab.tree, path, &why), why);
            place->seeds[file] = 0;
        } else {
            write_file(place, file, random_below(&place->random, 700000));
        }
    }
    assert_code_ok(tree_sync(place->lab.tree, &why), why);
}

static enum code save_catalog(void *tree, const char *path, struct failure *failure)
{
    return tree_save_catalog(tree, path, failure);
}

static enum code back_up(struct place *place, struct backup_options options, struct backup_summary *summary)
{
    struct backup_source source = {.id = place->lab.store, .folder = place->lab.folder, .chunks = place->lab.chunks};
    if (place->lab.tree) {
        assert_code_ok(tree_sync(place->lab.tree, &why), why);
        tree_hold_packs(place->lab.tree);
        source.save_catalog = save_catalog;
        source.context = place->lab.tree;
    }
    enum code code = backup_make(place->backup, &source, &options, summary, &why);
    if (place->lab.tree)
        tree_release_packs(place->lab.tree);
    return code;
}

static enum code restore(struct place *place, const char *at, struct backup_restore_summary *summary)
{
    struct backup_restore_options options = {0};
    enum code code = backup_restore_choose(place->backup, at, &options.point, &why);
    if (code == CODE_OK)
        code = backup_restore(place->backup, place->restored, &options, summary, &why);
    return code;
}

/* Opens what was restored with the lab's key: it is whole and holds exactly what `then` says. */
static void expect_restored(struct place *place, const struct place *then)
{
    struct lab lab = place->lab;
    lab.tree = NULL;
    lab.chunks = NULL;
    snprintf(lab.folder, sizeof lab.folder, "%s", place->restored);
    lab_open(&lab);
    lab_check(&lab);
    for (int file = 0; file < FILES; file++) {
        char path[64];
        SCOPE_BUFFER found = {0};
        path_of(path, file);
        assert_int_equal(tree_path_exists(lab.tree, path), then->seeds[file] != 0);
        if (!then->seeds[file])
            continue;
        assert_code_ok(tree_path_read(lab.tree, path, 1 << 20, &found, &why), why);
        assert_int_equal(found.length, then->bytes[file]);
        uint8_t *wanted = malloc(found.length + 1);
        fill(wanted, then->bytes[file], then->seeds[file]);
        if (found.length)
            assert_memory_equal(found.data, wanted, found.length);
        free(wanted);
    }
    lab_close(&lab);
    assert_code_ok(file_remove_tree(place->restored, &why), why);
}

static void every_point_is_put_back_as_it_was(void **state)
{
    struct place *place = *state;
    struct place then[8];
    struct backup_summary made;
    struct backup_restore_summary restored;
    for (int i = 0; i < 8; i++) {
        change_some(place, 6);
        if (i == 4)
            lab_reopen(&place->lab);
        if (i == 6)
            lab_close(&place->lab); /* of a store that is not in use */
        then[i] = *place;
        assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
        assert_int_equal(made.point, i + 1);
        assert_int_equal(made.damages, 0);
        if (i == 6)
            lab_open(&place->lab);
    }
    for (int i = 0; i < 8; i++) {
        char at[16];
        snprintf(at, sizeof at, "%d", i + 1);
        assert_code_ok(restore(place, at, &restored), why);
        assert_int_equal(restored.damages, 0);
        expect_restored(place, &then[i]);
    }
    assert_int_equal(restore(place, "9", &restored), CODE_NOT_FOUND);
    assert_int_equal(restore(place, "1999-01-01", &restored), CODE_NOT_FOUND);
    assert_code_ok(restore(place, "2999-01-01", &restored), why);
    expect_restored(place, &then[7]);
}

static void only_what_is_new_is_copied(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    for (int file = 0; file < 4; file++)
        write_file(place, file, 700000);
    for (int i = 0; i < 3; i++) /* a commit may leave something to tidy up for the next */
        assert_code_ok(tree_sync(place->lab.tree, &why), why);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    assert_in_range(made.bytes_new, 2800000, 4000000);
    uint32_t point = 1;
    for (int i = 0; i < 5; i++) { /* a late commit of the committer's own makes another point, once */
        assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
        if (made.unchanged)
            break;
        point++;
    }
    assert_true(made.unchanged);
    assert_int_equal(made.point, point);
    write_file(place, 5, 100000);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    assert_int_equal(made.point, point + 1);
    assert_in_range(made.bytes_new, 100000, 500000);
}

struct stop {
    int calls; /* that are let pass */
};

static bool stop_later(void *context, const struct backup_progress *progress)
{
    (void)progress;
    return ((struct stop *)context)->calls-- > 0;
}

static bool stop_restore_later(void *context, uint64_t done, uint64_t all)
{
    (void)done;
    (void)all;
    return ((struct stop *)context)->calls-- > 0;
}

static void count_point(void *context, uint32_t number, const struct backup_point *point, const struct failure *damage)
{
    (void)number;
    (void)damage;
    *(int *)context += point != NULL;
}

static int count_points(const struct place *place)
{
    int count = 0;
    assert_code_ok(backup_restore_list(place->backup, count_point, &count, &why), why);
    return count;
}

static void what_was_interrupted_shows_nothing_half_and_goes_on(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    struct backup_restore_summary restored;
    for (int file = 0; file < FILES; file++)
        write_file(place, file, 600000);
    for (int calls = 0; calls < 40; calls += 5) {
        struct stop stop = {calls};
        assert_int_equal(back_up(place, (struct backup_options){.progress = stop_later, .context = &stop}, &made),
                         CODE_INTERRUPTED);
        assert_int_equal(count_points(place), 0);
        assert_int_equal(restore(place, NULL, &restored), CODE_NOT_FOUND);
    }
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    assert_true(made.bytes_new < 12 * 600000 / 2 + 200000); /* the rest was there */
    char format[160];
    snprintf(format, sizeof format, "%s/FORMAT", place->restored);
    for (int calls = 0; calls < 40; calls += 9) {
        struct stop stop = {calls};
        struct backup_restore_options options = {.point = 1, .progress = stop_restore_later, .context = &stop};
        assert_int_equal(backup_restore(place->backup, place->restored, &options, &restored, &why), CODE_INTERRUPTED);
        assert_false(file_exists(format));
    }
    assert_code_ok(restore(place, NULL, &restored), why);
    assert_int_equal(restore(place, NULL, &restored), CODE_EXISTS);
    expect_restored(place, place);
}

static void old_points_go_with_what_only_they_needed(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    struct backup_restore_summary restored;
    struct place then[6];
    for (int i = 0; i < 6; i++) {
        for (int file = 0; file < FILES; file++)
            write_file(place, file, 700000);
        assert_code_ok(tree_sync(place->lab.tree, &why), why);
        assert_code_ok(tree_sync(place->lab.tree, &why), why); /* packs of the last round go */
        then[i] = *place;
        assert_code_ok(back_up(place, (struct backup_options){.keep = 2}, &made), why);
        assert_int_equal(made.points_removed, i >= 2);
    }
    assert_int_equal(count_points(place), 2);
    assert_int_equal(restore(place, "4", &restored), CODE_NOT_FOUND);
    assert_code_ok(restore(place, "5", &restored), why);
    expect_restored(place, &then[4]);
    assert_code_ok(restore(place, "6", &restored), why);
    expect_restored(place, &then[5]);
}

static void flip(const char *folder, const char *name, off_t offset)
{
    char path[256];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void damage_in_the_store_is_noted_and_all_else_is_saved(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    struct backup_restore_summary restored;
    write_file(place, 0, 300000);
    write_file(place, 1, 300000);
    assert_code_ok(tree_sync(place->lab.tree, &why), why);
    flip(place->lab.folder, "packs/00000001.pack", 1000);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    assert_int_equal(made.damages, 1);
    assert_int_equal(made.damaged_chunks, 1);
    assert_code_ok(restore(place, NULL, &restored), why);
    assert_int_equal(restored.damaged_chunks, 1);
    assert_code_ok(file_remove_tree(place->restored, &why), why);
    flip(place->lab.folder, "packs/00000001.pack", 1000); /* whole again: the next backup is, too */
    write_file(place, 2, 10);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    assert_int_equal(made.damages, 0);
    assert_code_ok(restore(place, NULL, &restored), why);
    expect_restored(place, place);
}

static void rot_in_the_backup_is_told_and_mended_by_comparing_again(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    struct backup_restore_summary restored;
    write_file(place, 0, 300000);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    flip(place->backup, "packs/00000001.pack", 140000);
    assert_code_ok(restore(place, NULL, &restored), why);
    assert_int_equal(restored.damages, 1);
    assert_int_equal(restored.damaged_chunks, 1);
    assert_code_ok(file_remove_tree(place->restored, &why), why);
    assert_code_ok(back_up(place, (struct backup_options){.again = true}, &made), why);
    assert_int_equal(made.point, 2);
    assert_code_ok(restore(place, "1", &restored), why);
    assert_int_equal(restored.damages, 0);
    expect_restored(place, place);
    flip(place->backup, "points/000002/catalog.db", 5000);
    assert_int_equal(restore(place, "2", &restored), CODE_CORRUPT);
    assert_non_null(strstr(why.text, "choose another point"));
    assert_code_ok(file_remove_tree(place->restored, &why), why);
    flip(place->backup, "points/000002/point", 30);
    assert_int_equal(restore(place, "2", &restored), CODE_CORRUPT);
    assert_code_ok(restore(place, NULL, &restored), why); /* the newest that can be read */
    expect_restored(place, place);
}

/* A store that was put back goes another way: its packs have the numbers of packs that the folder holds, and other bytes. */
static void a_store_that_was_put_back_is_saved_beside_its_other_future(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    struct backup_restore_summary restored;
    write_file(place, 0, 300000);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    struct place early = *place;
    write_file(place, 1, 500000);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    struct place late = *place;
    assert_code_ok(restore(place, "1", &restored), why);

    struct place other = *place;
    other.lab.tree = NULL;
    other.lab.chunks = NULL;
    snprintf(other.lab.folder, sizeof other.lab.folder, "%s", place->restored);
    lab_open(&other.lab);
    memcpy(other.seeds, early.seeds, sizeof other.seeds);
    write_file(&other, 2, 400000);
    assert_code_ok(back_up(&other, (struct backup_options){0}, &made), why);
    assert_int_equal(made.point, 3);
    lab_close(&other.lab);
    assert_code_ok(file_remove_tree(place->restored, &why), why);

    assert_code_ok(restore(place, "1", &restored), why);
    expect_restored(place, &early);
    assert_code_ok(restore(place, "2", &restored), why);
    expect_restored(place, &late);
    assert_code_ok(restore(place, "3", &restored), why);
    expect_restored(place, &other);
}

static void folders_of_others_are_refused(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    char path[256];
    assert_code_ok(file_make_folders(place->backup, &why), why);
    snprintf(path, sizeof path, "%s/thesis.txt", place->backup);
    assert_code_ok(file_write(path, "x", 1, &why), why);
    assert_int_equal(back_up(place, (struct backup_options){0}, &made), CODE_NOT_EMPTY);
    assert_non_null(strstr(why.text, "thesis.txt"));
    unlink(path);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
    struct store_id own = place->lab.store;
    place->lab.store.bytes[0] ^= 1;
    assert_int_equal(back_up(place, (struct backup_options){0}, &made), CODE_INVALID);
    assert_non_null(strstr(why.text, "another store"));
    place->lab.store = own;
    uint32_t point;
    assert_int_equal(backup_restore_choose(place->above, NULL, &point, &why), CODE_NOT_FOUND);
}

#define with_lab(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

/* The audit log --------------------------------------------------------------------------------------------------- */

static void put_log(struct place *place, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/audit", place->lab.folder);
    assert_code_ok(file_make_folders(path, &why), why);
    snprintf(path, sizeof path, "%s/audit/%s", place->lab.folder, name);
    assert_code_ok(file_write(path, text, strlen(text), &why), why);
}

static void expect_log(struct place *place, const char *at, const char *name, const char *text)
{
    char path[160];
    SCOPE_BUFFER found = {0};
    struct backup_restore_summary restored;
    assert_code_ok(restore(place, at, &restored), why);
    snprintf(path, sizeof path, "%s/audit/%s", place->restored, name);
    if (text) {
        assert_code_ok(file_read(path, 1 << 20, &found, &why), why);
        assert_string_equal(buffer_text(&found), text);
    } else {
        assert_false(file_exists(path));
    }
    assert_code_ok(file_remove_tree(place->restored, &why), why);
}

#define FIRST_LOG  "00000000000000000000.log"
#define SECOND_LOG "00000000000000000002.log"

static void the_audit_log_is_saved_as_it_was_and_put_back_with_its_point(void **state)
{
    struct place *place = *state;
    struct backup_summary made;
    static const char *const logs[][2] = {{"head\none\n", NULL},
                                          {"head\none\ntwo\n", "head2\nthree\n"},
                                          {"head\none\n", NULL}, /* put back to the first point, and gone on otherwise */
                                          {"head\none\nother\n", "head2\nmore\n"}};
    change_some(place, 3);
    assert_code_ok(back_up(place, (struct backup_options){0}, &made), why); /* a lab that was never served has none */
    for (int i = 0; i < 4; i++) {
        char second[160];
        change_some(place, 3);
        put_log(place, FIRST_LOG, logs[i][0]);
        snprintf(second, sizeof second, "%s/audit/" SECOND_LOG, place->lab.folder);
        unlink(second);
        if (logs[i][1])
            put_log(place, SECOND_LOG, logs[i][1]);
        if (i == 1) /* a line that is on its way is not saved */
            put_log(place, SECOND_LOG, "head2\nthree\nfou");
        assert_code_ok(back_up(place, (struct backup_options){0}, &made), why);
        assert_int_equal(made.point, i + 2);
    }
    expect_log(place, "1", FIRST_LOG, NULL);
    for (int i = 0; i < 4; i++) {
        char at[16];
        snprintf(at, sizeof at, "%d", i + 2);
        expect_log(place, at, FIRST_LOG, logs[i][0]);
        expect_log(place, at, SECOND_LOG, logs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_lab(every_point_is_put_back_as_it_was),
        with_lab(only_what_is_new_is_copied),
        with_lab(what_was_interrupted_shows_nothing_half_and_goes_on),
        with_lab(old_points_go_with_what_only_they_needed),
        with_lab(damage_in_the_store_is_noted_and_all_else_is_saved),
        with_lab(rot_in_the_backup_is_told_and_mended_by_comparing_again),
        with_lab(a_store_that_was_put_back_is_saved_beside_its_other_future),
        with_lab(folders_of_others_are_refused),
        with_lab(the_audit_log_is_saved_as_it_was_and_put_back_with_its_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
