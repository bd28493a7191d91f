/* cytofs init: a new store and its first member's key. */
#include <stdio.h>

#include "commands.h"
#include "lab_store.h"
#include "passphrase.h"

const char command_init_details[] =
    "Makes the folder STORE and in it an encrypted store, and a key for its first member. The key does not lie in the\n"
    "store: back it up, for without it nobody can read the store.";

int command_init(const struct command *command, int argc, char **argv)
{
    const char *member = NULL;
    const char *key = NULL;
    const char *mirror = NULL;
    bool protect = false;
    const struct command_option options[] = {
        {"member", 'm', OPTION_TEXT, &member, "NAME", "the member's name (default: the login name)", 0, 0},
        {"key", 'k', OPTION_TEXT, &key, "FILE", "where the key goes (default: ~/.config/cytofs/keys/STORE-ID.key)", 0, 0},
        {"mirror", 'M', OPTION_TEXT, &mirror, "DIR", "a second folder, on another disk, that holds the same (cytofs mirror)", 0, 0},
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
    SCOPE_BUFFER key_path = {0};
    enum code code = lab_store_create(arguments.positional[0], member, key, passphrase, &key_path, &why);
    passphrase_wipe(passphrase);
    if (code != CODE_OK)
        return command_fail(command, &why);
    printf("made the lab in %s\nyour key: %s (back it up: without it nobody reads this lab)\n", arguments.positional[0],
           buffer_text(&key_path));
    return mirror ? command_mirror_fill_new(command, arguments.positional[0], mirror) : EXIT_DONE;
}
