/* cytofs watch: one job until it ends, or the stream of all changes. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "job_follow.h"
#include "lab_place.h"
#include "scope.h"

const char command_watch_details[] =
    "With JOB (the name of a spec in jobs/, without .yaml): shows its progress until its run is over; exits 0 if it\n"
    "finished, 1 if it failed or was cancelled. Without: prints every change of every run, until interrupted.";

static const char *member(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_change(const char *line)
{
    json_t *object = json_loads(line, 0, NULL);
    if (!object)
        return;
    const char *why = member(object, "why");
    printf("%-20s %-28s %-10s %s\n", member(object, "job"), member(object, "run"), member(object, "state"), why);
    fflush(stdout);
    json_decref(object);
}

static int follow_all(const struct command *command, const char *lab)
{
    struct failure why;
    SCOPE_FREE char *path = file_join(lab, "jobs/events");
    FILE *stream = path ? fopen(path, "re") : NULL;
    if (!stream) {
        failure_set_errno(&why, errno, "%s: cannot be opened", path ? path : "jobs/events");
        return command_fail(command, &why);
    }
    SCOPE_FREE char *line = NULL;
    size_t capacity = 0;
    for (unsigned ends = 0; ends < 2; ends++) { /* the first: all that was there; the second: the lab is gone */
        while (getline(&line, &capacity, stream) > 0)
            print_change(line);
        clearerr(stream);
    }
    fclose(stream);
    return EXIT_DONE;
}

int command_watch(const struct command *command, int argc, char **argv)
{
    const char *given_lab = NULL;
    const struct command_option options[] = {
        {"lab", 'l', OPTION_TEXT, &given_lab, "DIR", "the mounted lab (default: $CYTOFS_LAB, or the one you are in)", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 0, 1, &arguments);
    if (status != -1)
        return status;
    struct failure why;
    SCOPE_FREE char *lab = NULL;
    if (lab_place_find(given_lab, &lab, &why) != CODE_OK)
        return command_fail(command, &why);
    if (arguments.count == 0)
        return follow_all(command, lab);
    return job_follow(command, lab, arguments.positional[0]);
}
