/* runner/exec: a node at work in an ordinary folder that looks like a lab, real programs, real signals. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec.h"
#include "fake_lab.h"
#include "file.h"
#include "timing.h"

static struct fake_lab lab;
static pid_t node;

static int begin(void **state)
{
    (void)state;
    fake_lab_make(&lab);
    node = fake_lab_start_node(&lab, "/nonexistent/cytofs", NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (node > 0) {
        kill(node, SIGKILL);
        fake_lab_wait_node(node);
    }
    fake_lab_remove(&lab);
    return 0;
}

/* Submits `run: <command>` (with more spec lines behind it) and offers it. */
static void offer(const char *command, const char *more, char run[64])
{
    char spec[2048];
    snprintf(spec, sizeof spec, "experiment: e\nrun: |\n  %s\n%s", command, more);
    fake_lab_submit(&lab, spec, run);
    fake_lab_offer(&lab, run);
}

static const char *in_run(const char *run, const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", run, name);
    return path;
}

/* The process whose id the program wrote into a file of its run. */
static pid_t process_of(const char *run, const char *name)
{
    SCOPE_BUFFER text = {0};
    fake_lab_wait_for_file(&lab, in_run(run, name));
    for (int i = 0; i < TESTING_PATIENCE_MS / 5 && text.length == 0; i++, usleep(5000))
        fake_lab_read(&lab, in_run(run, name), &text);
    return atoi(buffer_text(&text));
}

static void assert_gone(pid_t process)
{
    assert_true(process > 0);
    for (int i = 0; i < TESTING_PATIENCE_MS / 5; i++, usleep(5000))
        if (kill(process, 0) != 0 && errno == ESRCH)
            return;
    fail_msg("process %d still lives", (int)process);
}

static void a_program_that_ends_well_is_finished_and_its_output_is_logged_in_order(void **state)
{
    (void)state;
    char run[64];
    SCOPE_BUFFER log = {0}, expected = {0};
    offer("for i in $(seq 500); do echo out $i; echo err $i >&2; done", "", run);
    struct run_summary summary = fake_lab_wait_for(&lab, run, RUN_FINISHED);
    assert_string_equal(summary.model, "");
    for (int i = 1; i <= 500; i++)
        buffer_printf(&expected, "out %d\nerr %d\n", i, i);
    fake_lab_read(&lab, in_run(run, "log"), &log);
    assert_string_equal(buffer_text(&log), buffer_text(&expected));
}

static void output_reaches_the_log_while_the_program_runs(void **state)
{
    (void)state;
    char run[64];
    SCOPE_BUFFER log = {0};
    offer("echo hello; sleep 1000", "", run);
    fake_lab_wait_for(&lab, run, RUN_RUNNING);
    int64_t since = timing_monotonic_ms();
    while (log.length == 0 && timing_monotonic_ms() < since + TESTING_PATIENCE_MS) {
        usleep(10000);
        fake_lab_read(&lab, in_run(run, "log"), &log);
    }
    assert_string_equal(buffer_text(&log), "hello\n");
}

static void a_program_that_fails_is_explained_with_its_status_and_last_line(void **state)
{
    (void)state;
    char run[64];
    offer("echo fine; echo 'ValueError: no images' >&2; echo; exit 3", "", run);
    struct run_summary summary = fake_lab_wait_for(&lab, run, RUN_FAILED);
    assert_string_equal(summary.reason, "the program ended with exit status 3: ValueError: no images");
}

static void a_trainer_that_cannot_be_started_is_named(void **state)
{
    (void)state;
    char run[64];
    fake_lab_submit(&lab, "experiment: e\ndataset: datasets/d/.snap/v1\ntrain: {network: celldet-n}\n", run);
    fake_lab_offer(&lab, run);
    struct run_summary summary = fake_lab_wait_for(&lab, run, RUN_FAILED);
    assert_non_null(strstr(summary.reason, "/nonexistent/cytofs: cannot be started: No such file or directory"));
}

static void a_dataset_that_is_gone_fails_the_run_with_its_name(void **state)
{
    (void)state;
    char run[64];
    assert_int_equal(rmdir(fake_lab_path(&lab, "datasets/d/.snap/v1")), 0);
    fake_lab_submit(&lab, "experiment: e\ndataset: datasets/d/.snap/v1\nrun: 'true'\n", run);
    fake_lab_offer(&lab, run);
    struct run_summary summary = fake_lab_wait_for(&lab, run, RUN_FAILED);
    assert_non_null(strstr(summary.reason, "datasets/d/.snap/v1"));
}

