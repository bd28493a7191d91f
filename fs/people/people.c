/* The people of a lab: see people.h.  Inviting: people_invite.c; joining: people_join.c; the VPN: people_vpn.c.  Here: whose
 * sessions are ended, and who is let through. */
#include "people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authority.h"
#include "people_state.h"
#include "scope.h"
#include "tree_members.h"
#include "tree_quota.h"

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

void people_destroy(struct people *people)
{
    if (!people)
        return;
    people_invite_forget(people);
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
            return people_vpn_leave(people, name, why);
        return code == CODE_NOT_FOUND ? failure_set(why, code, "there is no member \"%s\" (see: ls lab/members)", name)
                                      : code;
    }
    enum code code = members_remove(people->tree, name, why);
    if (code != CODE_OK)
        return code;
    end_sessions(people, name);
    code = tree_quota_forget(people->tree, name, why);
    if (code != CODE_OK)
        return code;
    return people_vpn_leave(people, name, why);
}

enum code people_set_role(struct people *people, const char *name, enum member_role role, struct failure *why)
{
    enum code code = members_set_role(people->tree, name, role, why);
    if (code == CODE_OK)
        set_role_of_sessions(people, name, role);
    return code;
}
