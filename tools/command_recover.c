/* cytofs recover: a new key for a lab whose key files are lost, by the recovery key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "commands.h"
#include "file.h"
#include "hex.h"
#include "key_location.h"
#include "lab_store.h"
#include "member_card.h"
#include "member_key.h"
#include "member_key_file.h"
#include "passphrase.h"
#include "recovery_key.h"
#include "secret.h"
#include "store_folder.h"
#include "tree_members.h"

const char command_recover_details[] = "Makes a new key for the member who made the lab, with the recovery key that was "
                                       "printed when it was made. That member's old key\n"
                                       "opens nothing any more: everything gets new keys, in the background of the next "
                                       "mounts. Other members' homes, and datasets that\n"
                                       "were not shared with everyone, stay closed: the recovery key has no part in them. "
                                       "The recovery key stays valid. It is asked for on\n"
                                       "the terminal, or read from --from.";

struct recovery {
    const char *store, *name, *key, *from;
    bool protect;
};

static enum code read_typed(const struct recovery *recovery, struct member_key **out, struct failure *why)
{
    SECRET_FREE uint8_t *secret = secret_allocate(RECOVERY_SECRET_BYTES);
    char typed[PASSPHRASE_BYTES_MAX] = "";
    SCOPE_BUFFER text = {0};
    if (!secret)
        return failure_set(why, CODE_NO_MEMORY, "recovering: no memory");
    enum code code = recovery->from ? file_read(recovery->from, PASSPHRASE_BYTES_MAX - 1, &text, why)
                                    : passphrase_read_terminal("recovery key (5 groups of 8)", typed, why);
    if (code == CODE_OK && recovery->from)
        snprintf(typed, sizeof typed, "%s", buffer_text(&text));
    if (code == CODE_OK)
        code = recovery_key_read(typed, secret, why);
    if (code == CODE_OK)
        code = recovery_key_open(secret, out, why);
    if (text.data)
        explicit_bzero(text.data, text.length);
    passphrase_wipe(typed);
    return code;
}

/* The new key's file must not be there yet; an old one that lost its passphrase has to be moved away by its owner. */
static enum code find_place(const struct recovery *recovery, struct buffer *path, struct failure *why)
{
    struct store_folder *folder;
    enum code code = store_folder_open(recovery->store, true, &folder, why);
    if (code != CODE_OK)
        return code;
    code = key_location_find(store_folder_id(folder), recovery->key, path, why);
    store_folder_close(folder);
    if (code == CODE_OK && file_exists(buffer_text(path)))
        return failure_set(why, CODE_EXISTS, "%s: there is a key already: move it away, or name another place with --key",
                           buffer_text(path));
    return code;
}

/* In the place of who has that name, or beside all others. */
static enum code make_member(struct tree *tree, const char *name, bool replace, const struct member_key *key,
                             struct failure *why)
{
    struct member_card card = {.public = *member_key_public(key)};
    SCOPE_BUFFER ignored = {0};
    snprintf(card.name, sizeof card.name, "%s", name);
    enum code code = CODE_OK;
    if (replace && members_describe(tree, name, &ignored, NULL) == CODE_OK)
        code = members_remove(tree, name, why);
    return code == CODE_OK ? members_add(tree, &card, ROLE_ADMIN, why) : code;
}

static enum code recover(const struct recovery *recovery, struct buffer *path, char name[MEMBER_NAME_MAX + 1],
                         struct failure *why)
{
    struct member_key *paper = NULL, *key = NULL;
    struct lab_store store;
    char passphrase[PASSPHRASE_BYTES_MAX] = "";
    enum code code = find_place(recovery, path, why);
    if (code == CODE_OK)
        code = read_typed(recovery, &paper, why);
    if (code == CODE_OK && recovery->protect)
        code = passphrase_ask("new passphrase", true, passphrase, why);
    if (code == CODE_OK)
        code = lab_store_open_with(recovery->store, paper, &store, why);
    if (code != CODE_OK)
        return code == CODE_DENIED
                   ? failure_wrap(why, code, "the recovery key is well-formed, but none of this lab's (any more)")
                   : code;
    code = members_first(store.tree, name, why);
    if (recovery->name)
        snprintf(name, MEMBER_NAME_MAX + 1, "%s", recovery->name);
    if (code == CODE_OK)
        code = member_key_generate(&key, why);
    if (code == CODE_OK)
        code = member_key_file_save(buffer_text(path), key, passphrase, why);
    if (code == CODE_OK) {
        code = make_member(store.tree, name, !recovery->name, key, why);
        if (code != CODE_OK)
            unlink(buffer_text(path)); /* it belongs to nobody */
    }
    passphrase_wipe(passphrase);
    member_key_destroy(key);
    lab_store_close(&store);
    return code;
}

int command_recover(const struct command *command, int argc, char **argv)
{
    struct recovery recovery = {0};
    const struct command_option options[] = {
        {"member", 'm', OPTION_TEXT, &recovery.name, "NAME", "a new member of that name instead", 0, 0},
        {"key", 'k', OPTION_TEXT, &recovery.key, "FILE", "where the new key goes", 0, 0},
        {"from", 'f', OPTION_TEXT, &recovery.from, "FILE", "read the recovery key from this file", 0, 0},
        {"passphrase", 'p', OPTION_FLAG, &recovery.protect, NULL, "ask for a passphrase that protects the new key", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 1, 1, &arguments);
    if (status != -1)
        return status;
    recovery.store = arguments.positional[0];
    struct failure why;
    SCOPE_BUFFER path = {0};
    char name[MEMBER_NAME_MAX + 1];
    if (recover(&recovery, &path, name, &why) != CODE_OK)
        return command_fail(command, &why);
    printf("you are %s\nyour new key: %s (back it up)\n", name, buffer_text(&path));
    return EXIT_DONE;
}
