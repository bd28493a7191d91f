/* Whole chunks of a write are lent by the writer: he is answered, and they are stored behind that.  What is
 * done to the file meanwhile, here by the writer's own answer, finds what was written; and the store holds
 * each chunk once. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "chunk_store_fault.h"
#include "lab_fixture.h"

#define CHUNK 131072
#define SIZE  (3 * CHUNK + 5000)
#define PATH  "datasets/cells/a"

static struct failure why;
static uint8_t written[SIZE];

/* What the answer does. */
struct answer {
    struct lab *lab;
    struct tree_file *file;
    void (*meanwhile)(struct answer *answer);
    int told;
};

static void be_told(void *context)
{
    struct answer *answer = context;
    answer->told++;
    answer->meanwhile(answer);
}

static struct tree_file *open_new(struct lab *lab)
{
    struct node_attributes attributes;
    struct tree_file *file;
    const char *name;
    struct node_id folder = lab_parent(lab, PATH, &name);
    assert_code_ok(tree_create_file(lab->tree, folder, name, 0644, OPEN_READ | OPEN_WRITE, &attributes, &file, &why), why);
    return file;
}

static void write_and(struct lab *lab, void (*meanwhile)(struct answer *answer))
{
    for (size_t i = 0; i < SIZE; i++)
        written[i] = (uint8_t)(i * 2654435761u >> 13);
    struct answer answer = {.lab = lab, .file = open_new(lab), .meanwhile = meanwhile};
    uint8_t *lent = malloc(SIZE);
    memcpy(lent, written, SIZE);
    const struct tree_writing writing = {.bytes = lent, .count = SIZE, .taken = be_told, .context = &answer};
    assert_code_ok(tree_write_answered(answer.file, &writing, &why), why);
    memset(lent, 0x5a, SIZE); /* it is the writer's again */
    free(lent);
    assert_int_equal(answer.told, 1);
    if (answer.file)
        tree_release(answer.file);
}

static void expect(struct lab *lab, size_t count)
{
    SCOPE_BUFFER found = {0};
    assert_code_ok(tree_path_read(lab->tree, PATH, 2 * SIZE, &found, &why), why);
    assert_int_equal(found.length, count);
    assert_memory_equal(found.data, written, count);
}

static int make_lab(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_create(lab);
    lab_make_folder(lab, "datasets/cells");
    *state = lab;
    return 0;
}

static int remove_lab(void **state)
{
    lab_check(*state);
    lab_destroy(*state);
    free(*state);
    return 0;
}

static uint64_t stored_chunks(struct lab *lab)
{
    struct chunk_store_statistics statistics;
    chunk_store_statistics(lab->chunks, &statistics);
    return statistics.puts;
}

static void nothing(struct answer *answer)
{
    assert_int_equal(stored_chunks(answer->lab), 0);
}

static void each_chunk_is_stored_once(void **state)
{
    struct lab *lab = *state;
    write_and(lab, nothing);
    assert_int_equal(stored_chunks(lab), 4);
    assert_code_ok(tree_sync(lab->tree, &why), why);
    assert_int_equal(stored_chunks(lab), 4);
    lab_reopen(lab);
    expect(lab, SIZE);
}

static void read_it(struct answer *answer)
{
    static uint8_t found[SIZE];
    size_t got;
    assert_code_ok(tree_read(answer->file, 0, found, SIZE, &got, &why), why);
    assert_int_equal(got, SIZE);
    assert_memory_equal(found, written, SIZE);
}

static void it_can_be_read_before_it_is_stored(void **state)
{
    write_and(*state, read_it);
    expect(*state, SIZE);
}

static void write_over_a_part(struct answer *answer)
{
    memset(written + CHUNK + 100, 'x', CHUNK);
    assert_code_ok(tree_write(answer->file, CHUNK + 100, written + CHUNK + 100, CHUNK, &why), why);
}

static void it_can_be_written_over_before_it_is_stored(void **state)
{
    write_and(*state, write_over_a_part);
    expect(*state, SIZE);
    lab_reopen(*state);
    expect(*state, SIZE);
}

static void cut_it(struct answer *answer)
{
    const struct attribute_change change = {.which = CHANGE_SIZE, .size = CHUNK + 7};
    struct node_attributes attributes;
    assert_code_ok(tree_change(answer->lab->tree, tree_file_node(answer->file), &change, &attributes, &why), why);
}

static void it_can_be_cut_before_it_is_stored(void **state)
{
    struct lab *lab = *state;
    write_and(lab, cut_it);
    expect(lab, CHUNK + 7);
    lab_reopen(lab);
    expect(lab, CHUNK + 7);
}

static void remove_it(struct answer *answer)
{
    const char *name;
    struct node_id folder = lab_parent(answer->lab, PATH, &name);
    assert_code_ok(tree_unlink(answer->lab->tree, folder, name, &why), why);
    tree_release(answer->file);
    answer->file = NULL;
}

static void it_can_be_removed_and_closed_before_it_is_stored(void **state)
{
    struct lab *lab = *state;
    struct node_attributes attributes;
    write_and(lab, remove_it);
    assert_int_equal(tree_path_attributes(lab->tree, PATH, &attributes, &why), CODE_NOT_FOUND);
}

static void sync_it(struct answer *answer)
{
    assert_code_ok(tree_sync(answer->lab->tree, &why), why);
}

static void a_commit_does_not_wait_for_one_who_waits_for_it(void **state)
{
    struct lab *lab = *state;
    write_and(lab, sync_it);
    expect(lab, SIZE);
    lab_reopen(lab);
    expect(lab, SIZE);
}

static void what_cannot_be_stored_is_kept_until_it_can(void **state)
{
    (void)state;
    struct lab lab;
    lab_open_memory(&lab);
    lab_make_folder(&lab, "datasets/cells");
    chunk_store_fault_set(lab.faulty, CHUNK_STORE_PUT, &(struct chunk_store_fault){.first = 2, .code = CODE_NO_SPACE});
    write_and(&lab, nothing);
    expect(&lab, SIZE);
    assert_int_equal(tree_sync(lab.tree, &why), CODE_NO_SPACE);
    chunk_store_fault_set(lab.faulty, CHUNK_STORE_PUT, &(struct chunk_store_fault){0});
    assert_code_ok(tree_sync(lab.tree, &why), why);
    expect(&lab, SIZE);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_chunk_is_stored_once, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(it_can_be_read_before_it_is_stored, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(it_can_be_written_over_before_it_is_stored, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(it_can_be_cut_before_it_is_stored, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(it_can_be_removed_and_closed_before_it_is_stored, make_lab, remove_lab),
        cmocka_unit_test_setup_teardown(a_commit_does_not_wait_for_one_who_waits_for_it, make_lab, remove_lab),
        cmocka_unit_test(what_cannot_be_stored_is_kept_until_it_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
