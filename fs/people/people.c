/* The people of a lab: see people.h.
 *
 * Invitations are one record of the tree, read and written whole under a lock.  A join is made of steps each of which may have been done
 * before: the invitation is marked as taken up by that key; the member is added; the home is made.  So whoever loses the answer asks again.
 *
 * A wrong secret counts against the invitation of that name, and the tenth makes it void: 128 bits are not guessed in ten tries.  Whoever
 * asks without knowing the secret is told one and the same thing, whether or not anybody of that name is invited. */
#include "people.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authority.h"
#include "entropy.h"
#include "invite_list.h"
#include "joining.h"
#include "logging.h"
#include "scope.h"
#include "secret.h"
#include "timing.h"
#include "tree.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_path.h"
#include "tree_quota.h"
#include "tree_record.h"
#include "viewer.h"
#include "wireguard.h"

#define DAY_S          (24 * 60 * 60)
#define UNSAID_MS      (10 * 60 * 1000) /* how long a line waits in memory to be read */
#define UNSAID_MAX     16
#define HOST_BYTES_MAX 256

static const struct record_place invites_place = {"lab/members", RECORD_PREFIX "invites"};

struct unsaid {
    char name[MEMBER_NAME_MAX + 1], by[MEMBER_NAME_MAX + 1];
    char *text; /* secret */
    int64_t until_ms;
};

struct people {
    struct tree *tree;
    char host[HOST_BYTES_MAX];
    uint16_t port;
    pthread_mutex_t lock; /* of the record of invitations, and of what follows */
    struct unsaid unsaid[UNSAID_MAX];
    struct invite_list list;
    struct wireguard vpn;
    pthread_mutex_t sessions_lock; /* of what follows; held while it is called */
    struct people_sessions sessions;
};

enum code people_create(struct tree *tree, const struct people_options *options, struct people **out, struct failure *why)
{
    struct people *people = calloc(1, sizeof *people);
    if (!people)
        return failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
    people->tree = tree;
    people->port = options->port;
    if (options->host)
        snprintf(people->host, sizeof people->host, "%s", options->host);
    else if (gethostname(people->host, sizeof people->host - 1) != 0 || !people->host[0])
        strcpy(people->host, "localhost");
    pthread_mutex_init(&people->lock, NULL);
    pthread_mutex_init(&people->sessions_lock, NULL);
    *out = people;
    return CODE_OK;
}

static void forget(struct unsaid *unsaid)
{
    if (unsaid->text)
        secret_wipe(unsaid->text, strlen(unsaid->text));
    free(unsaid->text);
    *unsaid = (struct unsaid){0};
}

void people_destroy(struct people *people)
{
    if (!people)
        return;
    for (size_t i = 0; i < UNSAID_MAX; i++)
        forget(&people->unsaid[i]);
    pthread_mutex_destroy(&people->sessions_lock);
    pthread_mutex_destroy(&people->lock);
    free(people);
}

struct tree *people_tree(struct people *people)
{
    return people->tree;
}

void people_set_sessions(struct people *people, const struct people_sessions *sessions)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->sessions_lock);
    people->sessions = sessions ? *sessions : (struct people_sessions){0};
}

static void end_sessions(struct people *people, const char *member)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->sessions_lock);
    if (people->sessions.end)
        people->sessions.end(people->sessions.context, member);
}

static void set_role_of_sessions(struct people *people, const char *member, enum member_role role)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->sessions_lock);
    if (people->sessions.set_role)
        people->sessions.set_role(people->sessions.context, member, role);
}

/* Who asks for something in the lab's name. */
static const char *asking(const struct people *people)
{
    const struct viewer *viewer = viewer_current();
    return viewer ? viewer->name : tree_member_name(people->tree);
}

/* The record --------------------------------------------------------------------------------------------------------- */

