/* Key spaces: see tree_space.h.
 *
 * The table is a cache of what the catalog says, in ascending order of numbers.  A space that was deleted or has changed
 * leaves the table but stays allocated until the tree is closed: readers may be decrypting with its keys without the lock,
 * and files of a deleted one may still be open.
 *
 * Whom to believe.  A wrap opens only as from its sender, so the question is who may send.  The lab's own space lists all
 * members, sealed with its key; keys of all other spaces are taken only from somebody on that list.  The lab's own key is
 * taken from whoever the catalog names, and must then open a list that names both: a key that somebody without a member's
 * key had put in does not open what members have sealed.
 */
#include "tree_space.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "bytes.h"
#include "catalog_space.h"
#include "entropy.h"
#include "keywrap.h"
#include "member_key.h"
#include "secret.h"
#include "tree_lending.h"

#define LABEL_READERS       'R'
#define READERS_PLACE_BYTES (1 + IDENTITY_BYTES + 4 + 1) /* label, space, generation, whether shared with everyone */

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
    for (uint32_t i = 0; space->generations && i <= space->generation - space->oldest; i++)
        space_keys_clear(&space->generations[i]);
    free(space->generations);
    roster_free(&space->roster);
    free(space);
}

/* Takes over the space. */
static enum code enter(struct tree *tree, struct space *space, struct failure *why)
{
    struct space **spaces = realloc(tree->spaces, (tree->space_count + 1) * sizeof *spaces);
    if (!spaces)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    tree->spaces = spaces;
    size_t position = position_of(tree, space->number);
    memmove(spaces + position + 1, spaces + position, (tree->space_count - position) * sizeof *spaces);
    spaces[position] = space;
    tree->space_count++;
    return CODE_OK;
}

void space_forget(struct tree *tree, uint64_t number)
{
    size_t position = position_of(tree, number);
    if (position == tree->space_count || tree->spaces[position]->number != number)
        return;
    struct space *space = tree->spaces[position];
    space->next_retired = tree->retired_spaces;
    tree->retired_spaces = space;
    tree->space_count--;
    memmove(tree->spaces + position, tree->spaces + position + 1, (tree->space_count - position) * sizeof *tree->spaces);
}

const struct space_keys *space_keys_of(const struct space *space, uint32_t generation)
{
    if (generation < space->oldest || generation > space->generation)
        return NULL;
    const struct space_keys *keys = &space->generations[generation - space->oldest];
    return keys->contents ? keys : NULL;
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

static struct keywrap_place place_of(const struct tree *tree, const struct space_id *id, uint32_t generation)
{
    return (struct keywrap_place){.store = tree->store, .space = *id, .generation = generation};
}

static struct member_public public_of(const struct catalog_member *member)
{
    struct member_public public;
    memcpy(public.id.bytes, member->id, IDENTITY_BYTES);
    memcpy(public.key, member->public_key, MEMBER_KEY_BYTES);
    return public;
}

/* Whether keys may be taken from this person. */
static enum code check_sender(struct tree *tree, const struct space *space, const struct member_public *sender,
                              struct failure *why)
{
    const struct member_public *self = member_key_public(tree->member);
    if (space->number == SPACE_LAB || member_key_same(self, sender))
        return CODE_OK;
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code != CODE_OK)
        return code;
    const struct reader *known = roster_find(&lab->roster, &sender->id);
    if (known && member_key_same(&known->public, sender))
        return CODE_OK;
    return failure_set(why, CODE_CORRUPT, "the catalog: a wrapped key comes from somebody who was never a member");
}

/* Takes the key of a generation out of the member's wrap, or one that was lent.  CODE_NO_DATA where there is neither. */
static enum code unwrap(struct tree *tree, const struct space *space, uint32_t generation, uint8_t *space_key,
                        struct failure *why)
{
    struct catalog_wrap wrap = {.space = space->number, .member = tree->member_number, .generation = generation};
    const uint8_t *lent = lending_key(tree, space->number, generation);
    enum code code = catalog_space_get_wrap(tree->catalog, &wrap, why);
    struct catalog_member row;
    if (code == CODE_NO_DATA && lent) {
        memcpy(space_key, lent, SPACE_KEY_BYTES);
        return CODE_OK;
    }
    if (code != CODE_OK)
        return code;
    code = catalog_space_get_member(tree->catalog, wrap.sender, &row, why);
    if (code == CODE_NO_DATA || (code == CODE_OK && wrap.count != KEYWRAP_BYTES))
        return failure_set(why, CODE_CORRUPT, "the catalog: a wrapped key is damaged");
    if (code != CODE_OK)
        return code;
    struct member_public sender = public_of(&row);
    struct keywrap_place place = place_of(tree, &space->id, generation);
    code = check_sender(tree, space, &sender, why);
    return code == CODE_OK ? keywrap_open(&place, tree->member, &sender, wrap.wrapped, space_key, why) : code;
}

