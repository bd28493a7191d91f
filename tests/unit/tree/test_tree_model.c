/* fs/tree against a real folder of the host: the same random operations on both, the same answers and the same tree
 * afterwards, also after closing and opening.  The host's file system is the oracle.
 */
#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "lab_fixture.h"
#include "random.h"
#include "scope.h"

#define STEPS          3000
#define CHECK_EVERY    500
#define WRITE_MAX      200000
#define OFFSET_MAX     600000
#define OPEN_FILES_MAX 4
#define PATH_BYTES     1024

struct pair { /* one file open on both sides */
    struct tree_file *ours;
    int theirs;
    bool append;
};

struct model {
    struct lab lab;
    char host[64]; /* the folder that is the oracle */
    struct random random;
    struct pair open[OPEN_FILES_MAX];
    uint8_t bytes[WRITE_MAX];
    char log[400]; /* the operation under way, for the message */
};

static const char root[] = "datasets/d";

/* A random path below the root: few names, so that they meet. */
static void draw_path(struct model *model, char path[128])
{
    static const char *const names[] = {"a", "b", "c", "long name with blanks", "\xc3\xa9"};
    int depth = 1 + (int)random_below(&model->random, 3);
    path[0] = 0;
    for (int i = 0; i < depth; i++) {
        if (i)
            strcat(path, "/");
        strcat(path, names[random_below(&model->random, 5)]);
    }
}

static void host_path(const struct model *model, const char *path, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s%s%s", model->host, *path ? "/" : "", path);
}

