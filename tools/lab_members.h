/* Members and sharing for the commands: in a mounted lab by its files, in a store that is not in use by opening it. */
#ifndef CYTOFS_LAB_MEMBERS_H
#define CYTOFS_LAB_MEMBERS_H

#include "command.h"

struct member_card;

/* The command with its LAB or STORE, and the key for a store (NULL: the default place). */
struct lab_members_place {
    const struct command *command;
    const char *path, *key;
};

/* Each returns the exit status, having told what went wrong. */
int lab_members_add(const struct lab_members_place *place, const char *name, const char *card, size_t count);
int lab_members_replace_recovery(const struct lab_members_place *place,
                                 const struct member_card *card); /* the new key's; named as that member is */
int lab_members_set_role(const struct lab_members_place *place, const char *name, const char *role);

/* Prints the line to hand over.  role: a role's name; days: until it expires; host: by which workstations reach the server,
 * NULL for this machine's name (of a mounted lab: its server's). */
struct lab_members_invitation {
    const char *name, *role, *host;
    int days;
    const char *endpoint,
        *subnet; /* of a VPN: configurations are written to NAME.conf and cytofs-wg.conf here; NULL: none */
};
int lab_members_invite(const struct lab_members_place *place, const struct lab_members_invitation *invitation);

int lab_members_remove(const struct lab_members_place *place, const char *name);
int lab_members_list(const struct lab_members_place *place);

/* `text` is what is written into lab/spaces/<space>; with wait, until the rotation that it causes is over. */
int lab_members_change_space(const struct lab_members_place *place, const char *space, const char *text, bool wait);

/* The quotas of a member or of "everyone", or of all (NULL); and their change by words like "storage=100G jobs=4". */
int lab_members_show_quotas(const struct lab_members_place *place, const char *name);
int lab_members_set_quotas(const struct lab_members_place *place, const char *name, const char *words);

#endif
