/* runner/jobs over a real tree: claiming, cancelling, losing, restarting, and what the streams tell. */
#include "lab.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "timing.h"

#define SPEC       "dataset: datasets/cells\ntrain: {network: celldet-n, epochs: 3, lr: 2e-3}\n"
#define RUN        "experiments/a/001"
#define NEXT_RUN   "experiments/a/002"
#define SMALL_SPEC "run: ls\n"

/* Running -------------------------------------------------------------------------------------- */

static void a_node_claims_runs_and_finishes(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    struct run_summary run = lab_summary(lab, RUN);
    assert_int_equal(run.state, RUN_CLAIMED);
    assert_string_equal(run.node, "n1");
    assert_int_equal(run.attempt, 1);
    fake_node_say(&node, RUN, RUN_EVENT_STARTED, NULL);
    lab_expect_part(lab, "jobs/queue", "running  a    experiments/a/001  eve");
    fake_node_say(&node, RUN, RUN_EVENT_FINISHED, NULL);
    lab_expect_file(lab, "jobs/queue", "Nothing runs and nothing waits.\n");
    assert_int_equal(fake_node_claim(&node, RUN), CODE_EXISTS);
    fake_node_die(&node);
    lab_expect_state(lab, RUN, RUN_FINISHED);
}

static void two_specs_queue_and_the_queue_says_why_the_second_waits(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/b.yaml", SPEC), lab->why);
    lab_expect_part(lab, "jobs/queue", "waits for a node: none is present");
    lab_expect_file(lab, "jobs/nodes", "No node is present: nothing can run.\n");
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    lab_expect_part(lab, "jobs/nodes", "n1    free   2     8.0 GiB  0     0.50  cpu      nothing");
    assert_int_equal(fake_node_claim(&node, "experiments/b/001"), CODE_AGAIN);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    fake_node_say(&node, RUN, RUN_EVENT_STARTED, NULL);
    assert_code_ok(tree_path_write(lab->tree, RUN "/progress", 0644, "43 100 steps 0.5\n", 17, &lab->why), lab->why);
    lab_expect_part(lab, "jobs/queue", "waits for a free node: n1 runs experiments/a/001 (43 %, about 2 min left)");
    lab_expect_part(lab, "jobs/nodes", "n1    busy   2     8.0 GiB  0     0.50  cpu      experiments/a/001");
    assert_int_equal(fake_node_claim(&node, "experiments/b/001"), CODE_AGAIN);
    assert_non_null(strstr(lab->why.text, "waits for a free node: n1 runs experiments/a/001"));
    fake_node_say(&node, RUN, RUN_EVENT_FINISHED, NULL);
    assert_code_ok(fake_node_claim(&node, "experiments/b/001"), lab->why);
    fake_node_say(&node, "experiments/b/001", RUN_EVENT_STARTED, NULL);
    fake_node_say(&node, "experiments/b/001", RUN_EVENT_FINISHED, NULL);
    lab_expect_state(lab, "experiments/b/001", RUN_FINISHED);
    fake_node_die(&node);
}

static void one_run_is_claimed_by_one_node_only(void **state)
{
    struct lab *lab = *state;
    struct fake_node first, second;
    fake_node_start(&first, lab, "n1", 2, 0);
    fake_node_start(&second, lab, "n2", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_int_equal(fake_node_claim(&second, RUN), CODE_AGAIN);
    assert_non_null(strstr(lab->why.text, "starts on n1 in a moment"));
    assert_code_ok(fake_node_claim(&first, RUN), lab->why);
    assert_int_equal(fake_node_claim(&second, RUN), CODE_EXISTS);
    assert_int_equal(lab_summary(lab, RUN).attempt, 1);
    fake_node_die(&first);
    fake_node_die(&second);
}

static void a_claim_by_a_stranger_or_a_plain_file_is_refused(void **state)
{
    struct lab *lab = *state;
    struct fake_node stranger = {.lab = lab, .name = "ghost"};
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_int_equal(fake_node_claim(&stranger, RUN), CODE_AGAIN);
    assert_non_null(strstr(lab->why.text, "no node called \"ghost\" is present"));
    struct node_attributes attributes;
    struct tree_file *file;
    assert_int_equal(
        tree_create_file(lab->tree, lab_node(lab, RUN), "claim", 0644, OPEN_WRITE, &attributes, &file, &lab->why),
        CODE_NOT_PERMITTED);
    lab_expect_state(lab, RUN, RUN_QUEUED);
}

static void the_history_of_a_run_cannot_be_rewritten(void **state)
{
    struct lab *lab = *state;
    struct tree_file *file;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, RUN "/events"), OPEN_WRITE, &file, &lab->why), lab->why);
    assert_int_equal(tree_write(file, 0, "{}", 2, &lab->why), CODE_NOT_PERMITTED);
    tree_release(file);
    lab_expect_state(lab, RUN, RUN_QUEUED);
}

