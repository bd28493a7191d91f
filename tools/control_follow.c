/* A thin client of a control file: see control_follow.h.  The state that the file tells is read again every POLL_US. */
#include "control_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "progress_bar.h"
#include "scope.h"

#define POLL_US        200000
#define TEXT_BYTES_MAX ((size_t)1 << 20)

/* What the file says: "key value" lines. */
struct told {
    char state[32], unit[32];
    int64_t done, all;
};

static void parse(const char *text, struct told *told)
{
    *told = (struct told){0};
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        sscanf(line, "state %31s", told->state);
        sscanf(line, "unit %31s", told->unit);
        sscanf(line, "done %" SCNd64, &told->done);
        sscanf(line, "all %" SCNd64, &told->all);
    }
}

static void print_said(FILE *to, const char *before, const char *text)
{
    static const char key[] = "said    ";
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, key, sizeof key - 1) == 0)
            fprintf(to, "%s%.*s\n", before, (int)(strcspn(line, "\n") - (sizeof key - 1)), line + sizeof key - 1);
}

/* Exit statuses are those that failures of these kinds have everywhere. */
static int refuse(const struct command *command, const char *path, int error)
{
    SCOPE_BUFFER text = {0};
    struct failure why;
    char before[64];
    snprintf(before, sizeof before, "cytofs %s: ", command->name);
    failure_set_errno(&why, error, "%s", path);
    if (error != EACCES && error != EBUSY && error != ENOENT && file_read(path, TEXT_BYTES_MAX, &text, NULL) == CODE_OK &&
        strstr(buffer_text(&text), "\nsaid ")) {
        print_said(stderr, before, buffer_text(&text));
        return failure_to_exit_status(why.code);
    }
    if (error == EBUSY)
        failure_set(&why, CODE_BUSY, "%s: is at work already: cat it, or write stop into it", path);
    return command_fail(command, &why);
}

static int follow(const struct command *command, const char *path)
{
    struct progress_bar bar;
    struct failure why;
    struct told told;
    SCOPE_BUFFER text = {0};
    enum code code;
    progress_bar_start(&bar);
    for (;;) {
        buffer_clear(&text);
        code = file_read(path, TEXT_BYTES_MAX, &text, &why);
        parse(buffer_text(&text), &told);
        if (code != CODE_OK || strcmp(told.state, "working") != 0)
            break;
        progress_bar_draw(&bar, command->name, told.done, told.all, told.unit);
        usleep(POLL_US);
    }
    progress_bar_end(&bar);
    if (code != CODE_OK)
        return command_fail(command, &why);
    bool failed = strcmp(told.state, "failed") == 0;
    char before[64] = "";
    if (failed)
        snprintf(before, sizeof before, "cytofs %s: ", command->name);
    print_said(failed ? stderr : stdout, before, buffer_text(&text));
    return strcmp(told.state, "done") == 0 ? EXIT_DONE : EXIT_REFUSED;
}

int control_follow(const struct command *command, const char *lab, const char *name, const char *line)
{
    SCOPE_FREE char *path = file_join(lab, name);
    SCOPE_CLOSE int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0 || write(fd, line, strlen(line)) < 0)
        return refuse(command, path ? path : name, errno);
    return follow(command, path);
}

bool control_follow_is_lab(const char *path, const char *name)
{
    SCOPE_FREE char *control = file_join(path, name);
    SCOPE_FREE char *queue = file_join(path, "jobs/queue");
    return control && queue && file_exists(queue) && file_exists(control);
}