static void a_program_sees_its_run_its_dataset_and_no_stray_environment(void **state)
{
    (void)state;
    char run[64], expected[1024], folder[256], dataset[256];
    SCOPE_BUFFER text = {0};
    fake_lab_submit(&lab,
                    "experiment: e\ndataset: datasets/d/.snap/v1\n"
                    "run: 'pwd >seen; echo $CYTOFS_RUN $CYTOFS_DATASET $OMP_NUM_THREADS -$LEAKED- >>seen; cat >>seen'\n"
                    "resources: {cpus: 1}\n",
                    run);
    fake_lab_offer(&lab, run);
    fake_lab_wait_for(&lab, run, RUN_FINISHED);
    snprintf(folder, sizeof folder, "%s", fake_lab_path(&lab, run));
    snprintf(dataset, sizeof dataset, "%s", fake_lab_path(&lab, "datasets/d/.snap/v1"));
    snprintf(expected, sizeof expected, "%s\n%s %s 1 --\n", folder, folder, dataset);
    fake_lab_read(&lab, in_run(run, "seen"), &text);
    assert_string_equal(buffer_text(&text), expected);
}

static void a_program_killed_from_outside_is_lost_and_goes_on_in_its_next_attempt(void **state)
{
    (void)state;
    char run[64];
    offer("if [ -e once ]; then exit 0; fi; touch once; kill -9 $$", "", run);
    for (int i = 0; i < TESTING_PATIENCE_MS / 5 && fake_lab_summary(&lab, run).state != RUN_QUEUED; i++)
        usleep(5000);
    struct run_summary summary = fake_lab_summary(&lab, run);
    assert_int_equal(summary.state, RUN_QUEUED);
    assert_string_equal(summary.reason, "the program was killed by signal 9 (Killed)");
    fake_lab_give_again(&lab, run);
    assert_int_equal(fake_lab_wait_for(&lab, run, RUN_FINISHED).attempt, 2);
}

static void cancelling_ends_the_program_and_all_that_it_started(void **state)
{
    (void)state;
    char run[64];
    offer("setsid sleep 1000 & echo $! >child; sleep 1000 & echo $! >other; echo $$ >pid; wait", "", run);
    pid_t child = process_of(run, "child"), other = process_of(run, "other"), program = process_of(run, "pid");
    fake_lab_wait_for(&lab, run, RUN_RUNNING);
    fake_lab_record(&lab, run, (struct run_event){.kind = RUN_EVENT_CANCEL_REQUESTED, .member = "ada"});
    fake_lab_say(&lab, run, "cancelling", FAKE_LAB_NODE);
    fake_lab_wait_for(&lab, run, RUN_CANCELLED);
    assert_gone(program);
    assert_gone(child);
    assert_gone(other);
}

static void a_program_that_ignores_sigterm_is_killed_after_the_grace(void **state)
{
    (void)state;
    char run[64];
    offer("trap '' TERM; echo $$ >pid; while :; do sleep 0.1; done", "", run);
    pid_t program = process_of(run, "pid");
    fake_lab_wait_for(&lab, run, RUN_RUNNING);
    fake_lab_record(&lab, run, (struct run_event){.kind = RUN_EVENT_CANCEL_REQUESTED, .member = "ada"});
    int64_t since = timing_monotonic_ms();
    fake_lab_say(&lab, run, "cancelling", FAKE_LAB_NODE);
    fake_lab_wait_for(&lab, run, RUN_CANCELLED);
    int64_t took = timing_monotonic_ms() - since;
    assert_true(took >= 9500);
    assert_gone(program);
}

static void a_run_that_is_taken_away_is_killed_and_nothing_more_is_said_of_it(void **state)
{
    (void)state;
    char run[64];
    SCOPE_BUFFER before = {0}, after = {0};
    offer("echo $$ >pid; sleep 1000", "", run);
    pid_t program = process_of(run, "pid");
    fake_lab_wait_for(&lab, run, RUN_RUNNING);
    fake_lab_read(&lab, in_run(run, "events"), &before);
    fake_lab_say(&lab, run, "running", FAKE_LAB_NODE);
    fake_lab_say(&lab, run, "running", "box-2");
    assert_gone(program);
    assert_int_equal(fake_lab_stop_node(node), CODE_OK);
    node = 0;
    fake_lab_read(&lab, in_run(run, "events"), &after);
    assert_string_equal(buffer_text(&before), buffer_text(&after));
}

