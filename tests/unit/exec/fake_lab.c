/* The server's part, played: see fake_lab.h. */
#include "testing.h"

#include "fake_lab.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "node.h"
#include "timing.h"

const char *fake_lab_path(const struct fake_lab *lab, const char *path)
{
    static char paths[8][512];
    static int next;
    char *text = paths[next++ % 8];
    snprintf(text, sizeof paths[0], "%s/%s", lab->folder, path);
    return text;
}

void fake_lab_make(struct fake_lab *lab)
{
    *lab = (struct fake_lab){.folder = "/tmp/cytofs-lab-XXXXXX"};
    assert_non_null(mkdtemp(lab->folder));
    struct failure why;
    assert_code_ok(file_make_folders(fake_lab_path(lab, "lab/nodes"), &why), why);
    assert_code_ok(file_make_folders(fake_lab_path(lab, "jobs"), &why), why);
    assert_code_ok(file_make_folders(fake_lab_path(lab, "models"), &why), why);
    assert_code_ok(file_make_folders(fake_lab_path(lab, "datasets/d/.snap/v1"), &why), why);
    assert_int_equal(mkfifo(fake_lab_path(lab, "jobs/events"), 0666), 0);
    lab->events = open(fake_lab_path(lab, "jobs/events"), O_RDWR | O_CLOEXEC);
    assert_true(lab->events >= 0);
}

void fake_lab_remove(struct fake_lab *lab)
{
    struct failure why;
    if (lab->events >= 0)
        close(lab->events);
    assert_code_ok(file_remove_tree(lab->folder, &why), why);
}

void fake_lab_record(const struct fake_lab *lab, const char *run, struct run_event event)
{
    struct failure why;
    char path[128];
    SCOPE_BUFFER line = {0};
    event.ms = timing_wall_ms();
    run_event_format(&event, &line);
    snprintf(path, sizeof path, "%s/events", run);
    assert_code_ok(file_append(fake_lab_path(lab, path), line.data, line.length, &why), why);
}

void fake_lab_submit(struct fake_lab *lab, const char *spec, char run[64])
{
    struct failure why;
    char path[128];
    snprintf(run, 64, "experiments/e/%03d", ++lab->submitted);
    assert_code_ok(file_make_folders(fake_lab_path(lab, run), &why), why);
    snprintf(path, sizeof path, "%s/spec.yaml", run);
    fake_lab_write(lab, path, spec);
    snprintf(path, sizeof path, "%s/dataset", run);
    assert_int_equal(symlink("../../../datasets/d/.snap/v1", fake_lab_path(lab, path)), 0);
    fake_lab_record(lab, run, (struct run_event){.kind = RUN_EVENT_SUBMITTED, .job = "x", .member = "ada"});
    fake_lab_record(lab, run, (struct run_event){.kind = RUN_EVENT_CLAIMED, .node = FAKE_LAB_NODE, .attempt = 1});
}

void fake_lab_say(const struct fake_lab *lab, const char *run, const char *state, const char *node)
{
    char line[512];
    int length = snprintf(line, sizeof line, "{\"ms\":1,\"job\":\"x\",\"run\":\"%s\",\"state\":\"%s\",\"node\":\"%s\"}\n",
                          run, state, node);
    assert_int_equal(write(lab->events, line, (size_t)length), length);
}

void fake_lab_offer(const struct fake_lab *lab, const char *run)
{
    fake_lab_say(lab, run, "queued", "");
}

void fake_lab_give_again(const struct fake_lab *lab, const char *run)
{
    char path[128];
    int attempt = fake_lab_summary(lab, run).attempt;
    fake_lab_record(lab, run, (struct run_event){.kind = RUN_EVENT_LOST, .reason = "the node is gone"});
    snprintf(path, sizeof path, "%s/claim", run);
    unlink(fake_lab_path(lab, path));
    fake_lab_record(lab, run, (struct run_event){.kind = RUN_EVENT_CLAIMED, .node = FAKE_LAB_NODE, .attempt = attempt + 1});
    fake_lab_offer(lab, run);
}

static atomic_bool stop_requested;

static void request_stop(int number)
{
    (void)number;
    atomic_store(&stop_requested, true);
}

pid_t fake_lab_start_node(const struct fake_lab *lab, const char *program, const struct executor *executor)
{
    fflush(NULL);
    pid_t node = fork();
    if (node != 0)
        return node;
    struct sigaction action = {.sa_handler = request_stop};
    sigaction(SIGTERM, &action, NULL);
    close(lab->events);
    struct failure why = {0};
    struct node_options options = {
        .lab = lab->folder,
        .name = FAKE_LAB_NODE,
        .program = program,
        .cpus = 2,
        .executor = executor,
        .stop = &stop_requested,
    };
    enum code code = node_run(&options, &why);
    if (code != CODE_OK)
        fprintf(stderr, "node: %s\n", why.text);
    exit((int)code); /* by way of the leak check */
}

int fake_lab_wait_node(pid_t node)
{
    int status;
    assert_int_equal(waitpid(node, &status, 0), node);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int fake_lab_stop_node(pid_t node)
{
    kill(node, SIGTERM);
    return fake_lab_wait_node(node);
}

void fake_lab_kill_node(pid_t node)
{
    kill(node, SIGKILL);
    assert_int_equal(fake_lab_wait_node(node), -SIGKILL);
}

void fake_lab_read(const struct fake_lab *lab, const char *path, struct buffer *out)
{
    buffer_clear(out);
    if (file_read(fake_lab_path(lab, path), 1 << 24, out, NULL) != CODE_OK)
        buffer_clear(out);
}

void fake_lab_write(const struct fake_lab *lab, const char *path, const char *text)
{
    struct failure why;
    assert_code_ok(file_write(fake_lab_path(lab, path), text, strlen(text), &why), why);
}

struct run_summary fake_lab_summary(const struct fake_lab *lab, const char *run)
{
    char path[128];
    struct run_summary summary = {0};
    SCOPE_BUFFER text = {0};
    snprintf(path, sizeof path, "%s/events", run);
    fake_lab_read(lab, path, &text);
    run_summary_fold(buffer_text(&text), text.length, &summary);
    return summary;
}

struct run_summary fake_lab_wait_for(const struct fake_lab *lab, const char *run, enum run_state state)
{
    struct run_summary summary;
    for (int64_t until = timing_monotonic_ms() + TESTING_PATIENCE_MS; timing_monotonic_ms() < until; usleep(5000)) {
        summary = fake_lab_summary(lab, run);
        if (summary.state == state)
            return summary;
    }
    fail_msg("%s: is %s (%s), not %s", run, run_state_name(summary.state), summary.reason, run_state_name(state));
    return summary;
}

void fake_lab_wait_for_file(const struct fake_lab *lab, const char *path)
{
    for (int64_t until = timing_monotonic_ms() + TESTING_PATIENCE_MS; timing_monotonic_ms() < until; usleep(5000))
        if (file_exists(fake_lab_path(lab, path)))
            return;
    fail_msg("%s: did not appear", path);
}
