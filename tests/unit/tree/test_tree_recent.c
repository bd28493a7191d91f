/* The log of recent writes: what was fsynced without a commit is there after a crash, in all states that a crash or an
 * attacker can give the log.  A crash is a copy of the living lab's folder, opened beside it. */
#include "testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "lab_fixture.h"
#include "recent_format.h"
#include "scope.h"
#include "tree_recent_log.h"

static int set_up(void **state)
{
    static struct lab lab;
    lab_create(&lab);
    lab_make_folder(&lab, "experiments/e");
    lab_write(&lab, "experiments/e/log", "one\n");
    lab_write(&lab, "experiments/e/other", "a\n");
    *state = &lab;
    return 0;
}

static int tear_down(void **state)
{
    lab_destroy(*state);
    return 0;
}

static void log_path(const struct lab *lab, char path[128])
{
    snprintf(path, 128, "%s/recent.log", lab->folder);
}

static struct tree_file *open_to_append(struct lab *lab, const char *path)
{
    struct failure why;
    struct tree_file *file;
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, path), OPEN_WRITE | OPEN_APPEND, &file, &why), why);
    return file;
}

static void append(struct tree_file *file, const char *text)
{
    struct failure why;
    assert_code_ok(tree_write(file, 0, text, strlen(text), &why), why);
}

static void append_and_sync(struct tree_file *file, const char *text)
{
    struct failure why;
    append(file, text);
    assert_code_ok(tree_fsync(file, &why), why);
}

/* The lab as it would lie on the disk, had the program died now. */
static void copy_as_killed(const struct lab *lab, struct lab *copy)
{
    char command[256];
    *copy = *lab;
    snprintf(copy->folder, sizeof copy->folder, "/tmp/cytofs-tree-XXXXXX");
    assert_non_null(mkdtemp(copy->folder));
    snprintf(command, sizeof command, "cp -a %s/. %s/", lab->folder, copy->folder);
    assert_int_equal(system(command), 0);
}

/* The same, opened.  Its log can be damaged before. */
static void crash(const struct lab *lab, struct lab *copy, void (*damage)(const struct lab *copy))
{
    copy_as_killed(lab, copy);
    if (damage)
        damage(copy);
    lab_open(copy);
    lab_check(copy);
}

static void end_copy(struct lab *copy)
{
    struct failure why;
    lab_close(copy);
    assert_code_ok(file_remove_tree(copy->folder, &why), why);
}

static uint64_t commits(struct lab *lab)
{
    struct tree_statistics numbers;
    tree_statistics(lab->tree, &numbers);
    return numbers.commits;
}

static void commit(struct lab *lab)
{
    struct failure why;
    assert_code_ok(tree_sync(lab->tree, &why), why);
}

static void a_small_write_is_durable_without_a_commit(void **state)
{
    struct lab *lab = *state, copy;
    commit(lab);
    uint64_t before = commits(lab);
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    append_and_sync(file, "two\n");
    append_and_sync(file, "three\n");
    append(file, "never synced\n");
    crash(lab, &copy, NULL);
    assert_true(commits(lab) <= before + 2); /* but for the one each second */
    lab_expect(&copy, "experiments/e/log", "one\ntwo\nthree\n");
    lab_reopen(&copy); /* and stays */
    lab_expect(&copy, "experiments/e/log", "one\ntwo\nthree\n");
    end_copy(&copy);
    tree_release(file);
}

static void writes_of_several_files_and_in_the_middle_are_kept_in_their_order(void **state)
{
    struct lab *lab = *state, copy;
    struct failure why;
    commit(lab);
    struct tree_file *log = open_to_append(lab, "experiments/e/log"), *other;
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, "experiments/e/other"), OPEN_WRITE, &other, &why), why);
    assert_code_ok(tree_write(other, 0, "bcd", 3, &why), why);
    append_and_sync(log, "two\n");
    assert_code_ok(tree_write(other, 1, "X", 1, &why), why);
    assert_code_ok(tree_fsync(other, &why), why);
    crash(lab, &copy, NULL);
    lab_expect(&copy, "experiments/e/log", "one\ntwo\n");
    lab_expect(&copy, "experiments/e/other", "bXd");
    end_copy(&copy);
    tree_release(log);
    tree_release(other);
}

static void what_is_no_small_write_is_committed(void **state)
{
    struct lab *lab = *state, copy;
    struct failure why;
    commit(lab);
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    append(file, "two\n");
    struct node_attributes attributes;
    const struct attribute_change change = {.which = CHANGE_SIZE, .size = 5};
    assert_code_ok(tree_change(lab->tree, tree_file_node(file), &change, &attributes, &why), why);
    append_and_sync(file, "|\n");
    crash(lab, &copy, NULL);
    lab_expect(&copy, "experiments/e/log", "one\nt|\n");
    end_copy(&copy);
    tree_release(file);
}

