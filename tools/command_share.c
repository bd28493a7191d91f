/* cytofs share, unshare, leave, rotate: thin clients of lab/spaces. */
#include <stdio.h>

#include "commands.h"
#include "lab_members.h"
#include "lab_reach.h"

#define REQUEST_BYTES 256

const char command_share_details[] = "Gives a member, or \"everyone\" in the lab now and later, the key of a dataset or "
                                     "home. Whoever can read it may share it.\n"
                                     "In a mounted lab this is: echo share NAME > lab/spaces/SPACE";

const char command_unshare_details[] =
    "Takes a member, or \"everyone\" but yourself, out of those who may read a dataset or home: it gets a new key for those "
    "who\n"
    "stay. New things are sealed with it at once; what is there already, in the background (see cat lab/spaces/SPACE). "
    "What\n"
    "somebody has read before cannot be taken back. In a mounted lab this is: echo unshare NAME > lab/spaces/SPACE";

const char command_leave_details[] = "Gives up your own key of a dataset that was shared with you. The next of its readers "
                                     "who opens the lab gives it a new one.\n"
                                     "In a mounted lab this is: echo leave > lab/spaces/SPACE";

const char command_rotate_details[] = "Gives a space (a dataset, a home, \"lab\" or \"models\") a new key for the same "
                                      "readers, for example after a computer with a\n"
                                      "key was stolen. In a mounted lab this is: echo rotate > lab/spaces/SPACE";

static int change(const struct command *command, int argc, char **argv, const char *verb, bool named)
{
    const char *key = NULL;
    bool wait = false;
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &key, "FILE", "your key, for a store that is not in use", 0, 0},
        {"wait", 'w', OPTION_FLAG, &wait, NULL, "return when everything is sealed with the newest key", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int count = named ? 3 : 2;
    int status = command_parse(command, argc, argv, options, count, count, &arguments);
    if (status != -1)
        return status;
    char request[REQUEST_BYTES];
    int length = snprintf(request, sizeof request, "%s%s%s\n", verb, named ? " " : "", named ? arguments.positional[2] : "");
    if (length >= (int)sizeof request)
        return command_usage(command, "\"%s\" is too long for a name", arguments.positional[2]);
    struct lab_reach reach;
    struct failure why;
    if (lab_reach_open(arguments.positional[0], &reach, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct lab_members_place place = {command, reach.path, key};
    status = lab_members_change_space(&place, arguments.positional[1], request, wait);
    lab_reach_close(&reach);
    return status;
}

int command_share(const struct command *command, int argc, char **argv)
{
    return change(command, argc, argv, "share", true);
}

int command_unshare(const struct command *command, int argc, char **argv)
{
    return change(command, argc, argv, "unshare", true);
}

int command_leave(const struct command *command, int argc, char **argv)
{
    return change(command, argc, argv, "leave", false);
}

int command_rotate(const struct command *command, int argc, char **argv)
{
    return change(command, argc, argv, "rotate", false);
}