/* Reads it into people->list, without those that are void by now.  With the lock. */
static enum code read_list(struct people *people, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    people->list.count = 0;
    enum code code = record_get(people->tree, &invites_place, &text, why);
    if (code == CODE_NO_DATA)
        return CODE_OK;
    if (code == CODE_OK)
        code = invite_list_parse(buffer_text(&text), text.length, &people->list, why);
    if (code == CODE_OK)
        invite_list_expire(&people->list, time(NULL));
    return code;
}

static enum code write_list(struct people *people, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    invite_list_print(&people->list, &text);
    enum code code = buffer_check(&text, "the list of invitations", why);
    return code == CODE_OK ? record_put(people->tree, &invites_place, buffer_text(&text), text.length, why) : code;
}

/* The VPN: a record in the home of who serves, since it holds a private key.  With the lock, into people->vpn. */
static enum code read_vpn(struct people *people, struct failure *why)
{
    SCOPE_BUFFER folder = {0};
    struct buffer text = {0};
    buffer_printf(&folder, "home/%s", tree_member_name(people->tree));
    const struct record_place place = {buffer_text(&folder), RECORD_PREFIX "wireguard"};
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX);
    enum code code = record_get(people->tree, &place, &text, why);
    if (code == CODE_OK)
        code = wireguard_parse(buffer_text(&text), text.length, &people->vpn, why);
    if (text.data)
        secret_wipe(text.data, text.length);
    buffer_free(&text);
    return code;
}

static enum code write_vpn(struct people *people, struct failure *why)
{
    SCOPE_BUFFER folder = {0};
    struct buffer text = {0};
    buffer_printf(&folder, "home/%s", tree_member_name(people->tree));
    const struct record_place place = {buffer_text(&folder), RECORD_PREFIX "wireguard"};
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX);
    wireguard_print(&people->vpn, &text);
    enum code code = buffer_check(&text, "the lab's VPN", why);
    if (code == CODE_OK)
        code = record_put(people->tree, &place, buffer_text(&text), text.length, why);
    if (text.data)
        secret_wipe(text.data, text.length);
    buffer_free(&text);
    return code;
}

enum code people_describe_wireguard(struct people *people, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = read_vpn(people, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_NOT_FOUND, "the lab has no VPN (cytofs member add --wireguard makes one)");
    if (code == CODE_OK)
        wireguard_print_server(&people->vpn, out);
    return code;
}

