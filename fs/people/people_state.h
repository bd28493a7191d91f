/* Inside fs/people: what the files behind people.h share. */
#ifndef CYTOFS_PEOPLE_STATE_H
#define CYTOFS_PEOPLE_STATE_H

#include <pthread.h>

#include "invite_list.h"
#include "people.h"
#include "wireguard.h"

#define PEOPLE_UNSAID_MAX     16
#define PEOPLE_HOST_BYTES_MAX 256

/* A line that waits in memory for whoever invited to read it. */
struct people_unsaid {
    char name[MEMBER_NAME_MAX + 1], by[MEMBER_NAME_MAX + 1];
    char *text; /* secret; NULL: a free place */
    int64_t until_ms;
};

struct people {
    struct tree *tree;
    char host[PEOPLE_HOST_BYTES_MAX];
    uint16_t port;
    pthread_mutex_t lock; /* of the record of invitations, and of what follows */
    struct people_unsaid unsaid[PEOPLE_UNSAID_MAX];
    struct invite_list list;
    struct wireguard vpn;
    pthread_mutex_t sessions_lock; /* of what follows; held while it is called */
    struct people_sessions sessions;
};

/* The record of invitations: into people->list, without those that are void by now; and from it.  With the lock. */
MUST_CHECK enum code people_invite_read(struct people *people, struct failure *why);
MUST_CHECK enum code people_invite_write(struct people *people, struct failure *why);

/* Wipes all lines that wait. */
void people_invite_forget(struct people *people);

/* The record of the VPN: into people->vpn, CODE_NO_DATA where there is none; and from it.  With the lock. */
MUST_CHECK enum code people_vpn_read(struct people *people, struct failure *why);
MUST_CHECK enum code people_vpn_write(struct people *people, struct failure *why);

/* Takes a member's address back, if there was one. */
MUST_CHECK enum code people_vpn_leave(struct people *people, const char *name, struct failure *why);

#endif
