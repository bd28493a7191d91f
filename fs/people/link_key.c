/* Keys of certificates at rest: see link_key.h.  The sealing key is HKDF-SHA256 of the member's private key, with the
 * member's id as salt: it seals one message a join, under a random nonce. */
#include "link_key.h"

#include <string.h>

#include "aead.h"
#include "hex.h"
#include "kdf.h"
#include "key_lines.h"
#include "member_key.h"
#include "secret.h"

#define MAGIC     "cytofs link key 1"
#define PLAIN_MAX 1024 /* bytes of PEM */

static enum code make_key(const struct member_key *member, struct aead_key **out, struct failure *why)
{
    SECRET_FREE uint8_t *bytes = secret_allocate(AEAD_KEY_BYTES);
    const struct kdf_input input = {
        .secret = member_key_private(member),
        .secret_count = MEMBER_KEY_BYTES,
        .salt = member_key_public(member)->id.bytes,
        .salt_count = IDENTITY_BYTES,
        .info = MAGIC,
        .info_count = strlen(MAGIC),
    };
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "a certificate's key: no memory");
    enum code code = kdf_hkdf(&input, bytes, AEAD_KEY_BYTES, why);
    return code == CODE_OK ? aead_key_create(bytes, out, why) : code;
}

enum code link_key_seal(const struct member_key *member, const struct buffer *key_pem, struct buffer *text,
                        struct failure *why)
{
    struct aead_key *key = NULL;
    uint8_t sealed[PLAIN_MAX + AEAD_OVERHEAD];
    char digits[HEX_TEXT_BYTES(sizeof sealed)];
    if (key_pem->length > PLAIN_MAX)
        return failure_set(why, CODE_TOO_LARGE, "a certificate's key has %zu bytes", key_pem->length);
    enum code code = make_key(member, &key, why);
    if (code == CODE_OK)
        code =
            aead_seal(key, &(struct aead_message){MAGIC, strlen(MAGIC), buffer_text(key_pem), key_pem->length}, sealed, why);
    aead_key_destroy(key);
    if (code != CODE_OK)
        return code;
    hex_encode(sealed, key_pem->length + AEAD_OVERHEAD, digits);
    buffer_printf(text, MAGIC "\nsealed %s\n", digits);
    return buffer_check(text, "a certificate's key", why);
}

static bool take_sealed(struct key_lines *lines, uint8_t *sealed, size_t *count)
{
    struct key_text line;
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, MAGIC) || line.count || !key_lines_take(lines, &line) ||
        !key_lines_skip(&line, "sealed ") || line.count % 2 || line.count / 2 <= AEAD_OVERHEAD ||
        line.count / 2 > PLAIN_MAX + AEAD_OVERHEAD || lines->at != lines->end)
        return false;
    *count = line.count / 2;
    return hex_decode(line.bytes, line.count, sealed, *count);
}

enum code link_key_open(const struct member_key *member, const void *text, size_t count, struct buffer *key_pem,
                        struct failure *why)
{
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    struct aead_key *key = NULL;
    uint8_t sealed[PLAIN_MAX + AEAD_OVERHEAD];
    size_t length;
    if (!take_sealed(&lines, sealed, &length))
        return failure_set(why, CODE_CORRUPT, "the certificate's key is damaged in line %u: join anew", lines.line);
    void *plain = buffer_reserve(key_pem, length - AEAD_OVERHEAD);
    enum code code =
        plain ? make_key(member, &key, why) : failure_set(why, CODE_NO_MEMORY, "a certificate's key: no memory");
    if (code == CODE_OK)
        code = aead_open(key, &(struct aead_message){MAGIC, strlen(MAGIC), sealed, length}, plain, why);
    aead_key_destroy(key);
    if (code == CODE_OK) {
        key_pem->length += length - AEAD_OVERHEAD;
        key_pem->data[key_pem->length] = 0;
    }
    return code == CODE_CORRUPT
               ? failure_set(why, code, "the certificate's key was sealed for another member's key: join anew")
               : code;
}