static void a_run_over_its_time_fails_with_the_limit(void **state)
{
    (void)state;
    char run[64];
    offer("sleep 1000", "resources: {time: 1s}\n", run);
    struct run_summary summary = fake_lab_wait_for(&lab, run, RUN_FAILED);
    assert_string_equal(summary.reason, "ran longer than resources.time, 1s");
}

static void what_a_program_leaves_running_ends_with_it(void **state)
{
    (void)state;
    char run[64];
    offer("setsid sleep 1000 & echo $! >child", "", run);
    fake_lab_wait_for(&lab, run, RUN_FINISHED);
    assert_gone(process_of(run, "child"));
}

static void a_killed_node_takes_its_programs_along_and_the_next_one_finishes_them_once(void **state)
{
    (void)state;
    char run[64];
    offer("echo $$ >pid; (setsid sleep 1000 & echo $! >child); mkdir -p model; echo w >model/w;"
          " if [ -e first ]; then exit 0; fi; touch first; sleep 1000",
          "register: m\n", run);
    fake_lab_wait_for_file(&lab, in_run(run, "first"));
    pid_t program = process_of(run, "pid"), child = process_of(run, "child");
    fake_lab_kill_node(node);
    assert_gone(program);
    assert_gone(child);
    node = fake_lab_start_node(&lab, "/nonexistent", NULL);
    fake_lab_give_again(&lab, run);
    struct run_summary summary = fake_lab_wait_for(&lab, run, RUN_FINISHED);
    assert_string_equal(summary.model, "models/m/1");
    assert_false(file_exists(fake_lab_path(&lab, "models/m/2")));
}

static void a_lease_outlives_its_node_until_the_last_process_is_gone(void **state)
{
    (void)state;
    char run[64];
    offer("echo $$ >pid; (setsid sleep 1000 & echo $! >child); sleep 1000", "", run);
    pid_t program = process_of(run, "pid"), child = process_of(run, "child");
    fake_lab_wait_for(&lab, run, RUN_RUNNING);
    int lease = open(fake_lab_path(&lab, "lab/nodes/" FAKE_LAB_NODE), O_RDWR | O_CLOEXEC);
    assert_true(lease >= 0);
    assert_int_equal(flock(lease, LOCK_EX | LOCK_NB), -1);
    kill(node, SIGKILL);
    assert_int_equal(flock(lease, LOCK_EX), 0);
    assert_int_equal(kill(program, 0), -1);
    assert_int_equal(kill(child, 0), -1);
    close(lease);
}

static void a_node_killed_behind_the_registration_does_not_run_the_program_again(void **state)
{
    (void)state;
    char run[64];
    SCOPE_BUFFER text = {0};
    offer("echo ran >>count; mkdir model; echo w >model/w", "register: m\n", run);
    fake_lab_wait_for(&lab, run, RUN_FINISHED);
    /* The same files, less the last line: what a crash between the registration and `finished` leaves. */
    fake_lab_read(&lab, in_run(run, "events"), &text);
    char *last = strstr(text.data, "{\"ms\"");
    for (char *next = last; next; next = strstr(next + 1, "{\"ms\""))
        last = next;
    *last = 0;
    fake_lab_write(&lab, in_run(run, "events"), text.data);
    assert_int_equal(fake_lab_summary(&lab, run).state, RUN_RUNNING);
    fake_lab_give_again(&lab, run);
    assert_string_equal(fake_lab_wait_for(&lab, run, RUN_FINISHED).model, "models/m/1");
    fake_lab_read(&lab, in_run(run, "count"), &text);
    assert_string_equal(buffer_text(&text), "ran\n");
    assert_false(file_exists(fake_lab_path(&lab, "models/m/2")));
}

