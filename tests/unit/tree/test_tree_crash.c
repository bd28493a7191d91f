/* fs/tree when the program dies, and when somebody looks at its folder.
 *
 * A child process changes a lab and acknowledges over a pipe what tree_fsync or tree_sync has returned for; the parent
 * kills it at random moments, opens the store, checks all of it, and looks for everything that was acknowledged.
 * Another test copies the folder of a living lab file by file, in the order in which a crash would leave them behind.
 */
#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "lab_fixture.h"
#include "random.h"
#include "scope.h"
#include "timing.h"

#define KILLS        25
#define FILES        12
#define CONTENTS_MAX 300000

/* The contents of version `version` of file `number`: a length and bytes that tell them apart. */
static size_t contents_of(uint32_t number, uint32_t version, uint8_t *bytes)
{
    struct random random = random_stream(number, version);
    size_t count = random_below(&random, random_below(&random, 3) ? 3000 : CONTENTS_MAX) + 8;
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)random_next(&random);
    memcpy(bytes, &version, 4);
    return count;
}

struct acknowledged {
    uint32_t number, version; /* file `number` has at least this version; FILES: `version` lines are in the journal */
};

static void tell(int pipe_fd, uint32_t number, uint32_t version)
{
    struct acknowledged message = {number, version};
    if (write(pipe_fd, &message, sizeof message) != sizeof message)
        _exit(1);
}

static void must(enum code code)
{
    if (code != CODE_OK)
        _exit(2);
}

/* Replaces files by rename and appends to a journal until it is killed. */
static void change_for_ever(struct lab *lab, int pipe_fd, uint32_t round)
{
    static uint8_t bytes[CONTENTS_MAX + 8];
    struct random random = random_stream(99, round);
    struct failure why;
    struct node_attributes attributes;
    struct node_id folder = lab_node(lab, "datasets/d");
    uint32_t lines = 0;
    must(tree_path_attributes(lab->tree, "datasets/d/journal", &attributes, &why));
    lines = (uint32_t)(attributes.size / 8);
    struct tree_file *journal, *file;
    must(tree_open_file(lab->tree, attributes.id, OPEN_WRITE | OPEN_APPEND, &journal, &why));
    for (uint32_t version = round * 100000 + 1;; version++) {
        uint32_t number = random_below(&random, FILES);
        char name[16], temporary[32];
        snprintf(name, sizeof name, "f%u", number);
        snprintf(temporary, sizeof temporary, "new%u", number);
        size_t count = contents_of(number, version, bytes);
        must(tree_create_file(lab->tree, folder, temporary, 0644, OPEN_WRITE | OPEN_TRUNCATE, &attributes, &file, &why));
        must(tree_write(file, 0, bytes, count, &why));
        must(tree_rename(lab->tree, &(struct tree_rename){folder, folder, temporary, name, 0, 0, 0}, &why));
        char line[16];
        snprintf(line, sizeof line, "%07u\n", ++lines % 10000000);
        must(tree_write(journal, 0, line, 8, &why));
        if (random_below(&random, 3) == 0) {
            must(tree_fsync(file, &why));
            tell(pipe_fd, number, version);
            tell(pipe_fd, FILES, lines);
        }
        tree_release(file);
        if (random_below(&random, 40) == 0)
            (void)!tree_make_folder(lab->tree, lab_node(lab, "datasets/d/.snap"), name, 0755, &attributes, &why);
    }
}

static void read_file(struct lab *lab, const char *path, struct buffer *out)
{
    struct failure why;
    if (tree_path_exists(lab->tree, path))
        assert_code_ok(tree_path_read(lab->tree, path, CONTENTS_MAX * 4, out, &why), why);
}

/* Each file is one of its versions, whole, and not older than what was acknowledged. */
static void expect_whole(struct lab *lab, const uint32_t acknowledged[FILES + 1])
{
    static uint8_t expected[CONTENTS_MAX + 8];
    for (uint32_t number = 0; number < FILES; number++) {
        SCOPE_BUFFER contents = {0};
        char path[64];
        uint32_t version = 0;
        snprintf(path, sizeof path, "datasets/d/f%u", number);
        read_file(lab, path, &contents);
        if (contents.length >= 4)
            memcpy(&version, contents.data, 4);
        assert_true(version >= acknowledged[number]);
        if (version == 0)
            continue;
        assert_int_equal(contents.length, contents_of(number, version, expected));
        assert_memory_equal(contents.data, expected, contents.length);
    }
    SCOPE_BUFFER journal = {0};
    read_file(lab, "datasets/d/journal", &journal);
    assert_int_equal(journal.length % 8, 0);
    assert_true(journal.length / 8 >= acknowledged[FILES]);
    for (size_t line = 0; line < journal.length / 8; line++) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, "%07zu\n", (line + 1) % 10000000);
        assert_memory_equal(journal.data + line * 8, wanted, 8);
    }
}

static void collect_acknowledgements(int pipe_fd, uint32_t acknowledged[FILES + 1])
{
    struct acknowledged message;
    while (read(pipe_fd, &message, sizeof message) == sizeof message)
        if (message.version > acknowledged[message.number])
            acknowledged[message.number] = message.version;
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
    (void)state;
    struct lab lab;
    struct failure why;
    uint32_t acknowledged[FILES + 1] = {0};
    struct random random = {timing_monotonic_ns() | 1};
    lab_create(&lab);
    lab_make_folder(&lab, "datasets/d");
    lab_write(&lab, "datasets/d/journal", "");
    assert_code_ok(tree_sync(lab.tree, &why), why);
    lab_close(&lab);
    for (uint32_t round = 0; round < KILLS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            lab_open(&lab);
            change_for_ever(&lab, ends[1], round);
        }
        close(ends[1]);
        usleep(20000 + random_below(&random, 400000));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        collect_acknowledgements(ends[0], acknowledged);
        close(ends[0]);
        lab_open(&lab);
        lab_check(&lab);
        expect_whole(&lab, acknowledged);
        lab_close(&lab);
    }
    assert_true(acknowledged[FILES] > 0);
    lab_open(&lab);
    lab_destroy(&lab);
}

