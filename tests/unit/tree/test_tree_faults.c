/* fs/tree over a chunk store and a catalog that fail at the n-th call, and used by many threads. */
#include "testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store_fault.h"
#include "lab_fixture.h"
#include "random.h"
#include "scope.h"
#include "tree_internal.h"

static int open_lab(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_open_memory(lab);
    lab_make_folder(lab, "experiments/e");
    *state = lab;
    return 0;
}

static int close_lab(void **state)
{
    lab_check(*state);
    lab_destroy(*state);
    free(*state);
    return 0;
}

static void a_full_disk_is_told_by_fsync_and_nothing_is_lost(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    struct tree_file *file;
    struct node_attributes attributes;
    struct node_id folder = lab_node(lab, "experiments/e");
    struct chunk_store_fault full = {.first = 1, .code = CODE_NO_SPACE};
    assert_code_ok(tree_create_file(lab->tree, folder, "x", 0644, OPEN_WRITE, &attributes, &file, &why), why);
    assert_code_ok(tree_write(file, 0, "hello", 5, &why), why);
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_PUT, &full);
    assert_int_equal(tree_fsync(file, &why), CODE_NO_SPACE);
    assert_int_equal(tree_flush(file, &why), CODE_NO_SPACE); /* close(2) tells it too */
    lab_expect(lab, "experiments/e/x", "hello");
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_PUT, &(struct chunk_store_fault){0});
    assert_code_ok(tree_fsync(file, &why), why);
    assert_code_ok(tree_flush(file, &why), why);
    tree_release(file);
    lab_expect(lab, "experiments/e/x", "hello");
}

static void a_sync_that_fails_is_told_and_the_next_one_keeps_everything(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    lab_write(lab, "experiments/e/x", "hello");
    struct chunk_store_fault broken = {.first = 1, .repeat = 1, .code = CODE_IO};
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_SYNC, &broken);
    assert_int_equal(tree_sync(lab->tree, &why), CODE_IO);
    assert_code_ok(tree_sync(lab->tree, &why), why);
    lab_expect(lab, "experiments/e/x", "hello");
}

/* The n-th catalog statement of a commit fails, for n = 1, 2, 3 ... until a commit succeeds at the first try. */
static void a_commit_that_fails_anywhere_is_made_up_for(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    uint64_t n = 1;
    pthread_mutex_lock(&lab->tree->lock);
    lab->tree->reseal.next_look_ns = INT64_MAX; /* its statements are no commit's */
    pthread_mutex_unlock(&lab->tree->lock);
    for (enum code code = CODE_NO_SPACE; code != CODE_OK; n++) {
        char path[64];
        snprintf(path, sizeof path, "experiments/e/f%d", (int)n);
        assert_true(n < 200);
        lab_write(lab, path, path);
        catalog_fail_after(lab->tree->catalog, n, CODE_NO_SPACE);
        code = tree_sync(lab->tree, &why);
        catalog_fail_after(lab->tree->catalog, 0, CODE_OK);
        assert_true(code == CODE_OK || code == CODE_NO_SPACE);
        assert_code_ok(tree_sync(lab->tree, &why), why);
        lab_expect(lab, path, path);
        lab_check(lab);
    }
    assert_true(n > 5);
}

static void writers_stop_when_memory_is_full_and_the_disk_too(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    struct tree_file *file;
    struct node_attributes attributes;
    struct node_id folder = lab_node(lab, "experiments/e");
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_PUT, &(struct chunk_store_fault){.first = 1, .code = CODE_NO_SPACE});
    assert_code_ok(tree_create_file(lab->tree, folder, "x", 0644, OPEN_WRITE, &attributes, &file, &why), why);
    size_t step = 1 << 20;
    SCOPE_FREE char *bytes = malloc(step);
    memset(bytes, 7, step);
    uint64_t written = 0;
    enum code code = CODE_OK;
    while (code == CODE_OK && written < (UINT64_C(256) << 20)) {
        code = tree_write(file, written, bytes, step, &why);
        written += code == CODE_OK ? step : 0;
    }
    assert_int_equal(code, CODE_NO_SPACE);
    assert_true(written >= TREE_DIRTY_BYTES_MAX);
    assert_code_ok(tree_attributes(lab->tree, attributes.id, &attributes, &why), why);
    assert_true(attributes.size == written);
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_PUT, &(struct chunk_store_fault){0});
    assert_code_ok(tree_write(file, written, bytes, step, &why), why);
    tree_release(file);
}

