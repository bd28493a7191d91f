/* AES-256-SIV: see siv.h.
 *
 * OpenSSL's SIV context serves one message after each keying, and keying costs 2.5 us.  A copy of a keyed
 * context costs 0.9 us, so a key keeps one keyed context for each direction, never used itself, and each
 * thread one that takes copies.  Copying only reads the original: threads may do so at the same time.
 */
#include "siv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "openssl_failure.h"
#include "secret.h"
#include "thread_contexts.h"

struct siv_key {
    EVP_CIPHER_CTX *seal, *open; /* OpenSSL wipes them when they are freed */
};

enum code siv_key_create(const uint8_t bytes[SIV_KEY_BYTES], struct siv_key **out, struct failure *why)
{
    if (!thread_contexts_get(why)) /* fetches the algorithms */
        return CODE_NO_MEMORY;
    struct siv_key *key = calloc(1, sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "holding a key: out of memory");
    key->seal = EVP_CIPHER_CTX_new();
    key->open = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *siv = thread_contexts_algorithms.siv;
    if (!key->seal || !key->open || EVP_EncryptInit_ex2(key->seal, siv, bytes, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex2(key->open, siv, bytes, NULL, NULL) != 1) {
        siv_key_destroy(key);
        return openssl_failure_set(why, "holding a key");
    }
    *out = key;
    return CODE_OK;
}

void siv_key_destroy(struct siv_key *key)
{
    if (!key)
        return;
    EVP_CIPHER_CTX_free(key->seal);
    EVP_CIPHER_CTX_free(key->open);
    free(key);
}

enum code siv_seal(const struct siv_key *key, const struct siv_message *message, void *sealed,
                   struct failure *why)
{
    assert(message->associated_count >= 1 && message->associated_count <= SIV_PLAIN_MAX);
    assert(message->count >= 1 && message->count <= SIV_PLAIN_MAX);
    struct thread_contexts *contexts = thread_contexts_get(why);
    if (!contexts)
        return CODE_NO_MEMORY;
    EVP_CIPHER_CTX *context = contexts->siv;
    uint8_t *iv = sealed, *body = iv + SIV_OVERHEAD, nothing[16];
    int done = 0;
    if (EVP_CIPHER_CTX_copy(context, key->seal) != 1 ||
        EVP_EncryptUpdate(context, NULL, &done, message->associated, (int)message->associated_count) != 1 ||
        EVP_EncryptUpdate(context, body, &done, message->bytes, (int)message->count) != 1 ||
        EVP_EncryptFinal_ex(context, nothing, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SIV_OVERHEAD, iv) != 1)
        return openssl_failure_set(why, "encrypting a name");
    return CODE_OK;
}

enum code siv_open(const struct siv_key *key, const struct siv_message *message, void *plain,
                   struct failure *why)
{
    assert(message->associated_count >= 1 && message->associated_count <= SIV_PLAIN_MAX);
    if (message->count <= SIV_OVERHEAD || message->count > SIV_PLAIN_MAX + SIV_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "decrypting a name: %zu bytes are no sealed name",
                           message->count);
    struct thread_contexts *contexts = thread_contexts_get(why);
    if (!contexts)
        return CODE_NO_MEMORY;
    EVP_CIPHER_CTX *context = contexts->siv;
    const uint8_t *sealed = message->bytes;
    uint8_t iv[SIV_OVERHEAD], nothing[16];
    memcpy(iv, sealed, SIV_OVERHEAD);
    size_t count = message->count - SIV_OVERHEAD;
    int done = 0;
    if (EVP_CIPHER_CTX_copy(context, key->open) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, SIV_OVERHEAD, iv) != 1 ||
        EVP_DecryptUpdate(context, NULL, &done, message->associated, (int)message->associated_count) != 1)
        return openssl_failure_set(why, "decrypting a name");
    if (EVP_DecryptUpdate(context, plain, &done, sealed + SIV_OVERHEAD, (int)count) == 1 &&
        EVP_DecryptFinal_ex(context, nothing, &done) == 1)
        return CODE_OK;
    openssl_failure_forget();
    secret_wipe(plain, count);
    return failure_set(why, CODE_CORRUPT,
                       "decrypting a name: the bytes were changed, or belong to another folder or key");
}