/* Several clients at once: each saves the same text and then claims for its own node as long as anything
 * waits. */
struct client {
    struct lab *lab;
    struct fake_node node;
    char name[16];
    pthread_t thread;
    int claims;
    atomic_bool *claimed; /* shared */
};

static void *save_and_claim(void *argument)
{
    struct client *client = argument;
    struct tree *tree = client->lab->tree;
    struct node_attributes folder, run, attributes;
    struct tree_file *file;
    struct failure why;
    bool good = tree_path_attributes(tree, "jobs", &folder, &why) == CODE_OK &&
                tree_create_file(tree, folder.id, "a.yaml", 0644, OPEN_WRITE, &attributes, &file, &why) == CODE_OK;
    if (!good)
        return NULL;
    good = tree_write(file, 0, SMALL_SPEC, strlen(SMALL_SPEC), &why) == CODE_OK && tree_flush(file, &why) == CODE_OK;
    tree_release(file);
    int64_t deadline_ms = timing_monotonic_ms() + 10000;
    while (good && !atomic_load(client->claimed) && timing_monotonic_ms() < deadline_ms) {
        if (tree_path_attributes(tree, RUN, &run, &why) == CODE_OK &&
            tree_make_link(tree, run.id, "claim", client->name, &attributes, &why) == CODE_OK) {
            client->claims++;
            atomic_store(client->claimed, true);
        }
    }
    return NULL;
}

