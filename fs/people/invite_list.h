/* The invitations that a lab keeps: of each its digest, never the word itself.
 *
 *     cytofs invites 1
 *     invite <64 digits: digest> <expires, s since 1970> <wrong tries> <role> <member id, or -: not used> <who invited>
 * <name>
 *
 * Plain values; no lock.  FORMAT.md.
 */
#ifndef CYTOFS_INVITE_LIST_H
#define CYTOFS_INVITE_LIST_H

#include <stdbool.h>

#include "buffer.h"
#include "invite.h"
#include "member_role.h"

#define INVITES_MAX      256
#define INVITE_TRIES_MAX 10 /* wrong ones; then it is void */

struct invite_entry {
    char name[MEMBER_NAME_MAX + 1], by[MEMBER_NAME_MAX + 1];
    enum member_role role;
    int64_t expires_s;
    unsigned tries;
    uint8_t digest[INVITE_DIGEST_BYTES];
    bool used;
    struct member_id used_by; /* the key that took it up: the same may ask again */
};

struct invite_list {
    size_t count;
    struct invite_entry entries[INVITES_MAX];
};

/* CODE_CORRUPT for anything that invite_list_print would not write. */
MUST_CHECK enum code invite_list_parse(const void *text, size_t count, struct invite_list *out, struct failure *why);
void invite_list_print(const struct invite_list *list, struct buffer *out);

/* NULL where there is none for the name. */
struct invite_entry *invite_list_find(struct invite_list *list, const char *name);

/* In place of an earlier one for the same name.  CODE_TOO_LARGE beyond INVITES_MAX. */
MUST_CHECK enum code invite_list_add(struct invite_list *list, const struct invite_entry *entry, struct failure *why);
void invite_list_remove(struct invite_list *list, const char *name);

/* Those that nobody can use any more go; whether any did. */
bool invite_list_expire(struct invite_list *list, int64_t now_s);

#endif
