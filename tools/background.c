/* Going on in the background: see background.h.  On the pipe: 'r' and the text, or the exit status and the text of the
 * failure. */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"

static void tell(struct background *self, const char *text, size_t length)
{
    if (write(self->pipe, text, length) < 0)
        errno = 0; /* nobody waits any more */
    close(self->pipe);
    self->pipe = -1;
}

void background_ready(struct background *self, const char *text)
{
    char line[FAILURE_TEXT_MAX + 2];
    if (self->pipe < 0) {
        printf("%s\n", text);
        fflush(stdout);
        return;
    }
    int length = snprintf(line, sizeof line, "r%s", text);
    tell(self, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

int background_fail(struct background *self, const struct command *command, const struct failure *why)
{
    char line[FAILURE_TEXT_MAX + 2];
    if (self->pipe < 0)
        return command_fail(command, why);
    int length = snprintf(line, sizeof line, "%c%s", failure_to_exit_status(why->code), why->text);
    tell(self, line, (size_t)length);
    return failure_to_exit_status(why->code);
}

static int wait_until_ready(const struct command *command, int pipe)
{
    char text[FAILURE_TEXT_MAX + 2];
    size_t length = 0;
    ssize_t got;
    while ((got = read(pipe, text + length, sizeof text - 1 - length)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            length += (size_t)got;
    }
    text[length] = 0;
    if (length >= 1 && text[0] == 'r') {
        printf("%s\n", text + 1);
        return EXIT_DONE;
    }
    fprintf(stderr, "cytofs %s: %s\n", command->name,
            length > 1 ? text + 1 : "the process in the background ended at once; see its log in ~/.local/state/cytofs");
    return length > 1 ? text[0] : EXIT_SYSTEM;
}

/* Standard output and error go to the log, standard input to nothing. */
static enum code redirect_to_log(const char *name, struct failure *why)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    SCOPE_FREE char *folder = NULL;
    SCOPE_FREE char *path = NULL;
    int made = state && state[0] ? asprintf(&folder, "%s/cytofs", state)
                                 : asprintf(&folder, "%s/.local/state/cytofs", home && home[0] ? home : "/tmp");
    if (made < 0 || asprintf(&path, "%s/%s.log", folder, name) < 0)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = file_make_folders(folder, why);
    if (code != CODE_OK)
        return code;
    SCOPE_CLOSE int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    SCOPE_CLOSE int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || nothing < 0)
        return failure_set_errno(why, errno, "%s: the log cannot be opened", path);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    return CODE_OK;
}

enum code background_leave(struct background *self, const char *name, struct failure *why)
{
    if (self->pipe < 0)
        return CODE_OK;
    enum code code = redirect_to_log(name, why);
    if (code != CODE_OK)
        return code;
    setsid();
    if (chdir("/") != 0)
        errno = 0;
    return CODE_OK;
}

int background_run(const struct command *command, bool foreground, background_body *body, void *context)
{
    struct background self = {.pipe = -1};
    if (foreground)
        return body(context, &self);
    struct failure why;
    int ends[2];
    pid_t child = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (child < 0) {
        failure_set_errno(&why, errno, "starting a process in the background");
        return command_fail(command, &why);
    }
    if (child > 0) {
        close(ends[1]);
        return wait_until_ready(command, ends[0]);
    }
    close(ends[0]);
    self.pipe = ends[1];
    _exit(body(context, &self));
}
