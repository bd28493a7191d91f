/* cytofs member: one's own key and card; the members of a lab, and who is invited. */
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "commands.h"
#include "file.h"
#include "key_location.h"
#include "lab_members.h"
#include "lab_reach.h"
#include "lab_store.h"
#include "member_card.h"
#include "member_key_file.h"
#include "passphrase.h"
#include "people.h"
#include "tree.h"
#include "wireguard.h"

const char command_member_details[] =
    "member key [CARD]              make your key on this computer, and the card to hand over (default: member.card)\n"
    "member show CARD               whose card that is, and its fingerprint\n"
    "member add STORE|LAB NAME      invite somebody: prints one line, to be handed over by a way that nobody else reads. It "
    "is good once,\n"
    "                               for three days; run on that person's computer, it makes the keys there and joins the "
    "lab\n"
    "member add STORE|LAB CARD      add somebody by the card; compare the fingerprint by voice first\n"
    "member list STORE|LAB          who is a member, and who is invited\n"
    "member role STORE|LAB NAME ROLE  what a member may do: viewer, scientist, steward, admin, node or endpoint\n"
    "member delete-home STORE|LAB NAME  delete the home of somebody who was removed, with all that is in it: an admin's, "
    "who need not be able to\n"
    "                               read it; cytofs gc then gives its space back\n"
    "member revoke STORE|LAB NAME   remove somebody (or withdraw an invitation): the member's mounts end at once, the "
    "certificate is\n"
    "                               refused, and what both could read gets new keys for those who stay\n\n"
    "In a mounted lab: echo invite scientist > lab/members/bob; cat lab/members/bob; cp bob.card lab/members/bob;\n"
    "echo role steward > lab/members/bob; rm lab/members/bob. The private part of a key never leaves the computer where it "
    "was made.";

struct member_options {
    const char *key, *name, *fingerprint, *role, *host, *endpoint, *subnet;
    int64_t days;
    bool protect;
};

static void print_card(const struct member_card *card)
{
    char fingerprint[MEMBER_KEY_FINGERPRINT_BYTES];
    member_key_fingerprint(&card->public, fingerprint);
    printf("name         %s\nfingerprint  %s\n", card->name, fingerprint);
}

static enum code make_key(const struct member_options *options, const char *card_path, struct failure *why)
{
    SCOPE_BUFFER path = {0};
    struct member_key *key = NULL;
    struct member_card card = {0};
    char passphrase[PASSPHRASE_BYTES_MAX] = "", text[MEMBER_CARD_BYTES_MAX];
    const char *name = options->name ? options->name : lab_store_login_name();
    enum code code = member_card_check_name(name, why);
    if (code == CODE_OK && file_exists(card_path))
        code = failure_set(why, CODE_EXISTS, "%s: is there already: name another file", card_path);
    if (code == CODE_OK)
        code = key_location_of_member(options->key, &path, why);
    if (code == CODE_OK && options->protect)
        code = passphrase_ask("new passphrase", true, passphrase, why);
    if (code == CODE_OK)
        code = member_key_generate(&key, why);
    if (code == CODE_OK)
        code = member_key_file_save(buffer_text(&path), key, passphrase, why);
    passphrase_wipe(passphrase);
    if (code == CODE_OK) {
        card.public = *member_key_public(key);
        strcpy(card.name, name);
        code = file_replace(card_path, text, member_card_write(&card, text), why);
    }
    member_key_destroy(key);
    if (code != CODE_OK)
        return code;
    printf("your key: %s (back it up)\nyour card: %s: give it to a member of the lab, and compare this by voice:\n",
           buffer_text(&path), card_path);
    print_card(&card);
    return CODE_OK;
}

static enum code read_card(const char *path, struct buffer *text, struct member_card *card, struct failure *why)
{
    enum code code = file_read(path, MEMBER_CARD_BYTES_MAX, text, why);
    if (code == CODE_OK)
        code = member_card_parse(buffer_text(text), text->length, card, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "%s", path);
}

static int add(const struct lab_members_place *place, const struct member_options *options, const char *path)
{
    SCOPE_BUFFER text = {0};
    struct member_card card;
    struct failure why;
    char fingerprint[MEMBER_KEY_FINGERPRINT_BYTES];
    enum code code = read_card(path, &text, &card, &why);
    if (code != CODE_OK)
        return command_fail(place->command, &why);
    member_key_fingerprint(&card.public, fingerprint);
    if (options->fingerprint && strcmp(options->fingerprint, fingerprint) != 0) {
        failure_set(&why, CODE_DENIED, "%s: its fingerprint is %s, not the one that you gave: somebody may have swapped it",
                    path, fingerprint);
        return command_fail(place->command, &why);
    }
    if (options->name)
        snprintf(card.name, sizeof card.name, "%s", options->name);
    int status = lab_members_add(place, card.name, buffer_text(&text), text.length);
    if (status == EXIT_DONE && options->role)
        status = lab_members_set_role(place, card.name, options->role);
    if (status == EXIT_DONE)
        print_card(&card);
    return status;
}

