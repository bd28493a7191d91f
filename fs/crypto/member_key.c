/* X25519 key pairs: see member_key.h.  OpenSSL's own key objects live only for the length of a call; what
 * stays is 32 private bytes in secret memory. */
#include "member_key.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "digest.h"
#include "entropy.h"
#include "hex.h"
#include "openssl_failure.h"
#include "secret.h"

struct member_key {
    struct member_public public;
    uint8_t private_key[MEMBER_KEY_BYTES];
};

static enum code derive_public(const uint8_t private_key[MEMBER_KEY_BYTES], uint8_t public_key[MEMBER_KEY_BYTES],
                               struct failure *why)
{
    size_t count = MEMBER_KEY_BYTES;
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, MEMBER_KEY_BYTES);
    bool done = pair && EVP_PKEY_get_raw_public_key(pair, public_key, &count) == 1 && count == MEMBER_KEY_BYTES;
    EVP_PKEY_free(pair);
    return done ? CODE_OK : openssl_failure_set(why, "making a member's key");
}

enum code member_key_generate(struct member_key **out, struct failure *why)
{
    SECRET_FREE struct member_key *key = secret_allocate(sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "making a member's key: out of memory");
    enum code code = entropy_fill(key->private_key, MEMBER_KEY_BYTES, why);
    if (code == CODE_OK)
        code = entropy_fill(key->public.id.bytes, IDENTITY_BYTES, why);
    if (code == CODE_OK)
        code = derive_public(key->private_key, key->public.key, why);
    if (code != CODE_OK)
        return code;
    *out = key;
    key = NULL;
    return CODE_OK;
}

enum code member_key_derive(const struct member_id *id, const uint8_t private_key[MEMBER_KEY_BYTES], struct member_key **out,
                            struct failure *why)
{
    SECRET_FREE struct member_key *key = secret_allocate(sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "opening a member's key: out of memory");
    memcpy(key->private_key, private_key, MEMBER_KEY_BYTES);
    key->public.id = *id;
    enum code code = derive_public(key->private_key, key->public.key, why);
    if (code != CODE_OK)
        return code;
    *out = key;
    key = NULL;
    return CODE_OK;
}

enum code member_key_restore(const struct member_public *public, const uint8_t private_key[MEMBER_KEY_BYTES],
                             struct member_key **out, struct failure *why)
{
    struct member_key *key = NULL;
    enum code code = member_key_derive(&public->id, private_key, &key, why);
    if (code != CODE_OK)
        return code;
    if (!member_key_same(&key->public, public)) {
        member_key_destroy(key);
        return failure_set(why, CODE_CORRUPT, "the private key does not belong to the public key beside it");
    }
    *out = key;
    return CODE_OK;
}

void member_key_destroy(struct member_key *key)
{
    secret_free(key);
}

const struct member_public *member_key_public(const struct member_key *key)
{
    return &key->public;
}

const uint8_t *member_key_private(const struct member_key *key)
{
    return key->private_key;
}

enum code member_key_agree(const struct member_key *key, const uint8_t public_key[MEMBER_KEY_BYTES],
                           uint8_t shared[MEMBER_KEY_BYTES], struct failure *why)
{
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, key->private_key, MEMBER_KEY_BYTES);
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, MEMBER_KEY_BYTES);
    EVP_PKEY_CTX *context = own ? EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL) : NULL;
    enum code code = CODE_OK;
    size_t count = MEMBER_KEY_BYTES;
    if (!other || !context || EVP_PKEY_derive_init(context) != 1 || EVP_PKEY_derive_set_peer(context, other) != 1) {
        code = openssl_failure_set(why, "agreeing on a key");
    } else if (EVP_PKEY_derive(context, shared, &count) != 1 || count != MEMBER_KEY_BYTES) {
        openssl_failure_forget();
        code = failure_set(why, CODE_CORRUPT, "agreeing on a key: the other's public key is not a proper one");
    }
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    EVP_PKEY_free(own);
    return code;
}

bool member_key_same(const struct member_public *a, const struct member_public *b)
{
    return secret_equal(a->key, b->key, MEMBER_KEY_BYTES) && secret_equal(a->id.bytes, b->id.bytes, IDENTITY_BYTES);
}

void member_key_fingerprint(const struct member_public *public, char text[MEMBER_KEY_FINGERPRINT_BYTES])
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    digest_begin(&digest);
    digest_add(&digest, public->id.bytes, IDENTITY_BYTES);
    digest_add(&digest, public->key, MEMBER_KEY_BYTES);
    digest_end(&digest, result);
    for (size_t group = 0; group < 8; group++) {
        hex_encode(result + 2 * group, 2, text + 5 * group);
        text[5 * group + 4] = group < 7 ? ' ' : 0;
    }
}
