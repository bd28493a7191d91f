/* cytofs recovery-key: another recovery key for a lab.
 *
 * The key is drawn here, and only its public half goes to the lab, as a card that is written to lab/members/recovery: the
 * secret is on the paper alone, also where the lab is served by another machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "lab_members.h"
#include "lab_reach.h"
#include "member_card.h"
#include "recovery_key.h"
#include "scope.h"
#include "tree_members.h"

const char command_recovery_key_details[] = "Draws a new recovery key and prints it once: write it down and keep it "
                                            "elsewhere. The old one opens nothing any more: every space that\n"
                                            "it could open gets a new key now, and what is there is sealed anew in the "
                                            "background; homes and datasets that you cannot read get\n"
                                            "theirs when one of their readers opens the lab next. An admin's. Copies of the "
                                            "store that were made before still open with the old one.";

/* A new file that nobody else may read. */
static enum code save(const char *path, const char *text, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: the new recovery key cannot be written there", path);
    if (dprintf(fd, "%s\n", text) > 0 && fsync(fd) == 0)
        return CODE_OK;
    failure_set_errno(why, errno, "%s: the new recovery key cannot be written there", path);
    unlink(path);
    return why->code;
}

static int replace(const struct lab_members_place *place, const char *file, const struct member_card *card, const char *text)
{
    struct failure why;
    if (file && save(file, text, &why) != CODE_OK)
        return command_fail(place->command, &why);
    int status = lab_members_replace_recovery(place, card);
    if (status != EXIT_DONE && file)
        unlink(file); /* it opens nothing */
    if (status == EXIT_DONE && file)
        printf("new recovery key: in %s (keep it away from here)\n", file);
    else if (status == EXIT_DONE)
        printf(
            "new recovery key: %s\n"
            "  write it down and keep it elsewhere: it is shown this once, and opens the lab when all key files are lost\n",
            text);
    if (status == EXIT_DONE)
        printf("the old one opens nothing any more: destroy it\n");
    return status;
}

int command_recovery_key(const struct command *command, int argc, char **argv)
{
    const char *key = NULL, *file = NULL;
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &key, "FILE", "your key", 0, 0},
        {"recovery", 'r', OPTION_TEXT, &file, "FILE", "write the recovery key to this new file, not to the terminal", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;
    struct failure why;
    struct lab_reach reach;
    struct member_card card = {.name = MEMBERS_RECOVERY_NAME};
    char text[RECOVERY_TEXT_BYTES] = "";
    if (lab_reach_open(arguments.positional[0], &reach, &why) != CODE_OK)
        return command_fail(command, &why);
    status = recovery_key_make(text, &card.public, &why) == CODE_OK
                 ? replace(&(struct lab_members_place){command, reach.path, key}, file, &card, text)
                 : command_fail(command, &why);
    explicit_bzero(text, sizeof text);
    lab_reach_close(&reach);
    return status;
}
