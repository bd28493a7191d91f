/* Recovery keys: see recovery_key.h. */
#include "recovery_key.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "entropy.h"
#include "identity.h"
#include "kdf.h"
#include "member_key.h"
#include "secret.h"

#define GROUP_BYTES     4
#define GROUPS_READ     32 /* runs of symbols that are told apart */
#define BLANKS          " \t\r\n-_"
#define BITS_PER_SYMBOL 5

static_assert(RECOVERY_GROUPS * GROUP_BYTES == RECOVERY_SECRET_BYTES, "the groups hold the secret");

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint8_t crc8(uint8_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = (uint8_t)(crc << 1 ^ (crc & 0x80 ? 0x07 : 0));
    return crc;
}

static uint8_t check_byte(unsigned number, const uint8_t bytes[GROUP_BYTES])
{
    uint8_t crc = crc8(0, (uint8_t)number);
    for (int i = 0; i < GROUP_BYTES; i++)
        crc = crc8(crc, bytes[i]);
    return crc;
}

enum code recovery_key_draw(uint8_t **secret, struct failure *why)
{
    SECRET_FREE uint8_t *drawn = secret_allocate(RECOVERY_SECRET_BYTES);
    if (!drawn)
        return failure_set(why, CODE_NO_MEMORY, "drawing a recovery key: out of memory");
    enum code code = entropy_fill(drawn, RECOVERY_SECRET_BYTES, why);
    if (code != CODE_OK)
        return code;
    *secret = drawn;
    drawn = NULL;
    return CODE_OK;
}

void recovery_key_write(const uint8_t secret[RECOVERY_SECRET_BYTES], char text[RECOVERY_TEXT_BYTES])
{
    for (unsigned group = 0; group < RECOVERY_GROUPS; group++) {
        const uint8_t *bytes = secret + group * GROUP_BYTES;
        uint64_t bits = 0;
        for (int i = 0; i < GROUP_BYTES; i++)
            bits = bits << 8 | bytes[i];
        bits = bits << 8 | check_byte(group + 1, bytes);
        for (int symbol = RECOVERY_GROUP_TEXT - 1; symbol >= 0; symbol--, bits >>= BITS_PER_SYMBOL)
            text[symbol] = alphabet[bits & 31];
        text[RECOVERY_GROUP_TEXT] = group + 1 < RECOVERY_GROUPS ? '-' : 0;
        text += RECOVERY_GROUP_TEXT + 1;
    }
}

/* What a symbol stands for, as people write it; -1 for one that is not used. */
static int symbol_value(char symbol)
{
    if (symbol >= 'a' && symbol <= 'z')
        symbol = (char)(symbol - 'a' + 'A');
    if (symbol == 'O')
        symbol = '0';
    if (symbol == 'I' || symbol == 'L')
        symbol = '1';
    const char *found = symbol ? strchr(alphabet, symbol) : NULL;
    return found ? (int)(found - alphabet) : -1;
}

static enum code read_group(const char *symbols, unsigned number, uint8_t bytes[GROUP_BYTES], struct failure *why)
{
    uint64_t bits = 0;
    for (int i = 0; i < RECOVERY_GROUP_TEXT; i++) {
        int value = symbol_value(symbols[i]);
        if (value < 0)
            return failure_set(why, CODE_INVALID,
                               "the recovery key: group %u is mistyped: its symbol %d is none that such keys have (digits, "
                               "and letters without I, L, O and U)",
                               number, i + 1);
        bits = bits << BITS_PER_SYMBOL | (unsigned)value;
    }
    for (int i = 0; i < GROUP_BYTES; i++)
        bytes[i] = (uint8_t)(bits >> 8 * (GROUP_BYTES - i));
    if (check_byte(number, bytes) != (uint8_t)bits)
        return failure_set(why, CODE_INVALID,
                           "the recovery key: group %u is mistyped (or not in its place): look at it once more", number);
    return CODE_OK;
}

