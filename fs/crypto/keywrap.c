/* Wrapped space keys: see keywrap.h.
 *
 *     shared  = X25519(ephemeral, recipient) | X25519(sender, recipient)
 *     key     = HKDF-SHA256(secret = shared, salt = "", info = context)         32 bytes
 *     context = "cytofs keywrap 1" | store id | space id | generation (LE32)
 *               | recipient id | recipient public key | sender id | sender public key | ephemeral public key
 *     wrapped = 1 | ephemeral public key | AES-256-GCM(key, nonce = zeros, associated = context, space key)
 *
 * The ephemeral pair is new for every wrap, so every derived key seals one message and the nonce may be
 * constant; it is not stored.  The place is bound twice, by derivation and as associated data, so that
 * neither use has to be proved alone.
 */
#include "keywrap.h"

#include <assert.h>
#include <string.h>

#include "aead.h"
#include "bytes.h"
#include "kdf.h"
#include "secret.h"

#define KEYWRAP_VERSION 1
#define CONTEXT_LABEL   "cytofs keywrap 1"
#define CONTEXT_BYTES   (16 + 2 * IDENTITY_BYTES + 4 + 2 * (IDENTITY_BYTES + MEMBER_KEY_BYTES) + MEMBER_KEY_BYTES)

static const uint8_t zero_nonce[AEAD_NONCE_BYTES];

/* Everything that both ends know, and the secrets that only they do. */
struct agreement {
    uint8_t context[CONTEXT_BYTES];
    uint8_t *shared; /* secret memory, 2 * MEMBER_KEY_BYTES: the two agreements */
    uint8_t *key;    /* secret memory, AEAD_KEY_BYTES */
};

