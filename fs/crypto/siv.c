/* AES-256-SIV: see siv.h.
 *
 *     D  = CMAC(16 zeros), made once a key;  D = 2 D ^ CMAC(associated data)
 *     IV = CMAC(T):  T is the plaintext with D added to its last 16 bytes, or, where it has fewer, 2 D ^
 * (plaintext | 80 00 ...) ciphertext = plaintext ^ AES(Q) AES(Q+1) ...,  Q being the IV without the highest
 * bits of its last two words
 *
 * OpenSSL's own SIV is set up anew for each message, which costs ten times what a name does.  So it is put
 * together here from the CMAC of cmac.h and from single blocks of AES, whose contexts are never set up again.
 */
#include "siv.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>

#include "bytes.h"
#include "cmac.h"
#include "openssl_failure.h"
#include "scope.h"
#include "secret.h"

#define BLOCK        16
#define BATCH_BLOCKS 16 /* encrypted in one call: names are that long at most */

struct siv_key {
    struct cmac_key *mac;
    pthread_mutex_t turn;   /* guards cipher */
    EVP_CIPHER_CTX *cipher; /* AES-256, block by block; OpenSSL wipes it when it is freed */
    uint8_t zeros[BLOCK];   /* D of nothing */
};

_Static_assert(CMAC_BYTES == BLOCK && SIV_OVERHEAD == BLOCK && SIV_KEY_BYTES == 2 * CMAC_KEY_BYTES,
               "the synthetic vector is a code, and the key two keys");

enum code siv_key_create(const uint8_t bytes[SIV_KEY_BYTES], struct siv_key **out, struct failure *why)
{
    static const uint8_t nothing[BLOCK];
    struct siv_key *key = secret_allocate(sizeof *key);
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "holding a key: out of memory");
    *key = (struct siv_key){.cipher = EVP_CIPHER_CTX_new()};
    pthread_mutex_init(&key->turn, NULL);
    enum code code = cmac_key_create(bytes, &key->mac, why);
    if (code == CODE_OK)
        code = cmac_compute(key->mac, &(struct cmac_part){nothing, BLOCK}, 1, key->zeros, why);
    if (code == CODE_OK &&
        (!key->cipher || EVP_EncryptInit_ex2(key->cipher, EVP_aes_256_ecb(), bytes + CMAC_KEY_BYTES, NULL, NULL) != 1 ||
         EVP_CIPHER_CTX_set_padding(key->cipher, 0) != 1))
        code = openssl_failure_set(why, "holding a key");
    if (code != CODE_OK)
        siv_key_destroy(key);
    else
        *out = key;
    return code;
}

void siv_key_destroy(struct siv_key *key)
{
    if (!key)
        return;
    cmac_key_destroy(key->mac);
    EVP_CIPHER_CTX_free(key->cipher);
    pthread_mutex_destroy(&key->turn);
    secret_free(key);
}

static void add(uint8_t *block, const uint8_t *other, size_t count)
{
    for (size_t i = 0; i < count; i++)
        block[i] ^= other[i];
}

/* RFC 5297, 2.4, with one component of associated data. */
static enum code make_vector(struct siv_key *key, const struct siv_message *message, const uint8_t *plain, size_t count,
                             uint8_t vector[BLOCK], struct failure *why)
{
    uint8_t sum[BLOCK], code_of_associated[BLOCK], last[BLOCK] = {0};
    const struct cmac_part associated = {message->associated, message->associated_count};
    enum code code = cmac_compute(key->mac, &associated, 1, code_of_associated, why);
    if (code != CODE_OK)
        return code;
    cmac_twice(key->zeros, sum);
    add(sum, code_of_associated, BLOCK);
    size_t tail = count < BLOCK ? count : BLOCK;
    memcpy(last, plain + count - tail, tail);
    if (count < BLOCK) {
        last[tail] = 0x80;
        cmac_twice(sum, sum);
    }
    add(last, sum, BLOCK);
    const struct cmac_part parts[] = {{plain, count - tail}, {last, BLOCK}};
    code = cmac_compute(key->mac, parts, 2, vector, why);
    secret_wipe(last, sizeof last);
    return code;
}

/* Counters from the vector on, as many as the bytes need, encrypted and added to them. */
static enum code add_stream(struct siv_key *key, const uint8_t vector[BLOCK], const uint8_t *from, uint8_t *to, size_t count,
                            struct failure *why)
{
    uint8_t counters[BATCH_BLOCKS * BLOCK], stream[BATCH_BLOCKS * BLOCK];
    uint64_t high = bytes_load_big64(vector), low = bytes_load_big64(vector + 8) & UINT64_C(0x7fffffff7fffffff);
    while (count) {
        size_t step = count < sizeof stream ? count : sizeof stream, whole = (step + BLOCK - 1) / BLOCK * BLOCK;
        int done = 0;
        for (size_t at = 0; at < whole; at += BLOCK, low++) { /* which cannot overflow: its highest bit was 0 */
            bytes_store_big64(counters + at, high);
            bytes_store_big64(counters + at + 8, low);
        }
        {
            SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&key->turn);
            if (EVP_EncryptUpdate(key->cipher, stream, &done, counters, (int)whole) != 1 || done != (int)whole)
                return openssl_failure_set(why, "encrypting a name");
        }
        for (size_t i = 0; i < step; i++)
            to[i] = from[i] ^ stream[i];
        from += step;
        to += step;
        count -= step;
    }
    secret_wipe(stream, sizeof stream);
    return CODE_OK;
}

enum code siv_seal(struct siv_key *key, const struct siv_message *message, void *sealed, struct failure *why)
{
    assert(message->associated_count >= 1 && message->associated_count <= SIV_PLAIN_MAX);
    assert(message->count >= 1 && message->count <= SIV_PLAIN_MAX);
    uint8_t *vector = sealed;
    enum code code = make_vector(key, message, message->bytes, message->count, vector, why);
    return code == CODE_OK ? add_stream(key, vector, message->bytes, vector + BLOCK, message->count, why) : code;
}

enum code siv_open(struct siv_key *key, const struct siv_message *message, void *plain, struct failure *why)
{
    assert(message->associated_count >= 1 && message->associated_count <= SIV_PLAIN_MAX);
    if (message->count <= SIV_OVERHEAD || message->count > SIV_PLAIN_MAX + SIV_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "decrypting a name: %zu bytes are no sealed name", message->count);
    const uint8_t *vector = message->bytes;
    uint8_t right[BLOCK];
    size_t count = message->count - SIV_OVERHEAD;
    enum code code = add_stream(key, vector, vector + BLOCK, plain, count, why);
    if (code == CODE_OK)
        code = make_vector(key, message, plain, count, right, why);
    if (code == CODE_OK && !secret_equal(right, vector, BLOCK))
        code =
            failure_set(why, CODE_CORRUPT, "decrypting a name: the bytes were changed, or belong to another folder or key");
    if (code != CODE_OK)
        secret_wipe(plain, count);
    return code;
}
