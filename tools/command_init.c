/* cytofs init: a new store and its first member's key. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "lab_store.h"
#include "passphrase.h"
#include "scope.h"

const char command_init_details[] =
    "Makes the folder STORE and in it an encrypted store, and a key for its first member. The key does not lie in the\n"
    "store: back it up. A recovery key is printed once: write it down and keep it elsewhere; with it and the store,\n"
    "cytofs recover makes a new key when all others are lost.";

/* A new file that nobody else may read. */
static enum code save_recovery(const char *path, const char *text, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) != 0)
        return failure_set_errno(why, errno,
                                 "%s: the recovery key could not be written there, and this lab has no other: "
                                 "remove the store and make it again",
                                 path);
    return CODE_OK;
}

static void print_made(const char *store, const struct lab_store_made *made, const char *recovery)
{
    printf("made the lab in %s\nyour key: %s (back it up)\n", store, buffer_text(&made->key_path));
    if (recovery)
        printf("recovery key: in %s (keep it away from here)\n", recovery);
    else
        printf(
            "recovery key: %s\n"
            "  write it down and keep it elsewhere: it is shown this once, and opens the lab when all key files are lost\n",
            made->recovery);
}

int command_init(const struct command *command, int argc, char **argv)
{
    const char *member = NULL;
    const char *key = NULL;
    const char *mirror = NULL;
    const char *recovery = NULL;
    bool protect = false;
    const struct command_option options[] = {
        {"member", 'm', OPTION_TEXT, &member, "NAME", "the member's name (default: the login name)", 0, 0},
        {"key", 'k', OPTION_TEXT, &key, "FILE", "where the key goes (default: ~/.config/cytofs/keys/STORE-ID.key)", 0, 0},
        {"mirror", 'M', OPTION_TEXT, &mirror, "DIR", "a second folder, on another disk, that holds the same (cytofs mirror)",
         0, 0},
        {"recovery", 'r', OPTION_TEXT, &recovery, "FILE", "write the recovery key to this new file, not to the terminal", 0,
         0},
        {"passphrase", 'p', OPTION_FLAG, &protect, NULL, "ask for a passphrase that protects the key", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;

    struct failure why;
    char passphrase[PASSPHRASE_BYTES_MAX] = "";
    if (protect && passphrase_ask("new passphrase", true, passphrase, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct lab_store_plan plan = {
        .path = arguments.positional[0], .member = member, .key = key, .passphrase = passphrase};
    struct lab_store_made made = {0};
    enum code code = lab_store_create(&plan, &made, &why);
    passphrase_wipe(passphrase);
    if (code == CODE_OK && recovery)
        code = save_recovery(recovery, made.recovery, &why);
    if (code == CODE_OK)
        print_made(arguments.positional[0], &made, recovery);
    explicit_bzero(made.recovery, sizeof made.recovery);
    buffer_free(&made.key_path);
    if (code != CODE_OK)
        return command_fail(command, &why);
    return mirror ? command_mirror_fill_new(command, arguments.positional[0], mirror) : EXIT_DONE;
}