static void a_model_is_registered_with_its_lineage_and_the_run_links_to_it(void **state)
{
    (void)state;
    char run[64], target[128], expected[256];
    SCOPE_BUFFER text = {0};
    offer("mkdir -p model/deep; echo weights >model/deep/w; printf 'seed: 7' >model/lineage.yaml", "register: m\n", run);
    assert_string_equal(fake_lab_wait_for(&lab, run, RUN_FINISHED).model, "models/m/1");
    fake_lab_read(&lab, "models/m/1/deep/w", &text);
    assert_string_equal(buffer_text(&text), "weights\n");
    fake_lab_read(&lab, "models/m/1/lineage.yaml", &text);
    snprintf(expected, sizeof expected, "seed: 7\nrun: %s\n", run);
    assert_string_equal(buffer_text(&text), expected);
    fake_lab_read(&lab, in_run(run, "model/deep/w"), &text);
    assert_string_equal(buffer_text(&text), "weights\n");
    ssize_t length = readlink(fake_lab_path(&lab, in_run(run, "model")), target, sizeof target - 1);
    assert_true(length > 0);
    target[length] = 0;
    assert_string_equal(target, "../../../models/m/1");
    offer("mkdir model; touch model/w", "register: m\n", run);
    assert_string_equal(fake_lab_wait_for(&lab, run, RUN_FINISHED).model, "models/m/2");
    length = readlink(fake_lab_path(&lab, "models/m/latest"), target, sizeof target - 1);
    assert_int_equal(length, 1);
    assert_int_equal(target[0], '2');
}

static void a_run_without_the_model_that_it_was_to_register_fails(void **state)
{
    (void)state;
    char missing[64], empty[64];
    offer("true", "register: m\n", missing);
    offer("mkdir model", "register: m\n", empty);
    assert_string_equal(fake_lab_wait_for(&lab, missing, RUN_FAILED).reason,
                        "register: m: the program ended well but made no folder model/ to register");
    assert_string_equal(fake_lab_wait_for(&lab, empty, RUN_FAILED).reason,
                        "register: m: the program ended well but left its folder model/ empty");
    assert_false(file_exists(fake_lab_path(&lab, "models/m/1")));
}

static void fifty_quick_runs_all_finish(void **state)
{
    (void)state;
    char runs[50][64];
    for (int i = 0; i < 50; i++)
        offer("echo done", "", runs[i]);
    for (int i = 0; i < 50; i++)
        fake_lab_wait_for(&lab, runs[i], RUN_FINISHED);
}

static void runs_wait_for_room_and_two_small_ones_run_side_by_side(void **state)
{
    (void)state;
    char first[64], second[64], third[64];
    offer("while [ ! -e go ]; do sleep 0.02; done", "resources: {cpus: 1}\n", first);
    offer("while [ ! -e go ]; do sleep 0.02; done", "resources: {cpus: 1}\n", second);
    offer("true", "resources: {cpus: 1}\n", third);
    fake_lab_wait_for(&lab, first, RUN_RUNNING);
    fake_lab_wait_for(&lab, second, RUN_RUNNING);
    usleep(300000);
    assert_false(file_exists(fake_lab_path(&lab, in_run(third, "claim"))));
    fake_lab_write(&lab, in_run(first, "go"), "");
    fake_lab_wait_for(&lab, third, RUN_FINISHED);
    fake_lab_write(&lab, in_run(second, "go"), "");
    fake_lab_wait_for(&lab, second, RUN_FINISHED);
}

static void a_run_that_another_node_holds_is_left_alone(void **state)
{
    (void)state;
    char taken[64], free_run[64];
    fake_lab_submit(&lab, "experiment: e\nrun: touch ran\n", taken);
    assert_int_equal(symlink("box-2", fake_lab_path(&lab, in_run(taken, "claim"))), 0);
    fake_lab_offer(&lab, taken);
    offer("true", "", free_run);
    fake_lab_wait_for(&lab, free_run, RUN_FINISHED);
    assert_false(file_exists(fake_lab_path(&lab, in_run(taken, "ran"))));
}

static void a_stopped_node_gives_its_runs_back(void **state)
{
    (void)state;
    char run[64];
    offer("echo $$ >pid; sleep 1000", "", run);
    pid_t program = process_of(run, "pid");
    fake_lab_wait_for(&lab, run, RUN_RUNNING);
    assert_int_equal(fake_lab_stop_node(node), CODE_OK);
    node = 0;
    assert_gone(program);
    struct run_summary summary = fake_lab_summary(&lab, run);
    assert_int_equal(summary.state, RUN_QUEUED);
    assert_string_equal(summary.reason, "the node was stopped");
}

