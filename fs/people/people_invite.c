/* Invitations: one record of the tree, read and written whole under a lock.
 *
 * The line to hand over holds a secret, of which the lab keeps a digest: it is given to whoever invites at once, or, where
 * it is to be read from a file, waits in memory for minutes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authority.h"
#include "entropy.h"
#include "people_state.h"
#include "scope.h"
#include "secret.h"
#include "timing.h"
#include "tree.h"
#include "tree_members.h"
#include "tree_path.h"
#include "tree_record.h"
#include "viewer.h"

#define DAY_S     (24 * 60 * 60)
#define UNSAID_MS (10 * 60 * 1000) /* how long a line waits in memory to be read */

static const struct record_place invites_place = {"lab/members", RECORD_PREFIX "invites"};

/* Who asks for something in the lab's name. */
static const char *asking(const struct people *people)
{
    const struct viewer *viewer = viewer_current();
    return viewer ? viewer->name : tree_member_name(people->tree);
}

/* The record --------------------------------------------------------------------------------------------------------- */

enum code people_invite_read(struct people *people, struct failure *why)
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

enum code people_invite_write(struct people *people, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    invite_list_print(&people->list, &text);
    enum code code = buffer_check(&text, "the list of invitations", why);
    return code == CODE_OK ? record_put(people->tree, &invites_place, buffer_text(&text), text.length, why) : code;
}

/* Inviting ----------------------------------------------------------------------------------------------------------- */

static void forget(struct people_unsaid *unsaid)
{
    if (unsaid->text)
        secret_wipe(unsaid->text, strlen(unsaid->text));
    free(unsaid->text);
    *unsaid = (struct people_unsaid){0};
}

void people_invite_forget(struct people *people)
{
    for (size_t i = 0; i < PEOPLE_UNSAID_MAX; i++)
        forget(&people->unsaid[i]);
}

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
    if (members_find(people->tree, invitation->name, &ignored, NULL) == CODE_NOT_FOUND &&
        tree_path_exists(people->tree, home))
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
    struct people_unsaid *slot = &people->unsaid[0];
    for (size_t i = 1; i < PEOPLE_UNSAID_MAX; i++)
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
    for (size_t i = 0; i < PEOPLE_UNSAID_MAX; i++)
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
    enum code code = people_invite_read(people, why);
    if (code == CODE_OK)
        code = invite_list_add(&people->list, &entry, why);
    return code == CODE_OK ? people_invite_write(people, why) : code;
}

/* What is to be handed over and set up, all of it secret. */
static enum code print_invitation(struct people *people, const struct people_invitation *invitation,
                                  const struct invite *invite, struct buffer *out, struct failure *why)
{
    char server[16];
    if (!invitation->endpoint) {
        print_line(people, invite, NULL, out);
        return buffer_check(out, "an invitation", why);
    }
    enum code code = people_vpn_read(people, why);
    if (code == CODE_NO_DATA)
        code = wireguard_make(invitation->endpoint, invitation->subnet, &people->vpn, why);
    if (code != CODE_OK)
        return code;
    wireguard_server_address(&people->vpn, server);
    print_line(people, invite, server, out);
    buffer_printf(out, "# %s.conf\n", invite->name);
    code = wireguard_add(&people->vpn, invite->name, out, why);
    if (code == CODE_OK)
        code = people_vpn_write(people, why);
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
    enum code code = people_invite_read(people, why);
    struct invite_entry *entry = code == CODE_OK ? invite_list_find(&people->list, name) : NULL;
    if (code == CODE_OK && (!entry || entry->used))
        return failure_set(why, CODE_NOT_FOUND, "nobody called \"%s\" is invited (see: ls lab/members)", name);
    forget_unsaid(people, name);
    if (code == CODE_OK) {
        invite_list_remove(&people->list, name);
        code = people_invite_write(people, why);
    }
    return code;
}

/* The names of those who are invited, each ended by a NUL. */
static void copy_invited(struct people *people, struct buffer *names)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    if (people_invite_read(people, NULL) != CODE_OK)
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
    for (size_t i = 0; i < PEOPLE_UNSAID_MAX; i++) {
        const struct people_unsaid *unsaid = &people->unsaid[i];
        if (unsaid->text && strcmp(unsaid->name, name) == 0 && strcmp(unsaid->by, asking(people)) == 0 &&
            unsaid->until_ms > timing_monotonic_ms())
            buffer_printf(out, "%s\n", unsaid->text);
    }
}

enum code people_describe_invited(struct people *people, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = people_invite_read(people, why);
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