static void a_new_file_is_committed_with_its_name(void **state)
{
    struct lab *lab = *state, copy;
    struct failure why;
    struct node_attributes attributes;
    struct tree_file *file;
    commit(lab);
    assert_code_ok(tree_create_file(lab->tree, lab_node(lab, "experiments/e"), "new", 0644, OPEN_WRITE | OPEN_APPEND,
                                    &attributes, &file, &why),
                   why);
    append_and_sync(file, "a\n");
    append_and_sync(file, "b\n");
    crash(lab, &copy, NULL);
    lab_expect(&copy, "experiments/e/new", "a\nb\n");
    end_copy(&copy);
    tree_release(file);
}

static void a_commit_makes_the_log_void(void **state)
{
    struct lab *lab = *state, copy;
    commit(lab);
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    append_and_sync(file, "two\n");
    commit(lab);
    lab_write(lab, "experiments/e/log", "anew\n");
    commit(lab);
    crash(lab, &copy, NULL);
    lab_expect(&copy, "experiments/e/log", "anew\n");
    end_copy(&copy);
    tree_release(file);
}

/* A lab that died with "two" and maybe a second line in its log alone: the commit of each second may come between, then it
 * is tried again.  *before: what the catalog of the copy says that the file holds. */
static void copy_without_a_commit(struct lab *lab, struct tree_file *file, const char *second, struct lab *copy,
                                  struct buffer *before)
{
    struct failure why;
    for (;;) {
        commit(lab);
        uint64_t commits_before = commits(lab);
        append_and_sync(file, "two\n");
        if (*second)
            append_and_sync(file, second);
        copy_as_killed(lab, copy);
        append(file, "later\n");
        commit(lab); /* that one, and no other, has brought all lines */
        if (commits(lab) == commits_before + 1)
            return;
        buffer_printf(before, "two\n%slater\n", second);
        assert_code_ok(file_remove_tree(copy->folder, &why), why);
    }
}

static void tear_last_record(const struct lab *copy)
{
    char path[128];
    log_path(copy, path);
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    uint8_t byte = 0xFF;
    assert_int_equal(pwrite(fd, &byte, 1, 64 + 28 + 4 + 64 + 10), 1); /* within the second record */
}

static void a_torn_record_ends_the_log(void **state)
{
    struct lab *lab = *state, dead, copy;
    struct failure why;
    SCOPE_BUFFER expected = {0};
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    buffer_append_text(&expected, "one\n");
    copy_without_a_commit(lab, file, "three\n", &dead, &expected);
    buffer_append_text(&expected, "two\n");
    crash(&dead, &copy, tear_last_record);
    lab_expect(&copy, "experiments/e/log", buffer_text(&expected));
    end_copy(&copy);
    assert_code_ok(file_remove_tree(dead.folder, &why), why);
    tree_release(file);
}

static void empty_log(const struct lab *copy)
{
    char path[128];
    log_path(copy, path);
    assert_int_equal(truncate(path, 0), 0);
}

static void remove_log(const struct lab *copy)
{
    char path[128];
    log_path(copy, path);
    assert_int_equal(unlink(path), 0);
}

static void forge_head(const struct lab *copy)
{
    char path[128];
    log_path(copy, path);
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    uint8_t count[4] = {0xFF, 0xFF, 0xFF, 0x7F};
    assert_int_equal(pwrite(fd, count, 4, 4), 4);
}

static void move_to_other_offset(const struct lab *copy)
{
    char path[128];
    log_path(copy, path);
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    uint8_t offset = 0;
    assert_int_equal(pwrite(fd, &offset, 1, 32), 1);
}

static void a_log_that_somebody_changed_adds_nothing(void **state)
{
    void (*const damages[])(const struct lab *) = {empty_log, remove_log, forge_head, move_to_other_offset};
    struct lab *lab = *state, dead, copy;
    struct failure why;
    SCOPE_BUFFER before = {0};
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    buffer_append_text(&before, "one\n");
    copy_without_a_commit(lab, file, "", &dead, &before);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        crash(&dead, &copy, damages[i]);
        lab_expect(&copy, "experiments/e/log", buffer_text(&before));
        end_copy(&copy);
    }
    assert_code_ok(file_remove_tree(dead.folder, &why), why);
    tree_release(file);
}

