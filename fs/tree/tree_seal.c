/* Sealing: see tree_seal.h.  The first byte of all associated data says what kind of thing is sealed, so nothing sealed
 * as one kind opens as another; the origin binds it to its file, and to copies of it in snapshots.
 */
#include "tree_seal.h"

#include <string.h>

#include "aead.h"
#include "bytes.h"
#include "siv.h"
#include "space_keys.h"
#include "tree_node.h"
#include "tree_space.h"

enum { LABEL_NAME = 'N', LABEL_TARGET = 'T', LABEL_XATTR_NAME = 'A', LABEL_XATTR_VALUE = 'V', LABEL_CHUNK = 'C' };

#define PLACE_BYTES 9 /* label, origin */

static void put_place(uint8_t place[PLACE_BYTES], uint8_t label, uint64_t origin)
{
    place[0] = label;
    bytes_store64(place + 1, origin);
}

static enum code check_name(const char *name, size_t length, struct failure *why)
{
    if (length > TREE_NAME_MAX)
        return failure_set(why, CODE_NAME_TOO_LONG, "a name of %zu bytes is too long (up to %d)", length, TREE_NAME_MAX);
    if (length == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || memchr(name, '/', length))
        return failure_set(why, CODE_INVALID, "\"%s\" cannot be a name", name);
    return CODE_OK;
}

enum code seal_generations(struct tree *tree, const struct node *node, struct seal_generations *out, struct failure *why)
{
    struct space *space;
    enum code code = space_find(tree, node->row.space, &space, why);
    if (code == CODE_OK)
        *out = (struct seal_generations){space->generation, node->row.generation};
    return code;
}

/* The keys of one generation of the node's space. */
static enum code find_keys(struct tree *tree, const struct node *node, uint32_t generation, const struct space_keys **out,
                           struct failure *why)
{
    struct space *space;
    enum code code = space_find(tree, node->row.space, &space, why);
    if (code != CODE_OK)
        return code;
    *out = space_keys_of(space, generation == SEAL_NEWEST ? space->generation : generation);
    return *out ? CODE_OK : failure_set(why, CODE_DENIED, "this was sealed with a key that you were not given");
}

/* Tries the generations that the node's things may be sealed with: `open` gives CODE_CORRUPT where it is another's. */
typedef enum code open_with(const struct space_keys *keys, const void *message, void *plain, struct failure *why);

static enum code open_siv(const struct space_keys *keys, const void *message, void *plain, struct failure *why)
{
    return siv_open(keys->names, message, plain, why);
}

static enum code open_xattr(const struct space_keys *keys, const void *message, void *plain, struct failure *why)
{
    return aead_open(keys->xattrs, message, plain, why);
}

static enum code try_generations(struct tree *tree, const struct node *node, open_with *open, const void *message,
                                 void *plain, struct failure *why)
{
    struct seal_generations range;
    enum code code = seal_generations(tree, node, &range, why);
    if (code != CODE_OK)
        return code;
    code = failure_set(why, CODE_CORRUPT, "its key is of a generation that does not exist");
    for (uint32_t generation = range.newest; code == CODE_CORRUPT && generation && generation >= range.oldest;
         generation--) {
        const struct space_keys *keys;
        code = find_keys(tree, node, generation, &keys, why);
        if (code == CODE_OK)
            code = open(keys, message, plain, why);
    }
    return code;
}

enum code seal_name(struct tree *tree, const struct node *folder, uint32_t generation, const char *name,
                    uint8_t sealed[SEAL_NAME_BYTES_MAX], size_t *count, struct failure *why)
{
    size_t length = strlen(name);
    const struct space_keys *keys;
    enum code code = check_name(name, length, why);
    if (code == CODE_OK)
        code = find_keys(tree, folder, generation, &keys, why);
    if (code != CODE_OK)
        return code;
    uint8_t place[PLACE_BYTES];
    put_place(place, LABEL_NAME, folder->row.origin);
    *count = length + SIV_OVERHEAD;
    return siv_seal(keys->names, &(struct siv_message){place, sizeof place, name, length}, sealed, why);
}

