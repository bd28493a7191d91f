/* Key spaces: see tree_space.h.
 *
 * The table is a cache of what the catalog says, in ascending order of numbers.  A space that was deleted leaves the
 * table but stays allocated until the tree is closed: readers may be decrypting with its keys without the lock, and
 * files of it may still be open.
 */
#include "tree_space.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_space.h"
#include "entropy.h"
#include "keywrap.h"
#include "member_key.h"
#include "secret.h"

/* Where `number` is in the table, or belongs. */
static size_t position_of(const struct tree *tree, uint64_t number)
{
    size_t low = 0, high = tree->space_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (tree->spaces[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void destroy(struct space *space)
{
    if (!space)
        return;
    space_keys_clear(&space->keys);
    free(space);
}

/* Takes over the space. */
static enum code enter(struct tree *tree, struct space *space, struct failure *why)
{
    struct space **spaces = realloc(tree->spaces, (tree->space_count + 1) * sizeof *spaces);
    if (!spaces) {
        destroy(space);
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    }
    tree->spaces = spaces;
    size_t position = position_of(tree, space->number);
    memmove(spaces + position + 1, spaces + position, (tree->space_count - position) * sizeof *spaces);
    spaces[position] = space;
    tree->space_count++;
    return CODE_OK;
}

/* The working keys of a space key. */
static enum code derive(uint64_t number, const struct space_id *id, const uint8_t *space_key, struct space **out,
                        struct failure *why)
{
    struct space *space = calloc(1, sizeof *space);
    if (!space)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    space->number = number;
    space->id = *id;
    enum code code = space_keys_derive(space_key, id, &space->keys, why);
    if (code != CODE_OK) {
        destroy(space);
        return code;
    }
    *out = space;
    return CODE_OK;
}

/* Takes the key out of the member's wrap. */
static enum code unwrap(struct tree *tree, const struct catalog_space *row, uint8_t *space_key, struct failure *why)
{
    struct catalog_wrap wrap = {.space = row->space, .member = tree->member_number, .generation = row->generation};
    enum code code = catalog_space_get_wrap(tree->catalog, &wrap, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_DENIED, "you were not given the key of this part of the lab");
    struct catalog_member sender;
    if (code == CODE_OK)
        code = catalog_space_get_member(tree->catalog, wrap.sender, &sender, why);
    if (code == CODE_NO_DATA || (code == CODE_OK && wrap.count != KEYWRAP_BYTES))
        return failure_set(why, CODE_CORRUPT, "the catalog: a wrapped key is damaged");
    if (code != CODE_OK)
        return code;
    struct keywrap_place place = {.store = tree->store, .generation = row->generation};
    memcpy(place.space.bytes, row->id, IDENTITY_BYTES);
    struct member_public from;
    memcpy(from.id.bytes, sender.id, IDENTITY_BYTES);
    memcpy(from.key, sender.public_key, MEMBER_KEY_BYTES);
    return keywrap_open(&place, tree->member, &from, wrap.wrapped, space_key, why);
}

enum code space_find(struct tree *tree, uint64_t number, struct space **out, struct failure *why)
{
    size_t position = position_of(tree, number);
    if (position < tree->space_count && tree->spaces[position]->number == number) {
        *out = tree->spaces[position];
        return CODE_OK;
    }
    for (struct space *space = tree->retired_spaces; space; space = space->next_retired)
        if (space->number == number) {
            *out = space;
            return CODE_OK;
        }
    struct catalog_space row;
    enum code code = catalog_space_next(tree->catalog, number - 1, &row, why);
    if (code == CODE_NO_DATA || (code == CODE_OK && row.space != number))
        return failure_set(why, CODE_CORRUPT, "the catalog: key space %llu is missing", (unsigned long long)number);
    if (code != CODE_OK)
        return code;
    SECRET_FREE uint8_t *space_key = secret_allocate(SPACE_KEY_BYTES);
    if (!space_key)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    struct space_id id;
    memcpy(id.bytes, row.id, IDENTITY_BYTES);
    struct space *space = NULL;
    code = unwrap(tree, &row, space_key, why);
    if (code == CODE_OK)
        code = derive(number, &id, space_key, &space, why);
    if (code == CODE_OK)
        code = enter(tree, space, why);
    if (code == CODE_OK)
        *out = space;
    return code;
}

static enum code wrap_for_member(struct tree *tree, const struct catalog_space *row, const uint8_t *space_key,
                                 struct failure *why)
{
    struct keywrap_place place = {.store = tree->store, .generation = row->generation};
    memcpy(place.space.bytes, row->id, IDENTITY_BYTES);
    struct catalog_wrap wrap = {.space = row->space,
                                .member = tree->member_number,
                                .sender = tree->member_number,
                                .generation = row->generation,
                                .count = KEYWRAP_BYTES};
    _Static_assert(KEYWRAP_BYTES <= CATALOG_WRAP_BYTES_MAX, "a wrapped key fits its row");
    enum code code = keywrap_seal(&place, tree->member, member_key_public(tree->member), space_key, wrap.wrapped, why);
    return code == CODE_OK ? catalog_space_put_wrap(tree->catalog, &wrap, why) : code;
}

enum code space_make(struct tree *tree, uint64_t number, struct failure *why)
{
    SECRET_FREE uint8_t *space_key = NULL;
    struct catalog_space row = {.space = number, .generation = 1};
    enum code code = space_keys_draw(&space_key, why);
    if (code == CODE_OK)
        code = entropy_fill(row.id, sizeof row.id, why);
    if (code == CODE_OK)
        code = catalog_space_put(tree->catalog, &row, why);
    if (code == CODE_OK)
        code = wrap_for_member(tree, &row, space_key, why);
    return code; /* space_find opens it when first needed */
}

enum code space_delete(struct tree *tree, uint64_t number, struct failure *why)
{
    enum code code = catalog_space_delete(tree->catalog, number, why);
    if (code != CODE_OK)
        return code;
    size_t position = position_of(tree, number);
    if (position < tree->space_count && tree->spaces[position]->number == number) {
        struct space *space = tree->spaces[position];
        space->next_retired = tree->retired_spaces;
        tree->retired_spaces = space;
        tree->space_count--;
        memmove(tree->spaces + position, tree->spaces + position + 1,
                (tree->space_count - position) * sizeof *tree->spaces);
    }
    return CODE_OK;
}

void space_free_all(struct tree *tree)
{
    for (size_t i = 0; i < tree->space_count; i++)
        destroy(tree->spaces[i]);
    free(tree->spaces);
    tree->spaces = NULL;
    tree->space_count = 0;
    for (struct space *space = tree->retired_spaces, *next; space; space = next) {
        next = space->next_retired;
        destroy(space);
    }
    tree->retired_spaces = NULL;
}