static void a_full_log_is_followed_by_a_commit(void **state)
{
    enum { LINES = 1500, LINE = 4000 };
    struct lab *lab = *state, copy;
    struct failure why;
    SCOPE_BUFFER contents = {0};
    static char line[LINE];
    memset(line, 'x', LINE);
    commit(lab);
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    for (int i = 0; i < LINES; i++) {
        assert_code_ok(tree_write(file, 0, line, LINE, &why), why);
        assert_code_ok(tree_fsync(file, &why), why);
    }
    crash(lab, &copy, NULL);
    assert_code_ok(tree_path_read(copy.tree, "experiments/e/log", (size_t)16 << 20, &contents, &why), why);
    assert_int_equal(contents.length, 4 + LINES * LINE);
    end_copy(&copy);
    tree_release(file);
}

static void a_lab_that_is_only_looked_at_shows_them_and_stays_as_it_was(void **state)
{
    struct lab *lab = *state, copy;
    struct failure why;
    commit(lab);
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    append_and_sync(file, "two\n");
    char path[128];
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    copy_as_killed(lab, &copy);
    log_path(&copy, path);
    assert_code_ok(file_read(path, (size_t)8 << 20, &before, &why), why);
    lab_open_read_only(&copy);
    lab_expect(&copy, "experiments/e/log", "one\ntwo\n");
    lab_check(&copy);
    lab_close(&copy);
    assert_code_ok(file_read(path, (size_t)8 << 20, &after, &why), why);
    assert_true(before.length == after.length && memcmp(before.data, after.data, after.length) == 0);
    lab_open(&copy);
    lab_expect(&copy, "experiments/e/log", "one\ntwo\n");
    end_copy(&copy);
    tree_release(file);
}

static void a_closed_lab_leaves_an_empty_log(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    char path[128];
    static const char zeros[64];
    commit(lab);
    struct tree_file *file = open_to_append(lab, "experiments/e/log");
    append_and_sync(file, "two\n");
    tree_release(file);
    lab_close(lab);
    SCOPE_BUFFER log = {0};
    log_path(lab, path);
    assert_code_ok(file_read(path, (size_t)8 << 20, &log, &why), why);
    assert_true(log.length > sizeof zeros && memcmp(log.data, zeros, sizeof zeros) == 0);
    lab_open(lab);
    lab_expect(lab, "experiments/e/log", "one\ntwo\n");
}

/* The log's file beside what it should be. */
struct piecewise {
    char catalog[160], path[160];
    struct recent_log *log;
    uint8_t *expected;
    uint64_t offset;
};

static void open_piecewise(struct piecewise *pieces)
{
    struct failure why;
    assert_code_ok(recent_log_open(pieces->catalog, NULL, false, &pieces->log, &why), why);
}

/* Writes a piece and the zeros of the end, over which the next piece will go. */
static void write_piece(struct piecewise *pieces, size_t count)
{
    struct failure why;
    SCOPE_FREE uint8_t *bytes = calloc(1, count + RECENT_FORMAT_HEAD);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(1 + (pieces->offset + i * 7) % 255);
    memcpy(pieces->expected + pieces->offset, bytes, count + RECENT_FORMAT_HEAD);
    assert_code_ok(recent_log_write(pieces->log, pieces->offset, bytes, count + RECENT_FORMAT_HEAD, &why), why);
    pieces->offset += count;
    SCOPE_BUFFER found = {.max = RECENT_FORMAT_FILE_BYTES + 1};
    assert_code_ok(file_read(pieces->path, RECENT_FORMAT_FILE_BYTES, &found, &why), why);
    assert_int_equal(found.length, RECENT_FORMAT_FILE_BYTES);
    assert_memory_equal(found.data, pieces->expected, pieces->offset + RECENT_FORMAT_HEAD);
}

static void pieces_of_any_length_lie_one_behind_the_other(void **state)
{
    (void)state;
    static const size_t lengths[] = {1,     63,    3968, 64,   4096, 4095,  1, 4097,  100,
                                     32000, 70000, 5,    8128, 192,  61440, 3, 65536, 7};
    char folder[] = "/tmp/cytofs-recent-XXXXXX";
    struct failure why;
    assert_non_null(mkdtemp(folder));
    struct piecewise pieces = {.expected = calloc(1, RECENT_FORMAT_FILE_BYTES)};
    assert_non_null(pieces.expected);
    snprintf(pieces.catalog, sizeof pieces.catalog, "%s/catalog", folder);
    snprintf(pieces.path, sizeof pieces.path, "%s/" RECENT_FORMAT_FILE, folder);
    open_piecewise(&pieces);
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            write_piece(&pieces, lengths[(i * 5 + round) % (sizeof lengths / sizeof *lengths)]);
            if (round == 1 && i == 9) { /* what lies before is not known to who opens it */
                recent_log_close(pieces.log);
                open_piecewise(&pieces);
            }
        }
        pieces.offset = 0; /* a commit has come */
        if (round == 2)
            recent_log_wipe(pieces.log);
    }
    recent_log_close(pieces.log);
    free(pieces.expected);
    assert_code_ok(file_remove_tree(folder, &why), why);
}

