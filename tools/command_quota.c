/* cytofs quota: a thin client of lab/quotas. */
#include "buffer.h"
#include "commands.h"
#include "lab_members.h"
#include "lab_reach.h"

const char command_quota_details[] =
    "Shows what members may use: of storage the sizes of all their files together, how many of their jobs may wait and run, "
    "how many GPUs and CPU\n"
    "cores these may have at once. With words an admin sets it: storage=100G (K, M, G, T), jobs=4, gpus=1, cpus=8; \"none\" "
    "is no limit, \"default\"\n"
    "what everyone has. MEMBER \"everyone\" is whoever has nothing of his own. What is used already stays; more is refused "
    "(EDQUOT), and jobs wait.\n"
    "In a mounted lab this is: cat lab/quotas/bob; echo storage=100G jobs=4 > lab/quotas/bob";

#define WORDS_MAX 4

int command_quota(const struct command *command, int argc, char **argv)
{
    const char *key = NULL;
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &key, "FILE", "your key, for a store that is not in use", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 2 + WORDS_MAX, &arguments);
    if (status != -1)
        return status;
    SCOPE_BUFFER words = {0};
    for (int i = 2; i < arguments.count; i++)
        buffer_printf(&words, "%s%s", i > 2 ? " " : "", arguments.positional[i]);
    struct lab_reach reach;
    struct failure why;
    if (buffer_check(&words, "the quotas", &why) != CODE_OK ||
        lab_reach_open(arguments.positional[0], &reach, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct lab_members_place place = {command, reach.path, key};
    const char *member = arguments.count > 1 ? arguments.positional[1] : NULL;
    status =
        words.length ? lab_members_set_quotas(&place, member, buffer_text(&words)) : lab_members_show_quotas(&place, member);
    lab_reach_close(&reach);
    return status;
}
