/* The file that holds a member's key, version 1: lines of text, in this order, nothing else.
 *
 *     cytofs member key 1
 *     member 5a1f...            32 hexadecimal digits: the member's id
 *     public 77b0...            64: X25519 public key
 *     protection none           or:  protection scrypt 15 <32 digits: salt>      N = 2^15, r = 8, p = 1
 *     secret 3c9d...            none: 64 digits, the private key
 *                               scrypt: 120 digits, nonce | ciphertext | tag of AES-256-GCM under the derived
 *                               key, with the lines above as associated data
 *
 * Like a key of SSH, it must not be readable by anybody else: it is made with mode 0600, and refused with any
 * bit for group or others.
 */
#ifndef CYTOFS_MEMBER_KEY_FILE_H
#define CYTOFS_MEMBER_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "member_key.h"

#define MEMBER_KEY_FILE_BYTES_MAX  1024
#define MEMBER_KEY_FILE_COST_MIN   15 /* log2 of scrypt's N: 32 MiB */
#define MEMBER_KEY_FILE_COST_MAX   20 /* 1 GiB */
#define MEMBER_KEY_FILE_SALT_BYTES 16
#define MEMBER_KEY_FILE_SECRET_MAX 60

/* A file's text taken apart, the secret still closed if it was protected. */
struct member_key_file {
    struct member_public public;
    bool protected_by_passphrase;
    unsigned cost;                            /* log2 N; 0 without protection */
    uint8_t salt[MEMBER_KEY_FILE_SALT_BYTES]; /* zero without protection */
    uint8_t secret[MEMBER_KEY_FILE_SECRET_MAX];
    size_t secret_count; /* 32, or 60 with protection */
};

/* Pure: takes any bytes.  CODE_CORRUPT (with the line's number), or CODE_NEWER_FORMAT. */
MUST_CHECK enum code member_key_file_parse(const void *text, size_t count, struct member_key_file *out, struct failure *why);

/* Opens a parsed one.  passphrase is ignored without protection; CODE_DENIED where it is wrong or missing
 * (NULL). */
MUST_CHECK enum code member_key_file_unlock(const struct member_key_file *file, const char *passphrase,
                                            struct member_key **out, struct failure *why);

/* Reads, checks the mode, parses and unlocks. */
MUST_CHECK enum code member_key_file_load(const char *path, const char *passphrase, struct member_key **out,
                                          struct failure *why);

/* Makes the file (and the folders above it, 0700), 0600 and durable; CODE_EXISTS where there is one: a key is
 * never overwritten.  passphrase NULL, or "": no protection. */
MUST_CHECK enum code member_key_file_save(const char *path, const struct member_key *key, const char *passphrase,
                                          struct failure *why);

/* The same in place of the file that is there: another passphrase, or none.  A crash leaves the old file or the new one.
 */
MUST_CHECK enum code member_key_file_replace(const char *path, const struct member_key *key, const char *passphrase,
                                             struct failure *why);

#endif
