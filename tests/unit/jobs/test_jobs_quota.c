/* Quotas of jobs, GPUs and CPUs: who has what he may have waits or is told so, and others pass. */
#include <stdio.h>
#include <string.h>

#include "lab.h"
#include "tree_quota.h"

#define SPEC     "dataset: datasets/cells\ntrain: {network: celldet-n, epochs: 3}\n"
#define ON_A_GPU SPEC "resources: {gpus: 1, cpus: 1}\n"

static void allow(struct lab *lab, const char *member, const char *words)
{
    struct quota quota = tree_quota_said(lab->tree, member);
    assert_code_ok(quota_change(&quota, words, strlen(words), &lab->why), lab->why);
    assert_code_ok(tree_quota_say(lab->tree, member, &quota, &lab->why), lab->why);
}

static const char *self(const struct lab *lab)
{
    return tree_member_name(lab->tree);
}

static void one_job_more_than_the_quota_is_refused_when_it_is_saved(void **state)
{
    struct lab *lab = *state;
    allow(lab, self(lab), "jobs=2");
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why);
    assert_code_ok(lab_save(lab, "jobs/b.yaml", SPEC), lab->why);
    assert_int_equal(lab_save(lab, "jobs/c.yaml", SPEC), CODE_QUOTA);
    assert_non_null(strstr(lab->why.text, "may have 2 jobs waiting or running, and has 2"));
    assert_false(tree_path_exists(lab->tree, "experiments/c"));
    assert_code_ok(lab_save(lab, "jobs/a.yaml", SPEC), lab->why); /* the same text is no new job */
    lab_restart(lab);                                             /* which looks at every spec again */
    assert_false(tree_path_exists(lab->tree, "experiments/c"));
    lab_unlink(lab, "jobs/a.yaml"); /* cancels it */
    assert_code_ok(lab_save(lab, "jobs/c.yaml", SPEC), lab->why);
    assert_int_equal(lab_count_runs(lab, "c"), 1);
}

static void a_mistake_in_the_spec_is_told_before_the_quota(void **state)
{
    struct lab *lab = *state;
    allow(lab, "everyone", "jobs=0");
    assert_int_equal(lab_save(lab, "jobs/a.yaml", "dataset: datasets/nothing\n"), CODE_INVALID);
    assert_int_equal(lab_save(lab, "jobs/a.yaml", SPEC), CODE_QUOTA);
}

static void runs_wait_for_the_members_gpus_and_the_queue_says_so(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    char waits[200];
    fake_node_start(&node, lab, "n1", 8, 4);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", ON_A_GPU), lab->why);
    assert_code_ok(lab_save(lab, "jobs/b.yaml", ON_A_GPU), lab->why);
    allow(lab, self(lab), "gpus=1");
    assert_code_ok(fake_node_claim(&node, "experiments/a/001"), lab->why);
    assert_int_equal(fake_node_claim(&node, "experiments/b/001"), CODE_AGAIN);
    snprintf(waits, sizeof waits, "waits for 1 GPU of %s's quota: 1 of 1 are in use", self(lab));
    assert_non_null(strstr(lab->why.text, waits));
    lab_expect_part(lab, "jobs/queue", waits);
    allow(lab, self(lab), "gpus=2"); /* the node asks again */
    assert_code_ok(fake_node_claim(&node, "experiments/b/001"), lab->why);
    fake_node_die(&node);
}

static void a_run_that_ends_gives_its_gpu_back_to_the_quota(void **state)
{
    struct lab *lab = *state;
    struct fake_node node;
    allow(lab, self(lab), "gpus=1");
    fake_node_start(&node, lab, "n1", 8, 4);
    assert_code_ok(lab_save(lab, "jobs/a.yaml", ON_A_GPU), lab->why);
    assert_code_ok(lab_save(lab, "jobs/b.yaml", ON_A_GPU), lab->why);
    assert_code_ok(fake_node_claim(&node, "experiments/a/001"), lab->why);
    assert_int_equal(fake_node_claim(&node, "experiments/b/001"), CODE_AGAIN);
    fake_node_say(&node, "experiments/a/001", RUN_EVENT_STARTED, NULL);
    fake_node_say(&node, "experiments/a/001", RUN_EVENT_FINISHED, NULL);
    assert_code_ok(fake_node_claim(&node, "experiments/b/001"), lab->why);
    fake_node_die(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_job_more_than_the_quota_is_refused_when_it_is_saved, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_mistake_in_the_spec_is_told_before_the_quota, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(runs_wait_for_the_members_gpus_and_the_queue_says_so, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_run_that_ends_gives_its_gpu_back_to_the_quota, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