static void a_damaged_chunk_is_an_error_and_never_wrong_bytes(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    SCOPE_BUFFER contents = {0};
    struct random random = {5};
    size_t count = 3 * TREE_CHUNK_BYTES;
    SCOPE_FREE char *bytes = malloc(count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)random_next(&random);
    assert_code_ok(tree_path_write(lab->tree, "experiments/e/x", 0644, bytes, count, &why), why);
    assert_code_ok(tree_sync(lab->tree, &why), why);
    /* Enough others to push the first out of memory. */
    for (int i = 0; i < 50; i++) {
        char path[64];
        snprintf(path, sizeof path, "experiments/e/other%d", i);
        assert_code_ok(tree_path_write(lab->tree, path, 0644, bytes, count, &why), why);
    }
    assert_code_ok(tree_sync(lab->tree, &why), why);
    /* Bytes that do not open are asked for once more, to be checked: here damaged as well. */
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_GET, &(struct chunk_store_fault){.first = 2, .repeat = 2, .tear = true});
    assert_int_equal(tree_path_read(lab->tree, "experiments/e/x", count, &contents, &why), CODE_CORRUPT);
    assert_non_null(strstr(why.text, "experiments/e/x"));
    chunk_store_fault_set(lab->faulty, CHUNK_STORE_GET, &(struct chunk_store_fault){0});
    assert_code_ok(tree_path_read(lab->tree, "experiments/e/x", count, &contents, &why), why);
    assert_memory_equal(contents.data, bytes, count);
}

/* The names of a folder with the size of each. */
static void describe(struct lab *lab, struct buffer *out)
{
    struct failure why;
    struct tree_folder *folder;
    struct node_attributes attributes;
    const char *name;
    buffer_clear(out);
    assert_code_ok(tree_open_folder(lab->tree, lab_node(lab, "experiments/e"), &folder, &why), why);
    for (uint64_t cursor = 0; tree_folder_entry(folder, cursor, &name, &attributes); cursor++)
        buffer_printf(out, "%s %d %llu %u %o\n", name, attributes.kind, (unsigned long long)attributes.size,
                      attributes.links, attributes.mode);
    tree_close_folder(folder);
}

/* Looked up before the failure is set. */
static struct {
    struct node_id folder, datasets, a;
} places;

typedef enum code operation(struct lab *lab, struct failure *why);

static enum code make_folder(struct lab *lab, struct failure *why)
{
    struct node_attributes attributes;
    return tree_make_folder(lab->tree, places.folder, "new", 0755, &attributes, why);
}

static enum code make_dataset(struct lab *lab, struct failure *why)
{
    struct node_attributes attributes;
    return tree_make_folder(lab->tree, places.datasets, "new", 0755, &attributes, why);
}

static enum code make_link(struct lab *lab, struct failure *why)
{
    struct node_attributes attributes;
    return tree_make_link(lab->tree, places.folder, "link", "target", &attributes, why);
}

static enum code add_name(struct lab *lab, struct failure *why)
{
    struct node_attributes attributes;
    return tree_hard_link(lab->tree, places.a, places.folder, "name", &attributes, why);
}

static enum code replace(struct lab *lab, struct failure *why)
{
    struct node_id folder = places.folder;
    return tree_rename(lab->tree, &(struct tree_rename){folder, folder, "a", "b", 0, 0, 0}, why);
}

static enum code exchange(struct lab *lab, struct failure *why)
{
    struct node_id folder = places.folder;
    return tree_rename(lab->tree, &(struct tree_rename){folder, folder, "a", "b", RENAME_EXCHANGE_FLAG, 0, 0}, why);
}

static enum code cut(struct lab *lab, struct failure *why)
{
    struct node_attributes attributes;
    struct attribute_change change = {.which = CHANGE_SIZE, .size = 1};
    return tree_change(lab->tree, places.a, &change, &attributes, why);
}

static enum code unlink_one(struct lab *lab, struct failure *why)
{
    return tree_unlink(lab->tree, places.folder, "a", why);
}