static void clients_that_save_and_claim_at_once_make_one_run_with_one_claim(void **state)
{
    struct lab *lab = *state;
    struct client clients[4];
    atomic_bool claimed = false;
    int claims = 0;
    for (int i = 0; i < 4; i++) {
        clients[i] = (struct client){.lab = lab, .claimed = &claimed};
        snprintf(clients[i].name, sizeof clients[i].name, "n%d", i);
        fake_node_start(&clients[i].node, lab, clients[i].name, 1, 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&clients[i].thread, NULL, save_and_claim, &clients[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(clients[i].thread, NULL);
        claims += clients[i].claims;
    }
    assert_int_equal(lab_count_runs(lab, "a"), 1);
    assert_int_equal(claims, 1);
    struct run_summary run = lab_summary(lab, RUN);
    assert_int_equal(run.state, RUN_CLAIMED);
    assert_int_equal(run.attempt, 1);
    assert_int_equal(run.ignored, 0);
    for (int i = 0; i < 4; i++)
        fake_node_die(&clients[i].node);
    lab_expect_state(lab, RUN, RUN_QUEUED);
}

/* Cancelling ----------------------------------------------------------------------------------- */

static void removing_the_spec_cancels_a_run_in_each_state(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    lab_unlink(lab, "jobs/a.yaml");
    lab_expect_state(lab, RUN, RUN_CANCELLED);
    assert_string_equal(lab_summary(lab, RUN).reason, "cancelled by eve");
    assert_int_equal(fake_node_claim(&node, RUN), CODE_NOT_FOUND);
    assert_false(tree_path_exists(lab->tree, "jobs/a"));

    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why); /* the same text again: a new run */
    assert_code_ok(fake_node_claim(&node, NEXT_RUN), lab->why);
    lab_unlink(lab, "jobs/a.yaml");
    lab_expect_state(lab, NEXT_RUN, RUN_CANCELLING);
    lab_expect_part(lab, "jobs/queue", "cancelling");
    fake_node_say(&node, NEXT_RUN, RUN_EVENT_CANCELLED, NULL);
    lab_expect_state(lab, NEXT_RUN, RUN_CANCELLED);

    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(fake_node_claim(&node, "experiments/a/003"), lab->why);
    fake_node_say(&node, "experiments/a/003", RUN_EVENT_STARTED, NULL);
    lab_unlink(lab, "jobs/a.yaml");
    lab_expect_state(lab, "experiments/a/003", RUN_CANCELLING);
    fake_node_die(&node); /* a cancelled run of a lost node is not tried again */
    lab_expect_state(lab, "experiments/a/003", RUN_CANCELLED);
    lab_expect_file(lab, "jobs/queue", "Nothing runs and nothing waits.\n");
}

static void removing_the_spec_of_a_run_that_is_over_changes_nothing(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    fake_node_say(&node, RUN, RUN_EVENT_STARTED, NULL);
    fake_node_say(&node, RUN, RUN_EVENT_FINISHED, NULL);
    lab_unlink(lab, "jobs/a.yaml");
    lab_expect_state(lab, RUN, RUN_FINISHED);
    fake_node_die(&node);
}

/* Losing --------------------------------------------------------------------------------------- */

static void a_lost_node_gives_its_run_back_and_the_third_loss_fails_it(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    for (int attempt = 1; attempt <= 3; attempt++) {
        fake_node_start(&node, lab, "n1", 2, 0);
        assert_code_ok(fake_node_claim(&node, RUN), lab->why);
        fake_node_say(&node, RUN, RUN_EVENT_STARTED, NULL);
        fake_node_die(&node);
        assert_false(tree_path_exists(lab->tree, "lab/nodes/n1"));
        lab_expect_state(lab, RUN, attempt < 3 ? RUN_QUEUED : RUN_FAILED);
        if (attempt < 3) {
            SCOPE_BUFFER target = {0};
            assert_int_not_equal(tree_path_read_link(lab->tree, RUN "/claim", &target, NULL), CODE_OK);
            lab_expect_part(lab, "jobs/queue", "was lost: its node n1 went away");
        }
    }
    assert_string_equal(lab_summary(lab, RUN).reason, "lost 3 times; the last time: its node n1 went away");
}

static void a_program_that_was_killed_is_tried_again(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    fake_node_say(&node, RUN, RUN_EVENT_LOST, "killed by signal 9");
    lab_expect_state(lab, RUN, RUN_QUEUED);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    assert_int_equal(lab_summary(lab, RUN).attempt, 2);
    fake_node_die(&node);
}

/* Restarting ----------------------------------------------------------------------------------- */

static void a_restart_queues_what_ran_and_keeps_what_waited_and_runs_nothing_twice(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/b.yaml", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/c.yaml", SPEC), lab->why);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    fake_node_say(&node, RUN, RUN_EVENT_STARTED, NULL);
    fake_node_say(&node, RUN, RUN_EVENT_FINISHED, NULL);
    assert_code_ok(fake_node_claim(&node, "experiments/b/001"), lab->why);
    fake_node_say(&node, "experiments/b/001", RUN_EVENT_STARTED, NULL);
    /* What a kill leaves: the lease is still there, and so are claim and state. */
    assert_code_ok(tree_path_write(lab->tree, "lab/nodes/n9", 0644, "{}", 2, &lab->why), lab->why);
    assert_code_ok(tree_path_link(lab->tree, "experiments/c/001/claim", "n1", &lab->why), lab->why);
    fake_node_die(&node);
    lab_restart(lab);
    assert_false(tree_path_exists(lab->tree, "lab/nodes/n9"));
    lab_expect_state(lab, RUN, RUN_FINISHED);
    lab_expect_state(lab, "experiments/b/001", RUN_QUEUED);
    lab_expect_state(lab, "experiments/c/001", RUN_QUEUED);
    assert_int_equal(lab_count_runs(lab, "a") + lab_count_runs(lab, "b") + lab_count_runs(lab, "c"), 3);
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(fake_node_claim(&node, "experiments/b/001"), lab->why);
    assert_int_equal(lab_summary(lab, "experiments/b/001").attempt, 2);
    fake_node_say(&node, "experiments/b/001", RUN_EVENT_STARTED, NULL);
    fake_node_say(&node, "experiments/b/001", RUN_EVENT_FINISHED, NULL);
    assert_code_ok(fake_node_claim(&node, "experiments/c/001"), lab->why);
    fake_node_die(&node);
}

/* Written behind the rules' back, as a crash would leave it: a spec that nobody submitted, a folder without
 * events, a torn line of a run that was running. */
static void a_restart_finishes_what_a_crash_interrupted(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    fake_node_die(&node);
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    static const char torn[] = "{\"ms\":1,\"event\":\"star";
    assert_code_ok(tree_path_append(lab->tree, RUN "/events", torn, strlen(torn), &lab->why), lab->why);
    assert_code_ok(tree_path_write(lab->tree, "jobs/b.yaml", 0644, SPEC, strlen(SPEC), &lab->why), lab->why);
    assert_code_ok(tree_path_make_folders(lab->tree, "experiments/b/001/metrics", &lab->why), lab->why);
    assert_code_ok(tree_path_write(lab->tree, "experiments/b/001/spec.yaml", 0444, "x", 1, &lab->why), lab->why);
    fake_node_die(&node);
    lab_restart(lab);
    struct run_summary run = lab_summary(lab, RUN);
    assert_int_equal(run.state, RUN_QUEUED);
    assert_int_equal(run.ignored, 1);
    assert_int_equal(lab_count_runs(lab, "b"), 1);
    lab_expect_state(lab, "experiments/b/001", RUN_QUEUED);
    lab_expect_file(lab, "experiments/b/001/spec.yaml", SPEC);
    lab_restart(lab);
    assert_int_equal(lab_count_runs(lab, "b"), 1);
}

