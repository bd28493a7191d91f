/* Lent keys: of spaces that the tree's own member has no key of, opened by a member who is connected and has.
 *
 *     closed --lending_take by a reader, checked--> lent --the last lender goes, everything is sealed and durable--> closed
 *
 * Lent keys live in memory alone, so a copy of the store opens nothing of such a space, taken at any time.  The wraps leave
 * by lending_list, are opened with the member's private key wherever that is, and come back by lending_take.
 */
#ifndef CYTOFS_TREE_LENDING_H
#define CYTOFS_TREE_LENDING_H

#include "keywrap.h"
#include "tree_internal.h"

struct roster;

#define LENDING_KEYS_MAX 4096

/* A key that the tree cannot open, as it is wrapped for a member. */
struct lending_wrap {
    uint64_t number; /* of the space */
    struct keywrap_place place;
    struct member_public sender;
    uint8_t wrapped[KEYWRAP_BYTES];
};

/* For each of the member's wraps that the tree has no key of, nor was lent it by that member: newest generations first
 * within a space.  A false return stops.  Without the lock; `each` must not use the tree. */
typedef bool lending_visit(void *context, const struct lending_wrap *wrap);
MUST_CHECK enum code lending_list(struct tree *tree, const char *member, lending_visit *each, void *context,
                                  struct failure *why);

/* Takes a space's key from a member: the newest generation first.  CODE_DENIED where that member has no wrap of it;
 * CODE_INVALID where it is not the key.  What lies in the space is held against the key's proofs when it is opened:
 * CODE_CORRUPT.  Without the lock. */
MUST_CHECK enum code lending_take(struct tree *tree, const char *member, uint64_t space, uint32_t generation,
                                  const uint8_t key[SPACE_KEY_BYTES], struct failure *why);

/* The member's last session has ended: makes all durable, then forgets what nobody else lends.  What cannot be forgotten yet
 * (it is being sealed anew) is forgotten by the committer later.  Without the lock. */
void lending_end(struct tree *tree, const char *member);

/* Reports each key that is lent now, for a server that goes on elsewhere (it takes them by lending_take).  With the lock:
 * `each` must not use the tree.  The key is secret. */
typedef void lending_visit_key(void *context, const char *member, uint64_t space, uint32_t generation,
                               const uint8_t key[SPACE_KEY_BYTES]);
void lending_visit_keys(struct tree *tree, lending_visit_key *each, void *context);

/* Inside the tree, with the lock --------------------------------------------------------------------------------------- */

/* The key of a generation, or NULL; valid until the lock is released. */
const uint8_t *lending_key(const struct tree *tree, uint64_t space, uint32_t generation);

/* A new key was made for those on the list: kept for those who lend the space, or until the next commit where nobody does.
 * Nothing where the tree's own member is on the list. */
MUST_CHECK enum code lending_keep(struct tree *tree, uint64_t space, uint32_t generation, const uint8_t *key,
                                  const struct roster *roster, struct failure *why);

/* Whether anything of the space is open only because it was lent. */
bool lending_is_lent(const struct tree *tree, uint64_t space);

/* Forgets what is no longer lent, where nothing hangs on it.  The committer's thread, between two rounds. */
void lending_sweep(struct tree *tree);

void lending_free_all(struct tree *tree);

#endif
