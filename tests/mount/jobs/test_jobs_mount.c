/* Jobs from end to end on a real mount: specs saved as a user saves them, a node, real programs, kill -9 anywhere. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mounted_lab.h"
#include "timing.h"

static struct mounted_lab lab;

static int begin(void **state)
{
    (void)state;
    mounted_lab_make(&lab);
    return 0;
}

static int end(void **state)
{
    (void)state;
    mounted_lab_remove(&lab);
    return 0;
}

static void assert_shows(const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    mounted_lab_read(&lab, path, &found);
    if (!strstr(buffer_text(&found), text))
        fail_msg("%s: \"%s\" is not in:\n%s", path, text, buffer_text(&found));
}

static void assert_gone(pid_t process)
{
    assert_true(process > 0);
    for (int i = 0; i < TESTING_PATIENCE_MS / 5; i++, usleep(5000))
        if (kill(process, 0) != 0 && errno == ESRCH)
            return;
    fail_msg("process %d still lives", (int)process);
}

/* The number that a program wrote into a file. */
static pid_t process_in(const char *path)
{
    SCOPE_BUFFER text = {0};
    for (int i = 0; i < TESTING_PATIENCE_MS / 10 && atoi(buffer_text(&text)) == 0; i++, usleep(10000))
        mounted_lab_read(&lab, path, &text);
    return atoi(buffer_text(&text));
}

static void a_saved_spec_runs_and_its_files_tell_how_it_went(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "first",
                       "run: |\n"
                       "  echo hello\n"
                       "  mkdir -p $CYTOFS_RUN/metrics/val\n"
                       "  echo \"1795341600000 0.5 1\" >>$CYTOFS_RUN/metrics/val/ap50\n"
                       "  echo \"1795341601000 0.75 2\" >>$CYTOFS_RUN/metrics/val/ap50\n"
                       "  echo '2 2 steps 1' >$CYTOFS_RUN/progress\n");
    mounted_lab_wait_for(&lab, "first", RUN_FINISHED);
    assert_shows("jobs/first/log", "hello\n");
    assert_shows("jobs/first/status", "state:      finished\n");
    assert_shows("jobs/first/status", "val/ap50:  0.75         step 2\n");
    assert_shows("jobs/first/status", "100.0 %   2 of 2 steps");
    assert_shows("jobs/first/metrics.csv", "2,2026-11-22T10:00:01.000Z,0.75\n");
    assert_shows("experiments/first/board.csv", "001,finished,");
    assert_shows("experiments/first/report.html", "<path class=\"curve c0\"");
    SCOPE_BUFFER picture = {0};
    mounted_lab_read(&lab, "jobs/first/plots/val-ap50.png", &picture);
    assert_true(picture.length > 1000);
    assert_memory_equal(picture.data, "\x89PNG", 4);
}

static void a_failing_program_is_explained(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "bad", "run: \"echo 'no images here' >&2; exit 4\"\n");
    mounted_lab_wait_for(&lab, "bad", RUN_FAILED);
    assert_shows("jobs/bad/status", "reason:     the program ended with exit status 4: no images here\n");
}

static void a_model_becomes_a_version_and_production_follows_it(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "m", "run: 'mkdir model; echo weights >model/model.safetensors'\nregister: cells\n");
    assert_string_equal(mounted_lab_wait_for(&lab, "m", RUN_FINISHED).model, "models/cells/1");
    assert_shows("models/cells/1/model.safetensors", "weights\n");
    assert_shows("models/cells/1/lineage.yaml", "run: experiments/m/001\n");
    assert_shows("models/cells/latest/model.safetensors", "weights\n");
    assert_shows("jobs/m/model/model.safetensors", "weights\n");
    assert_shows("jobs/m/status", "model:      models/cells/1\n");
}

static void removing_the_spec_cancels_the_run_and_ends_its_processes(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "long", "run: 'sleep 1000 & echo $! >child; echo $$ >pid; wait'\n");
    pid_t program = process_in("jobs/long/pid"), child = process_in("jobs/long/child");
    mounted_lab_wait_for(&lab, "long", RUN_RUNNING);
    assert_int_equal(unlink(mounted_lab_path(&lab, "jobs/long.yaml")), 0);
    mounted_lab_wait_for(&lab, "long", RUN_CANCELLED);
    assert_gone(program);
    assert_gone(child);
}

static void a_second_run_waits_its_turn_and_the_queue_says_why(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "one", "run: 'while [ ! -e go ]; do sleep 0.05; done'\n");
    mounted_lab_wait_for(&lab, "one", RUN_RUNNING);
    mounted_lab_submit(&lab, "two", "run: 'true'\n");
    mounted_lab_wait_for(&lab, "two", RUN_QUEUED);
    usleep(1500000);
    assert_int_equal(mounted_lab_summary(&lab, "two").state, RUN_QUEUED);
    assert_shows("jobs/queue", "experiments/one/001");
    struct failure why;
    assert_code_ok(file_write(mounted_lab_path(&lab, "jobs/one/go"), "", 0, &why), why);
    mounted_lab_wait_for(&lab, "one", RUN_FINISHED);
    mounted_lab_wait_for(&lab, "two", RUN_FINISHED);
}