enum code seal_open_name(struct tree *tree, const struct node *folder, const void *sealed, size_t count,
                         char name[TREE_NAME_MAX + 1], struct failure *why)
{
    if (count <= SIV_OVERHEAD || count > SEAL_NAME_BYTES_MAX)
        return failure_set(why, CODE_CORRUPT, "the catalog: a name has %zu bytes", count);
    uint8_t place[PLACE_BYTES];
    put_place(place, LABEL_NAME, folder->row.origin);
    enum code code =
        try_generations(tree, folder, open_siv, &(struct siv_message){place, sizeof place, sealed, count}, name, why);
    if (code != CODE_OK)
        return code == CODE_CORRUPT ? failure_wrap(why, code, "the catalog: a name") : code;
    name[count - SIV_OVERHEAD] = 0;
    return CODE_OK;
}

/* Seals a text of 1 .. SIV_PLAIN_MAX bytes with a key for names. */
static enum code seal_text(struct tree *tree, const struct node *node, uint32_t generation, uint8_t label, const char *text,
                           struct buffer *out, struct failure *why)
{
    const struct space_keys *keys;
    enum code code = find_keys(tree, node, generation, &keys, why);
    if (code != CODE_OK)
        return code;
    size_t length = strlen(text);
    uint8_t place[PLACE_BYTES];
    put_place(place, label, node->row.origin);
    void *sealed = buffer_reserve(out, length + SIV_OVERHEAD);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "sealing a text: no memory");
    code = siv_seal(keys->names, &(struct siv_message){place, sizeof place, text, length}, sealed, why);
    if (code == CODE_OK)
        out->length += length + SIV_OVERHEAD;
    return code;
}

static enum code open_text(struct tree *tree, const struct node *node, uint8_t label, const void *sealed, size_t count,
                           struct buffer *out, struct failure *why)
{
    if (count <= SIV_OVERHEAD || count > SIV_PLAIN_MAX)
        return failure_set(why, CODE_CORRUPT, "the catalog: a sealed text has %zu bytes", count);
    uint8_t place[PLACE_BYTES];
    put_place(place, label, node->row.origin);
    char *plain = buffer_reserve(out, count - SIV_OVERHEAD);
    if (!plain)
        return failure_set(why, CODE_NO_MEMORY, "opening a text: no memory");
    enum code code =
        try_generations(tree, node, open_siv, &(struct siv_message){place, sizeof place, sealed, count}, plain, why);
    if (code != CODE_OK) {
        plain[0] = 0;
        return code == CODE_CORRUPT ? failure_wrap(why, code, "the catalog: a sealed text") : code;
    }
    out->length += count - SIV_OVERHEAD;
    out->data[out->length] = 0;
    return CODE_OK;
}

enum code seal_target(struct tree *tree, const struct node *link, const char *target, struct buffer *out,
                      struct failure *why)
{
    return seal_text(tree, link, SEAL_NEWEST, LABEL_TARGET, target, out, why);
}

enum code seal_open_target(struct tree *tree, const struct node *link, const struct buffer *sealed, struct buffer *out,
                           struct failure *why)
{
    return open_text(tree, link, LABEL_TARGET, sealed->data, sealed->length, out, why);
}

enum code seal_xattr_name(struct tree *tree, const struct node *node, uint32_t generation, const char *name,
                          struct buffer *out, struct failure *why)
{
    return seal_text(tree, node, generation, LABEL_XATTR_NAME, name, out, why);
}

enum code seal_open_xattr_name(struct tree *tree, const struct node *node, const void *sealed, size_t count,
                               struct buffer *out, struct failure *why)
{
    return open_text(tree, node, LABEL_XATTR_NAME, sealed, count, out, why);
}

/* label, origin, sealed name */
static enum code value_place(const struct node *node, const struct buffer *sealed_name, struct buffer *place,
                             struct failure *why)
{
    uint8_t head[PLACE_BYTES];
    put_place(head, LABEL_XATTR_VALUE, node->row.origin);
    buffer_append(place, head, sizeof head);
    buffer_append(place, sealed_name->data, sealed_name->length);
    return buffer_check(place, "an attribute", why);
}

