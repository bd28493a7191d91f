/* cytofs submit: cp with an explanation.  The tree does the work: closing jobs/NAME.yaml checks it, and
 * jobs/NAME.error holds what was found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "file.h"
#include "job_follow.h"
#include "lab_place.h"
#include "scope.h"

#define SPEC_FILE_BYTES_MAX (1 << 20)

const char command_submit_details[] =
    "Copies SPEC (a file NAME.yaml) to jobs/ of the lab, which checks it and queues a run. A spec that is refused is\n"
    "kept there; every finding is printed, and stands in jobs/NAME.error.";

static enum code read_spec(const char *path, char **job, struct buffer *text, struct failure *why)
{
    const char *base = file_base_name(path);
    size_t length = strlen(base);
    if (length < 6 || strcmp(base + length - 5, ".yaml") != 0)
        return failure_set(why, CODE_INVALID, "%s: a job spec is a file called NAME.yaml", path);
    enum code code = file_read(path, SPEC_FILE_BYTES_MAX, text, why);
    if (code != CODE_OK)
        return code;
    *job = strndup(base, length - 5);
    return *job ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "out of memory");
}

/* Prints jobs/JOB.error where there is one; the text of the failed close says little. */
static bool print_findings(const char *lab, const char *job)
{
    SCOPE_FREE char *path = NULL;
    if (asprintf(&path, "%s/jobs/%s.error", lab, job) < 0) {
        path = NULL;
        return false;
    }
    SCOPE_BUFFER text = {0};
    if (file_read(path, SPEC_FILE_BYTES_MAX, &text, NULL) != CODE_OK)
        return false;
    fputs(buffer_text(&text), stderr);
    return true;
}

int command_submit(const struct command *command, int argc, char **argv)
{
    const char *given_lab = NULL;
    bool wait = false;
    const struct command_option options[] = {
        {"lab", 'l', OPTION_TEXT, &given_lab, "DIR", "the mounted lab (default: $CYTOFS_LAB, or the one you are in)", 0, 0},
        {"watch", 'w', OPTION_FLAG, &wait, NULL, "follow the run until it ends, as cytofs watch does", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;

    struct failure why;
    SCOPE_FREE char *lab = NULL;
    SCOPE_FREE char *job = NULL;
    SCOPE_FREE char *target = NULL;
    SCOPE_BUFFER text = {0};
    if (lab_place_find(given_lab, &lab, &why) != CODE_OK || read_spec(arguments.positional[0], &job, &text, &why) != CODE_OK)
        return command_fail(command, &why);
    if (asprintf(&target, "%s/jobs/%s.yaml", lab, job) < 0) {
        target = NULL;
        return EXIT_SYSTEM;
    }
    if (file_write(target, buffer_text(&text), text.length, &why) != CODE_OK) {
        if (why.code == CODE_INVALID && print_findings(lab, job))
            return EXIT_REFUSED;
        return command_fail(command, &why);
    }
    return wait ? job_follow(command, lab, job) : EXIT_DONE;
}