static int show(const struct command *command, const char *path)
{
    SCOPE_BUFFER text = {0};
    struct member_card card;
    struct failure why;
    if (read_card(path, &text, &card, &why) != CODE_OK)
        return command_fail(command, &why);
    print_card(&card);
    return EXIT_DONE;
}

/* A card, where there is such a file, else the name of somebody to invite. */
static int add_or_invite(const struct lab_members_place *place, const struct member_options *options, const char *what)
{
    if ((file_exists(what) && !file_is_folder(what)) || strchr(what, '/'))
        return add(place, options, what);
    return lab_members_invite(place, &(struct lab_members_invitation){.name = what,
                                                                      .role = options->role ? options->role : "scientist",
                                                                      .host = options->host,
                                                                      .endpoint = options->endpoint,
                                                                      .subnet = options->subnet,
                                                                      .days = (int)options->days});
}

static int delete_home(const struct lab_members_place *place, const char *name)
{
    char space[TREE_NAME_MAX + 16];
    struct failure why;
    if (member_card_check_name(name, &why) != CODE_OK)
        return command_fail(place->command, &why);
    snprintf(space, sizeof space, "home/%s", name);
    int status = lab_members_change_space(place, space, "delete\n", false);
    if (status == EXIT_DONE)
        printf("deleted home/%s with all that was in it (cytofs gc gives back what its packs hold)\n", name);
    return status;
}

static bool works_on_lab(const char *verb, int count)
{
    return (count == 3 && (strcmp(verb, "add") == 0 || strcmp(verb, "revoke") == 0 || strcmp(verb, "remove") == 0 ||
                           strcmp(verb, "delete-home") == 0)) ||
           (count == 4 && strcmp(verb, "role") == 0) || (count == 2 && strcmp(verb, "list") == 0);
}

int command_member(const struct command *command, int argc, char **argv)
{
    struct member_options member = {.days = PEOPLE_INVITE_DAYS};
    const struct command_option options[] = {
        {"name", 'n', OPTION_TEXT, &member.name, "NAME", "the member's name (default: the login name; for add: the card's)",
         0, 0},
        {"role", 'r', OPTION_TEXT, &member.role, "ROLE", "add: what the member may do (default: scientist)", 0, 0},
        {"days", 'd', OPTION_INTEGER, &member.days, "N", "add: for how long an invitation is good", 1,
         PEOPLE_INVITE_DAYS_MAX},
        {"host", 'H', OPTION_TEXT, &member.host, "HOST[:PORT]",
         "add: by which workstations reach the server (default: this machine's name)", 0, 0},
        {"wireguard", 'w', OPTION_TEXT, &member.endpoint, "HOST[:PORT]",
         "add: also write configurations for a VPN whose server is reached there", 0, 0},
        {"subnet", 's', OPTION_TEXT, &member.subnet, "ADDRESS/PREFIX",
         "add: of the VPN when it begins (default: " WIREGUARD_SUBNET ")", 0, 0},
        {"fingerprint", 'f', OPTION_TEXT, &member.fingerprint, "TEXT", "add only if the card has this one", 0, 0},
        {"key", 'k', OPTION_TEXT, &member.key, "FILE", "your key", 0, 0},
        {"passphrase", 'p', OPTION_FLAG, &member.protect, NULL, "key: ask for a passphrase that protects it", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    struct failure why;
    int status = command_parse(command, argc, argv, options, 1, 4, &arguments);
    if (status != -1)
        return status;
    const char *verb = arguments.positional[0], *first = arguments.positional[1], *second = arguments.positional[2],
               *third = arguments.positional[3];
    if (strcmp(verb, "key") == 0 && arguments.count <= 2)
        return make_key(&member, arguments.count == 2 ? first : "member.card", &why) == CODE_OK
                   ? EXIT_DONE
                   : command_fail(command, &why);
    if (strcmp(verb, "show") == 0 && arguments.count == 2)
        return show(command, first);
    struct lab_reach reach;
    if (!works_on_lab(verb, arguments.count))
        return command_usage(
            command, "it needs one of: key [CARD], show CARD, add STORE|LAB NAME|CARD, list STORE|LAB, role STORE|LAB NAME "
                     "ROLE, revoke STORE|LAB NAME, delete-home STORE|LAB NAME");
    if (lab_reach_open(first, &reach, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct lab_members_place place = {command, reach.path, member.key};
    status = strcmp(verb, "add") == 0           ? add_or_invite(&place, &member, second)
             : strcmp(verb, "delete-home") == 0 ? delete_home(&place, second)
             : strcmp(verb, "role") == 0        ? lab_members_set_role(&place, second, third)
             : strcmp(verb, "list") == 0        ? lab_members_list(&place)
                                                : lab_members_remove(&place, second);
    lab_reach_close(&reach);
    return status;
}