static enum code write_path(struct lab *lab, struct failure *why)
{
    return tree_path_write(lab->tree, "experiments/e/a", 0600, "other", 5, why);
}

static enum code snapshot(struct lab *lab, struct failure *why)
{
    char label[TREE_NAME_MAX + 1] = "s";
    return tree_path_snapshot(lab->tree, "datasets/d", false, label, why);
}

/* Lets the n-th catalog statement of the operation fail, for n = 1, 2, 3 ... until it succeeds: before, nothing changes. */
static void fail_at_each_statement(struct lab *lab, operation *run, const char *name)
{
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    struct failure why;
    lab_write(lab, "experiments/e/a", "contents of a");
    lab_write(lab, "experiments/e/b", "b");
    assert_code_ok(tree_sync(lab->tree, &why), why);
    describe(lab, &before);
    places.folder = lab_node(lab, "experiments/e");
    places.datasets = lab_node(lab, "datasets");
    places.a = lab_node(lab, "experiments/e/a");
    for (uint64_t n = 1;; n++) {
        assert_true(n < 200);
        catalog_fail_after(lab->tree->catalog, n, CODE_NO_SPACE);
        enum code code = run(lab, &why);
        catalog_fail_after(lab->tree->catalog, 0, CODE_OK);
        if (code == CODE_OK)
            return;
        assert_int_equal(code, CODE_NO_SPACE);
        describe(lab, &after);
        if (strcmp(buffer_text(&before), buffer_text(&after)) != 0)
            fail_msg("%s failed at statement %d and left\n%s where was\n%s", name, (int)n, buffer_text(&after),
                     buffer_text(&before));
        lab_expect(lab, "experiments/e/a", "contents of a");
        lab_check(lab);
    }
}

static void an_operation_that_fails_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        operation *run;
        const char *name;
    } operations[] = {{make_folder, "mkdir"},
                      {make_dataset, "mkdir of a dataset"},
                      {make_link, "symlink"},
                      {add_name, "link"},
                      {replace, "rename"},
                      {exchange, "exchange"},
                      {cut, "truncate"},
                      {unlink_one, "unlink"},
                      {write_path, "write by path"},
                      {snapshot, "a snapshot"}};
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        struct lab lab;
        lab_open_memory(&lab);
        lab_make_folder(&lab, "experiments/e");
        lab_make_folder(&lab, "datasets/d");
        lab_write(&lab, "datasets/d/x", "x");
        fail_at_each_statement(&lab, operations[i].run, operations[i].name);
        lab_check(&lab);
        lab_destroy(&lab);
    }
}

/* No chunk is like one of another round: equal ones would be stored once. */
static void make_different(char *bytes, size_t count, int round)
{
    for (size_t i = 0; i + sizeof round <= count; i += 4096)
        memcpy(bytes + i, &round, sizeof round);
}

/* Packs of 16 MiB on disk; most of what is in them is overwritten, a little is kept, also by a snapshot. */
static void space_of_overwritten_files_comes_back(void **state)
{
    (void)state;
    struct lab lab;
    struct failure why;
    struct random random = {3};
    size_t count = 1 << 20;
    SCOPE_FREE char *bytes = malloc(count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)random_next(&random);
    lab_create(&lab);
    lab_make_folder(&lab, "datasets/d");
    for (int round = 0; round < 40; round++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/d/kept%d", round);
        make_different(bytes, count, round);
        assert_code_ok(tree_path_write(lab.tree, path, 0644, &round, sizeof round, &why), why);
        assert_code_ok(tree_path_write(lab.tree, "datasets/d/busy", 0644, bytes, count, &why), why);
        assert_code_ok(tree_sync(lab.tree, &why), why);
        if (round == 5)
            lab_make_folder(&lab, "datasets/d/.snap/early");
    }
    struct chunk_pack_list before, after;
    assert_code_ok(chunk_store_list_packs(lab.chunks, &before, &why), why);
    lab_close(&lab);
    lab_open(&lab); /* begins a new pack, and looks for sparse ones at once */
    for (int round = 40; round < 48; round++) {
        make_different(bytes, count, round);
        assert_code_ok(tree_path_write(lab.tree, "datasets/d/busy", 0644, bytes, count, &why), why);
        assert_code_ok(tree_sync(lab.tree, &why), why);
    }
    assert_code_ok(chunk_store_list_packs(lab.chunks, &after, &why), why);
    uint64_t bytes_before = 0, bytes_after = 0;
    for (size_t i = 0; i < before.count; i++)
        bytes_before += before.packs[i].bytes;
    for (size_t i = 0; i < after.count; i++)
        bytes_after += after.packs[i].bytes;
    assert_true(bytes_before > (40u << 20));
    assert_true(bytes_after < (20u << 20));
    chunk_store_list_free(&before);
    chunk_store_list_free(&after);
    lab_reopen(&lab);
    lab_check(&lab);
    for (int round = 0; round < 40; round++) {
        SCOPE_BUFFER contents = {0};
        char path[64];
        snprintf(path, sizeof path, "datasets/d/%skept%d", round <= 5 ? ".snap/early/" : "", round);
        assert_code_ok(tree_path_read(lab.tree, path, 100, &contents, &why), why);
        assert_memory_equal(contents.data, &round, sizeof round);
    }
    lab_destroy(&lab);
}

