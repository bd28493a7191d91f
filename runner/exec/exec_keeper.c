/* The keeper.
 *
 *     node ---- channel ---- keeper ---- program ---- its children ...
 *
 * PR_SET_PDEATHSIG alone lets a program die with its parent, but not what the program started: `run: a | b &` would go on
 * writing into a run that has been given to someone else.  So a small process stands between:
 *
 * 1. The keeper holds one end of the channel.  When the node dies in whatever way, the kernel closes the other end, and the
 *    keeper kills everything.
 * 2. The keeper is a subreaper: processes that the program leaves behind, even in sessions of their own, become its
 * children, and it kills them as soon as the program itself has ended, before it reports the end.
 * 3. The program has PR_SET_PDEATHSIG: it dies with the keeper.  (The signal is sent when the parent *thread* ends; the
 * keeper has one thread.)  Only a SIGKILL of the keeper itself can leave grandchildren behind.
 *
 * 4. The keeper holds a copy of the node's lease.  So nobody can take a dead node's runs while a process of one of them
 * still lives: the lease ends with the last keeper.
 *
 * It keeps no other descriptor.  It is made by fork without exec from a process that may have threads, so it calls only what
 * is safe in a signal handler.
 */
#include "exec_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHANNEL_FD   3
#define OUTPUT_FD    4
#define HOLD_FD      5
#define FIRST_UNUSED 6
#define KILL_ROUNDS  500 /* of 10 ms: a process that waits on a dead disk cannot be killed, and is left */

static void say_why_not(const char *what, int errno_value)
{
    const char *parts[] = {what, ": cannot be started: ", strerrordesc_np(errno_value), "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i] && write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            return;
}

static void restore_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_program(const struct exec_command *command, pid_t keeper)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(127);
    setpgid(0, 0);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(OUTPUT_FD, STDOUT_FILENO);
    dup2(OUTPUT_FD, STDERR_FILENO);
    close_range(CHANNEL_FD, ~0U, 0);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* a core file would carry decrypted images to an unencrypted disk */
    restore_signals();
    if (chdir(command->folder) != 0) {
        say_why_not(command->folder, errno);
        _exit(127);
    }
    execve(command->arguments[0], (char *const *)command->arguments, (char *const *)command->environment);
    say_why_not(command->arguments[0], errno);
    _exit(127);
}

/* Kills every child that the keeper has: the program, and what it left to us.  The kernel lists them as "12 34 56 ". */
static void kill_children(void)
{
    char text[4096];
    int file = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    ssize_t got = read(file, text, sizeof text);
    close(file);
    pid_t child = 0;
    for (ssize_t i = 0; i < got; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            child = child * 10 + (text[i] - '0');
        } else {
            if (child > 0)
                kill(child, SIGKILL);
            child = 0;
        }
    }
}

static void kill_everything(pid_t program)
{
    for (int round = 0; round < KILL_ROUNDS; round++) {
        kill(-program, SIGKILL);
        kill_children();
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return;
        poll(NULL, 0, 10);
    }
}

/* Reaps; true, with the report, when the program itself was among the dead. */
static bool reap(pid_t program, struct exec_keeper_report *report)
{
    bool ended = false;
    int status;
    for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (dead != program)
            continue;
        ended = true;
        report->kind = WIFSIGNALED(status) ? EXEC_KILLED : EXEC_EXITED;
        report->value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    }
    return ended;
}

static void report_to_node(struct exec_keeper_report report)
{
    send(CHANNEL_FD, &report, sizeof report, MSG_NOSIGNAL);
}

static _Noreturn void keep(pid_t program, int deaths)
{
    for (;;) {
        struct pollfd ready[2] = {{.fd = CHANNEL_FD, .events = POLLIN}, {.fd = deaths, .events = POLLIN}};
        if (poll(ready, 2, -1) < 0)
            continue;
        struct exec_keeper_report report;
        struct signalfd_siginfo death;
        if (ready[1].revents && read(deaths, &death, sizeof death) > 0 && reap(program, &report)) {
            kill_everything(program);
            report_to_node(report);
            _exit(0);
        }
        int number = 0;
        if (!ready[0].revents)
            continue;
        if (recv(CHANNEL_FD, &number, sizeof number, 0) == sizeof number) {
            kill(-program, number);
        } else {
            kill_everything(program);
            _exit(0);
        }
    }
}

static int watch_children(void)
{
    sigset_t deaths;
    sigemptyset(&deaths);
    sigaddset(&deaths, SIGCHLD);
    sigprocmask(SIG_SETMASK, &deaths, NULL);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    return signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK);
}

_Noreturn void exec_keeper_run(int channel, int output, const struct exec_command *command)
{
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "cytofs-keeper");
    /* Each number may already be in use by another of them. */
    int channel_copy = fcntl(channel, F_DUPFD, FIRST_UNUSED), output_copy = fcntl(output, F_DUPFD, FIRST_UNUSED);
    int hold_copy = command->hold < 0 ? -1 : fcntl(command->hold, F_DUPFD, FIRST_UNUSED);
    if (dup2(channel_copy, CHANNEL_FD) < 0 || dup2(output_copy, OUTPUT_FD) < 0)
        _exit(1);
    if (hold_copy < 0 || dup2(hold_copy, HOLD_FD) < 0)
        close(HOLD_FD);
    close_range(FIRST_UNUSED, ~0U, 0);
    int deaths = watch_children();
    pid_t keeper = getpid();
    pid_t program = fork();
    if (program == 0)
        become_program(command, keeper);
    close(OUTPUT_FD);
    if (program < 0 || deaths < 0)
        _exit(1);
    setpgid(program, program); /* both sides: whoever comes first */
    report_to_node((struct exec_keeper_report){EXEC_RUNS, program});
    keep(program, deaths);
}