static struct stat log_status(const struct lab *lab)
{
    struct stat status;
    char path[128];
    log_path(lab, path);
    assert_int_equal(stat(path, &status), 0);
    return status;
}

/* Of a file that was fsynced before, what is written goes into the log together with what others sync; its own sync, when it
 * comes, finds that done. */
static void what_will_be_synced_in_a_moment_goes_along(void **state)
{
    struct lab *lab = *state, copy;
    struct failure why;
    struct tree_file *log = open_to_append(lab, "experiments/e/log"), *other = open_to_append(lab, "experiments/e/other");
    append_and_sync(log, "two\n");
    append_and_sync(other, "b\n");
    append(other, "c\n");
    append_and_sync(log, "three\n");
    struct stat before = log_status(lab);
    assert_code_ok(tree_fsync(other, &why), why);
    struct stat after = log_status(lab);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    crash(lab, &copy, NULL);
    lab_expect(&copy, "experiments/e/log", "one\ntwo\nthree\n");
    lab_expect(&copy, "experiments/e/other", "a\nb\nc\n");
    end_copy(&copy);
    tree_release(log);
    tree_release(other);
}

static void what_is_synced_no_more_goes_along_once(void **state)
{
    struct lab *lab = *state, copy;
    struct tree_file *log = open_to_append(lab, "experiments/e/log"), *other = open_to_append(lab, "experiments/e/other");
    commit(lab); /* the next one is a second away */
    append_and_sync(log, "two\n");
    append_and_sync(other, "b\n");
    append(other, "c\n");
    append_and_sync(log, "three\n");
    uint64_t before = commits(lab);
    append(other, "d\n");
    append_and_sync(log, "four\n");
    crash(lab, &copy, NULL);
    lab_expect(&copy, "experiments/e/log", "one\ntwo\nthree\nfour\n");
    if (commits(lab) == before) /* on a machine that stood still for a second there was one */
        lab_expect(&copy, "experiments/e/other", "a\nb\nc\n");
    end_copy(&copy);
    tree_release(log);
    tree_release(other);
}

enum { WRITERS = 8 };

struct writer {
    struct tree_file *file;
    int lines;
    pthread_t thread;
};

static void *write_lines(void *context)
{
    struct writer *writer = context;
    for (int i = 0; i < writer->lines; i++)
        append_and_sync(writer->file, "line\n");
    return NULL;
}

/* Those who stay are not kept waiting for those who left, and what each was told is there. */
static void writers_that_sync_together_leave_one_after_another(void **state)
{
    struct lab *lab = *state, copy;
    struct writer writers[WRITERS];
    char path[64], expected[5 * 40 * WRITERS + 1];
    for (int i = 0; i < WRITERS; i++) {
        snprintf(path, sizeof path, "experiments/e/writer%d", i);
        lab_write(lab, path, "");
        writers[i] = (struct writer){.file = open_to_append(lab, path), .lines = 40 * (i + 1)};
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    crash(lab, &copy, NULL);
    for (int i = 0; i < WRITERS; i++) {
        expected[0] = '\0';
        for (int k = 0; k < writers[i].lines; k++)
            memcpy(expected + 5 * k, "line\n", 6);
        snprintf(path, sizeof path, "experiments/e/writer%d", i);
        lab_expect(&copy, path, expected);
        tree_release(writers[i].file);
    }
    end_copy(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_small_write_is_durable_without_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_of_several_files_and_in_the_middle_are_kept_in_their_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_small_write_is_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_file_is_committed_with_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_makes_the_log_void, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_record_ends_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_log_that_somebody_changed_adds_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_log_is_followed_by_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lab_that_is_only_looked_at_shows_them_and_stays_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_closed_lab_leaves_an_empty_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_will_be_synced_in_a_moment_goes_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_synced_no_more_goes_along_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_that_sync_together_leave_one_after_another, set_up, tear_down),
        cmocka_unit_test(pieces_of_any_length_lie_one_behind_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
