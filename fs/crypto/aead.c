/* AES-256-GCM: see aead.h.
 *
 * A key is its bytes in secret memory and a serial; the expanded key lives in the context of each thread that
 * uses it (thread_contexts.h).  Nonces come from a stock that each thread draws in one go and throws away
 * after a fork: two processes that seal with one nonce under one key would give the key's authentication
 * away.
 */
#include "aead.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>

#include "entropy.h"
#include "openssl_failure.h"
#include "secret.h"
#include "thread_contexts.h"

struct aead_key {
    uint64_t serial;
    uint8_t bytes[AEAD_KEY_BYTES];
};

enum code aead_key_create(const uint8_t bytes[AEAD_KEY_BYTES], struct aead_key **out, struct failure *why)
{
    struct aead_key *key = secret_allocate(sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "holding a key: out of memory");
    key->serial = thread_contexts_new_serial();
    memcpy(key->bytes, bytes, AEAD_KEY_BYTES);
    *out = key;
    return CODE_OK;
}

void aead_key_destroy(struct aead_key *key)
{
    secret_free(key);
}

static enum code draw_nonce(struct thread_contexts *contexts, uint8_t nonce[AEAD_NONCE_BYTES], struct failure *why)
{
    unsigned generation = thread_contexts_fork_generation();
    if (contexts->nonce_next == THREAD_NONCES || contexts->nonce_generation != generation) {
        contexts->nonce_next = THREAD_NONCES;
        enum code code = entropy_fill(contexts->nonces, sizeof contexts->nonces, why);
        if (code != CODE_OK)
            return code;
        contexts->nonce_next = 0;
        contexts->nonce_generation = generation;
    }
    memcpy(nonce, contexts->nonces[contexts->nonce_next++], AEAD_NONCE_BYTES);
    return CODE_OK;
}

static bool begin_seal(struct thread_contexts *contexts, const struct aead_key *key, const uint8_t *nonce)
{
    if (contexts->seal_serial == key->serial)
        return EVP_EncryptInit_ex2(contexts->seal, NULL, NULL, nonce, NULL) == 1;
    contexts->seal_serial = 0;
    if (EVP_EncryptInit_ex2(contexts->seal, thread_contexts_algorithms.gcm, key->bytes, nonce, NULL) != 1)
        return false;
    contexts->seal_serial = key->serial;
    return true;
}

static bool begin_open(struct thread_contexts *contexts, const struct aead_key *key, const uint8_t *nonce)
{
    if (contexts->open_serial == key->serial)
        return EVP_DecryptInit_ex2(contexts->open, NULL, NULL, nonce, NULL) == 1;
    contexts->open_serial = 0;
    if (EVP_DecryptInit_ex2(contexts->open, thread_contexts_algorithms.gcm, key->bytes, nonce, NULL) != 1)
        return false;
    contexts->open_serial = key->serial;
    return true;
}

enum code aead_seal_with_nonce(const struct aead_key *key, const uint8_t nonce[AEAD_NONCE_BYTES],
                               const struct aead_message *message, void *sealed, struct failure *why)
{
    assert(message->count <= AEAD_PLAIN_MAX && message->associated_count <= AEAD_PLAIN_MAX);
    struct thread_contexts *contexts = thread_contexts_get(why);
    if (!contexts)
        return CODE_NO_MEMORY;
    uint8_t *out = sealed, *body = out + AEAD_NONCE_BYTES, *tag = body + message->count, nothing[16];
    int done = 0;
    memcpy(out, nonce, AEAD_NONCE_BYTES);
    EVP_CIPHER_CTX *context = contexts->seal;
    if (begin_seal(contexts, key, nonce) &&
        (message->associated_count == 0 ||
         EVP_EncryptUpdate(context, NULL, &done, message->associated, (int)message->associated_count) == 1) &&
        (message->count == 0 || EVP_EncryptUpdate(context, body, &done, message->bytes, (int)message->count) == 1) &&
        EVP_EncryptFinal_ex(context, nothing, &done) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag) == 1)
        return CODE_OK;
    contexts->seal_serial = 0;
    return openssl_failure_set(why, "encrypting");
}

enum code aead_seal(const struct aead_key *key, const struct aead_message *message, void *sealed, struct failure *why)
{
    struct thread_contexts *contexts = thread_contexts_get(why);
    if (!contexts)
        return CODE_NO_MEMORY;
    uint8_t nonce[AEAD_NONCE_BYTES];
    enum code code = draw_nonce(contexts, nonce, why);
    return code == CODE_OK ? aead_seal_with_nonce(key, nonce, message, sealed, why) : code;
}

enum code aead_open(const struct aead_key *key, const struct aead_message *message, void *plain, struct failure *why)
{
    assert(message->associated_count <= AEAD_PLAIN_MAX);
    if (message->count < AEAD_OVERHEAD || message->count > AEAD_PLAIN_MAX + AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "decrypting: %zu bytes are no sealed message", message->count);
    struct thread_contexts *contexts = thread_contexts_get(why);
    if (!contexts)
        return CODE_NO_MEMORY;
    const uint8_t *nonce = message->bytes, *body = nonce + AEAD_NONCE_BYTES;
    size_t count = message->count - AEAD_OVERHEAD;
    uint8_t tag[AEAD_TAG_BYTES], nothing[16];
    memcpy(tag, body + count, AEAD_TAG_BYTES);
    int done = 0;
    EVP_CIPHER_CTX *context = contexts->open;
    if (!begin_open(contexts, key, nonce) ||
        (message->associated_count != 0 &&
         EVP_DecryptUpdate(context, NULL, &done, message->associated, (int)message->associated_count) != 1) ||
        (count != 0 && EVP_DecryptUpdate(context, plain, &done, body, (int)count) != 1) ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) != 1) {
        contexts->open_serial = 0;
        return openssl_failure_set(why, "decrypting");
    }
    if (EVP_DecryptFinal_ex(context, nothing, &done) == 1)
        return CODE_OK;
    openssl_failure_forget();
    if (count)
        secret_wipe(plain, count);
    return failure_set(why, CODE_CORRUPT, "decrypting: the bytes were changed, or belong to another place or key");
}
