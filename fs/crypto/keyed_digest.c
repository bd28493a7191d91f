/* HMAC-SHA256: see keyed_digest.h.  The context is kept per thread, as in aead.c. */
#include "keyed_digest.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "openssl_failure.h"
#include "secret.h"
#include "thread_contexts.h"

struct keyed_digest_key {
    uint64_t serial;
    uint8_t bytes[KEYED_DIGEST_KEY_BYTES];
};

enum code keyed_digest_key_create(const uint8_t bytes[KEYED_DIGEST_KEY_BYTES], struct keyed_digest_key **out,
                                  struct failure *why)
{
    struct keyed_digest_key *key = secret_allocate(sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "holding a key: out of memory");
    key->serial = thread_contexts_new_serial();
    memcpy(key->bytes, bytes, KEYED_DIGEST_KEY_BYTES);
    *out = key;
    return CODE_OK;
}

void keyed_digest_key_destroy(struct keyed_digest_key *key)
{
    secret_free(key);
}

static bool begin(struct thread_contexts *contexts, const struct keyed_digest_key *key)
{
    if (contexts->hmac_serial == key->serial)
        return EVP_MAC_init(contexts->hmac, NULL, 0, NULL) == 1;
    char name[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    contexts->hmac_serial = 0;
    if (EVP_MAC_init(contexts->hmac, key->bytes, KEYED_DIGEST_KEY_BYTES, parameters) != 1)
        return false;
    contexts->hmac_serial = key->serial;
    return true;
}

enum code keyed_digest_compute(const struct keyed_digest_key *key, const void *bytes, size_t count,
                               uint8_t digest[KEYED_DIGEST_BYTES], struct failure *why)
{
    struct thread_contexts *contexts = thread_contexts_get(why);
    if (!contexts)
        return CODE_NO_MEMORY;
    size_t written = 0;
    if (begin(contexts, key) && (count == 0 || EVP_MAC_update(contexts->hmac, bytes, count) == 1) &&
        EVP_MAC_final(contexts->hmac, digest, &written, KEYED_DIGEST_BYTES) == 1 &&
        written == KEYED_DIGEST_BYTES)
        return CODE_OK;
    contexts->hmac_serial = 0;
    return openssl_failure_set(why, "computing a content id");
}
