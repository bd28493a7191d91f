/* The people of a lab that is open: who is invited, who comes in, who is let through, who is sent away.
 *
 *     invited --joins with the secret--> member --removed--> former
 *        `--withdrawn, expired, 10 wrong tries--> nobody
 *
 * Any thread may call any of these.
 */
#ifndef CYTOFS_PEOPLE_H
#define CYTOFS_PEOPLE_H

#include "member_role.h"
#include "rule.h"
#include "wire_link.h"

struct people;
struct tree;

#define PEOPLE_INVITE_DAYS     3
#define PEOPLE_INVITE_DAYS_MAX 90
#define PEOPLE_WIREGUARD_FILE  "cytofs-wg.conf"

struct people_options {
    const char *host; /* by which workstations reach the server, for the lines to hand over; NULL: this machine's name */
    uint16_t port;    /* 0: WIRE_PORT */
};

/* Borrows the tree. */
MUST_CHECK enum code people_create(struct tree *tree, const struct people_options *options, struct people **out,
                                   struct failure *why);
void people_destroy(struct people *people);

struct tree *people_tree(struct people *people);

/* What is done to the sessions of a member; set while a server runs, NULL again before it stops. */
struct people_sessions {
    void (*end)(void *context, const char *member);
    void (*set_role)(void *context, const char *member, enum member_role role);
    void *context;
};
void people_set_sessions(struct people *people, const struct people_sessions *sessions);

/* Invitations -------------------------------------------------------------------------------------------------------- */

struct people_invitation {
    const char *name; /* of the member to be */
    enum member_role role;
    int days;           /* until it expires, 1 .. PEOPLE_INVITE_DAYS_MAX */
    bool shown_by_file; /* it is kept in memory for the inviter to read (people_describe_invited), in place of being appended
                         */
    const char *endpoint; /* HOST[:PORT] of WireGuard at the server: make its configurations too; NULL: no VPN */
    const char *subnet;   /* ADDRESS/PREFIX of a VPN that is made now; NULL: the default */
};

/* Appends the line to hand over: "cytofs join HOST[:PORT] WORD".  With a VPN, HOST is the server's address in it, and these
 * follow: a line
 * "# NAME.conf", the workstation's configuration, a line "# " PEOPLE_WIREGUARD_FILE, the server's.  An earlier invitation
 * for the name is void then.  CODE_EXISTS where there is such a member. */
MUST_CHECK enum code people_invite(struct people *people, const struct people_invitation *invitation, struct buffer *line,
                                   struct failure *why);

/* CODE_NOT_FOUND. */
MUST_CHECK enum code people_withdraw(struct people *people, const char *name, struct failure *why);

void people_list_invited(struct people *people, rule_emit *emit, void *context);

/* What everybody may know of an invitation, and, to whoever invited and for a few minutes, the line itself.  CODE_NOT_FOUND.
 */
MUST_CHECK enum code people_describe_invited(struct people *people, const char *name, struct buffer *out,
                                             struct failure *why);

/* The server's configuration for WireGuard, with all members; CODE_NOT_FOUND where there is no VPN. */
MUST_CHECK enum code people_describe_wireguard(struct people *people, struct buffer *out, struct failure *why);

/* The door ------------------------------------------------------------------------------------------------------------ */

/* The server's certificate and key; to be freed with authority_free_credentials. */
MUST_CHECK enum code people_credentials(struct people *people, struct wire_credentials *out, struct failure *why);

/* Answers the question of somebody who joins: adds the member, with a home that opens with the new key alone, and issues the
 * certificate. The same key may ask again while the invitation lasts.  CODE_DENIED says no more than somebody who guesses
 * may know. */
MUST_CHECK enum code people_answer(struct people *people, const void *question, size_t count, const char *address,
                                   struct buffer *answer, struct failure *why);

/* Whether the holder of a certificate of the lab's is a member now, under that very key.  CODE_DENIED. */
struct people_admission {
    struct member_id id;
    enum member_role role;
};
MUST_CHECK enum code people_admit(struct people *people, const struct certificate_holder *holder,
                                  struct people_admission *out, struct failure *why);

/* Removes a member, or withdraws an invitation: sessions end at once, the certificate is refused, spaces get new keys. */
MUST_CHECK enum code people_remove(struct people *people, const char *name, struct failure *why);

/* Sessions have the new role from their next request on; what they have open stays open. */
MUST_CHECK enum code people_set_role(struct people *people, const char *name, enum member_role role, struct failure *why);

#endif
