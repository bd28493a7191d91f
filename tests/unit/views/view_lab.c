/* See view_lab.h. */
#include "testing.h"

#include "view_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store_memory.h"
#include "run_event.h"
#include "views.h"

static struct chunk_store *chunks; /* of the one lab that a test has open */

struct tree *view_lab_make(void)
{
    struct failure why;
    struct tree *tree;
    assert_code_ok(chunk_store_memory_create(0, &chunks, &why), why);
    struct tree_open_options options = {.chunks = chunks, .member_name = "ada"};
    assert_code_ok(tree_open(&options, &tree, &why), why);
    assert_code_ok(views_add(tree, &why), why);
    return tree;
}

void view_lab_close(struct tree *tree)
{
    tree_close(tree);
    chunk_store_destroy(chunks);
    chunks = NULL;
}

void view_lab_put(struct tree *tree, const char *path, const char *text)
{
    struct failure why;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    assert_code_ok(tree_path_make_folders(tree, folder, &why), why);
    assert_code_ok(tree_path_write(tree, path, 0644, text, strlen(text), &why), why);
}

static void append(struct tree *tree, const char *path, const char *bytes, size_t count)
{
    struct failure why;
    assert_code_ok(tree_path_append(tree, path, bytes, count, &why), why);
}

static void record(struct tree *tree, const char *run, struct run_event event)
{
    char path[512];
    SCOPE_BUFFER line = {0};
    run_event_format(&event, &line);
    snprintf(path, sizeof path, "%s/events", run);
    append(tree, path, line.data, line.length);
}

void view_lab_put_run(struct tree *tree, const char *run)
{
    static const char *const folders[] = {"metrics", "params", "tags", "artifacts", "plots"};
    struct failure why;
    char path[512];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", run, folders[i]);
        assert_code_ok(tree_path_make_folders(tree, path, &why), why);
    }
    record(tree, run,
           (struct run_event){.kind = RUN_EVENT_SUBMITTED, .ms = VIEW_LAB_START_MS, .job = "nuclei", .member = "ada"});
    record(tree, run,
           (struct run_event){.kind = RUN_EVENT_CLAIMED, .ms = VIEW_LAB_START_MS + 1000, .node = "box-1", .attempt = 1});
    record(tree, run, (struct run_event){.kind = RUN_EVENT_STARTED, .ms = VIEW_LAB_START_MS + 5000, .pid = 7, .attempt = 1});
}

void view_lab_finish(struct tree *tree, const char *run, long long ms, const char *model)
{
    record(tree, run, (struct run_event){.kind = RUN_EVENT_FINISHED, .ms = ms, .model = model, .attempt = 1});
}

void view_lab_fail(struct tree *tree, const char *run, long long ms, const char *reason)
{
    record(tree, run, (struct run_event){.kind = RUN_EVENT_FAILED, .ms = ms, .reason = reason, .attempt = 1});
}

void view_lab_lose(struct tree *tree, const char *run, long long ms, const char *reason)
{
    record(tree, run, (struct run_event){.kind = RUN_EVENT_LOST, .ms = ms, .reason = reason, .attempt = 1});
}

void view_lab_measure(struct tree *tree, const char *run, const char *key, long long ms, double value, long long step)
{
    char path[512], folder[512], line[128];
    struct failure why;
    snprintf(path, sizeof path, "%s/metrics/%s", run, key);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    assert_code_ok(tree_path_make_folders(tree, folder, &why), why);
    int length = snprintf(line, sizeof line, "%lld %.17g %lld\n", ms, value, step);
    append(tree, path, line, (size_t)length);
}

void view_lab_read(struct tree *tree, const char *path, struct buffer *out)
{
    struct failure why;
    struct node_attributes attributes;
    buffer_clear(out);
    assert_code_ok(tree_path_attributes(tree, path, &attributes, &why), why);
    assert_code_ok(tree_path_read(tree, path, 1 << 26, out, &why), why);
    assert_int_equal(attributes.size, out->length);
    assert_true(attributes.derived);
}
