/* Labs for the tree's tests: see lab_fixture.h. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "chunk_store_fault.h"
#include "chunk_store_memory.h"
#include "chunk_store_packs.h"
#include "file.h"
#include "lab_fixture.h"
#include "scope.h"
#include "tree_readers.h"

#define PACK_BYTES ((uint64_t)16 << 20)

static void open_tree(struct lab *lab, bool create, bool read_only)
{
    struct failure why;
    char catalog[128];
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab->folder);
    struct tree_open_options options = {.chunks = lab->chunks,
                                        .catalog_path = catalog,
                                        .member = lab->member,
                                        .store = &lab->store,
                                        .member_name = "ada",
                                        .read_only = read_only};
    if (create)
        assert_code_ok(tree_create(&options, &why), why);
    assert_code_ok(tree_open(&options, &lab->tree, &why), why);
}

static void open_packs(struct lab *lab)
{
    struct failure why;
    char packs[128];
    snprintf(packs, sizeof packs, "%s/packs", lab->folder);
    assert_code_ok(file_make_folders(packs, &why), why);
    struct chunk_store_packs_options options = {.store = lab->store, .roll_bytes = PACK_BYTES};
    assert_code_ok(chunk_store_packs_open(packs, &options, &lab->chunks, &why), why);
}

void lab_open_memory(struct lab *lab)
{
    struct failure why;
    *lab = (struct lab){0};
    struct chunk_store *memory;
    assert_code_ok(chunk_store_memory_create(0, &memory, &why), why);
    assert_code_ok(chunk_store_fault_create(memory, &lab->faulty, &why), why);
    lab->chunks = lab->faulty;
    struct tree_open_options options = {.chunks = lab->chunks, .member_name = "ada"};
    assert_code_ok(tree_open(&options, &lab->tree, &why), why);
}

void lab_create(struct lab *lab)
{
    struct failure why;
    *lab = (struct lab){.store = {{1, 2, 3}}};
    snprintf(lab->folder, sizeof lab->folder, "/tmp/cytofs-tree-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    assert_code_ok(member_key_generate(&lab->member, &why), why);
    open_packs(lab);
    open_tree(lab, true, false);
}

void lab_close(struct lab *lab)
{
    tree_close(lab->tree);
    chunk_store_destroy(lab->chunks);
    lab->tree = NULL;
    lab->chunks = lab->faulty = NULL;
}

void lab_open(struct lab *lab)
{
    open_packs(lab);
    open_tree(lab, false, false);
}

void lab_open_read_only(struct lab *lab)
{
    open_packs(lab);
    open_tree(lab, false, true);
}

void lab_reopen(struct lab *lab)
{
    lab_close(lab);
    lab_open(lab);
}

void lab_check(struct lab *lab)
{
    struct failure why;
    struct check_summary summary;
    SCOPE_BUFFER report = {0};
    assert_code_ok(check_run(lab->tree, &(struct check_options){.contents = true}, &report, &summary, &why), why);
    if (summary.problems)
        fail_msg("%s", buffer_text(&report));
}

void lab_destroy(struct lab *lab)
{
    lab_close(lab);
    member_key_destroy(lab->member);
    if (lab->folder[0]) {
        struct failure why;
        assert_code_ok(file_remove_tree(lab->folder, &why), why);
    }
}

struct node_id lab_node(struct lab *lab, const char *path)
{
    struct failure why;
    struct node_attributes attributes;
    assert_code_ok(tree_path_attributes(lab->tree, path, &attributes, &why), why);
    return attributes.id;
}

struct node_id lab_parent(struct lab *lab, const char *path, const char **name)
{
    char above[TREE_NAME_MAX * 4];
    const char *slash = strrchr(path, '/');
    snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    return lab_node(lab, above);
}

void lab_make_folder(struct lab *lab, const char *path)
{
    struct failure why;
    struct node_attributes attributes;
    const char *name;
    struct node_id parent = lab_parent(lab, path, &name);
    assert_code_ok(tree_make_folder(lab->tree, parent, name, 0755, &attributes, &why), why);
}

enum code lab_save(struct lab *lab, const char *path, const char *text, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_file *file;
    const char *name;
    struct node_id parent = lab_parent(lab, path, &name);
    enum code code = tree_create_file(lab->tree, parent, name, 0644, OPEN_WRITE | OPEN_TRUNCATE, &attributes, &file, why);
    if (code != CODE_OK)
        return code;
    code = tree_write(file, 0, text, strlen(text), why);
    if (code == CODE_OK)
        code = tree_flush(file, why);
    tree_release(file);
    return code;
}

void lab_write(struct lab *lab, const char *path, const char *text)
{
    struct failure why;
    assert_code_ok(lab_save(lab, path, text, &why), why);
}

void lab_expect(struct lab *lab, const char *path, const char *text)
{
    struct failure why;
    SCOPE_BUFFER contents = {0};
    assert_code_ok(tree_path_read(lab->tree, path, 1 << 20, &contents, &why), why);
    assert_string_equal(buffer_text(&contents), text);
}

void lab_list(struct lab *lab, const char *path, struct buffer *out)
{
    struct failure why;
    struct tree_folder *folder;
    assert_code_ok(tree_open_folder(lab->tree, lab_node(lab, path), &folder, &why), why);
    const char *name;
    struct node_attributes attributes;
    for (uint64_t cursor = 0; tree_folder_entry(folder, cursor, &name, &attributes); cursor++)
        buffer_printf(out, "%s%s", cursor ? " " : "", name);
    tree_close_folder(folder);
}

void lab_wait_for_rotation(struct lab *lab, const char *space, const char *generation)
{
    struct failure why;
    for (int i = 0; i < TESTING_PATIENCE_MS / 10; i++) {
        SCOPE_BUFFER text = {0};
        assert_code_ok(readers_describe_space(lab->tree, space, &text, &why), why);
        if (!strstr(buffer_text(&text), "rotation") && (!generation || strstr(buffer_text(&text), generation)))
            return;
        assert_code_ok(tree_sync(lab->tree, &why), why);
        usleep(10000);
    }
    fail_msg("the rotation of %s does not end", space);
}