/* Copies a folder of files as they are now; what grows meanwhile is cut. */
static void copy_folder(const char *from, const char *to)
{
    struct failure why;
    struct file_names names;
    assert_code_ok(file_make_folders(to, &why), why);
    assert_code_ok(file_list(from, 1000, &names, &why), why);
    for (size_t i = 0; i < names.count; i++) {
        SCOPE_FREE char *source = file_join(from, names.names[i]);
        SCOPE_FREE char *copy = file_join(to, names.names[i]);
        if (file_is_folder(source)) {
            copy_folder(source, copy);
            continue;
        }
        SCOPE_BUFFER bytes = {.max = (size_t)1 << 30};
        assert_code_ok(file_read(source, (size_t)1 << 30, &bytes, &why), why);
        assert_code_ok(file_write(copy, bytes.data ? bytes.data : "", bytes.length, &why), why);
    }
    file_names_free(&names);
}

static void a_copy_of_a_stopped_lab_is_what_was_synced(void **state)
{
    (void)state;
    struct lab lab, copy;
    struct failure why;
    lab_create(&lab);
    lab_make_folder(&lab, "experiments/e");
    lab_write(&lab, "experiments/e/kept", "synced");
    assert_code_ok(tree_sync(lab.tree, &why), why);
    lab_write(&lab, "experiments/e/lost", "in memory only");
    copy = lab;
    snprintf(copy.folder, sizeof copy.folder, "/tmp/cytofs-copy-XXXXXX");
    assert_non_null(mkdtemp(copy.folder));
    copy_folder(lab.folder, copy.folder); /* the log has not been checkpointed: opening replays it */
    lab_open(&copy);
    lab_check(&copy);
    lab_expect(&copy, "experiments/e/kept", "synced");
    lab_close(&copy);
    assert_code_ok(file_remove_tree(copy.folder, &why), why);
    lab_destroy(&lab);
}

static void expect_nowhere(const char *folder, const char *const *words, size_t count)
{
    struct failure why;
    struct file_names names;
    assert_code_ok(file_list(folder, 1000, &names, &why), why);
    for (size_t i = 0; i < names.count; i++) {
        SCOPE_FREE char *path = file_join(folder, names.names[i]);
        if (file_is_folder(path)) {
            expect_nowhere(path, words, count);
            continue;
        }
        SCOPE_BUFFER bytes = {.max = (size_t)1 << 30};
        assert_code_ok(file_read(path, (size_t)1 << 30, &bytes, &why), why);
        for (size_t word = 0; word < count; word++)
            if (bytes.length && memmem(bytes.data, bytes.length, words[word], strlen(words[word])))
                fail_msg("\"%s\" can be read in %s", words[word], path);
    }
    file_names_free(&names);
}

static void the_folder_shows_no_name_and_no_content(void **state)
{
    (void)state;
    static const char *const words[] = {"lymphoma", "patient-0815", "val/ap50", "epochs: 30", "hematoxylin", "nowhere-else"};
    struct lab lab;
    struct failure why;
    lab_create(&lab);
    lab_make_folder(&lab, "datasets/lymphoma");
    lab_write(&lab, "datasets/lymphoma/patient-0815.png", "val/ap50 epochs: 30");
    lab_make_folder(&lab, "datasets/lymphoma/.snap/patient-0815");
    assert_code_ok(tree_path_write(lab.tree, "jobs/lymphoma.yaml", 0644, "epochs: 30\n", 11, &why), why);
    assert_code_ok(tree_path_link(lab.tree, "jobs/lymphoma", "../nowhere-else", &why), why);
    struct node_id node = lab_node(&lab, "jobs/lymphoma.yaml");
    assert_code_ok(tree_set_xattr(lab.tree, node, "user.hematoxylin", "lymphoma", 8, 0, &why), why);
    assert_code_ok(tree_sync(lab.tree, &why), why);
    expect_nowhere(lab.folder, words, sizeof words / sizeof *words);
    lab_close(&lab);
    expect_nowhere(lab.folder, words, sizeof words / sizeof *words);
    lab_open(&lab);
    lab_destroy(&lab);
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    struct lab lab;
    struct failure why;
    lab_create(&lab);
    lab_close(&lab);
    struct member_key *own = lab.member, *stranger;
    assert_code_ok(member_key_generate(&stranger, &why), why);
    char catalog[128];
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab.folder);
    struct tree_open_options options = {.catalog_path = catalog, .member = stranger, .store = &lab.store, .read_only = true};
    struct tree *tree;
    assert_int_equal(tree_open(&options, &tree, &why), CODE_DENIED);
    options.member = own;
    struct store_id other = {{9}};
    options.store = &other;
    assert_int_equal(tree_open(&options, &tree, &why), CODE_CORRUPT); /* the wraps are bound to their store */
    member_key_destroy(stranger);
    lab_open(&lab);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_a_kill),
        cmocka_unit_test(a_copy_of_a_stopped_lab_is_what_was_synced),
        cmocka_unit_test(the_folder_shows_no_name_and_no_content),
        cmocka_unit_test(another_key_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