static uint8_t *append(uint8_t *at, const void *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

static void write_context(const struct keywrap_place *place, const struct member_public *sender,
                          const struct member_public *recipient, const uint8_t ephemeral[MEMBER_KEY_BYTES],
                          uint8_t context[CONTEXT_BYTES])
{
    uint8_t generation[4], *at = context;
    bytes_store32(generation, place->generation);
    at = append(at, CONTEXT_LABEL, 16);
    at = append(at, place->store.bytes, IDENTITY_BYTES);
    at = append(at, place->space.bytes, IDENTITY_BYTES);
    at = append(at, generation, sizeof generation);
    at = append(at, recipient->id.bytes, IDENTITY_BYTES);
    at = append(at, recipient->key, MEMBER_KEY_BYTES);
    at = append(at, sender->id.bytes, IDENTITY_BYTES);
    at = append(at, sender->key, MEMBER_KEY_BYTES);
    at = append(at, ephemeral, MEMBER_KEY_BYTES);
    assert(at == context + CONTEXT_BYTES);
}

static enum code begin(struct agreement *agreement, struct failure *why)
{
    agreement->shared = secret_allocate(2 * MEMBER_KEY_BYTES);
    agreement->key = secret_allocate(AEAD_KEY_BYTES);
    if (!agreement->shared || !agreement->key)
        return failure_set(why, CODE_NO_MEMORY, "wrapping a key: out of memory");
    return CODE_OK;
}

static void end(struct agreement *agreement)
{
    secret_free(agreement->shared);
    secret_free(agreement->key);
}

/* The key of the wrap, from both agreements, as a key for AES-256-GCM. */
static enum code derive(struct agreement *agreement, struct aead_key **out, struct failure *why)
{
    const struct kdf_input input = {
        .secret = agreement->shared,
        .secret_count = 2 * MEMBER_KEY_BYTES,
        .info = agreement->context,
        .info_count = CONTEXT_BYTES,
    };
    enum code code = kdf_hkdf(&input, agreement->key, AEAD_KEY_BYTES, why);
    return code == CODE_OK ? aead_key_create(agreement->key, out, why) : code;
}

/* Seals the space key behind the ephemeral public key; the nonce, always zero, is left out. */
static enum code seal_body(struct agreement *agreement, const uint8_t *space_key, uint8_t *body, struct failure *why)
{
    struct aead_key *key = NULL;
    enum code code = derive(agreement, &key, why);
    uint8_t sealed[AEAD_OVERHEAD + SPACE_KEY_BYTES];
    const struct aead_message message = {agreement->context, CONTEXT_BYTES, space_key, SPACE_KEY_BYTES};
    if (code == CODE_OK)
        code = aead_seal_with_nonce(key, zero_nonce, &message, sealed, why);
    if (code == CODE_OK)
        memcpy(body, sealed + AEAD_NONCE_BYTES, sizeof sealed - AEAD_NONCE_BYTES);
    aead_key_destroy(key);
    return code;
}

static enum code open_body(struct agreement *agreement, const uint8_t *body, uint8_t *space_key, struct failure *why)
{
    struct aead_key *key = NULL;
    enum code code = derive(agreement, &key, why);
    uint8_t sealed[AEAD_OVERHEAD + SPACE_KEY_BYTES] = {0};
    memcpy(sealed + AEAD_NONCE_BYTES, body, sizeof sealed - AEAD_NONCE_BYTES);
    const struct aead_message message = {agreement->context, CONTEXT_BYTES, sealed, sizeof sealed};
    if (code == CODE_OK)
        code = aead_open(key, &message, space_key, why);
    aead_key_destroy(key);
    return code;
}

enum code keywrap_seal(const struct keywrap_place *place, const struct member_key *sender,
                       const struct member_public *recipient, const uint8_t space_key[SPACE_KEY_BYTES],
                       uint8_t wrapped[KEYWRAP_BYTES], struct failure *why)
{
    struct agreement agreement;
    struct member_key *ephemeral = NULL;
    enum code code = begin(&agreement, why);
    if (code == CODE_OK)
        code = member_key_generate(&ephemeral, why);
    if (code == CODE_OK)
        code = member_key_agree(ephemeral, recipient->key, agreement.shared, why);
    if (code == CODE_OK)
        code = member_key_agree(sender, recipient->key, agreement.shared + MEMBER_KEY_BYTES, why);
    if (code == CODE_OK) {
        const uint8_t *public_key = member_key_public(ephemeral)->key;
        write_context(place, member_key_public(sender), recipient, public_key, agreement.context);
        wrapped[0] = KEYWRAP_VERSION;
        memcpy(wrapped + 1, public_key, MEMBER_KEY_BYTES);
        code = seal_body(&agreement, space_key, wrapped + 1 + MEMBER_KEY_BYTES, why);
    }
    member_key_destroy(ephemeral);
    end(&agreement);
    return code == CODE_OK ? code : failure_wrap(why, code, "wrapping the key of a space for a member");
}

enum code keywrap_open(const struct keywrap_place *place, const struct member_key *recipient,
                       const struct member_public *sender, const uint8_t wrapped[KEYWRAP_BYTES],
                       uint8_t space_key[SPACE_KEY_BYTES], struct failure *why)
{
    if (wrapped[0] != KEYWRAP_VERSION)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "opening the key of a space: it was wrapped in format %u, this program knows %u: update it",
                           wrapped[0], KEYWRAP_VERSION);
    struct agreement agreement;
    enum code code = begin(&agreement, why);
    const uint8_t *ephemeral = wrapped + 1;
    if (code == CODE_OK)
        code = member_key_agree(recipient, ephemeral, agreement.shared, why);
    if (code == CODE_OK)
        code = member_key_agree(recipient, sender->key, agreement.shared + MEMBER_KEY_BYTES, why);
    if (code == CODE_OK) {
        write_context(place, sender, member_key_public(recipient), ephemeral, agreement.context);
        code = open_body(&agreement, ephemeral + MEMBER_KEY_BYTES, space_key, why);
    }
    end(&agreement);
    if (code == CODE_CORRUPT)
        return failure_set(why, code, "opening the key of a space: it was not wrapped for this member, or was changed");
    return code == CODE_OK ? code : failure_wrap(why, code, "opening the key of a space");
}
