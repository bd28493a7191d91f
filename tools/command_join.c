/* cytofs join: takes up an invitation.
 *
 * The keys are made, and the member's is saved, before the lab is asked: if the answer is lost, the same command asks again
 * with the same key, and gets the same answer. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "authority.h"
#include "commands.h"
#include "file.h"
#include "invite.h"
#include "joining.h"
#include "lab_profile.h"
#include "lab_store.h"
#include "member_key_file.h"
#include "passphrase.h"
#include "scope.h"
#include "secret.h"

const char command_join_details[] =
    "Takes up an invitation (`cytofs member add LAB NAME` prints the whole line): makes your keys on this computer, gets "
    "your certificate from\n"
    "the lab's server, whose identity the invitation vouches for, and remembers the lab in ~/.config/cytofs/labs/. Then:\n"
    "cytofs mount NAME@HOST DIR. Private keys never leave this computer. An invitation is good once; if the connection "
    "breaks,\n"
    "the same command may be repeated.";

struct join_options {
    const char *key;
    bool protect;
};

/* The member's key: the one of the file, if there is one, else a new one. */
static enum code take_key(const struct join_options *options, const char *path, struct member_key **out, struct failure *why)
{
    char passphrase[PASSPHRASE_BYTES_MAX] = "";
    if (file_exists(path))
        return lab_store_load_key(path, out, why);
    enum code code = options->protect ? passphrase_ask("new passphrase", true, passphrase, why) : CODE_OK;
    if (code == CODE_OK)
        code = member_key_generate(out, why);
    if (code == CODE_OK)
        code = member_key_file_save(path, *out, passphrase, why);
    passphrase_wipe(passphrase);
    return code;
}

static enum code ask(const struct lab_profile *profile, const struct invite *invite, struct joining_answer *answer,
                     struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER reply = {0};
    struct joining_question question = {.member = *member_key_public(profile->member)};
    strcpy(question.name, invite->name);
    memcpy(question.secret, invite->secret, sizeof question.secret);
    enum code code = certificate_public_key(&profile->credentials.key, &question.link_key, why);
    if (code == CODE_OK) {
        joining_write_question(&question, &text);
        code = buffer_check(&text, "asking to join", why);
    }
    if (code == CODE_OK)
        code = wire_ask(profile->address.host, profile->address.port, invite->lab_fingerprint, buffer_text(&text),
                        text.length, &reply, why);
    if (code == CODE_OK)
        code = joining_read_answer(buffer_text(&reply), reply.length, answer, why);
    if (text.data)
        secret_wipe(text.data, text.length);
    secret_wipe(&question.secret, sizeof question.secret);
    buffer_free(&question.link_key);
    return code;
}

/* The certificate that came with the answer must be the one that the invitation vouches for. */
static enum code check_lab(const struct joining_answer *answer, const struct invite *invite, struct failure *why)
{
    uint8_t fingerprint[CERTIFICATE_FINGERPRINT_BYTES];
    enum code code = certificate_fingerprint(&answer->lab_certificate, fingerprint, why);
    if (code == CODE_OK && memcmp(fingerprint, invite->lab_fingerprint, sizeof fingerprint) != 0)
        return failure_set(why, CODE_DENIED,
                           "the server answers with the certificate of another lab than you were invited to");
    return code;
}

static enum code join(const struct join_options *options, const struct invite *invite, struct lab_profile *profile,
                      struct joining_answer *answer, struct failure *why)
{
    SCOPE_FREE char *own = file_join(buffer_text(&profile->folder), "member.key");
    SCOPE_FREE char *path = options->key ? file_absolute(options->key) : own ? strdup(own) : NULL;
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "joining: no memory");
    enum code code = take_key(options, path, &profile->member, why);
    if (code == CODE_OK)
        code = certificate_make_key(&profile->credentials.key, why);
    if (code == CODE_OK)
        code = ask(profile, invite, answer, why);
    if (code == CODE_OK)
        code = check_lab(answer, invite, why);
    if (code != CODE_OK)
        return code;
    profile->credentials.certificate = answer->certificate;
    profile->credentials.lab_certificate = answer->lab_certificate;
    answer->certificate = answer->lab_certificate = (struct buffer){0};
    return lab_profile_save(profile, path, why);
}

static enum code begin(const char *host, const char *word, struct invite *invite, struct lab_profile *profile,
                       struct failure *why)
{
    enum code code = invite_parse(word, invite, why);
    if (code == CODE_OK)
        code = lab_profile_parse_address(host, &profile->address, why);
    if (code != CODE_OK)
        return code;
    if (profile->address.name[0] && strcmp(profile->address.name, invite->name) != 0)
        return failure_set(why, CODE_INVALID, "the invitation is for %s, not for %s", invite->name, profile->address.name);
    if (invite->expires_s <= time(NULL))
        return failure_set(why, CODE_DENIED,
                           "the invitation has expired: ask for a new one (or is this computer's clock wrong?)");
    strcpy(profile->address.name, invite->name);
    return lab_profile_folder(&profile->address, &profile->folder, why);
}

static void print_joined(const struct lab_profile *profile, enum member_role role)
{
    const struct lab_address *address = &profile->address;
    printf("you are %s, a %s of the lab at %s\nyour keys: %s (back it up)\n", address->name, member_role_name(role),
           address->host, buffer_text(&profile->folder));
    printf(address->port == WIRE_PORT ? "now: cytofs mount %s@%s DIR\n" : "now: cytofs mount %s@%s:%u DIR\n", address->name,
           address->host, address->port);
}

int command_join(const struct command *command, int argc, char **argv)
{
    struct join_options join_options = {0};
    const struct command_option options[] = {
        {"key", 'k', OPTION_TEXT, &join_options.key, "FILE",
         "your key: taken if it is there, else made there (default: with the lab's profile)", 0, 0},
        {"passphrase", 'p', OPTION_FLAG, &join_options.protect, NULL, "ask for a passphrase that protects a new key", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    struct failure why;
    int status = command_parse(command, argc, argv, options, 2, 2, &arguments);
    if (status != -1)
        return status;
    struct lab_profile profile = {0};
    struct joining_answer answer = {0};
    struct invite invite;
    enum code code = begin(arguments.positional[0], arguments.positional[1], &invite, &profile, &why);
    if (code == CODE_OK)
        code = join(&join_options, &invite, &profile, &answer, &why);
    if (code == CODE_OK)
        print_joined(&profile, answer.role);
    secret_wipe(&invite, sizeof invite);
    buffer_free(&answer.certificate);
    buffer_free(&answer.lab_certificate);
    lab_profile_free(&profile);
    return code == CODE_OK ? EXIT_DONE : command_fail(command, &why);
}
