/* Option parsing, help and error texts for all subcommands: see command.h. */
#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct command *command, const struct command_option *options)
{
    printf("usage: cytofs %s%s%s%s\n\n%s\n", command->name, options && options->name ? " [OPTION]..." : "",
           command->arguments[0] ? " " : "", command->arguments, command->summary);
    if (command->details)
        printf("\n%s\n", command->details);
    if (options && options->name)
        printf("\nOptions:\n");
    for (const struct command_option *option = options; option && option->name; option++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s%s%s", option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
                 option->letter ? ", " : "  ", option->name, option->value ? " " : "", option->value ? option->value : "");
        printf("  %-28s %s\n", left, option->help);
    }
    printf("\nExit status: 0 done, 1 refused (the message says why), 2 wrong usage, 3 the system failed.\n"
           "See also: man cytofs-%s\n",
           command->name);
}

int command_usage(const struct command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "cytofs %s: ", command->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\ntry: cytofs %s --help\n", command->name);
    va_end(args);
    return EXIT_USAGE;
}

int command_fail(const struct command *command, const struct failure *why)
{
    fprintf(stderr, "cytofs %s: %s\n", command->name, why->text);
    return failure_to_exit_status(why->code);
}

static const struct command_option *find_long(const struct command_option *options, const char *name, size_t length)
{
    for (const struct command_option *option = options; option && option->name; option++)
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const struct command_option *find_letter(const struct command_option *options, char letter)
{
    for (const struct command_option *option = options; option && option->name; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

static bool in_range(const struct command_option *option, double value)
{
    return (option->minimum == 0 && option->maximum == 0) || (value >= option->minimum && value <= option->maximum);
}

/* -1: taken; else the exit status. */
static int set_value(const struct command *command, const struct command_option *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    if (option->kind == OPTION_TEXT) {
        *(const char **)option->target = text;
        return -1;
    }
    double number;
    if (option->kind == OPTION_INTEGER) {
        long long value = strtoll(text, &end, 10);
        number = (double)value;
        *(int64_t *)option->target = value;
    } else {
        number = strtod(text, &end);
        *(double *)option->target = number;
    }
    if (errno != 0 || end == text || *end != 0 || !isfinite(number))
        return command_usage(command, "--%s: \"%s\" is not a number", option->name, text);
    if (!in_range(option, number))
        return command_usage(command, "--%s: %s is out of range (%g to %g)", option->name, text, option->minimum,
                             option->maximum);
    return -1;
}

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != 0;
}

/* Takes argv[*at] and, where it needs one, the value behind it. */
static int take_option(const struct command *command, char **argv, int argc, int *at, const struct command_option *options)
{
    const char *argument = argv[*at];
    const char *value = NULL;
    const struct command_option *option;
    if (argument[1] == '-') {
        size_t length = strcspn(argument + 2, "=");
        option = find_long(options, argument + 2, length);
        if (argument[2 + length] == '=')
            value = argument + 2 + length + 1;
    } else {
        option = find_letter(options, argument[1]);
        if (argument[2])
            value = argument + 2;
    }
    if (!option)
        return command_usage(command, "%s is not an option of this command", argument);
    if (option->kind == OPTION_FLAG) {
        if (value)
            return command_usage(command, "--%s takes no value", option->name);
        *(bool *)option->target = true;
        return -1;
    }
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value)
        return command_usage(command, "--%s needs a value (%s)", option->name, option->value);
    return set_value(command, option, value);
}

int command_parse(const struct command *command, int argc, char **argv, const struct command_option *options,
                  int positional_min, int positional_max, struct command_arguments *arguments)
{
    arguments->count = 0;
    bool only_positional = false;
    for (int at = 1; at < argc; at++) {
        if (!only_positional && strcmp(argv[at], "--") == 0) {
            only_positional = true;
        } else if (!only_positional && (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)) {
            print_help(command, options);
            return EXIT_DONE;
        } else if (!only_positional && is_option(argv[at])) {
            int status = take_option(command, argv, argc, &at, options);
            if (status != -1)
                return status;
        } else if (arguments->count == positional_max || arguments->count == COMMAND_POSITIONALS_MAX) {
            return command_usage(command, "too many arguments, from \"%s\" on", argv[at]);
        } else {
            arguments->positional[arguments->count++] = argv[at];
        }
    }
    if (arguments->count < positional_min)
        return command_usage(command, "it needs: %s", command->arguments);
    return -1;
}
