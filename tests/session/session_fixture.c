/* What session tests start from: see session_fixture.h. */
#include "session_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "testing.h"

#include "chunk_store.h"
#include "chunk_store_fault.h"
#include "chunk_store_memory.h"
#include "lab_view.h"
#include "people.h"
#include "people_view.h"
#include "timing.h"
#include "tree.h"

#define WORKERS 4

int session_fixture_setup(void **state)
{
    struct failure why;
    struct session_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    struct chunk_store *memory;
    assert_code_ok(chunk_store_memory_create(0, &memory, &why), why);
    assert_code_ok(chunk_store_fault_create(memory, &fixture->chunks, &why), why);
    const struct tree_open_options options = {.chunks = fixture->chunks, .member_name = "alice"};
    assert_code_ok(tree_open(&options, &fixture->tree, &why), why);
    assert_code_ok(test_rules_add(&fixture->rules, fixture->tree, NULL, &why), why);
    assert_code_ok(lab_view_add(fixture->tree, &why), why);
    assert_code_ok(people_create(fixture->tree, &(struct people_options){0}, &fixture->people, &why), why);
    assert_code_ok(people_view_add(fixture->people, &why), why);
    assert_true(fuse_client_start(&fixture->client, fixture->tree, WORKERS));
    *state = fixture;
    return 0;
}

int session_fixture_teardown(void **state)
{
    struct session_fixture *fixture = *state;
    fuse_client_stop(&fixture->client);
    tree_close(fixture->tree);
    people_destroy(fixture->people);
    test_rules_destroy(&fixture->rules);
    chunk_store_destroy(fixture->chunks);
    free(fixture);
    return 0;
}

uint64_t session_fixture_node(struct session_fixture *fixture, const char *path)
{
    struct fuse_entry_out entry;
    int error = fuse_path_resolve(&fixture->client, path, &entry);
    if (error)
        fail_msg("%s: errno %d", path, error);
    return entry.nodeid;
}

void session_fixture_expect_gone(struct session_fixture *fixture, uint64_t node)
{
    struct fuse_attr attributes;
    int64_t deadline = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    int error;
    do
        error = fuse_call_getattr(&fixture->client, node, &attributes);
    while (error == 0 && timing_monotonic_ms() < deadline);
    assert_int_equal(error, ENOENT);
}

void session_fixture_expect(struct session_fixture *fixture, const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    int error = fuse_path_get(&fixture->client, path, &found);
    if (error)
        fail_msg("%s: errno %d", path, error);
    assert_string_equal(buffer_text(&found), text);
}
