/* What the node makes of a program's end, with an executor that ends programs as the test wishes; and the lines of
 * jobs/events. */
#include "testing.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exec_fake.h"
#include "fake_lab.h"
#include "job_stream.h"

static struct fake_lab lab;

static int begin(void **state)
{
    (void)state;
    fake_lab_make(&lab);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_lab_remove(&lab);
    return 0;
}

/* Runs one run on such an executor and returns what became of it. */
static struct run_summary outcome_of(struct exec_fake_plan plan, const char *more, enum run_state expected)
{
    char run[64], spec[256];
    struct executor executor = exec_fake(&plan);
    pid_t node = fake_lab_start_node(&lab, "/cytofs", &executor);
    snprintf(spec, sizeof spec, "experiment: e\nrun: 'true'\n%s", more);
    fake_lab_submit(&lab, spec, run);
    fake_lab_offer(&lab, run);
    struct run_summary summary = {0};
    for (int i = 0; i < TESTING_PATIENCE_MS / 5 && (summary.state != expected || summary.changed_ms == 0); i++, usleep(5000))
        summary = fake_lab_summary(&lab, run);
    assert_int_equal(fake_lab_stop_node(node), CODE_OK);
    assert_int_equal(summary.state, expected);
    return summary;
}

static void a_program_that_cannot_be_started_fails_with_the_reason(void **state)
{
    (void)state;
    struct run_summary summary = outcome_of((struct exec_fake_plan){.refusal = "no process left"}, "", RUN_FAILED);
    assert_string_equal(summary.reason, "/bin/sh: no process left");
}

static void a_program_whose_end_is_not_known_is_lost(void **state)
{
    (void)state;
    struct run_summary summary = outcome_of((struct exec_fake_plan){.output = "", .state = EXEC_VANISHED}, "", RUN_QUEUED);
    assert_string_equal(summary.reason, "how the program ended is not known: its keeper was killed");
}

static void a_program_that_stopped_early_is_lost_and_will_go_on(void **state)
{
    (void)state;
    struct run_summary summary =
        outcome_of((struct exec_fake_plan){.output = "", .state = EXEC_EXITED, .value = 75}, "", RUN_QUEUED);
    assert_string_equal(summary.reason, "the program stopped early");
}

static void the_last_line_of_a_progress_bar_is_its_last_state(void **state)
{
    (void)state;
    struct run_summary summary = outcome_of(
        (struct exec_fake_plan){.output = "10 %\r 20 %\r\x1b[1mboom\n\n", .state = EXEC_EXITED, .value = 1}, "", RUN_FAILED);
    assert_string_equal(summary.reason, "the program ended with exit status 1: [1mboom");
}

static void a_segmentation_fault_is_named(void **state)
{
    (void)state;
    struct run_summary summary =
        outcome_of((struct exec_fake_plan){.output = "", .state = EXEC_KILLED, .value = SIGSEGV}, "", RUN_QUEUED);
    assert_string_equal(summary.reason, "the program was killed by signal 11 (Segmentation fault)");
}

static void a_line_of_the_stream_is_read_whatever_else_it_holds(void **state)
{
    (void)state;
    struct job_change change;
    const char *line = "{\"ms\":1,\"job\":\"x\",\"run\":\"experiments/e/"
                       "001\",\"state\":\"queued\",\"why\":\"waits\",\"new\":[1]}";
    assert_true(job_change_parse(line, strlen(line), &change));
    assert_string_equal(change.run, "experiments/e/001");
    assert_string_equal(change.state, "queued");
    assert_string_equal(change.node, "");
}

static void a_line_that_names_no_run_of_an_experiment_is_passed_over(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"run\":\"experiments/e/001\"}",
        "{\"run\":7,\"state\":\"queued\"}",
        "{\"run\":\"experiments/e\",\"state\":\"queued\"}",
        "{\"run\":\"experiments/e/\",\"state\":\"queued\"}",
        "{\"run\":\"experiments//001\",\"state\":\"queued\"}",
        "{\"run\":\"experiments/../001\",\"state\":\"queued\"}",
        "{\"run\":\"experiments/e/..\",\"state\":\"queued\"}",
        "{\"run\":\"experiments/e/001/x\",\"state\":\"queued\"}",
        "{\"run\":\"models/e/001\",\"state\":\"queued\"}",
        "{\"run\":\"/experiments/e/001\",\"state\":\"queued\"}",
        "{\"run\":\"experiments/e/001\",\"state\":\"a state longer than any\"}",
    };
    struct job_change change;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (job_change_parse(bad[i], strlen(bad[i]), &change))
            fail_msg("taken for a change: %s", bad[i]);
}

static void count_change(void *context, const struct job_change *change)
{
    (void)change;
    ++*(int *)context;
}

static void lines_that_arrive_in_pieces_are_put_together(void **state)
{
    (void)state;
    const char *line = "{\"run\":\"experiments/e/001\",\"state\":\"queued\",\"node\":\"\"}\nnonsense\n";
    struct job_stream stream;
    struct failure why;
    int changes = 0;
    assert_code_ok(job_stream_open(&stream, lab.folder, &why), why);
    for (int times = 0; times < 3; times++)
        for (const char *at = line; *at; at++) {
            assert_int_equal(write(lab.events, at, 1), 1);
            assert_code_ok(job_stream_read(&stream, count_change, &changes, &why), why);
        }
    assert_int_equal(changes, 3);
    job_stream_close(&stream);
}

#define IN_A_LAB(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_LAB(a_program_that_cannot_be_started_fails_with_the_reason),
        IN_A_LAB(a_program_whose_end_is_not_known_is_lost),
        IN_A_LAB(a_program_that_stopped_early_is_lost_and_will_go_on),
        IN_A_LAB(the_last_line_of_a_progress_bar_is_its_last_state),
        IN_A_LAB(a_segmentation_fault_is_named),
        cmocka_unit_test(a_line_of_the_stream_is_read_whatever_else_it_holds),
        cmocka_unit_test(a_line_that_names_no_run_of_an_experiment_is_passed_over),
        IN_A_LAB(lines_that_arrive_in_pieces_are_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
