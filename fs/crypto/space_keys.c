/* The keys of a space: see space_keys.h.  Each derived key passes through secret memory on its way. */
#include "space_keys.h"

#include <string.h>

#include "aead.h"
#include "cmac.h"
#include "entropy.h"
#include "kdf.h"
#include "secret.h"
#include "siv.h"

enum code space_keys_draw(uint8_t **space_key, struct failure *why)
{
    SECRET_FREE uint8_t *key = secret_allocate(SPACE_KEY_BYTES);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "drawing a key: out of memory");
    enum code code = entropy_fill(key, SPACE_KEY_BYTES, why);
    if (code != CODE_OK)
        return code;
    *space_key = key;
    key = NULL;
    return CODE_OK;
}

struct derivation {
    const uint8_t *space_key;
    const struct space_id *space;
    uint8_t *derived; /* secret memory for one derived key of SIV_KEY_BYTES at most */
};

static enum code derive(const struct derivation *from, const char *label, size_t count, struct failure *why)
{
    const struct kdf_input input = {
        .secret = from->space_key,
        .secret_count = SPACE_KEY_BYTES,
        .salt = from->space->bytes,
        .salt_count = IDENTITY_BYTES,
        .info = label,
        .info_count = strlen(label),
    };
    return kdf_hkdf(&input, from->derived, count, why);
}

static enum code derive_all(const struct derivation *from, struct space_keys *out, struct failure *why)
{
    enum code code = derive(from, "cytofs 1 contents", AEAD_KEY_BYTES, why);
    if (code == CODE_OK)
        code = aead_key_create(from->derived, &out->contents, why);
    if (code == CODE_OK)
        code = derive(from, "cytofs 1 names", SIV_KEY_BYTES, why);
    if (code == CODE_OK)
        code = siv_key_create(from->derived, &out->names, why);
    if (code == CODE_OK)
        code = derive(from, "cytofs 1 xattrs", AEAD_KEY_BYTES, why);
    if (code == CODE_OK)
        code = aead_key_create(from->derived, &out->xattrs, why);
    if (code == CODE_OK)
        code = derive(from, "cytofs 2 catalog", CMAC_KEY_BYTES, why);
    if (code == CODE_OK)
        code = cmac_key_create(from->derived, &out->catalog, why);
    if (code == CODE_OK)
        code = derive(from, "cytofs 2 prints", CMAC_KEY_BYTES, why);
    if (code == CODE_OK)
        code = cmac_key_create(from->derived, &out->prints, why);
    return code;
}

enum code space_keys_derive(const uint8_t space_key[SPACE_KEY_BYTES], const struct space_id *space, struct space_keys *out,
                            struct failure *why)
{
    *out = (struct space_keys){0};
    SECRET_FREE uint8_t *derived = secret_allocate(SIV_KEY_BYTES);
    if (!derived)
        return failure_set(why, CODE_NO_MEMORY, "deriving the keys of a space: out of memory");
    enum code code = derive_all(&(struct derivation){space_key, space, derived}, out, why);
    if (code != CODE_OK)
        space_keys_clear(out);
    return code;
}

void space_keys_clear(struct space_keys *keys)
{
    aead_key_destroy(keys->contents);
    siv_key_destroy(keys->names);
    aead_key_destroy(keys->xattrs);
    cmac_key_destroy(keys->catalog);
    cmac_key_destroy(keys->prints);
    *keys = (struct space_keys){0};
}