/* The symbols without blanks, and how they were grouped. */
struct typed {
    char symbols[RECOVERY_TEXT_BYTES];
    size_t count; /* also of those that did not fit */
    size_t groups, lengths[GROUPS_READ];
};

static void take_apart(const char *text, struct typed *typed)
{
    for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
        size_t length = strcspn(text, BLANKS);
        if (typed->groups < GROUPS_READ)
            typed->lengths[typed->groups] = length;
        typed->groups++;
        for (size_t i = 0; i < length; i++, typed->count++)
            if (typed->count < sizeof typed->symbols)
                typed->symbols[typed->count] = text[i];
        text += length;
    }
}

static enum code check_shape(const struct typed *typed, struct failure *why)
{
    const size_t wanted = (size_t)RECOVERY_GROUPS * RECOVERY_GROUP_TEXT;
    for (size_t i = 0; typed->groups == RECOVERY_GROUPS && i < RECOVERY_GROUPS; i++)
        if (typed->lengths[i] != RECOVERY_GROUP_TEXT)
            return failure_set(why, CODE_INVALID, "the recovery key: group %zu has %zu symbols, %d belong there", i + 1,
                               typed->lengths[i], RECOVERY_GROUP_TEXT);
    if (typed->count != wanted)
        return failure_set(why, CODE_INVALID, "the recovery key: it has %d groups of %d symbols, %zu in all; these are %zu",
                           RECOVERY_GROUPS, RECOVERY_GROUP_TEXT, wanted, typed->count);
    return CODE_OK;
}

enum code recovery_key_read(const char *text, uint8_t secret[RECOVERY_SECRET_BYTES], struct failure *why)
{
    SECRET_FREE struct typed *typed = secret_allocate(sizeof *typed);
    if (!typed)
        return failure_set(why, CODE_NO_MEMORY, "reading a recovery key: out of memory");
    take_apart(text, typed);
    enum code code = check_shape(typed, why);
    for (unsigned group = 0; code == CODE_OK && group < RECOVERY_GROUPS; group++)
        code = read_group(typed->symbols + group * RECOVERY_GROUP_TEXT, group + 1, secret + group * GROUP_BYTES, why);
    if (code != CODE_OK)
        secret_wipe(secret, RECOVERY_SECRET_BYTES);
    return code;
}

static enum code derive(const uint8_t *secret, const char *label, void *out, size_t count, struct failure *why)
{
    const struct kdf_input input = {
        .secret = secret, .secret_count = RECOVERY_SECRET_BYTES, .info = label, .info_count = strlen(label)};
    return kdf_hkdf(&input, out, count, why);
}

enum code recovery_key_open(const uint8_t secret[RECOVERY_SECRET_BYTES], struct member_key **out, struct failure *why)
{
    struct member_id id;
    SECRET_FREE uint8_t *private_key = secret_allocate(MEMBER_KEY_BYTES);
    if (!private_key)
        return failure_set(why, CODE_NO_MEMORY, "opening a recovery key: out of memory");
    enum code code = derive(secret, "cytofs recovery id 1", id.bytes, IDENTITY_BYTES, why);
    if (code == CODE_OK)
        code = derive(secret, "cytofs recovery key 1", private_key, MEMBER_KEY_BYTES, why);
    return code == CODE_OK ? member_key_derive(&id, private_key, out, why) : code;
}

enum code recovery_key_make(char text[RECOVERY_TEXT_BYTES], struct member_public *public, struct failure *why)
{
    SECRET_FREE uint8_t *secret = NULL;
    struct member_key *key = NULL;
    enum code code = recovery_key_draw(&secret, why);
    if (code == CODE_OK)
        code = recovery_key_open(secret, &key, why);
    if (code != CODE_OK)
        return code;
    recovery_key_write(secret, text);
    *public = *member_key_public(key);
    member_key_destroy(key);
    return CODE_OK;
}
