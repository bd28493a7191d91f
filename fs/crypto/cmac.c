/* AES-256-CMAC: see cmac.h.
 *
 *     C(0) = 0;  C(i) = AES(C(i-1) ^ M(i));  the code is C(n), the last block M(n) being
 *         whole     M(n) ^ K1
 *         shorter   (M(n) | 80 00 ...) ^ K2        K1 = 2 AES(0), K2 = 2 K1 in GF(2^128)
 *
 * That is CBC encryption from a zero vector.  OpenSSL's own CMAC is set up anew for each message, which costs a
 * microsecond; so does giving a CBC context a new vector, nearly.  So the context here is never set up again: it
 * goes on from the last block that it made, `chain`, and the first block of the next message has that added, which
 * takes it out again.
 */
#include "cmac.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>

#include "openssl_failure.h"
#include "scope.h"
#include "secret.h"

#define BLOCK      CMAC_BYTES
#define BATCH_SIZE (16 * BLOCK) /* encrypted in one call */

struct cmac_key {
    pthread_mutex_t turn;                 /* guards cipher and chain */
    EVP_CIPHER_CTX *cipher;               /* AES-256-CBC; OpenSSL wipes it when it is freed */
    uint8_t chain[BLOCK];                 /* the last block that it made */
    uint8_t whole[BLOCK], shorter[BLOCK]; /* K1, K2 */
};

/* A message on its way through: what was taken and not yet encrypted.  The last block waits until the end is known. */
struct progress {
    uint8_t batch[BATCH_SIZE];
    size_t filled;
    bool begun;
};

static void add(uint8_t block[BLOCK], const uint8_t other[BLOCK])
{
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= other[i];
}

void cmac_twice(const uint8_t block[BLOCK], uint8_t out[BLOCK])
{
    unsigned carry = block[0] >> 7;
    for (size_t i = 0; i < BLOCK; i++)
        out[i] = (uint8_t)(block[i] << 1 | (i + 1 < BLOCK ? block[i + 1] >> 7 : 0));
    out[BLOCK - 1] ^= (uint8_t)(carry * 0x87);
}

/* Encrypts the first `count` bytes (whole blocks) of the batch. */
static bool encrypt(struct cmac_key *key, struct progress *progress, size_t count)
{
    uint8_t out[BATCH_SIZE];
    int done = 0;
    if (!progress->begun)
        add(progress->batch, key->chain);
    progress->begun = true;
    if (EVP_EncryptUpdate(key->cipher, out, &done, progress->batch, (int)count) != 1 || done != (int)count)
        return false;
    memcpy(key->chain, out + count - BLOCK, BLOCK);
    return true;
}

static bool take(struct cmac_key *key, struct progress *progress, const uint8_t *bytes, size_t count)
{
    while (count) {
        if (progress->filled == BATCH_SIZE) { /* more comes, so none of it is the last block */
            if (!encrypt(key, progress, BATCH_SIZE))
                return false;
            progress->filled = 0;
        }
        size_t step = BATCH_SIZE - progress->filled < count ? BATCH_SIZE - progress->filled : count;
        memcpy(progress->batch + progress->filled, bytes, step);
        progress->filled += step;
        bytes += step;
        count -= step;
    }
    return true;
}

static bool finish(struct cmac_key *key, struct progress *progress, uint8_t code[CMAC_BYTES])
{
    size_t rest = progress->filled % BLOCK;
    bool whole = progress->filled && rest == 0;
    if (!whole) {
        progress->batch[progress->filled++] = 0x80;
        memset(progress->batch + progress->filled, 0, BLOCK - 1 - rest);
        progress->filled += BLOCK - 1 - rest;
    }
    add(progress->batch + progress->filled - BLOCK, whole ? key->whole : key->shorter);
    if (!encrypt(key, progress, progress->filled))
        return false;
    memcpy(code, key->chain, CMAC_BYTES);
    return true;
}

enum code cmac_compute(struct cmac_key *key, const struct cmac_part *parts, size_t count, uint8_t code[CMAC_BYTES],
                       struct failure *why)
{
    struct progress progress;
    progress.filled = 0;
    progress.begun = false;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&key->turn);
    for (size_t i = 0; i < count; i++)
        if (!take(key, &progress, parts[i].bytes, parts[i].count))
            return openssl_failure_set(why, "authenticating");
    return finish(key, &progress, code) ? CODE_OK : openssl_failure_set(why, "authenticating");
}

enum code cmac_key_create(const uint8_t bytes[CMAC_KEY_BYTES], struct cmac_key **out, struct failure *why)
{
    struct cmac_key *key = secret_allocate(sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "holding a key: out of memory");
    static const uint8_t zeros[BLOCK];
    uint8_t first[BLOCK];
    int done = 0;
    pthread_mutex_init(&key->turn, NULL);
    key->cipher = EVP_CIPHER_CTX_new();
    if (!key->cipher || EVP_EncryptInit_ex2(key->cipher, EVP_aes_256_cbc(), bytes, zeros, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(key->cipher, 0) != 1 || EVP_EncryptUpdate(key->cipher, first, &done, zeros, BLOCK) != 1 ||
        done != BLOCK) {
        cmac_key_destroy(key);
        return openssl_failure_set(why, "holding a key");
    }
    memcpy(key->chain, first, BLOCK);
    cmac_twice(first, key->whole);
    cmac_twice(key->whole, key->shorter);
    secret_wipe(first, sizeof first);
    *out = key;
    return CODE_OK;
}

void cmac_key_destroy(struct cmac_key *key)
{
    if (!key)
        return;
    EVP_CIPHER_CTX_free(key->cipher);
    pthread_mutex_destroy(&key->turn);
    secret_free(key);
}