/* Takes a member's address back, if there was one. */
static enum code leave_vpn(struct people *people, const char *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = read_vpn(people, why);
    if (code == CODE_OK && wireguard_remove(&people->vpn, name))
        return write_vpn(people, why);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

/* Inviting ----------------------------------------------------------------------------------------------------------- */

static enum code check_invited(struct people *people, const struct people_invitation *invitation, struct failure *why)
{
    struct member_public ignored;
    enum code code = member_card_check_name(invitation->name, why);
    if (code != CODE_OK)
        return code;
    if (strcmp(invitation->name, CERTIFICATE_SERVER_NAME) == 0 || strcmp(invitation->name, MEMBERS_RECOVERY_NAME) == 0)
        return failure_set(why, CODE_INVALID, "nobody can be called \"%s\": choose another name", invitation->name);
    if (invitation->days < 1 || invitation->days > PEOPLE_INVITE_DAYS_MAX)
        return failure_set(why, CODE_INVALID, "an invitation is good for 1 to %d days", PEOPLE_INVITE_DAYS_MAX);
    char home[sizeof "home/" + MEMBER_NAME_MAX];
    snprintf(home, sizeof home, "home/%s", invitation->name);
    if (members_find(people->tree, invitation->name, &ignored, NULL) == CODE_NOT_FOUND && tree_path_exists(people->tree, home))
        return failure_set(why, CODE_EXISTS, "%s is still there, of an earlier member: choose another name", home);
    if (members_find(people->tree, invitation->name, &ignored, NULL) == CODE_OK)
        return failure_set(why, CODE_EXISTS, "there is a member \"%s\" already: choose another name", invitation->name);
    return CODE_OK;
}

static bool needs_quotes(const char *word)
{
    return strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@%:,") != strlen(word);
}

/* host: NULL for the one by which workstations usually reach the server. */
static void print_line(const struct people *people, const struct invite *invite, const char *host, struct buffer *out)
{
    char word[INVITE_TEXT_MAX];
    const char *quote = needs_quotes(invite->name) ? "'" : "";
    invite_write(invite, word);
    buffer_printf(out, "cytofs join %s", host ? host : people->host);
    if (people->port && people->port != WIRE_PORT)
        buffer_printf(out, ":%u", people->port);
    buffer_printf(out, " %s%s%s\n", quote, word, quote);
    secret_wipe(word, sizeof word);
}

/* Keeps the text for its inviter, in place of the oldest.  With the lock. */
static void keep_unsaid(struct people *people, const char *name, const char *text)
{
    struct unsaid *slot = &people->unsaid[0];
    for (size_t i = 1; i < UNSAID_MAX; i++)
        if (people->unsaid[i].until_ms < slot->until_ms)
            slot = &people->unsaid[i];
    forget(slot);
    strcpy(slot->name, name);
    snprintf(slot->by, sizeof slot->by, "%s", asking(people));
    slot->text = strdup(text);
    slot->until_ms = timing_monotonic_ms() + UNSAID_MS;
}

static void forget_unsaid(struct people *people, const char *name)
{
    for (size_t i = 0; i < UNSAID_MAX; i++)
        if (strcmp(people->unsaid[i].name, name) == 0)
            forget(&people->unsaid[i]);
}

static enum code draw(struct people *people, const struct people_invitation *invitation, struct invite *invite,
                      struct failure *why)
{
    SCOPE_BUFFER certificate = {0};
    *invite = (struct invite){.expires_s = time(NULL) + (int64_t)invitation->days * DAY_S};
    strcpy(invite->name, invitation->name);
    enum code code = authority_certificate(people->tree, &certificate, why);
    if (code == CODE_OK)
        code = certificate_fingerprint(&certificate, invite->lab_fingerprint, why);
    return code == CODE_OK ? entropy_fill(invite->secret, sizeof invite->secret, why) : code;
}

static enum code put_invited(struct people *people, const struct people_invitation *invitation, const struct invite *invite,
                             struct failure *why)
{
    struct invite_entry entry = {.role = invitation->role, .expires_s = invite->expires_s};
    strcpy(entry.name, invite->name);
    snprintf(entry.by, sizeof entry.by, "%s", asking(people));
    invite_digest(invite->name, invite->secret, entry.digest);
    enum code code = read_list(people, why);
    if (code == CODE_OK)
        code = invite_list_add(&people->list, &entry, why);
    return code == CODE_OK ? write_list(people, why) : code;
}

/* What is to be handed over and set up, all of it secret. */
static enum code print_invitation(struct people *people, const struct people_invitation *invitation, const struct invite *invite,
                                  struct buffer *out, struct failure *why)
{
    char server[16];
    if (!invitation->endpoint) {
        print_line(people, invite, NULL, out);
        return buffer_check(out, "an invitation", why);
    }
    enum code code = read_vpn(people, why);
    if (code == CODE_NO_DATA)
        code = wireguard_make(invitation->endpoint, invitation->subnet, &people->vpn, why);
    if (code != CODE_OK)
        return code;
    wireguard_server_address(&people->vpn, server);
    print_line(people, invite, server, out);
    buffer_printf(out, "# %s.conf\n", invite->name);
    code = wireguard_add(&people->vpn, invite->name, out, why);
    if (code == CODE_OK)
        code = write_vpn(people, why);
    buffer_append_text(out, "# " PEOPLE_WIREGUARD_FILE "\n");
    wireguard_print_server(&people->vpn, out);
    return code == CODE_OK ? buffer_check(out, "an invitation", why) : code;
}

enum code people_invite(struct people *people, const struct people_invitation *invitation, struct buffer *out,
                        struct failure *why)
{
    struct invite invite;
    struct buffer text = {.max = RECORD_BYTES_MAX};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX - 1); /* so that it stays where it can be wiped */
    enum code code = check_invited(people, invitation, why);
    if (code == CODE_OK)
        code = draw(people, invitation, &invite, why);
    if (code == CODE_OK)
        code = print_invitation(people, invitation, &invite, &text, why);
    if (code == CODE_OK)
        code = put_invited(people, invitation, &invite, why);
    if (code == CODE_OK) {
        forget_unsaid(people, invite.name);
        if (invitation->shown_by_file)
            keep_unsaid(people, invite.name, buffer_text(&text));
        else
            buffer_append(out, text.data, text.length);
        code = buffer_check(out, "an invitation", why);
    }
    secret_wipe(&invite, sizeof invite);
    if (text.data)
        secret_wipe(text.data, text.length);
    buffer_free(&text);
    return code == CODE_OK ? code : failure_wrap(why, code, "inviting %s", invitation->name);
}

