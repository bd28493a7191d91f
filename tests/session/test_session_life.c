/* A session's life: what peers that misbehave, end early or work at once can do to it. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store_fault.h"
#include "random.h"
#include "scope.h"
#include "session.h"
#include "session_fixture.h"
#include "session_nodes.h"

static void handles_that_were_never_given_out_or_given_back_are_ebadf(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    char bytes[8];
    size_t got;
    assert_int_equal(fuse_path_put(client, "datasets/a", "text"), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
    assert_int_equal(fuse_call_read(client, node, 0, 0, bytes, 4, &got), EBADF);
    assert_int_equal(fuse_call_read(client, node, UINT64_MAX, 0, bytes, 4, &got), EBADF);
    assert_int_equal(fuse_call_read(client, node, open.fh + (UINT64_C(1) << 32), 0, bytes, 4, &got), EBADF);
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
    assert_int_equal(fuse_call_read(client, node, open.fh, 0, bytes, 4, &got), EBADF);
    assert_int_equal(fuse_call_release(client, node, open.fh), 0); /* a second time: nothing to do */
    struct fuse_open_out again;
    assert_int_equal(fuse_call_open(client, node, O_RDONLY, &again), 0);
    assert_true(again.fh != open.fh); /* the slot is the same, the generation is not */
    assert_int_equal(fuse_call_release(client, node, again.fh), 0);
}

static void a_client_cannot_forget_more_than_it_looked_up(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client other;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    struct fuse_attr attributes;
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(&fixture->client, datasets, "a", O_RDWR, &entry, &open), 0);
    assert_int_equal(fuse_call_remove(&fixture->client, datasets, "a", false), 0);
    assert_int_equal(fuse_call_release(&fixture->client, entry.nodeid, open.fh), 0);
    fuse_call_forget(&other, entry.nodeid, 1000); /* of which it knows nothing */
    assert_int_equal(fuse_call_getattr(&other, FUSE_ROOT_ID, &attributes), 0);
    assert_int_equal(fuse_call_getattr(&fixture->client, entry.nodeid, &attributes), 0);
    fuse_call_forget(&fixture->client, entry.nodeid, UINT64_MAX);
    session_fixture_expect_gone(fixture, entry.nodeid);
    fuse_client_stop(&other);
}

static void a_client_that_vanishes_leaves_no_open_file_and_no_reference(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client other;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    uint64_t jobs = session_fixture_node(fixture, "jobs");
    assert_int_equal(fuse_call_create(&other, jobs, "a.yaml", O_WRONLY, &entry, &open), 0);
    assert_int_equal(fuse_call_write(&other, entry.nodeid, open.fh, 0, "good", 4), 0);
    fuse_client_stop(&other);
    SCOPE_FREE char *happened = test_rules_happened(&fixture->rules);
    assert_string_equal(happened, "settled jobs/a.yaml 4\n");
    assert_int_equal(fuse_call_remove(&fixture->client, jobs, "a.yaml", false), 0);
    session_fixture_expect_gone(fixture, entry.nodeid);
}

/* The first read of an empty stream says that it is, those after it wait. */
static void come_to_the_end(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    size_t bytes = 1;
    uint64_t unique = fuse_call_send_read(client, node, handle, 100, 0);
    assert_int_equal(fuse_client_await(client, unique, TESTING_PATIENCE_MS, NULL, &bytes), 0);
    assert_int_equal(bytes, 0);
}

static void stopping_while_reads_wait_answers_them_and_can_be_done_twice(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = session_fixture_node(fixture, "jobs/events");
    assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
    come_to_the_end(client, node, open.fh);
    for (int i = 0; i < 10; i++)
        fuse_call_send_read(client, node, open.fh, 100, 0);
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(client, FUSE_ROOT_ID, &attributes), 0);
    session_stop(client->session);
    session_stop(client->session);
    session_wait(client->session);
} /* the teardown destroys it; sanitizers watch */

static void releasing_a_stream_that_is_being_read_answers_the_reader(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = session_fixture_node(fixture, "jobs/events");
    for (int i = 0; i < 50; i++) { /* no kernel does this; a forged peer may */
        assert_int_equal(fuse_call_open(client, node, O_RDONLY, &open), 0);
        come_to_the_end(client, node, open.fh);
        uint64_t unique = fuse_call_send_read(client, node, open.fh, 100, 0);
        assert_int_equal(fuse_call_release(client, node, open.fh), 0);
        int error = fuse_client_await(client, unique, TESTING_PATIENCE_MS, NULL, NULL);
        assert_true(error == EINTR || error == EBADF);
    }
}

