/* cytofs passphrase: another passphrase for a key file, or none. */
#include <stdio.h>
#include <stdlib.h>

#include "buffer.h"
#include "commands.h"
#include "key_location.h"
#include "lab_store.h"
#include "member_key.h"
#include "member_key_file.h"
#include "passphrase.h"

const char command_passphrase_details[] =
    "Protects a key file with another passphrase, or takes the protection off. The key itself stays the same, so nothing in "
    "any lab\n"
    "changes; copies of the old file still open with the old passphrase. Without a terminal the old one is read from\n"
    "CYTOFS_PASSPHRASE and the new one from CYTOFS_NEW_PASSPHRASE.";

static enum code change(const char *path, bool none, struct failure *why)
{
    struct member_key *key = NULL;
    char passphrase[PASSPHRASE_BYTES_MAX] = "";
    enum code code = lab_store_load_key(path, &key, why);
    if (code == CODE_OK && !none)
        code = passphrase_ask_new(passphrase, why);
    if (code == CODE_OK)
        code = member_key_file_replace(path, key, passphrase, why);
    passphrase_wipe(passphrase);
    member_key_destroy(key);
    return code;
}

int command_passphrase(const struct command *command, int argc, char **argv)
{
    bool none = false;
    const struct command_option options[] = {
        {"none", 'n', OPTION_FLAG, &none, NULL, "no passphrase: whoever has the file has the key", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 0, 1, &arguments);
    if (status != -1)
        return status;
    struct failure why;
    SCOPE_BUFFER path = {0};
    enum code code = key_location_of_member(arguments.count ? arguments.positional[0] : NULL, &path, &why);
    if (code == CODE_OK)
        code = change(buffer_text(&path), none, &why);
    if (code != CODE_OK)
        return command_fail(command, &why);
    printf("%s: %s\n", buffer_text(&path), none ? "not protected any more" : "protected by the new passphrase");
    return EXIT_DONE;
}