static enum code open_generations(struct tree *tree, struct space *space, struct failure *why)
{
    SECRET_FREE uint8_t *space_key = secret_allocate(SPACE_KEY_BYTES);
    if (!space_key)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    for (uint32_t generation = space->generation; generation >= space->oldest; generation--) {
        struct space_keys *keys = &space->generations[generation - space->oldest];
        enum code code = unwrap(tree, space, generation, space_key, why);
        if (code == CODE_NO_DATA && generation == space->generation)
            return failure_set(why, CODE_DENIED, "this part of the lab was not shared with you");
        if (code == CODE_NO_DATA)
            continue; /* what is sealed with it stays closed */
        if (code == CODE_OK)
            code = space_keys_derive(space_key, &space->id, keys, why);
        if (code != CODE_OK)
            return code;
    }
    space->keys = space->generations[space->generation - space->oldest];
    return CODE_OK;
}

static void put_readers_place(uint8_t place[READERS_PLACE_BYTES], const struct space_id *id, uint32_t generation,
                              bool everyone)
{
    place[0] = LABEL_READERS;
    memcpy(place + 1, id->bytes, IDENTITY_BYTES);
    bytes_store32(place + 1 + IDENTITY_BYTES, generation);
    place[READERS_PLACE_BYTES - 1] = everyone;
}

static enum code open_roster(struct tree *tree, struct space *space, bool shared, struct failure *why)
{
    SCOPE_BUFFER sealed = {0};
    SCOPE_BUFFER text = {0};
    uint8_t place[READERS_PLACE_BYTES];
    enum code code = catalog_space_get_readers(tree->catalog, space->number, &sealed, why);
    if (code != CODE_OK || sealed.length == 0)
        return code;
    put_readers_place(place, &space->id, space->generation, shared);
    if (sealed.length < AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "the catalog: the list of who may read is cut");
    size_t count = sealed.length - AEAD_OVERHEAD;
    void *plain = buffer_reserve(&text, count);
    if (!plain)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    code =
        aead_open(space->keys.xattrs, &(struct aead_message){place, sizeof place, sealed.data, sealed.length}, plain, why);
    if (code == CODE_OK)
        code = roster_parse(plain, count, &space->roster, why);
    space->listed = code == CODE_OK;
    return code == CODE_OK ? code : failure_wrap(why, code, "the catalog: the list of who may read");
}

/* The lab's own list must name the member who opens it and whoever sent the key. */
static enum code check_lab(struct tree *tree, const struct space *lab, struct failure *why)
{
    const struct member_public *self = member_key_public(tree->member);
    const struct reader *known = roster_find(&lab->roster, &self->id);
    if (lab->number != SPACE_LAB || !lab->listed || (known && member_key_same(&known->public, self)))
        return CODE_OK;
    return failure_set(why, CODE_CORRUPT, "the lab's list of members does not name you, though you have its key");
}

static enum code load(struct tree *tree, const struct catalog_space *row, struct space **out, struct failure *why)
{
    uint32_t count = row->generation - row->oldest + 1;
    if (count > SPACE_GENERATIONS_MAX)
        return failure_set(why, CODE_CORRUPT, "the catalog: a key space has %u generations of its key", count);
    struct space *space = calloc(1, sizeof *space);
    if (!space)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    *space = (struct space){.number = row->space, .generation = row->generation, .oldest = row->oldest};
    memcpy(space->id.bytes, row->id, IDENTITY_BYTES);
    space->generations = calloc(count, sizeof *space->generations);
    enum code code = space->generations ? open_generations(tree, space, why)
                                        : failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    if (code == CODE_OK)
        code = open_roster(tree, space, row->shared, why);
    if (code == CODE_OK)
        code = check_lab(tree, space, why);
    if (code == CODE_OK)
        code = enter(tree, space, why);
    if (code != CODE_OK) {
        destroy(space);
        return code;
    }
    *out = space;
    return CODE_OK;
}