static void fifty_quick_runs_in_a_row_all_finish(void **state)
{
    (void)state;
    char name[32];
    int64_t since = timing_monotonic_ms();
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "quick-%d", i);
        mounted_lab_submit(&lab, name, "experiment: quick\nrun: echo done\n");
    }
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "quick-%d", i);
        mounted_lab_wait_for(&lab, name, RUN_FINISHED);
    }
    print_message("50 runs in %lld ms\n", (long long)(timing_monotonic_ms() - since));
    assert_shows("experiments/quick/board.csv", "050,finished,");
}

#define RESUMING_SPEC                                                                                                       \
    "run: 'if [ -e once ]; then mkdir -p model; echo w >model/w; exit 0; fi; echo $$ >pid; touch once; "                    \
    "sleep 1000'\n"                                                                                                         \
    "register: cells\n"

static void a_killed_program_goes_on_in_a_second_attempt(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "r", RESUMING_SPEC);
    mounted_lab_wait_for_file(&lab, "jobs/r/once");
    mounted_lab_wait_for(&lab, "r", RUN_RUNNING);
    assert_int_equal(kill(process_in("jobs/r/pid"), SIGKILL), 0);
    assert_int_equal(mounted_lab_wait_for(&lab, "r", RUN_FINISHED).attempt, 2);
    assert_false(file_exists(mounted_lab_path(&lab, "models/cells/2")));
}

static void a_killed_node_loses_nothing(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "r", RESUMING_SPEC);
    mounted_lab_wait_for_file(&lab, "jobs/r/once");
    pid_t program = process_in("jobs/r/pid");
    mounted_lab_kill_node(&lab);
    assert_gone(program);
    mounted_lab_wait_for(&lab, "r", RUN_QUEUED);
    mounted_lab_start_node(&lab);
    assert_int_equal(mounted_lab_wait_for(&lab, "r", RUN_FINISHED).attempt, 2);
    assert_shows("models/cells/latest/w", "w\n");
    assert_false(file_exists(mounted_lab_path(&lab, "models/cells/2")));
}

static void make_durable(const char *folder)
{
    int fd = open(mounted_lab_path(&lab, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void a_killed_server_ends_the_node_and_both_go_on(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "r", RESUMING_SPEC);
    mounted_lab_wait_for_file(&lab, "jobs/r/once");
    mounted_lab_wait_for(&lab, "r", RUN_RUNNING);
    pid_t program = process_in("jobs/r/pid");
    make_durable("jobs/r/."); /* `once` is to be seen again */
    mounted_lab_kill_server(&lab);
    mounted_lab_wait_node(&lab);
    assert_gone(program);
    mounted_lab_start_server(&lab);
    mounted_lab_wait_for(&lab, "r", RUN_QUEUED);
    mounted_lab_start_node(&lab);
    mounted_lab_wait_for(&lab, "r", RUN_FINISHED);
    assert_shows("models/cells/latest/w", "w\n");
    assert_false(file_exists(mounted_lab_path(&lab, "models/cells/2")));
}

static void a_node_killed_at_any_moment_leaves_one_version(void **state)
{
    (void)state;
    mounted_lab_submit(&lab, "k",
                       "run: 'mkdir -p model; head -c 3000000 /dev/zero >model/weights; echo c >model/card.md'\n"
                       "register: cells\n");
    for (int delay_ms = 20; mounted_lab_summary(&lab, "k").state != RUN_FINISHED && delay_ms < 2000;
         delay_ms += delay_ms / 2) {
        usleep((useconds_t)delay_ms * 1000);
        mounted_lab_kill_node(&lab);
        mounted_lab_start_node(&lab);
        if (mounted_lab_summary(&lab, "k").state == RUN_FAILED)
            break; /* three attempts lost: as stated */
    }
    for (int i = 0; i < TESTING_PATIENCE_MS / 20 && !run_state_is_over(mounted_lab_summary(&lab, "k").state); i++)
        usleep(20000);
    assert_true(run_state_is_over(mounted_lab_summary(&lab, "k").state));
    if (mounted_lab_summary(&lab, "k").state == RUN_FINISHED)
        assert_shows("models/cells/1/card.md", "c\n");
    assert_false(file_exists(mounted_lab_path(&lab, "models/cells/2")));
}

#define ON_A_MOUNT(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_MOUNT(a_saved_spec_runs_and_its_files_tell_how_it_went),
        ON_A_MOUNT(a_failing_program_is_explained),
        ON_A_MOUNT(a_model_becomes_a_version_and_production_follows_it),
        ON_A_MOUNT(removing_the_spec_cancels_the_run_and_ends_its_processes),
        ON_A_MOUNT(a_second_run_waits_its_turn_and_the_queue_says_why),
        ON_A_MOUNT(fifty_quick_runs_in_a_row_all_finish),
        ON_A_MOUNT(a_killed_program_goes_on_in_a_second_attempt),
        ON_A_MOUNT(a_killed_node_loses_nothing),
        ON_A_MOUNT(a_killed_server_ends_the_node_and_both_go_on),
        ON_A_MOUNT(a_node_killed_at_any_moment_leaves_one_version),
    };
    if (!mounted_lab_possible()) {
        print_message("skipped: jobs on a real mount need /dev/fuse and root\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
