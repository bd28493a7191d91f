/* What the program's subcommands share: the table entry, options, exit statuses.
 *
 * A command describes its options in a table; command_parse fills the targets, and writes --help and error texts from the
 * same table, so that help, errors and behaviour cannot drift apart.
 *
 * Exit statuses, the same for all commands: 0 done; 1 the input or the request was refused (the text says why); 2 wrong
 * usage; 3 the system below failed.
 */
#ifndef CYTOFS_COMMAND_H
#define CYTOFS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_SYSTEM = 3 };

struct command {
    const char *name;
    const char *arguments; /* "STORE DIR" */
    const char *summary;   /* one line, for the list of commands */
    const char *details;   /* paragraphs for --help, may be NULL */
    int (*run)(const struct command *command, int argc, char **argv);
    bool computes; /* uses a device's threads */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_INTEGER, OPTION_NUMBER };

struct command_option {
    const char *name; /* long name without the dashes; NULL ends the table */
    char letter;      /* short name, or 0 */
    enum option_kind kind;
    void *target;            /* bool *, const char **, int64_t *, double * by kind */
    const char *value;       /* what stands for the value in the help, NULL for a flag */
    const char *help;        /* one line */
    double minimum, maximum; /* for numbers, inclusive; both 0: unchecked */
};

#define COMMAND_POSITIONALS_MAX 1024

/* Options in any order, before, between and behind the positional arguments; "--" ends them. */
struct command_arguments {
    const char *positional[COMMAND_POSITIONALS_MAX];
    int count;
};

/* Fills the options' targets and the positional arguments.  Returns -1 to go on, else the exit status to end with
 * (after --help, or a usage error that it has reported). */
int command_parse(const struct command *command, int argc, char **argv, const struct command_option *options,
                  int positional_min, int positional_max, struct command_arguments *arguments);

/* Prints "cytofs NAME: text" to standard error and returns the exit status for the failure's code. */
int command_fail(const struct command *command, const struct failure *why);

/* Prints a usage error with the way to the help; returns EXIT_USAGE. */
int command_usage(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All commands, ended by an entry without a name (main.c). */
extern const struct command command_table[];

#endif
