/* See lab.h.  The tree is the real one: its catalog in a file, its chunks in memory. */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store_memory.h"
#include "file.h"
#include "identity.h"
#include "member_key.h"

static const struct store_id store = {{7}};

static struct tree_open_options options_of(struct lab *lab)
{
    return (struct tree_open_options){
        .chunks = lab->chunks, .catalog_path = lab->catalog, .member = lab->member, .store = &store, .member_name = "eve"};
}

static void start(struct lab *lab)
{
    struct tree_open_options options = options_of(lab);
    struct jobs_options jobs_options = {0};
    assert_code_ok(tree_open(&options, &lab->tree, &lab->why), lab->why);
    assert_code_ok(jobs_add(lab->tree, &jobs_options, &lab->jobs, &lab->why), lab->why);
}

static void stop(struct lab *lab)
{
    tree_close(lab->tree);
    jobs_destroy(lab->jobs);
}

int lab_setup(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    assert_non_null(lab);
    snprintf(lab->folder, sizeof lab->folder, "/tmp/cytofs-jobs-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    snprintf(lab->catalog, sizeof lab->catalog, "%s/catalog", lab->folder);
    assert_code_ok(chunk_store_memory_create(0, &lab->chunks, &lab->why), lab->why);
    assert_code_ok(member_key_generate(&lab->member, &lab->why), lab->why);
    struct tree_open_options options = options_of(lab);
    assert_code_ok(tree_create(&options, &lab->why), lab->why);
    start(lab);
    assert_code_ok(tree_path_make_folders(lab->tree, "datasets/cells", &lab->why), lab->why);
    assert_code_ok(tree_path_make_folders(lab->tree, "datasets/nuclei", &lab->why), lab->why);
    assert_code_ok(tree_path_write(lab->tree, "datasets/cells/a.png", 0644, "png", 3, &lab->why), lab->why);
    *state = lab;
    return 0;
}

int lab_teardown(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    stop(lab);
    member_key_destroy(lab->member);
    lab->chunks->destroy(lab->chunks);
    if (file_remove_tree(lab->folder, &why) != CODE_OK)
        print_error("%s\n", why.text);
    free(lab);
    return 0;
}

void lab_restart(struct lab *lab)
{
    stop(lab);
    start(lab);
}

/* Files ---------------------------------------------------------------------------------------- */

struct node_id lab_node(struct lab *lab, const char *path)
{
    struct node_id at = TREE_ROOT;
    while (*path) {
        char name[TREE_NAME_MAX + 1];
        struct node_attributes attributes;
        size_t length = strcspn(path, "/");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        assert_code_ok(tree_lookup(lab->tree, at, name, &attributes, &lab->why), lab->why);
        at = attributes.id;
        path += length + (path[length] == '/');
    }
    return at;
}

/* The folder that holds path; *name is the rest. */
static struct node_id folder_of(struct lab *lab, const char *path, const char **name)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    assert_non_null(slash);
    *slash = 0;
    *name = path + (slash - folder) + 1;
    return lab_node(lab, folder);
}

enum code lab_save(struct lab *lab, const char *path, const char *text)
{
    const char *name;
    struct node_id folder = folder_of(lab, path, &name);
    struct node_attributes attributes;
    struct tree_file *file;
    assert_code_ok(
        tree_create_file(lab->tree, folder, name, 0644, OPEN_WRITE | OPEN_TRUNCATE, &attributes, &file, &lab->why),
        lab->why);
    if (*text)
        assert_code_ok(tree_write(file, 0, text, strlen(text), &lab->why), lab->why);
    enum code code = tree_flush(file, &lab->why);
    tree_release(file);
    return code;
}

void lab_rename(struct lab *lab, const char *from, const char *to)
{
    struct tree_rename rename = {.flags = 0};
    rename.from_folder = folder_of(lab, from, &rename.from_name);
    rename.to_folder = folder_of(lab, to, &rename.to_name);
    assert_code_ok(tree_rename(lab->tree, &rename, &lab->why), lab->why);
}

