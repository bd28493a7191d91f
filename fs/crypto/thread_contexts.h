/* Inside fs/crypto: the OpenSSL contexts that each thread keeps, and the algorithms that the process fetched
 * once.
 *
 * Fetching an algorithm, and setting a key, cost more than sealing a small chunk.  So each thread keeps its
 * contexts, and remembers by serial number which key each of them was last given.  Serials are never reused:
 * a new key at the address of a destroyed one is not taken for it.  A context keeps its expanded key until it
 * is given another, or the thread ends.
 */
#ifndef CYTOFS_THREAD_CONTEXTS_H
#define CYTOFS_THREAD_CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "aead.h"
#include "failure.h"

#define THREAD_NONCES 340 /* random bytes are drawn 4080 at a time: a draw costs 1 us, whatever its size */

struct thread_contexts {
    EVP_CIPHER_CTX *seal, *open; /* AES-256-GCM */
    uint64_t seal_serial, open_serial;
    uint8_t nonces[THREAD_NONCES][AEAD_NONCE_BYTES]; /* not secret */
    size_t nonce_next;                               /* THREAD_NONCES: all used */
    unsigned nonce_generation;                       /* thread_contexts_fork_generation when they were drawn */
};

/* Fetched once, never NULL after thread_contexts_get succeeded. */
struct thread_algorithms {
    EVP_CIPHER *gcm;
};
extern struct thread_algorithms thread_contexts_algorithms;

/* This thread's contexts, made at its first call; NULL, with *why set, without memory. */
struct thread_contexts *thread_contexts_get(struct failure *why);

/* Never 0, never the same twice. */
uint64_t thread_contexts_new_serial(void);

/* Changes in the child of a fork: what was drawn before must not be used by both. */
unsigned thread_contexts_fork_generation(void);

#endif