/* Events --------------------------------------------------------------------------------------- */

static void on_wake(void *context)
{
    (*(int *)context)++;
}

static void expect_line(struct tree_file *file, const char *state, const char *why)
{
    char bytes[4096], wanted[256];
    size_t got = 0;
    struct failure failure;
    assert_code_ok(tree_read(file, 0, bytes, sizeof bytes - 1, &got, &failure), failure);
    bytes[got] = 0;
    assert_int_equal(bytes[got - 1], '\n');
    snprintf(wanted, sizeof wanted, "\"job\":\"a\",\"run\":\"" RUN "\",\"state\":\"%s\"", state);
    if (!strstr(bytes, wanted) || !strstr(bytes, why))
        fail_msg("%s\ndoes not hold\n%s, %s", bytes, wanted, why);
}

static void the_stream_gives_one_line_for_each_change_and_wakes_who_waits(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    struct tree_file *early, *late;
    struct node_attributes before, after;
    int wakes = 0;
    char bytes[64];
    size_t got;
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, "jobs/events"), OPEN_READ, &early, &lab->why), lab->why);
    assert_int_equal(tree_read(early, 0, bytes, sizeof bytes, &got, &lab->why), CODE_AGAIN);
    assert_false(tree_file_watch(early, on_wake, &wakes));
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_int_equal(wakes, 1);
    expect_line(early, "queued", "waits for a node: none is present");
    fake_node_start(&node, lab, "n1", 2, 0);
    assert_code_ok(fake_node_claim(&node, RUN), lab->why);
    assert_int_equal(wakes, 1);
    expect_line(early, "claimed", "\"node\":\"n1\"");
    assert_code_ok(tree_open_file(lab->tree, lab_node(lab, "jobs/events"), OPEN_READ, &late, &lab->why), lab->why);
    assert_true(tree_file_watch(late, on_wake, &wakes));
    expect_line(late, "claimed", "\"node\":\"n1\"");
    assert_code_ok(tree_path_attributes(lab->tree, "jobs/events", &before, &lab->why), lab->why);
    fake_node_say(&node, RUN, RUN_EVENT_FAILED, "no space");
    expect_line(early, "failed", "\"why\":\"no space\"");
    expect_line(late, "failed", "\"why\":\"no space\"");
    assert_int_equal(tree_read(late, 0, bytes, sizeof bytes, &got, &lab->why), CODE_AGAIN);
    assert_code_ok(tree_path_attributes(lab->tree, "jobs/events", &after, &lab->why), lab->why);
    assert_true(after.size > before.size); /* by this tail -f knows */
    tree_release(early);
    tree_release(late);
    fake_node_die(&node);
}

static void a_removed_run_folder_leaves_the_queue(void **state)
{
    struct lab *lab = *state;
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    lab_unlink(lab, RUN "/events");
    lab_expect_file(lab, "jobs/queue", "Nothing runs and nothing waits.\n");
}

#define LAB_TEST(function) cmocka_unit_test_setup_teardown(function, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_node_claims_runs_and_finishes),
        LAB_TEST(two_specs_queue_and_the_queue_says_why_the_second_waits),
        LAB_TEST(one_run_is_claimed_by_one_node_only),
        LAB_TEST(a_claim_by_a_stranger_or_a_plain_file_is_refused),
        LAB_TEST(the_history_of_a_run_cannot_be_rewritten),
        LAB_TEST(clients_that_save_and_claim_at_once_make_one_run_with_one_claim),
        LAB_TEST(removing_the_spec_cancels_a_run_in_each_state),
        LAB_TEST(removing_the_spec_of_a_run_that_is_over_changes_nothing),
        LAB_TEST(a_lost_node_gives_its_run_back_and_the_third_loss_fails_it),
        LAB_TEST(a_program_that_was_killed_is_tried_again),
        LAB_TEST(a_restart_queues_what_ran_and_keeps_what_waited_and_runs_nothing_twice),
        LAB_TEST(a_restart_finishes_what_a_crash_interrupted),
        LAB_TEST(the_stream_gives_one_line_for_each_change_and_wakes_who_waits),
        LAB_TEST(a_removed_run_folder_leaves_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