void lab_unlink(struct lab *lab, const char *path)
{
    const char *name;
    struct node_id folder = folder_of(lab, path, &name);
    assert_code_ok(tree_unlink(lab->tree, folder, name, &lab->why), lab->why);
}

void lab_expect_file(struct lab *lab, const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    assert_code_ok(tree_path_read(lab->tree, path, 1 << 20, &found, &lab->why), lab->why);
    assert_string_equal(buffer_text(&found), text);
}

void lab_expect_part(struct lab *lab, const char *path, const char *part)
{
    SCOPE_BUFFER found = {0};
    assert_code_ok(tree_path_read(lab->tree, path, 1 << 20, &found, &lab->why), lab->why);
    if (!strstr(buffer_text(&found), part))
        fail_msg("%s:\n%s\ndoes not hold\n%s", path, buffer_text(&found), part);
}

/* Runs ----------------------------------------------------------------------------------------- */

static bool count_entry(void *context, const char *name, const struct node_attributes *attributes)
{
    (void)name;
    *(int *)context += attributes->kind == NODE_FOLDER;
    return true;
}

int lab_count_runs(struct lab *lab, const char *experiment)
{
    char path[256];
    int count = 0;
    snprintf(path, sizeof path, "experiments/%s", experiment);
    enum code code = tree_path_list(lab->tree, path, count_entry, &count, &lab->why);
    assert_true(code == CODE_OK || code == CODE_NOT_FOUND);
    return count;
}

struct run_summary lab_summary(struct lab *lab, const char *run)
{
    char path[256];
    struct run_summary summary;
    SCOPE_BUFFER text = {0};
    snprintf(path, sizeof path, "%s/events", run);
    assert_code_ok(tree_path_read(lab->tree, path, RUN_EVENTS_BYTES_MAX, &text, &lab->why), lab->why);
    run_summary_fold(buffer_text(&text), text.length, &summary);
    return summary;
}

void lab_expect_state(struct lab *lab, const char *run, enum run_state state)
{
    struct run_summary summary = lab_summary(lab, run);
    assert_string_equal(run_state_name(summary.state), run_state_name(state));
}

/* Nodes ---------------------------------------------------------------------------------------- */

void fake_node_start(struct fake_node *node, struct lab *lab, const char *name, int cpus, int gpus)
{
    char text[256];
    struct node_attributes attributes;
    *node = (struct fake_node){.lab = lab, .name = name};
    snprintf(text, sizeof text,
             "{\"version\":1,\"host\":\"h\",\"pid\":1,\"cpus\":%d,\"memory_bytes\":8589934592,\"gpus\":%d,"
             "\"devices\":\"cpu\",\"load\":0.5}\n",
             cpus, gpus);
    assert_code_ok(tree_create_file(lab->tree, lab_node(lab, "lab/nodes"), name, 0644, OPEN_READ | OPEN_WRITE, &attributes,
                                    &node->lease, &lab->why),
                   lab->why);
    assert_code_ok(tree_write(node->lease, 0, text, strlen(text), &lab->why), lab->why);
}

void fake_node_die(struct fake_node *node)
{
    tree_release(node->lease);
    node->lease = NULL;
}

enum code fake_node_claim(struct fake_node *node, const char *run)
{
    struct node_attributes attributes;
    return tree_make_link(node->lab->tree, lab_node(node->lab, run), "claim", node->name, &attributes, &node->lab->why);
}

void fake_node_say(struct fake_node *node, const char *run, enum run_event_kind kind, const char *reason)
{
    struct lab *lab = node->lab;
    char path[256];
    struct run_event event = {.kind = kind, .ms = 1, .attempt = lab_summary(lab, run).attempt, .reason = reason};
    SCOPE_BUFFER line = {0};
    run_event_format(&event, &line);
    struct tree_file *file;
    snprintf(path, sizeof path, "%s/events", run);
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, path), OPEN_WRITE | OPEN_APPEND, &file, &lab->why), lab->why);
    assert_code_ok(tree_write(file, 0, line.data, line.length, &lab->why), lab->why);
    assert_code_ok(tree_flush(file, &lab->why), lab->why);
    tree_release(file);
}