/* Threads ---------------------------------------------------------------------------------------------------------- */

#define THREADS 6
#define LINES   150

struct worker {
    struct lab *lab;
    int number;
    pthread_t thread;
};

/* Appends whole lines to one file that all share, and plays with files of its own. */
static void *work(void *context)
{
    struct worker *worker = context;
    struct tree *tree = worker->lab->tree;
    struct failure why;
    struct node_attributes attributes;
    struct tree_file *shared, *file;
    struct random random = random_stream(11, (uint64_t)worker->number);
    struct node_id folder = lab_node(worker->lab, "experiments/e");
    assert_code_ok(tree_create_file(tree, folder, "shared", 0644, OPEN_WRITE | OPEN_APPEND, &attributes, &shared, &why),
                   why);
    for (int i = 0; i < LINES; i++) {
        char line[64], name[32], other[32];
        int length = snprintf(line, sizeof line, "%d %d\n", worker->number, i);
        assert_code_ok(tree_write(shared, 0, line, (size_t)length, &why), why);
        snprintf(name, sizeof name, "t%d-%u", worker->number, random_below(&random, 4));
        snprintf(other, sizeof other, "t%d-%u", worker->number, random_below(&random, 4));
        assert_code_ok(tree_create_file(tree, folder, name, 0644, OPEN_WRITE | OPEN_READ, &attributes, &file, &why), why);
        tree_remember(tree, attributes.id);
        assert_code_ok(tree_write(file, random_below(&random, 200000), line, (size_t)length, &why), why);
        (void)!tree_rename(tree, &(struct tree_rename){folder, folder, name, other, 0, 0, 0}, &why);
        if (i % 16 == 0)
            assert_code_ok(tree_fsync(file, &why), why);
        char bytes[256];
        size_t got;
        assert_code_ok(tree_read(file, 0, bytes, sizeof bytes, &got, &why), why);
        tree_release(file);
        if (i % 3 == 0)
            (void)!tree_unlink(tree, folder, other, &why);
        tree_forget(tree, attributes.id, 1);
    }
    tree_release(shared);
    return NULL;
}

static void threads_neither_tear_lines_nor_lose_any(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.lab = lab, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    SCOPE_BUFFER text = {0};
    assert_code_ok(tree_path_read(lab->tree, "experiments/e/shared", 1 << 20, &text, &why), why);
    int next[THREADS] = {0}, total = 0;
    for (char *line = text.data, *end; line && *line; line = end + 1, total++) {
        int number, i;
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(sscanf(line, "%d %d", &number, &i), 2);
        assert_int_equal(i, next[number]++); /* each thread's lines in its own order */
    }
    assert_int_equal(total, THREADS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_by_fsync_and_nothing_is_lost, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_is_told_and_the_next_one_keeps_everything, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(a_commit_that_fails_anywhere_is_made_up_for, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(writers_stop_when_memory_is_full_and_the_disk_too, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(a_damaged_chunk_is_an_error_and_never_wrong_bytes, open_lab, close_lab),
        cmocka_unit_test(an_operation_that_fails_changes_nothing),
        cmocka_unit_test(space_of_overwritten_files_comes_back),
        cmocka_unit_test_setup_teardown(threads_neither_tear_lines_nor_lose_any, open_lab, close_lab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