enum code space_find(struct tree *tree, uint64_t number, struct space **out, struct failure *why)
{
    size_t position = position_of(tree, number);
    if (position < tree->space_count && tree->spaces[position]->number == number) {
        *out = tree->spaces[position];
        return CODE_OK;
    }
    struct catalog_space row;
    enum code code = catalog_space_next(tree->catalog, number - 1, &row, why);
    if (code == CODE_OK && row.space == number)
        return load(tree, &row, out, why);
    if (code != CODE_OK && code != CODE_NO_DATA)
        return code;
    for (struct space *space = tree->retired_spaces; space; space = space->next_retired)
        if (space->number == number) {
            *out = space;
            return CODE_OK;
        }
    return failure_set(why, CODE_CORRUPT, "the catalog: key space %llu is missing", (unsigned long long)number);
}

/* Changing --------------------------------------------------------------------------------------------------------- */

/* The row of `members` that belongs to a reader. */
static enum code number_of(struct tree *tree, const struct reader *reader, uint64_t *member, struct failure *why)
{
    struct catalog_member row = {0};
    enum code code = catalog_space_find_member(tree->catalog, reader->public.id.bytes, &row, why);
    struct member_public public = public_of(&row);
    if (code == CODE_NO_DATA || (code == CODE_OK && !member_key_same(&public, &reader->public)))
        return failure_set(why, CODE_CORRUPT, "the catalog: member %s is missing, or has another key", reader->name);
    *member = row.member;
    return code;
}

static enum code put_wrap(struct tree *tree, uint64_t space, const struct keywrap_place *place, const struct reader *reader,
                          const uint8_t *space_key, struct failure *why)
{
    struct catalog_wrap wrap = {
        .space = space, .sender = tree->member_number, .generation = place->generation, .count = KEYWRAP_BYTES};
    _Static_assert(KEYWRAP_BYTES <= CATALOG_WRAP_BYTES_MAX, "a wrapped key fits its row");
    enum code code = number_of(tree, reader, &wrap.member, why);
    if (code == CODE_OK)
        code = keywrap_seal(place, tree->member, &reader->public, space_key, wrap.wrapped, why);
    return code == CODE_OK ? catalog_space_put_wrap(tree->catalog, &wrap, why) : code;
}

static enum code wrap_for_all(struct tree *tree, uint64_t space, const struct keywrap_place *place,
                              const struct roster *roster, const uint8_t *space_key, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < roster->count; i++)
        if (!roster->readers[i].former)
            code = put_wrap(tree, space, place, &roster->readers[i], space_key, why);
    return code;
}

static enum code put_roster(struct tree *tree, const struct catalog_space *row, const struct space_keys *keys,
                            const struct roster *roster, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER sealed = {0};
    struct space_id id;
    uint8_t place[READERS_PLACE_BYTES];
    memcpy(id.bytes, row->id, IDENTITY_BYTES);
    put_readers_place(place, &id, row->generation, roster->everyone);
    roster_print(roster, &text);
    void *bytes = buffer_reserve(&sealed, text.length + AEAD_OVERHEAD);
    enum code code = buffer_check(&text, "who may read", why);
    if (code == CODE_OK && !bytes)
        code = failure_set(why, CODE_NO_MEMORY, "listing who may read: no memory");
    if (code == CODE_OK)
        code = aead_seal(keys->xattrs, &(struct aead_message){place, sizeof place, text.data, text.length}, bytes, why);
    if (code != CODE_OK)
        return code;
    return catalog_space_set_readers(tree->catalog, row->space, bytes, text.length + AEAD_OVERHEAD, why);
}

/* Wraps a new key for everyone on the list, and seals the list with it. */
static enum code put_key(struct tree *tree, const struct catalog_space *row, const struct roster *roster,
                         struct failure *why)
{
    SECRET_FREE uint8_t *space_key = NULL;
    struct space_id id;
    struct space_keys keys = {0};
    memcpy(id.bytes, row->id, IDENTITY_BYTES);
    const struct keywrap_place place = place_of(tree, &id, row->generation);
    enum code code = space_keys_draw(&space_key, why);
    if (code == CODE_OK)
        code = wrap_for_all(tree, row->space, &place, roster, space_key, why);
    if (code == CODE_OK)
        code = space_keys_derive(space_key, &id, &keys, why);
    if (code == CODE_OK)
        code = put_roster(tree, row, &keys, roster, why);
    if (code == CODE_OK)
        code = lending_keep(tree, row->space, row->generation, space_key, roster, why);
    space_keys_clear(&keys);
    return code;
}