static void a_full_disk_is_enospc_and_explained(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    SCOPE_BUFFER words = {0};
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(client, datasets, "a", O_WRONLY, &entry, &open), 0);
    assert_int_equal(fuse_call_write(client, entry.nodeid, open.fh, 0, "text", 4), 0);
    chunk_store_fault_set(fixture->chunks, CHUNK_STORE_PUT, &(struct chunk_store_fault){.first = 1, .code = CODE_NO_SPACE});
    assert_int_equal(fuse_call_fsync(client, entry.nodeid, open.fh), ENOSPC);
    assert_int_equal(fuse_path_get(client, "lab/last-error", &words), 0);
    assert_non_null(strstr(buffer_text(&words), "datasets/a"));
    chunk_store_fault_set(fixture->chunks, CHUNK_STORE_PUT, &(struct chunk_store_fault){.first = 0});
    assert_int_equal(fuse_call_fsync(client, entry.nodeid, open.fh), 0); /* once there is room again */
    assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
    session_fixture_expect(fixture, "datasets/a", "text");
}

static void lookup_counts_survive_growth_and_removal_in_any_order(void **state)
{
    struct session_fixture *fixture = *state;
    enum { NODES = 5000 };
    static uint64_t held[NODES + 1]; /* the oracle: how often node i is held */
    memset(held, 0, sizeof held);
    struct session_nodes nodes;
    session_nodes_init(&nodes, fixture->tree);
    struct random random = {.state = 3};
    for (int i = 0; i < 200000; i++) {
        uint32_t id = 2 + random_below(&random, NODES - 1);
        struct node_id node = {UINT64_C(1) << 63 | id};
        if (random_below(&random, 2) == 0) {
            assert_true(session_nodes_remember(&nodes, node));
            held[id]++;
        } else {
            uint64_t count = 1 + random_below(&random, 3);
            session_nodes_forget(&nodes, node, count);
            held[id] -= held[id] < count ? held[id] : count;
        }
    }
    size_t known = 0;
    for (int id = 2; id <= NODES; id++)
        known += held[id] > 0;
    assert_int_equal(session_nodes_count(&nodes), known);
    for (int id = 2; id <= NODES; id++)
        session_nodes_forget(&nodes, (struct node_id){UINT64_C(1) << 63 | (unsigned)id}, held[id]);
    assert_int_equal(session_nodes_count(&nodes), 0);
    session_nodes_destroy(&nodes);
}

/* Several clients at once ----------------------------------------------------------------------------------------- */

struct user {
    struct tree *tree;
    int number;
    int failures;
};

static void *use_files(void *argument)
{
    struct user *user = argument;
    struct fuse_client client;
    if (!fuse_client_start(&client, user->tree, 3)) {
        user->failures++;
        return NULL;
    }
    for (int i = 0; i < 60; i++) {
        char own[64], text[64];
        snprintf(own, sizeof own, "datasets/user-%d-%d", user->number, i % 7);
        snprintf(text, sizeof text, "round %d of user %d", i, user->number);
        user->failures += fuse_path_put(&client, own, text) != 0;
        SCOPE_BUFFER found = {0};
        user->failures += fuse_path_get(&client, own, &found) != 0 || strcmp(buffer_text(&found), text) != 0;
        SCOPE_BUFFER names = {0};
        struct fuse_entry_out datasets;
        user->failures += fuse_path_resolve(&client, "datasets", &datasets) != 0 ||
                          fuse_call_list(&client, datasets.nodeid, true, &names) != 0;
        (void)fuse_path_put(&client, "datasets/shared", text);
        (void)fuse_call_rename(&client, datasets.nodeid, "shared", datasets.nodeid, "moved", 0);
    }
    fuse_client_stop(&client);
    return NULL;
}

static void many_clients_at_once_see_their_own_files_whole(void **state)
{
    struct session_fixture *fixture = *state;
    enum { USERS = 6 };
    pthread_t threads[USERS];
    struct user users[USERS];
    for (int i = 0; i < USERS; i++) {
        users[i] = (struct user){.tree = fixture->tree, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, use_files, &users[i]), 0);
    }
    for (int i = 0; i < USERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(users[i].failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(handles_that_were_never_given_out_or_given_back_are_ebadf),
        session_test(a_client_cannot_forget_more_than_it_looked_up),
        session_test(a_client_that_vanishes_leaves_no_open_file_and_no_reference),
        session_test(stopping_while_reads_wait_answers_them_and_can_be_done_twice),
        session_test(releasing_a_stream_that_is_being_read_answers_the_reader),
        session_test(a_full_disk_is_enospc_and_explained),
        session_test(lookup_counts_survive_growth_and_removal_in_any_order),
        session_test(many_clients_at_once_see_their_own_files_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
