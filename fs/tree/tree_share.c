/* Sharing: see tree_share.h.
 *
 * Invariant: whoever is on a space's list (and is no former member) has a wrap of its newest key, and nobody else has; but
 * that somebody has left shows as `due` on the list, or as a reader of it who is a former member on the lab's own list,
 * until a reader who stays has rotated the key.  So it needs no message to reach anybody: the next one who opens the lab
 * sees it.
 */
#include "tree_share.h"

#include <string.h>

#include "catalog_space.h"
#include "member_key.h"
#include "tree_commit.h"
#include "tree_tell.h"

enum code share_self(struct tree *tree, struct reader *out, struct failure *why)
{
    struct catalog_member row = {0};
    const struct member_public *public = member_key_public(tree->member);
    enum code code = catalog_space_find_member(tree->catalog, public->id.bytes, &row, why);
    if (code != CODE_OK)
        return code == CODE_NO_DATA ? failure_set(why, CODE_CORRUPT, "the catalog: you are missing in it") : code;
    *out = (struct reader){.public = *public, .flags = row.flags};
    memcpy(out->name, row.name, strnlen(row.name, MEMBER_NAME_MAX));
    return CODE_OK;
}

enum code share_add(struct tree *tree, uint64_t number, const struct reader *reader, struct failure *why)
{
    struct space *space;
    SCOPE_ROSTER roster = {0};
    enum code code = space_find(tree, number, &space, why);
    if (code == CODE_OK)
        code = roster_copy(&space->roster, &roster, why);
    if (code == CODE_OK)
        code = roster_add(&roster, reader, why);
    if (code == CODE_OK)
        code = space_wrap(tree, space, reader, why);
    if (code == CODE_OK)
        code = space_set_roster(tree, space, &roster, why);
    space_forget(tree, number);
    return code;
}

/* Who is on the lab's own list in place of a reader of a space: himself; for a recovery key that was replaced, the one that
 * is valid now; NULL where he is no member any more. */
static const struct reader *in_place_of(const struct space *lab, const struct reader *reader)
{
    const struct reader *known = roster_find(&lab->roster, &reader->public.id);
    if (known && !known->former)
        return reader;
    return known && known->flags & CATALOG_MEMBER_RECOVERY ? roster_find_recovery(&lab->roster) : NULL;
}

/* Those on the list who are members of the lab. */
static enum code present_readers(struct tree *tree, const struct roster *roster, struct roster *out, struct failure *why)
{
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    out->everyone = roster->everyone;
    for (size_t i = 0; code == CODE_OK && i < roster->count; i++) {
        const struct reader *present = in_place_of(lab, &roster->readers[i]);
        if (present)
            code = roster_add(out, present, why);
    }
    return code;
}

/* The keys in use for those who come to the list with the rotation: what is there is still sealed with them. */
static enum code wrap_for_new(struct tree *tree, struct space *space, const struct roster *present, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < present->count; i++)
        if (!present->readers[i].former && !roster_find(&space->roster, &present->readers[i].public.id))
            code = space_wrap(tree, space, &present->readers[i], why);
    return code;
}

enum code share_rotate(struct tree *tree, uint64_t number, const struct roster *roster, struct failure *why)
{
    struct space *space;
    SCOPE_ROSTER present = {0};
    enum code code = space_find(tree, number, &space, why);
    if (code == CODE_OK && number == SPACE_LAB)
        code = roster_copy(roster, &present, why); /* it keeps the former ones, marked */
    else if (code == CODE_OK)
        code = present_readers(tree, roster, &present, why);
    present.due = false;
    if (code == CODE_OK)
        code = wrap_for_new(tree, space, &present, why);
    if (code == CODE_OK)
        code = space_rotate(tree, space, &present, why);
    space_forget(tree, number);
    return code;
}

enum code share_is_due(struct tree *tree, const struct space *space, bool *due, struct failure *why)
{
    *due = space->roster.due;
    if (space->number == SPACE_LAB)
        return CODE_OK;
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    for (size_t i = 0; code == CODE_OK && !*due && i < space->roster.count; i++)
        *due = in_place_of(lab, &space->roster.readers[i]) != &space->roster.readers[i];
    return code;
}

enum code share_new_roster(struct tree *tree, bool everyone, struct roster *out, struct failure *why)
{
    struct space *lab;
    struct reader self;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    out->everyone = everyone;
    for (size_t i = 0; code == CODE_OK && everyone && i < lab->roster.count; i++)
        if (!lab->roster.readers[i].former)
            code = roster_add(out, &lab->roster.readers[i], why);
    if (code == CODE_OK && !everyone)
        code = share_self(tree, &self, why);
    return code == CODE_OK && !everyone ? roster_add(out, &self, why) : code;
}

enum code share_list_all(struct tree *tree, struct failure *why)
{
    struct catalog_space row = {.space = 0};
    SCOPE_ROSTER roster = {.everyone = true};
    struct reader self;
    enum code code = share_self(tree, &self, why);
    if (code == CODE_OK)
        code = roster_add(&roster, &self, why);
    while (code == CODE_OK && (code = catalog_space_next(tree->catalog, row.space, &row, why)) == CODE_OK) {
        struct space *space;
        code = space_find(tree, row.space, &space, why);
        if (code == CODE_DENIED) {
            code = CODE_OK;
            continue;
        }
        if (code == CODE_OK && !space->listed)
            code = space_set_roster(tree, space, &roster, why);
        space_forget(tree, row.space);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

void share_changed(struct tree *tree)
{
    tree->rotations++;
    tree->keys_changed_in = commit_round_of_changes(tree);
    while (tree->space_count)
        space_forget(tree, tree->spaces[tree->space_count - 1]->number);
    tell_everything(tree);
}