enum code people_withdraw(struct people *people, const char *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = read_list(people, why);
    struct invite_entry *entry = code == CODE_OK ? invite_list_find(&people->list, name) : NULL;
    if (code == CODE_OK && (!entry || entry->used))
        return failure_set(why, CODE_NOT_FOUND, "nobody called \"%s\" is invited (see: ls lab/members)", name);
    forget_unsaid(people, name);
    if (code == CODE_OK) {
        invite_list_remove(&people->list, name);
        code = write_list(people, why);
    }
    return code;
}

/* The names of those who are invited, each ended by a NUL. */
static void copy_invited(struct people *people, struct buffer *names)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    if (read_list(people, NULL) != CODE_OK)
        return;
    for (size_t i = 0; i < people->list.count; i++)
        if (!people->list.entries[i].used)
            buffer_append(names, people->list.entries[i].name, strlen(people->list.entries[i].name) + 1);
}

void people_list_invited(struct people *people, rule_emit *emit, void *context)
{
    SCOPE_BUFFER names = {0};
    copy_invited(people, &names);
    for (size_t at = 0; at < names.length; at += strlen(names.data + at) + 1)
        emit(context, names.data + at);
}

static void print_time(struct buffer *out, const char *title, int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm local;
    char text[32] = "";
    if (localtime_r(&when, &local))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    buffer_printf(out, "%-12s %s\n", title, text);
}

static void print_unsaid(const struct people *people, const char *name, struct buffer *out)
{
    for (size_t i = 0; i < UNSAID_MAX; i++) {
        const struct unsaid *unsaid = &people->unsaid[i];
        if (unsaid->text && strcmp(unsaid->name, name) == 0 && strcmp(unsaid->by, asking(people)) == 0 &&
            unsaid->until_ms > timing_monotonic_ms())
            buffer_printf(out, "%s\n", unsaid->text);
    }
}

enum code people_describe_invited(struct people *people, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = read_list(people, why);
    const struct invite_entry *entry = code == CODE_OK ? invite_list_find(&people->list, name) : NULL;
    if (code == CODE_OK && (!entry || entry->used))
        return failure_set(why, CODE_NOT_FOUND, "nobody called \"%s\" is invited", name);
    if (code != CODE_OK)
        return code;
    print_unsaid(people, name, out);
    buffer_printf(out, "%-12s %s\n%-12s %s, by %s\n", "name", entry->name, "invited", "and has not joined yet", entry->by);
    buffer_printf(out, "%-12s %s\n", "role", member_role_name(entry->role));
    print_time(out, "until", entry->expires_s);
    if (entry->tries)
        buffer_printf(out, "%-12s %u of %d: somebody has tried to join under this name\n", "wrong tries", entry->tries,
                      INVITE_TRIES_MAX);
    return buffer_check(out, name, why);
}

/* Joining ------------------------------------------------------------------------------------------------------------ */

