/* model_register: one version a run, whole or absent, wherever it is interrupted. */
#include "testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_lab.h"
#include "file.h"
#include "model_register.h"

#define RUN "experiments/e/001"

static struct fake_lab lab;

static void put(const char *path, const char *text)
{
    struct failure why;
    char folder[256];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    assert_code_ok(file_make_folders(fake_lab_path(&lab, folder), &why), why);
    fake_lab_write(&lab, path, text);
}

static int begin(void **state)
{
    (void)state;
    fake_lab_make(&lab);
    put(RUN "/model/model.safetensors", "weights");
    put(RUN "/model/extra/card.md", "card");
    put(RUN "/model/lineage.yaml", "seed: 7\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_lab_remove(&lab);
    return 0;
}

static struct model_registration registration_of(const char *run)
{
    return (struct model_registration){lab.folder, run, "m"};
}

/* Calls model_register in a process that is killed when it is about to make its n-th system call.  False where it ended
 * before that; skips the test where processes may not be traced. */
static bool register_until(int n)
{
    pid_t child = fork();
    if (child == 0) {
        char path[MODEL_PATH_MAX];
        struct failure why;
        struct model_registration registration = registration_of(RUN);
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(77);
        raise(SIGSTOP);
        _exit(model_register(&registration, path, &why) == CODE_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        print_message("skipped: processes cannot be traced here\n");
        skip();
    }
    /* A call stops twice: before it and behind it. */
    for (int stops = 0; stops < 2 * n - 1 && !WIFEXITED(status); stops++) {
        ptrace(PTRACE_SYSCALL, child, 0, 0);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        return false;
    }
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) == child && !WIFSIGNALED(status) && !WIFEXITED(status))
        ;
    return true;
}

static bool holds(const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    fake_lab_read(&lab, path, &found);
    return strcmp(buffer_text(&found), text) == 0;
}

static bool is_whole(const char *version)
{
    char path[256];
    const char *const files[][2] = {
        {"model.safetensors", "weights"}, {"extra/card.md", "card"}, {"lineage.yaml", "seed: 7\n\nrun: " RUN "\n"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "models/m/%s/%s", version, files[i][0]);
        if (!holds(path, files[i][1]))
            return false;
    }
    return true;
}

static void a_registration_killed_before_any_system_call_ends_as_one_whole_version(void **state)
{
    bool killed = true;
    int n = 1;
    for (; killed; n++) {
        char path[MODEL_PATH_MAX];
        struct failure why;
        struct model_registration registration = registration_of(RUN);
        killed = register_until(n);
        if (file_exists(fake_lab_path(&lab, "models/m/1")))
            assert_true(is_whole("1"));
        assert_true(file_exists(fake_lab_path(&lab, RUN "/model")));
        assert_code_ok(model_register(&registration, path, &why), why);
        assert_string_equal(path, "models/m/1");
        assert_true(is_whole("1"));
        assert_true(holds(RUN "/model/model.safetensors", "weights"));
        assert_true(holds("models/m/latest/model.safetensors", "weights"));
        assert_true(model_register_done(&registration));
        struct file_names names;
        assert_code_ok(file_list(fake_lab_path(&lab, "models/m"), 100, &names, &why), why);
        assert_int_equal(names.count, 2); /* 1 and latest: no staging folder is left */
        file_names_free(&names);
        end(state);
        begin(state);
    }
    print_message("killed before each of %d system calls\n", n - 2);
    assert_true(n > 40);
}

static void a_version_is_read_only_and_the_next_run_makes_the_next(void **state)
{
    (void)state;
    char path[MODEL_PATH_MAX];
    struct failure why;
    struct stat status;
    struct model_registration first = registration_of(RUN), second = registration_of("experiments/e/002");
    put("experiments/e/002/model/w", "2");
    assert_code_ok(model_register(&first, path, &why), why);
    assert_false(model_register_done(&second));
    assert_code_ok(model_register(&second, path, &why), why);
    assert_string_equal(path, "models/m/2");
    assert_int_equal(stat(fake_lab_path(&lab, "models/m/2/w"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0444);
    assert_true(holds("models/m/2/lineage.yaml",
                      "# Made by a program of its own: what it trained, and on what, is in its run's spec.\n"
                      "run: experiments/e/002\n"));
}

static void latest_never_goes_back(void **state)
{
    (void)state;
    char path[MODEL_PATH_MAX], target[16] = "";
    struct failure why;
    struct model_registration registration = registration_of(RUN);
    assert_code_ok(model_register(&registration, path, &why), why);
    assert_int_equal(unlink(fake_lab_path(&lab, "models/m/latest")), 0);
    assert_int_equal(symlink("9", fake_lab_path(&lab, "models/m/latest")), 0);
    assert_code_ok(model_register(&registration, path, &why), why);
    assert_int_equal(readlink(fake_lab_path(&lab, "models/m/latest"), target, sizeof target - 1), 1);
    assert_string_equal(target, "9");
}

static void numbers_go_on_behind_the_highest_and_odd_names_are_passed_over(void **state)
{
    (void)state;
    char path[MODEL_PATH_MAX];
    struct failure why;
    struct model_registration registration = registration_of(RUN);
    put("models/m/9/w", "");
    put("models/m/10/w", "");
    put("models/m/010/w", "");
    put("models/m/11x/w", "");
    assert_code_ok(model_register(&registration, path, &why), why);
    assert_string_equal(path, "models/m/11");
}

static void a_link_in_the_model_is_refused_by_name(void **state)
{
    (void)state;
    char path[MODEL_PATH_MAX];
    struct failure why;
    struct model_registration registration = registration_of(RUN);
    assert_int_equal(symlink("/etc/passwd", fake_lab_path(&lab, RUN "/model/link")), 0);
    assert_int_equal(model_register(&registration, path, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, RUN "/model/link"));
    assert_false(file_exists(fake_lab_path(&lab, "models/m/1")));
}

#define IN_A_LAB(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_LAB(a_registration_killed_before_any_system_call_ends_as_one_whole_version),
        IN_A_LAB(a_version_is_read_only_and_the_next_run_makes_the_next),
        IN_A_LAB(latest_never_goes_back),
        IN_A_LAB(numbers_go_on_behind_the_highest_and_odd_names_are_passed_over),
        IN_A_LAB(a_link_in_the_model_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