enum code seal_xattr(struct tree *tree, const struct node *node, const struct buffer *sealed_name, const void *value,
                     size_t count, struct buffer *out, struct failure *why)
{
    SCOPE_BUFFER place = {0};
    const struct space_keys *keys;
    enum code code = find_keys(tree, node, SEAL_NEWEST, &keys, why);
    if (code == CODE_OK)
        code = value_place(node, sealed_name, &place, why);
    if (code != CODE_OK)
        return code;
    void *sealed = buffer_reserve(out, count + AEAD_OVERHEAD);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "sealing an attribute: no memory");
    struct aead_message message = {place.data, place.length, value, count};
    code = aead_seal(keys->xattrs, &message, sealed, why);
    if (code == CODE_OK)
        out->length += count + AEAD_OVERHEAD;
    return code;
}

enum code seal_open_xattr(struct tree *tree, const struct node *node, const struct buffer *sealed_name,
                          const struct buffer *sealed, struct buffer *out, struct failure *why)
{
    SCOPE_BUFFER place = {0};
    enum code code = value_place(node, sealed_name, &place, why);
    if (code != CODE_OK)
        return code;
    if (sealed->length < AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "the catalog: an attribute has %zu bytes", sealed->length);
    size_t count = sealed->length - AEAD_OVERHEAD;
    char *plain = buffer_reserve(out, count);
    if (!plain)
        return failure_set(why, CODE_NO_MEMORY, "opening an attribute: no memory");
    struct aead_message message = {place.data, place.length, sealed->data, sealed->length};
    code = try_generations(tree, node, open_xattr, &message, plain, why);
    if (code != CODE_OK)
        return code == CODE_CORRUPT ? failure_wrap(why, code, "the catalog: an attribute") : code;
    out->length += count;
    out->data[out->length] = 0;
    return CODE_OK;
}

/* label, space; in format 1 also origin and index.  Which file a chunk is part of is what the inode's sum says, so that
 * files can share it. */
#define CHUNK_PLACE_BYTES   (1 + IDENTITY_BYTES)
#define CHUNK_PLACE_BYTES_1 (CHUNK_PLACE_BYTES + 16)

static void put_chunk_place(uint8_t bytes[CHUNK_PLACE_BYTES_1], const struct seal_place *place)
{
    bytes[0] = LABEL_CHUNK;
    memcpy(bytes + 1, place->space->id.bytes, IDENTITY_BYTES);
    bytes_store64(bytes + CHUNK_PLACE_BYTES, place->origin);
    bytes_store64(bytes + CHUNK_PLACE_BYTES + 8, place->index);
}

enum code seal_chunk(const struct seal_place *place, const void *plain, size_t count, uint8_t *sealed,
                     uint8_t nonce[CATALOG_CHUNK_NONCE_BYTES], struct failure *why)
{
    _Static_assert(CATALOG_CHUNK_NONCE_BYTES == AEAD_NONCE_BYTES, "the catalog keeps whole nonces");
    uint8_t associated[CHUNK_PLACE_BYTES_1];
    put_chunk_place(associated, place);
    struct aead_message message = {associated, CHUNK_PLACE_BYTES, plain, count};
    enum code code = aead_seal(place->space->keys.contents, &message, sealed, why);
    if (code == CODE_OK)
        memcpy(nonce, sealed, AEAD_NONCE_BYTES);
    return code;
}

enum code seal_open_chunk(const struct seal_place *place, const struct catalog_chunk *row, const uint8_t *sealed,
                          void *plain, struct failure *why)
{
    if (row->bytes < AEAD_OVERHEAD || memcmp(sealed, row->nonce, AEAD_NONCE_BYTES) != 0)
        return failure_set(why, CODE_CORRUPT, "part %llu of the file is not the one that was written last",
                           (unsigned long long)place->index + 1);
    const struct space_keys *keys = space_keys_of(place->space, row->generation ? row->generation : 1);
    if (!keys)
        return failure_set(why, CODE_DENIED, "part %llu of the file was sealed with a key that you were not given",
                           (unsigned long long)place->index + 1);
    uint8_t associated[CHUNK_PLACE_BYTES_1];
    put_chunk_place(associated, place);
    size_t associated_count = row->generation == 0 ? CHUNK_PLACE_BYTES_1 : CHUNK_PLACE_BYTES;
    struct aead_message message = {associated, associated_count, sealed, row->bytes};
    enum code code = aead_open(keys->contents, &message, plain, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "part %llu of the file", (unsigned long long)place->index + 1);
}
