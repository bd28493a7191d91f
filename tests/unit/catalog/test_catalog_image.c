/* fs/catalog/catalog_image.h: an image is the state of one commit, whatever goes on meanwhile. */
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog.h"
#include "catalog_image.h"
#include "catalog_inode.h"
#include "file.h"

#define ROWS_A_COMMIT 40

static struct failure why;

struct place {
    char folder[64], path[128], image[128];
    struct catalog *catalog;
    atomic_bool stop;
    atomic_uint_fast64_t commits;
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/cytofs-image-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof place->path, "%s/catalog.db", place->folder);
    snprintf(place->image, sizeof place->image, "%s/image.db", place->folder);
    assert_code_ok(catalog_open(&(struct catalog_options){.path = place->path, .create = true}, &place->catalog, &why), why);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    catalog_close(place->catalog);
    assert_code_ok(file_remove_tree(place->folder, &why), why);
    free(place);
    return 0;
}

static void commit(struct catalog *catalog)
{
    bool lost;
    assert_code_ok(catalog_commit(catalog, &lost, &why), why);
}

/* All rows of one round have the same size, which is the round's number. */
static void put_round(struct catalog *catalog, uint64_t round)
{
    assert_code_ok(catalog_operation_begin(catalog, &why), why);
    for (uint64_t inode = 1; inode <= ROWS_A_COMMIT; inode++) {
        struct catalog_inode row = {.inode = inode * 1000, .links = 1, .origin = inode, .size = round, .generation = 1};
        assert_code_ok(catalog_inode_put(catalog, &row, &why), why);
    }
    assert_code_ok(catalog_operation_end(catalog, true, &why), why);
}

/* The round that the image is of; fails where it is a mixture. */
static uint64_t round_of_image(const struct place *place)
{
    struct catalog *image;
    struct catalog_inode row;
    assert_code_ok(catalog_open(&(struct catalog_options){.path = place->image}, &image, &why), why);
    assert_code_ok(catalog_inode_get(image, 1000, &row, &why), why);
    uint64_t round = row.size;
    for (uint64_t inode = 2; inode <= ROWS_A_COMMIT; inode++) {
        assert_code_ok(catalog_inode_get(image, inode * 1000, &row, &why), why);
        assert_int_equal(row.size, round);
    }
    catalog_close(image);
    return round;
}

static void an_image_holds_what_was_committed_and_nothing_that_was_not(void **state)
{
    struct place *place = *state;
    put_round(place->catalog, 1);
    commit(place->catalog);
    put_round(place->catalog, 2);
    assert_code_ok(catalog_image_take(place->catalog, place->image, &why), why);
    assert_int_equal(round_of_image(place), 1);
    commit(place->catalog);
    assert_int_equal(catalog_image_take(place->catalog, place->image, &why), CODE_EXISTS);
    assert_int_equal(round_of_image(place), 1); /* what was there is left alone */
    unlink(place->image);
    assert_code_ok(catalog_image_take(place->catalog, place->image, &why), why);
    assert_int_equal(round_of_image(place), 2);
}

static void *commit_rounds(void *context)
{
    struct place *place = context;
    while (!atomic_load(&place->stop)) {
        put_round(place->catalog, atomic_load(&place->commits) + 1);
        commit(place->catalog);
        atomic_fetch_add(&place->commits, 1);
    }
    return NULL;
}

/* Long enough that the log is brought into the file several times. */
static void images_taken_under_commits_are_of_one_commit_each(void **state)
{
    struct place *place = *state;
    put_round(place->catalog, 1);
    commit(place->catalog);
    atomic_store(&place->commits, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, commit_rounds, place), 0);
    uint64_t last = 0;
    for (int i = 0; i < 40; i++) {
        uint64_t before = atomic_load(&place->commits);
        assert_code_ok(catalog_image_take(place->catalog, place->image, &why), why);
        uint64_t round = round_of_image(place);
        assert_true(round >= before && round >= last);
        last = round;
        unlink(place->image);
    }
    atomic_store(&place->stop, true);
    pthread_join(thread, NULL);
}

static void a_closed_catalog_gives_the_same_image_and_a_damaged_one_none(void **state)
{
    struct place *place = *state;
    put_round(place->catalog, 7);
    commit(place->catalog);
    catalog_close(place->catalog);
    place->catalog = NULL;
    assert_code_ok(catalog_image_take_closed(place->path, place->image, &why), why);
    assert_int_equal(round_of_image(place), 7);
    unlink(place->image);
    FILE *file = fopen(place->path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 2 * 4096, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++)
        fputc(0x5a, file);
    fclose(file);
    assert_int_not_equal(catalog_image_take_closed(place->path, place->image, &why), CODE_OK);
    assert_false(file_exists(place->image));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_image_holds_what_was_committed_and_nothing_that_was_not, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(images_taken_under_commits_are_of_one_commit_each, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_closed_catalog_gives_the_same_image_and_a_damaged_one_none, make_place,
                                        remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
