/* See mounted_lab.h.  The test's own process stays without threads, so that it may fork: server and node are its children,
 * and die with it. */
#include "testing.h"

#include "mounted_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "jobs.h"
#include "node.h"
#include "session.h"
#include "timing.h"
#include "views.h"

bool mounted_lab_possible(void)
{
    return access("/dev/fuse", R_OK | W_OK) == 0 && geteuid() == 0;
}

const char *mounted_lab_path(const struct mounted_lab *lab, const char *path)
{
    static char paths[8][512];
    static int next;
    char *text = paths[next++ % 8];
    snprintf(text, sizeof paths[0], "%s/%s", lab->mount, path);
    return text;
}

#if defined(__SANITIZE_ADDRESS__)
/* The session ends its workers by cancelling them, which the sanitizer takes for a stack underflow when it restores the
 * thread's signal stack. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "use_sigaltstack=0";
}
#endif

static _Noreturn void give_up(const char *what, const struct failure *why)
{
    fprintf(stderr, "%s: %s\n", what, why->text);
    _exit(1);
}

static _Noreturn void serve(struct mounted_lab *lab, int ready)
{
    struct failure why;
    struct jobs *jobs;
    struct session *session;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    lab_open(&lab->store);
    if (jobs_add(lab->store.tree, &(struct jobs_options){0}, &jobs, &why) != CODE_OK ||
        views_add(lab->store.tree, &why) != CODE_OK)
        give_up("server", &why);
    struct session_options options = {.mountpoint = lab->mount, .label = "cytofs-test"};
    if (session_start(lab->store.tree, &options, &session, &why) != CODE_OK)
        give_up("mounting", &why);
    if (write(ready, "!", 1) != 1)
        _exit(1);
    close(ready);
    session_wait(session);
    session_destroy(session);
    lab_close(&lab->store);
    jobs_destroy(jobs);
    member_key_destroy(lab->store.member);
    _exit(0);
}

void mounted_lab_start_server(struct mounted_lab *lab)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    lab->server = fork();
    assert_true(lab->server >= 0);
    if (lab->server == 0) {
        close(ends[0]);
        serve(lab, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
}

static atomic_bool stop_requested;

static void request_stop(int number)
{
    (void)number;
    atomic_store(&stop_requested, true);
}

void mounted_lab_start_node(struct mounted_lab *lab)
{
    fflush(NULL);
    lab->node = fork();
    assert_true(lab->node >= 0);
    if (lab->node != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction action = {.sa_handler = request_stop};
    sigaction(SIGTERM, &action, NULL);
    struct failure why = {0};
    struct node_options options = {
        .lab = lab->mount, .name = "box-1", .program = "/nonexistent/cytofs", .cpus = 2, .stop = &stop_requested};
    if (node_run(&options, &why) != CODE_OK)
        fprintf(stderr, "node: %s\n", why.text);
    _exit(0);
}

static void wait_for_end(pid_t *process)
{
    if (*process > 0)
        assert_int_equal(waitpid(*process, NULL, 0), *process);
    *process = 0;
}

void mounted_lab_wait_node(struct mounted_lab *lab)
{
    wait_for_end(&lab->node);
}

void mounted_lab_kill_node(struct mounted_lab *lab)
{
    kill(lab->node, SIGKILL);
    wait_for_end(&lab->node);
}

void mounted_lab_kill_server(struct mounted_lab *lab)
{
    kill(lab->server, SIGKILL);
    wait_for_end(&lab->server);
    assert_int_equal(umount2(lab->mount, MNT_DETACH), 0);
}

void mounted_lab_make(struct mounted_lab *lab)
{
    *lab = (struct mounted_lab){.mount = "/tmp/cytofs-mount-XXXXXX"};
    assert_non_null(mkdtemp(lab->mount));
    lab_create(&lab->store);
    lab_close(&lab->store);
    mounted_lab_start_server(lab);
    mounted_lab_start_node(lab);
}

void mounted_lab_remove(struct mounted_lab *lab)
{
    struct failure why;
    int status = 0;
    if (lab->node > 0) {
        kill(lab->node, SIGTERM);
        wait_for_end(&lab->node);
    }
    if (lab->server > 0) {
        for (int i = 0; umount2(lab->mount, 0) != 0 && i < TESTING_PATIENCE_MS / 20; i++)
            usleep(20000); /* programs of a killed node may be ending still */
        assert_int_equal(waitpid(lab->server, &status, 0), lab->server);
    }
    member_key_destroy(lab->store.member);
    assert_code_ok(file_remove_tree(lab->store.folder, &why), why);
    assert_int_equal(rmdir(lab->mount), 0);
    assert_int_equal(status, 0);
}

void mounted_lab_submit(struct mounted_lab *lab, const char *name, const char *spec)
{
    struct failure why;
    char path[128];
    snprintf(path, sizeof path, "jobs/%s.yaml", name);
    assert_code_ok(file_write(mounted_lab_path(lab, path), spec, strlen(spec), &why), why);
}

void mounted_lab_read(const struct mounted_lab *lab, const char *path, struct buffer *out)
{
    struct stat status;
    buffer_clear(out);
    if (file_read(mounted_lab_path(lab, path), 1 << 24, out, NULL) != CODE_OK)
        buffer_clear(out);
    else if (stat(mounted_lab_path(lab, path), &status) == 0 && S_ISREG(status.st_mode))
        assert_true((size_t)status.st_size >= out->length); /* it may have grown meanwhile */
}

struct run_summary mounted_lab_summary(const struct mounted_lab *lab, const char *name)
{
    char path[128];
    struct run_summary summary = {0};
    SCOPE_BUFFER text = {0};
    snprintf(path, sizeof path, "jobs/%s/events", name);
    mounted_lab_read(lab, path, &text);
    run_summary_fold(buffer_text(&text), text.length, &summary);
    return summary;
}

struct run_summary mounted_lab_wait_for(const struct mounted_lab *lab, const char *name, enum run_state state)
{
    struct run_summary summary;
    for (int64_t until = timing_monotonic_ms() + TESTING_PATIENCE_MS; timing_monotonic_ms() < until; usleep(10000)) {
        summary = mounted_lab_summary(lab, name);
        if (summary.state == state)
            return summary;
    }
    fail_msg("%s: is %s (%s), not %s", name, run_state_name(summary.state), summary.reason, run_state_name(state));
    return summary;
}

void mounted_lab_wait_for_file(const struct mounted_lab *lab, const char *path)
{
    for (int64_t until = timing_monotonic_ms() + TESTING_PATIENCE_MS; timing_monotonic_ms() < until; usleep(10000))
        if (file_exists(mounted_lab_path(lab, path)))
            return;
    fail_msg("%s: did not appear", path);
}