static enum code refuse(const char *address, const char *name, struct failure *why)
{
    logging_warning("%s could not join as \"%s\": no such invitation", address, name);
    return failure_set(why, CODE_DENIED,
                       "the lab does not know this invitation: it was withdrawn, has expired, or somebody else has used it (ask "
                       "for a new one)");
}

/* The invitation that the question speaks of; marked as taken up by its key.  With the lock. */
static enum code take_up(struct people *people, const struct joining_question *question, const char *address,
                         struct invite_entry *out, struct failure *why)
{
    uint8_t digest[INVITE_DIGEST_BYTES];
    enum code code = read_list(people, why);
    struct invite_entry *entry = code == CODE_OK ? invite_list_find(&people->list, question->name) : NULL;
    if (code != CODE_OK)
        return code;
    invite_digest(question->name, question->secret, digest);
    if (!entry)
        return refuse(address, question->name, why);
    if (!secret_equal(digest, entry->digest, sizeof digest)) {
        entry->tries++;
        code = write_list(people, why);
        return code == CODE_OK ? refuse(address, question->name, why) : code;
    }
    if (entry->used && memcmp(entry->used_by.bytes, question->member.id.bytes, IDENTITY_BYTES) != 0)
        return refuse(address, question->name, why);
    bool first = !entry->used;
    entry->used = true;
    entry->used_by = question->member.id;
    *out = *entry;
    return first ? write_list(people, why) : CODE_OK;
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
    code = certificate_issue(&authority.lab_key, &authority.server.lab_certificate, &holder, buffer_text(&question->link_key),
                             question->link_key.length, &answer->certificate, why);
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

/* The door ----------------------------------------------------------------------------------------------------------- */

enum code people_credentials(struct people *people, struct wire_credentials *out, struct failure *why)
{
    struct authority authority;
    enum code code = authority_open(people->tree, &authority, why);
    if (code != CODE_OK)
        return code;
    *out = authority.server;
    authority.server = (struct wire_credentials){0};
    authority_free(&authority);
    return CODE_OK;
}

enum code people_admit(struct people *people, const struct certificate_holder *holder, struct people_admission *out,
                       struct failure *why)
{
    struct member_public public;
    char fingerprint[MEMBER_KEY_FINGERPRINT_BYTES];
    enum code code = holder->name[0] ? members_find(people->tree, holder->name, &public, why) : CODE_NOT_FOUND;
    if (code == CODE_NOT_FOUND || strcmp(holder->name, CERTIFICATE_SERVER_NAME) == 0)
        return failure_set(why, CODE_DENIED, "%s is not a member of this lab (any more): ask an admin for an invitation",
                           holder->name[0] ? holder->name : "whoever has no certificate");
    if (code != CODE_OK)
        return code;
    member_key_fingerprint(&public, fingerprint);
    if (strcmp(fingerprint, holder->member_fingerprint) != 0)
        return failure_set(why, CODE_DENIED, "%s has another key by now than this certificate says", holder->name);
    out->id = public.id;
    return members_role(people->tree, holder->name, &out->role, why);
}

enum code people_remove(struct people *people, const char *name, struct failure *why)
{
    struct member_public ignored;
    if (members_find(people->tree, name, &ignored, NULL) == CODE_NOT_FOUND) {
        enum code code = people_withdraw(people, name, why);
        if (code == CODE_OK)
            return leave_vpn(people, name, why);
        return code == CODE_NOT_FOUND ? failure_set(why, code, "there is no member \"%s\" (see: ls lab/members)", name) : code;
    }
    enum code code = members_remove(people->tree, name, why);
    if (code != CODE_OK)
        return code;
    end_sessions(people, name);
    code = tree_quota_forget(people->tree, name, why);
    if (code != CODE_OK)
        return code;
    return leave_vpn(people, name, why);
}

enum code people_set_role(struct people *people, const char *name, enum member_role role, struct failure *why)
{
    enum code code = members_set_role(people->tree, name, role, why);
    if (code == CODE_OK)
        set_role_of_sessions(people, name, role);
    return code;
}