static void a_node_ends_with_its_lab_and_so_do_its_programs(void **state)
{
    (void)state;
    char run[64];
    offer("echo $$ >pid; sleep 1000", "", run);
    pid_t program = process_of(run, "pid");
    close(lab.events);
    lab.events = -1;
    assert_int_equal(fake_lab_wait_node(node), CODE_IO);
    node = 0;
    assert_gone(program);
}

static void a_second_node_of_the_same_name_is_refused(void **state)
{
    (void)state;
    char run[64];
    offer("true", "", run);
    fake_lab_wait_for(&lab, run, RUN_FINISHED);
    pid_t second = fake_lab_start_node(&lab, "/nonexistent", NULL);
    assert_int_equal(fake_lab_wait_node(second), CODE_BUSY);
}

static void what_an_earlier_life_left_behind_is_given_back(void **state)
{
    (void)state;
    char left[64], cancelled[64];
    fake_lab_submit(&lab, "experiment: e\nrun: 'true'\n", left);
    fake_lab_submit(&lab, "experiment: e\nrun: 'true'\n", cancelled);
    fake_lab_record(&lab, cancelled, (struct run_event){.kind = RUN_EVENT_CANCEL_REQUESTED, .member = "ada"});
    fake_lab_say(&lab, left, "claimed", FAKE_LAB_NODE);
    fake_lab_say(&lab, cancelled, "cancelling", FAKE_LAB_NODE);
    assert_string_equal(fake_lab_wait_for(&lab, left, RUN_QUEUED).reason, "the node was started anew");
    fake_lab_wait_for(&lab, cancelled, RUN_CANCELLED);
}

static void the_lease_tells_what_the_node_has(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    char run[64];
    offer("true", "", run);
    fake_lab_wait_for(&lab, run, RUN_FINISHED);
    fake_lab_read(&lab, "lab/nodes/" FAKE_LAB_NODE, &text);
    assert_non_null(strstr(buffer_text(&text), "\"version\":1,"));
    assert_non_null(strstr(buffer_text(&text), "\"cpus\":2,"));
}

#define AT_WORK(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_WORK(a_program_that_ends_well_is_finished_and_its_output_is_logged_in_order),
        AT_WORK(output_reaches_the_log_while_the_program_runs),
        AT_WORK(a_program_that_fails_is_explained_with_its_status_and_last_line),
        AT_WORK(a_trainer_that_cannot_be_started_is_named),
        AT_WORK(a_dataset_that_is_gone_fails_the_run_with_its_name),
        AT_WORK(a_program_sees_its_run_its_dataset_and_no_stray_environment),
        AT_WORK(a_program_killed_from_outside_is_lost_and_goes_on_in_its_next_attempt),
        AT_WORK(cancelling_ends_the_program_and_all_that_it_started),
        AT_WORK(a_program_that_ignores_sigterm_is_killed_after_the_grace),
        AT_WORK(a_run_that_is_taken_away_is_killed_and_nothing_more_is_said_of_it),
        AT_WORK(a_run_over_its_time_fails_with_the_limit),
        AT_WORK(what_a_program_leaves_running_ends_with_it),
        AT_WORK(a_killed_node_takes_its_programs_along_and_the_next_one_finishes_them_once),
        AT_WORK(a_lease_outlives_its_node_until_the_last_process_is_gone),
        AT_WORK(a_node_killed_behind_the_registration_does_not_run_the_program_again),
        AT_WORK(a_model_is_registered_with_its_lineage_and_the_run_links_to_it),
        AT_WORK(a_run_without_the_model_that_it_was_to_register_fails),
        AT_WORK(fifty_quick_runs_all_finish),
        AT_WORK(runs_wait_for_room_and_two_small_ones_run_side_by_side),
        AT_WORK(a_run_that_another_node_holds_is_left_alone),
        AT_WORK(a_stopped_node_gives_its_runs_back),
        AT_WORK(a_node_ends_with_its_lab_and_so_do_its_programs),
        AT_WORK(a_second_node_of_the_same_name_is_refused),
        AT_WORK(what_an_earlier_life_left_behind_is_given_back),
        AT_WORK(the_lease_tells_what_the_node_has),
    };
    setenv("LEAKED", "yes", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