enum code space_make(struct tree *tree, uint64_t number, const struct roster *readers, struct failure *why)
{
    struct catalog_space row = {.space = number, .generation = 1, .oldest = 1, .shared = readers->everyone};
    enum code code = entropy_fill(row.id, sizeof row.id, why);
    if (code == CODE_OK)
        code = catalog_space_put(tree->catalog, &row, why);
    return code == CODE_OK ? put_key(tree, &row, readers, why) : code; /* space_find opens it when first needed */
}

enum code space_delete(struct tree *tree, uint64_t number, struct failure *why)
{
    struct space *space;
    (void)!space_find(tree, number, &space, NULL); /* what is open of it stays readable */
    enum code code = catalog_space_delete(tree->catalog, number, why);
    if (code == CODE_OK)
        space_forget(tree, number);
    return code;
}

static struct catalog_space row_of(const struct space *space)
{
    struct catalog_space row = {
        .space = space->number, .generation = space->generation, .oldest = space->oldest, .shared = space->roster.everyone};
    memcpy(row.id, space->id.bytes, IDENTITY_BYTES);
    return row;
}

enum code space_set_roster(struct tree *tree, const struct space *space, const struct roster *roster, struct failure *why)
{
    struct catalog_space row = row_of(space);
    row.shared = roster->everyone;
    enum code code = catalog_space_set(tree->catalog, &row, why);
    return code == CODE_OK ? put_roster(tree, &row, &space->keys, roster, why) : code;
}

enum code space_wrap(struct tree *tree, const struct space *space, const struct reader *reader, struct failure *why)
{
    SECRET_FREE uint8_t *space_key = secret_allocate(SPACE_KEY_BYTES);
    if (!space_key)
        return failure_set(why, CODE_NO_MEMORY, "sharing a key: no memory");
    for (uint32_t generation = space->oldest; generation <= space->generation; generation++) {
        const struct keywrap_place place = place_of(tree, &space->id, generation);
        enum code code = unwrap(tree, space, generation, space_key, why);
        if (code == CODE_NO_DATA)
            continue;
        if (code == CODE_OK)
            code = put_wrap(tree, space->number, &place, reader, space_key, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* Whoever has a wrap and is not on the list loses it. */
static enum code delete_other_wraps(struct tree *tree, uint64_t space, const struct roster *roster, struct failure *why)
{
    uint64_t member = 0;
    enum code code;
    while ((code = catalog_space_next_holder(tree->catalog, space, member, &member, why)) == CODE_OK) {
        struct catalog_member row = {0};
        code = catalog_space_get_member(tree->catalog, member, &row, why);
        struct member_public public = public_of(&row);
        const struct reader *reader = code == CODE_OK ? roster_find(roster, &public.id) : NULL;
        if (code == CODE_OK && (!reader || reader->former))
            code = catalog_space_delete_wraps_of(tree->catalog, space, member, why);
        if (code != CODE_OK)
            return code;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code space_rotate(struct tree *tree, const struct space *space, const struct roster *roster, struct failure *why)
{
    struct catalog_space row = row_of(space);
    if (row.generation - row.oldest + 1 >= SPACE_GENERATIONS_MAX || row.generation == UINT32_MAX)
        return failure_set(why, CODE_AGAIN,
                           "the key was changed %u times and the contents still wait to be sealed anew: wait for that",
                           row.generation - row.oldest);
    row.generation++;
    row.shared = roster->everyone;
    enum code code = delete_other_wraps(tree, space->number, roster, why);
    if (code == CODE_OK)
        code = catalog_space_set(tree->catalog, &row, why);
    return code == CODE_OK ? put_key(tree, &row, roster, why) : code;
}

enum code space_end_rotation(struct tree *tree, const struct space *space, struct failure *why)
{
    struct catalog_space row = row_of(space);
    row.oldest = row.generation;
    enum code code = catalog_space_delete_old_wraps(tree->catalog, row.space, row.generation, why);
    return code == CODE_OK ? catalog_space_set(tree->catalog, &row, why) : code;
}

static void wipe(struct space *space)
{
    for (uint32_t i = 0; i <= space->generation - space->oldest; i++)
        space_keys_clear(&space->generations[i]);
    space->keys = (struct space_keys){0};
}

void space_wipe(struct tree *tree, uint64_t number)
{
    space_forget(tree, number);
    for (struct space *space = tree->retired_spaces; space; space = space->next_retired)
        if (space->number == number)
            wipe(space);
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
