/* The chain: see audit_chain.h.
 *
 *     line = number ' ' hex(sealed) ' ' sum '\n'          (audit_files.h; lines of version 1 have no sum)
 *     sealed = AES-256-GCM(key, associated = "cytofs audit 1" number(8, little-endian) SHA-256(line before, without '\n'),
 * text)
 *
 * So a line opens only behind the very line that it was written behind, and only whoever has the key can write one. */
#include "audit_chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "audit_files.h"
#include "bytes.h"
#include "hex.h"

#define PURPOSE          "cytofs audit 1"
#define ASSOCIATED_BYTES (sizeof PURPOSE + 8 + DIGEST_BYTES)
#define NUMBER_DIGITS    20

static void associate(const struct audit_place *place, uint8_t out[ASSOCIATED_BYTES])
{
    memcpy(out, PURPOSE, sizeof PURPOSE);
    bytes_store64(out + sizeof PURPOSE, place->lines);
    memcpy(out + sizeof PURPOSE + 8, place->last, DIGEST_BYTES);
}

static void move_on(struct audit_place *place, const char *line, size_t length)
{
    struct digest digest;
    digest_begin(&digest);
    digest_add(&digest, line, length);
    digest_end(&digest, place->last);
    place->lines++;
}

enum code audit_chain_seal(const struct aead_key *key, struct audit_place *place, const char *text, struct buffer *out,
                           struct failure *why)
{
    uint8_t associated[ASSOCIATED_BYTES], sealed[AUDIT_TEXT_MAX + AEAD_OVERHEAD];
    char line[AUDIT_LINE_MAX];
    size_t count = strnlen(text, AUDIT_TEXT_MAX);
    const struct aead_message message = {associated, sizeof associated, text, count};
    associate(place, associated);
    enum code code = aead_seal(key, &message, sealed, why);
    if (code != CODE_OK)
        return code;
    int digits = snprintf(line, sizeof line, "%" PRIu64 " ", place->lines);
    hex_encode(sealed, count + AEAD_OVERHEAD, line + digits);
    size_t length = (size_t)digits + 2 * (count + AEAD_OVERHEAD);
    audit_files_write_sum(line, length, line + length);
    length += AUDIT_FILES_SUM_BYTES;
    buffer_append(out, line, length);
    buffer_append(out, "\n", 1);
    move_on(place, line, length);
    return buffer_check(out, "the audit log", why);
}

/* Where the sealed part begins; NULL where this is no line with the next number. */
static const char *find_sealed(const struct audit_place *place, const char *line, size_t length)
{
    char number[NUMBER_DIGITS + 2];
    size_t digits = (size_t)snprintf(number, sizeof number, "%" PRIu64 " ", place->lines);
    if (length < digits + 2 * AEAD_OVERHEAD || length > AUDIT_LINE_MAX || memcmp(line, number, digits) != 0)
        return NULL;
    return line + digits;
}

/* Where it ends: before its sum, where it has one; NULL where the sum is not right. */
static const char *find_end(const char *sealed, const char *line, size_t length)
{
    char sum[AUDIT_FILES_SUM_BYTES];
    const char *end = memchr(sealed, ' ', length - (size_t)(sealed - line));
    if (!end)
        return line + length;
    audit_files_write_sum(line, (size_t)(end - line), sum);
    return line + length - end == sizeof sum && memcmp(end, sum, sizeof sum) == 0 ? end : NULL;
}

enum code audit_chain_open(const struct aead_key *key, struct audit_place *place, const char *line, size_t length,
                           struct buffer *out, struct failure *why)
{
    uint8_t associated[ASSOCIATED_BYTES], sealed[AUDIT_TEXT_MAX + AEAD_OVERHEAD], text[AUDIT_TEXT_MAX];
    const char *hex = find_sealed(place, line, length);
    const char *end = hex ? find_end(hex, line, length) : NULL;
    size_t digits = end ? (size_t)(end - hex) : 0;
    if (!end || digits < 2 * AEAD_OVERHEAD || digits % 2 || digits / 2 > sizeof sealed ||
        !hex_decode(hex, digits, sealed, digits / 2))
        return failure_set(why, CODE_CORRUPT, "line %" PRIu64 " is missing, or is not as it was written", place->lines);
    const struct aead_message message = {associated, sizeof associated, sealed, digits / 2};
    associate(place, associated);
    if (aead_open(key, &message, text, why) != CODE_OK)
        return failure_set(why, CODE_CORRUPT, "line %" PRIu64 " is not the one that was written there", place->lines);
    if (out)
        buffer_append(out, text, digits / 2 - AEAD_OVERHEAD);
    move_on(place, line, length);
    return CODE_OK;
}

bool audit_chain_skip(struct audit_place *place, const char *line, size_t length)
{
    if (!find_sealed(place, line, length))
        return false;
    move_on(place, line, length);
    return true;
}
