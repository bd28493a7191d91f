/* Members and who may read what, as files: lab/members/<name> and lab/spaces/<space>.
 *
 *   lab/members/<name>   read: who that is, or that somebody is invited by that name.  Written to a new name: a member's
 * card adds a member of that name; "invite ROLE [DAYS [ENDPOINT [SUBNET]]]" makes an invitation (and, with an endpoint,
 * configurations for WireGuard), which its maker then reads here.  Written to a member's: "role ROLE".  rm removes a member
 * or withdraws an invitation lab/wireguard        read, by an admin: the server's configuration for WireGuard
 *   lab/quotas/<name>    see people_quota.h
 *   lab/spaces/<space>   read: who may read it.  Written: "share NAME", "share everyone", "unshare NAME", "leave", "rotate"
 */
#ifndef CYTOFS_PEOPLE_VIEW_H
#define CYTOFS_PEOPLE_VIEW_H

#include <stddef.h>

#include "failure.h"

struct people;
struct tree;

/* Adds the rules.  Call it once per tree, before the tree is served. */
MUST_CHECK enum code people_view_add(struct people *people, struct failure *why);

/* What writing `text` into lab/spaces/<space> does. */
MUST_CHECK enum code people_view_command(struct tree *tree, const char *space, const char *text, size_t count,
                                         struct failure *why);

#endif
