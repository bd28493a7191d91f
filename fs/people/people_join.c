/* Joining: steps each of which may have been done before: the invitation is marked as taken up by that key; the member is
 * added; the home is made.  So whoever loses the answer asks again.
 *
 * A wrong secret counts against the invitation of that name, and the tenth makes it void: 128 bits are not guessed in ten
 * tries.  Whoever asks without knowing the secret is told one and the same thing, whether or not anybody of that name is
 * invited. */
#include <string.h>

#include "authority.h"
#include "joining.h"
#include "logging.h"
#include "people_state.h"
#include "scope.h"
#include "secret.h"
#include "tree_homes.h"
#include "tree_members.h"

static enum code refuse(const char *address, const char *name, struct failure *why)
{
    logging_warning("%s could not join as \"%s\": no such invitation", address, name);
    return failure_set(
        why, CODE_DENIED,
        "the lab does not know this invitation: it was withdrawn, has expired, or somebody else has used it (ask "
        "for a new one)");
}

/* The invitation that the question speaks of; marked as taken up by its key.  With the lock. */
static enum code take_up(struct people *people, const struct joining_question *question, const char *address,
                         struct invite_entry *out, struct failure *why)
{
    uint8_t digest[INVITE_DIGEST_BYTES];
    enum code code = people_invite_read(people, why);
    struct invite_entry *entry = code == CODE_OK ? invite_list_find(&people->list, question->name) : NULL;
    if (code != CODE_OK)
        return code;
    invite_digest(question->name, question->secret, digest);
    if (!entry)
        return refuse(address, question->name, why);
    if (!secret_equal(digest, entry->digest, sizeof digest)) {
        entry->tries++;
        code = people_invite_write(people, why);
        return code == CODE_OK ? refuse(address, question->name, why) : code;
    }
    if (entry->used && memcmp(entry->used_by.bytes, question->member.id.bytes, IDENTITY_BYTES) != 0)
        return refuse(address, question->name, why);
    bool first = !entry->used;
    entry->used = true;
    entry->used_by = question->member.id;
    *out = *entry;
    return first ? people_invite_write(people, why) : CODE_OK;
}

/* Member and home, as far as they are not there. */
static enum code settle(struct people *people, const struct joining_question *question, enum member_role role,
                        struct failure *why)
{
    struct member_public known;
    struct member_card card = {.public = question->member};
    strcpy(card.name, question->name);
    enum code code = members_find(people->tree, question->name, &known, why);
    if (code == CODE_NOT_FOUND)
        code = members_add(people->tree, &card, role, why);
    else if (code == CODE_OK && !member_key_same(&known, &question->member))
        code = failure_set(why, CODE_DENIED, "there is a member \"%s\" already, with another key", question->name);
    return code == CODE_OK ? homes_make(people->tree, question->name, why) : code;
}

static enum code issue(struct people *people, const struct joining_question *question, struct joining_answer *answer,
                       struct failure *why)
{
    struct authority authority;
    struct certificate_holder holder = {0};
    strcpy(holder.name, question->name);
    member_key_fingerprint(&question->member, holder.member_fingerprint);
    enum code code = authority_open(people->tree, &authority, why);
    if (code != CODE_OK)
        return code;
    code = certificate_issue(&authority.lab_key, &authority.server.lab_certificate, &holder,
                             buffer_text(&question->link_key), question->link_key.length, &answer->certificate, why);
    buffer_append(&answer->lab_certificate, buffer_text(&authority.server.lab_certificate),
                  authority.server.lab_certificate.length);
    authority_free(&authority);
    return code;
}

static enum code join(struct people *people, const struct joining_question *question, const char *address,
                      struct joining_answer *answer, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    struct invite_entry invited = {0};
    enum code code = take_up(people, question, address, &invited, why);
    if (code == CODE_OK)
        code = settle(people, question, invited.role, why);
    if (code == CODE_OK)
        code = members_role(people->tree, question->name, &answer->role, why);
    if (code == CODE_OK)
        code = issue(people, question, answer, why);
    if (code == CODE_OK)
        logging_info("%s has joined from %s as a %s", question->name, address, member_role_name(answer->role));
    return code;
}

enum code people_answer(struct people *people, const void *text, size_t count, const char *address, struct buffer *out,
                        struct failure *why)
{
    struct joining_question question = {0};
    struct joining_answer answer = {0};
    enum code code = joining_read_question(text, count, &question, why);
    if (code == CODE_OK)
        code = join(people, &question, address, &answer, why);
    if (code == CODE_OK) {
        joining_write_answer(&answer, out);
        code = buffer_check(out, "the answer to somebody who joins", why);
    }
    secret_wipe(question.secret, sizeof question.secret);
    buffer_free(&question.link_key);
    buffer_free(&answer.certificate);
    buffer_free(&answer.lab_certificate);
    return code;
}