/* The folder's node and the last component; false where the folders above do not exist on our side. */
static bool our_parent(struct model *model, const char *path, struct node_id *parent, const char **name)
{
    char full[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(full, sizeof full, "%s%s%.*s", root, slash ? "/" : "", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    /* Walk without following links: the oracle is asked with paths whose folders may be links, so none are made to be. */
    struct node_attributes attributes;
    if (tree_path_attributes(model->lab.tree, full, &attributes, NULL) != CODE_OK || attributes.kind != NODE_FOLDER)
        return false;
    *parent = attributes.id;
    return true;
}

/* errno of our answer and of theirs must agree on success; the kind of refusal too, but for those in which the host's
 * kernel answers before its file system does. */
static void expect_same(struct model *model, enum code ours, int theirs, const struct failure *why)
{
    int our_errno = ours == CODE_OK ? 0 : failure_to_errno(ours);
    if (our_errno == theirs)
        return;
    bool both_refuse = our_errno && theirs;
    if (both_refuse && (theirs == ENOTDIR || our_errno == ENOTDIR || theirs == ENOENT || our_errno == ENOENT ||
                        theirs == EBUSY || (theirs == EEXIST && our_errno == ENOTEMPTY) ||
                        (theirs == ENOTEMPTY && our_errno == EINVAL) || (theirs == EINVAL && our_errno == ENOTEMPTY) ||
                        (theirs == ENOTEMPTY && our_errno == EISDIR) || (theirs == EISDIR && our_errno == ENOTDIR)))
        return;
    fail_msg("%s: we say %d (%s), the host says %d (%s)", model->log, our_errno, ours == CODE_OK ? "" : why->text, theirs,
             strerror(theirs));
}

static void make_folder(struct model *model, const char *path)
{
    char theirs[PATH_BYTES];
    host_path(model, path, theirs);
    struct failure why = {.code = CODE_OK};
    struct node_attributes attributes;
    struct node_id parent;
    const char *name;
    enum code code = CODE_NOT_FOUND;
    if (our_parent(model, path, &parent, &name))
        code = tree_make_folder(model->lab.tree, parent, name, 0755, &attributes, &why);
    expect_same(model, code, mkdir(theirs, 0755) == 0 ? 0 : errno, &why);
}

static void remove_one(struct model *model, const char *path, bool folder)
{
    char theirs[PATH_BYTES];
    host_path(model, path, theirs);
    struct failure why = {.code = CODE_OK};
    struct node_id parent;
    const char *name;
    enum code code = CODE_NOT_FOUND;
    if (our_parent(model, path, &parent, &name))
        code = folder ? tree_remove_folder(model->lab.tree, parent, name, &why)
                      : tree_unlink(model->lab.tree, parent, name, &why);
    int result = folder ? rmdir(theirs) : unlink(theirs);
    expect_same(model, code, result == 0 ? 0 : errno, &why);
}

static void rename_one(struct model *model, const char *from, const char *to, unsigned flags)
{
    char their_from[PATH_BYTES], their_to[PATH_BYTES];
    host_path(model, from, their_from);
    host_path(model, to, their_to);
    struct failure why = {.code = CODE_OK};
    struct tree_rename rename = {.flags = flags};
    enum code code = CODE_NOT_FOUND;
    if (our_parent(model, from, &rename.from_folder, &rename.from_name) &&
        our_parent(model, to, &rename.to_folder, &rename.to_name))
        code = tree_rename(model->lab.tree, &rename, &why);
    int result = renameat2(AT_FDCWD, their_from, AT_FDCWD, their_to, flags);
    expect_same(model, code, result == 0 ? 0 : errno, &why);
}

static void link_one(struct model *model, const char *from, const char *to)
{
    char their_from[PATH_BYTES], their_to[PATH_BYTES], ours[PATH_BYTES];
    host_path(model, from, their_from);
    host_path(model, to, their_to);
    snprintf(ours, sizeof ours, "%s/%s", root, from);
    struct failure why = {.code = CODE_OK};
    struct node_attributes attributes;
    struct node_id parent, source;
    const char *name, *source_name;
    enum code code = CODE_NOT_FOUND;
    if (our_parent(model, from, &parent, &source_name) &&
        tree_lookup(model->lab.tree, parent, source_name, &attributes, &why) == CODE_OK) {
        source = attributes.id;
        if (our_parent(model, to, &parent, &name))
            code = tree_hard_link(model->lab.tree, source, parent, name, &attributes, &why);
    }
    expect_same(model, code, link(their_from, their_to) == 0 ? 0 : errno, &why);
}

static void symlink_one(struct model *model, const char *path, const char *target)
{
    char theirs[PATH_BYTES];
    host_path(model, path, theirs);
    struct failure why = {.code = CODE_OK};
    struct node_attributes attributes;
    struct node_id parent;
    const char *name;
    enum code code = CODE_NOT_FOUND;
    if (our_parent(model, path, &parent, &name))
        code = tree_make_link(model->lab.tree, parent, name, target, &attributes, &why);
    expect_same(model, code, symlink(target, theirs) == 0 ? 0 : errno, &why);
}

static void close_pair(struct pair *pair)
{
    if (!pair->ours)
        return;
    tree_release(pair->ours);
    close(pair->theirs);
    pair->ours = NULL;
}

static void open_pair(struct model *model, struct pair *pair, const char *path)
{
    char theirs[PATH_BYTES];
    close_pair(pair);
    host_path(model, path, theirs);
    bool truncate = random_below(&model->random, 4) == 0, exclusive = random_below(&model->random, 4) == 0;
    pair->append = random_below(&model->random, 3) == 0;
    struct failure why = {.code = CODE_OK};
    struct node_attributes attributes;
    struct node_id parent;
    const char *name;
    enum code code = CODE_NOT_FOUND;
    struct tree_file *file = NULL;
    unsigned flags = OPEN_READ | OPEN_WRITE | (truncate ? OPEN_TRUNCATE : 0) | (exclusive ? OPEN_EXCLUSIVE : 0) |
                     (pair->append ? OPEN_APPEND : 0);
    if (our_parent(model, path, &parent, &name))
        code = tree_create_file(model->lab.tree, parent, name, 0644, flags, &attributes, &file, &why);
    pair->theirs = open(theirs,
                        O_RDWR | O_CREAT | O_NOFOLLOW | (truncate ? O_TRUNC : 0) | (exclusive ? O_EXCL : 0) |
                            (pair->append ? O_APPEND : 0),
                        0644);
    int result = pair->theirs >= 0 ? 0 : errno;
    if (result == ELOOP) /* the kernel follows links before the file system is asked; we refuse them as well */
        result = EINVAL;
    expect_same(model, code, result, &why);
    pair->ours = code == CODE_OK ? file : NULL;
}

static void write_pair(struct model *model, struct pair *pair)
{
    if (!pair->ours)
        return;
    struct failure why;
    size_t count = random_below(&model->random, random_below(&model->random, 4) ? 5000 : WRITE_MAX);
    off_t offset = random_below(&model->random, OFFSET_MAX);
    for (size_t i = 0; i < count; i++)
        model->bytes[i] = (uint8_t)random_next(&model->random);
    assert_code_ok(tree_write(pair->ours, (uint64_t)offset, model->bytes, count, &why), why);
    assert_int_equal(
        pair->append ? write(pair->theirs, model->bytes, count) : pwrite(pair->theirs, model->bytes, count, offset), count);
}

static void read_pair(struct model *model, struct pair *pair)
{
    if (!pair->ours)
        return;
    static uint8_t ours[WRITE_MAX], theirs[WRITE_MAX];
    struct failure why;
    size_t count = random_below(&model->random, WRITE_MAX), got;
    off_t offset = random_below(&model->random, OFFSET_MAX);
    assert_code_ok(tree_read(pair->ours, (uint64_t)offset, ours, count, &got, &why), why);
    ssize_t expected = pread(pair->theirs, theirs, count, offset);
    assert_int_equal(got, expected);
    assert_memory_equal(ours, theirs, got);
}

static void resize_pair(struct model *model, struct pair *pair)
{
    if (!pair->ours)
        return;
    struct failure why;
    struct node_attributes attributes;
    struct attribute_change change = {.which = CHANGE_SIZE, .size = random_below(&model->random, OFFSET_MAX)};
    assert_code_ok(tree_change(model->lab.tree, tree_file_node(pair->ours), &change, &attributes, &why), why);
    assert_int_equal(ftruncate(pair->theirs, (off_t)change.size), 0);
    assert_int_equal(attributes.size, change.size);
}

static void zero_pair(struct model *model, struct pair *pair)
{
    if (!pair->ours || pair->append)
        return;
    struct failure why;
    uint64_t offset = random_below(&model->random, OFFSET_MAX), count = 1 + random_below(&model->random, OFFSET_MAX);
    int mode = random_below(&model->random, 2) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
    if (fallocate(pair->theirs, mode, (off_t)offset, (off_t)count) != 0)
        return; /* the oracle cannot */
    assert_code_ok(tree_allocate(pair->ours, mode, offset, count, &why), why);
}

/* Compares everything below the two folders, ours and the host's. */
static void compare_folders(struct model *model, const char *path);

static void compare_one(struct model *model, const char *path, const struct node_attributes *ours)
{
    char theirs[PATH_BYTES], full[2 * PATH_BYTES];
    struct stat status;
    struct failure why;
    host_path(model, path, theirs);
    snprintf(full, sizeof full, "%s/%s", root, path);
    if (lstat(theirs, &status) != 0)
        fail_msg("%s: we have it, the host has not", path);
    if (ours->kind == NODE_FOLDER) {
        assert_true(S_ISDIR(status.st_mode));
        compare_folders(model, path);
        return;
    }
    assert_int_equal(ours->links, status.st_nlink);
    if (ours->kind == NODE_LINK) {
        SCOPE_BUFFER target = {0};
        char expected[256] = {0};
        assert_true(S_ISLNK(status.st_mode));
        assert_code_ok(tree_read_link(model->lab.tree, ours->id, &target, &why), why);
        assert_true(readlink(theirs, expected, sizeof expected - 1) >= 0);
        assert_string_equal(buffer_text(&target), expected);
        return;
    }
    SCOPE_BUFFER our_bytes = {0};
    SCOPE_BUFFER their_bytes = {0};
    assert_int_equal(ours->size, status.st_size);
    assert_code_ok(tree_path_read(model->lab.tree, full, 4 << 20, &our_bytes, &why), why);
    assert_code_ok(file_read(theirs, 4 << 20, &their_bytes, &why), why);
    assert_int_equal(our_bytes.length, their_bytes.length);
    if (our_bytes.length)
        assert_memory_equal(our_bytes.data, their_bytes.data, our_bytes.length);
}

static void compare_folders(struct model *model, const char *path)
{
    char theirs[PATH_BYTES], full[2 * PATH_BYTES];
    struct failure why;
    host_path(model, path, theirs);
    snprintf(full, sizeof full, "%s%s%s", root, *path ? "/" : "", path);
    struct file_names expected;
    assert_code_ok(file_list(theirs, 1000, &expected, &why), why);
    struct tree_folder *folder;
    assert_code_ok(tree_open_folder(model->lab.tree, lab_node(&model->lab, full), &folder, &why), why);
    const char *name;
    struct node_attributes attributes;
    uint64_t count = 0;
    for (; tree_folder_entry(folder, count, &name, &attributes); count++) {
        char below[PATH_BYTES / 2];
        assert_true(count < expected.count);
        assert_string_equal(name, expected.names[count]);
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", name);
        compare_one(model, below, &attributes);
    }
    assert_int_equal(count, expected.count);
    tree_close_folder(folder);
    file_names_free(&expected);
}

static void step(struct model *model)
{
    char path[128], other[128];
    draw_path(model, path);
    draw_path(model, other);
    struct pair *pair = &model->open[random_below(&model->random, OPEN_FILES_MAX)];
    unsigned what = random_below(&model->random, 20);
    snprintf(model->log, sizeof model->log, "operation %u on %s and %s", what, path, other);
    switch (what) {
    case 0:
    case 1:
        make_folder(model, path);
        break;
    case 2:
        remove_one(model, path, false);
        break;
    case 3:
        remove_one(model, path, true);
        break;
    case 4:
    case 5:
        rename_one(model, path, other, 0);
        break;
    case 6:
        rename_one(model, path, other, 1 + random_below(&model->random, 2));
        break;
    case 7:
        link_one(model, path, other);
        break;
    case 8:
        symlink_one(model, path, "nowhere/to be found");
        break;
    case 9:
    case 10:
    case 11:
        open_pair(model, pair, path);
        break;
    case 12:
        resize_pair(model, pair);
        break;
    case 13:
        zero_pair(model, pair);
        break;
    case 14:
    case 15:
        read_pair(model, pair);
        break;
    case 16:
        close_pair(pair);
        break;
    default:
        write_pair(model, pair);
    }
}

static void run(uint64_t seed)
{
    struct model *model = calloc(1, sizeof *model);
    struct failure why;
    assert_non_null(model);
    model->random.state = seed;
    lab_create(&model->lab);
    lab_make_folder(&model->lab, root);
    snprintf(model->host, sizeof model->host, "/tmp/cytofs-model-XXXXXX");
    assert_non_null(mkdtemp(model->host));
    for (int i = 1; i <= STEPS; i++) {
        step(model);
        if (i % CHECK_EVERY)
            continue;
        compare_folders(model, "");
        for (int j = 0; j < OPEN_FILES_MAX; j++)
            close_pair(&model->open[j]);
        lab_reopen(&model->lab);
        compare_folders(model, "");
        lab_check(&model->lab);
    }
    lab_destroy(&model->lab);
    assert_code_ok(file_remove_tree(model->host, &why), why);
    free(model);
}

static void random_operations_give_what_the_host_gives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        run(seed);
}

int main(int count, char **arguments)
{
    if (count == 2) { /* one seed, to look for rare ones */
        run(strtoull(arguments[1], NULL, 10));
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_give_what_the_host_gives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
