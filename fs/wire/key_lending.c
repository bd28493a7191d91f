/* Opening wrapped keys for the server: see key_lending.h. */
#include "key_lending.h"

#include <string.h>

#include "extra.h"
#include "keywrap.h"
#include "logging.h"
#include "secret.h"

_Static_assert(KEYWRAP_BYTES <= sizeof((struct extra_wrapped_key){0}).wrapped, "a wrap fits its message");
_Static_assert(SPACE_KEY_BYTES == sizeof((struct extra_lent_key){0}).key, "a key fits its message");

static enum code open_one(const struct member_key *member, const struct extra_wrapped_key *wrapped, uint8_t *key,
                          struct failure *why)
{
    struct keywrap_place place = {.generation = wrapped->generation};
    struct member_public sender;
    memcpy(place.store.bytes, wrapped->store, IDENTITY_BYTES);
    memcpy(place.space.bytes, wrapped->space, IDENTITY_BYTES);
    memcpy(sender.id.bytes, wrapped->sender_id, IDENTITY_BYTES);
    memcpy(sender.key, wrapped->sender_key, MEMBER_KEY_BYTES);
    if (wrapped->length != KEYWRAP_BYTES)
        return failure_set(why, CODE_CORRUPT, "a wrapped key has %u bytes", wrapped->length);
    return keywrap_open(&place, member, &sender, wrapped->wrapped, key, why);
}

enum code key_lending_open(const struct member_key *member, const void *keys, size_t count, struct buffer *lent,
                           struct failure *why)
{
    const size_t each = sizeof(struct extra_wrapped_key);
    if (count % each)
        return failure_set(why, CODE_INVALID, "the server's list of wrapped keys has %zu bytes", count);
    /* Reserved whole, so that no copy is left behind where the buffer grows. */
    if (count && !buffer_reserve(lent, count / each * sizeof(struct extra_lent_key)))
        return failure_set(why, CODE_NO_MEMORY, "lending keys: no memory");
    SECRET_FREE uint8_t *key = secret_allocate(SPACE_KEY_BYTES);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "lending keys: no memory");
    for (size_t at = 0; at < count; at += each) {
        struct extra_wrapped_key wrapped;
        memcpy(&wrapped, (const uint8_t *)keys + at, each);
        if (open_one(member, &wrapped, key, why) != CODE_OK) {
            logging_warning("a key that the server asked for does not open: %s", why->text);
            continue;
        }
        struct extra_lent_key out = {.number = wrapped.number, .generation = wrapped.generation};
        memcpy(out.key, key, SPACE_KEY_BYTES);
        buffer_append(lent, &out, sizeof out);
        secret_wipe(&out, sizeof out);
    }
    return buffer_check(lent, "lending keys", why);
}

void key_lending_wipe(struct buffer *lent)
{
    if (lent->data)
        secret_wipe(lent->data, lent->capacity);
    buffer_free(lent);
}
