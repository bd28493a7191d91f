/* Members' cards: see member_card.h.  The fingerprint could be left out, as it follows from the rest; it stands there so
 * that both people have it before their eyes, and so that a card that was cut or mistyped is found out. */
#include "member_card.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "hex.h"
#include "key_lines.h"

#define MAGIC   "cytofs member card "
#define VERSION "1"

enum code member_card_check_name(const char *name, struct failure *why)
{
    size_t length = strlen(name);
    bool fine = length > 0 && name[0] != '.' && name[0] != '-' && strcmp(name, "everyone") != 0;
    for (size_t i = 0; i < length; i++)
        fine = fine && (unsigned char)name[i] > ' ' && name[i] != 0x7f && name[i] != '/';
    if (length > MEMBER_NAME_MAX)
        return failure_set(why, CODE_INVALID, "a member's name has up to %d bytes, this has %zu", MEMBER_NAME_MAX, length);
    if (!fine)
        return failure_set(why, CODE_INVALID,
                           "\"%s\" cannot be a member's name: it needs letters or digits, no blanks, no '/', no '.' or "
                           "'-' at its beginning, and must not be \"everyone\"",
                           name);
    return CODE_OK;
}

static bool take_name(struct key_lines *lines, char name[MEMBER_NAME_MAX + 1])
{
    struct key_text line;
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, "name ") || line.count > MEMBER_NAME_MAX ||
        memchr(line.bytes, 0, line.count))
        return false;
    memcpy(name, line.bytes, line.count);
    name[line.count] = 0;
    return true;
}

static bool take_fingerprint(struct key_lines *lines, const struct member_public *public)
{
    struct key_text line;
    char expected[MEMBER_KEY_FINGERPRINT_BYTES];
    member_key_fingerprint(public, expected);
    return key_lines_take(lines, &line) && key_lines_skip(&line, "fingerprint ") && key_lines_skip(&line, expected) &&
           line.count == 0;
}

enum code member_card_parse(const void *text, size_t count, struct member_card *out, struct failure *why)
{
    *out = (struct member_card){0};
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    struct key_text line;
    if (count >= MEMBER_CARD_BYTES_MAX || !key_lines_take(&lines, &line) || !key_lines_skip(&line, MAGIC))
        return failure_set(why, CODE_CORRUPT, "this is no member's card (cytofs member key makes one)");
    if (line.count != strlen(VERSION) || memcmp(line.bytes, VERSION, line.count) != 0)
        return failure_set(why, CODE_NEWER_FORMAT, "the card has format %.*s, this program knows " VERSION ": update cytofs",
                           (int)(line.count < 8 ? line.count : 8), line.bytes);
    if (!take_name(&lines, out->name) || !key_lines_take_hex(&lines, "member ", out->public.id.bytes, IDENTITY_BYTES) ||
        !key_lines_take_hex(&lines, "public ", out->public.key, MEMBER_KEY_BYTES) || !take_fingerprint(&lines, &out->public))
        return failure_set(why, CODE_CORRUPT, "line %u of the card is damaged: ask for it once more", lines.line);
    if (lines.at != lines.end)
        return failure_set(why, CODE_CORRUPT, "line %u: something follows the card", lines.line + 1);
    return member_card_check_name(out->name, why);
}

size_t member_card_write(const struct member_card *card, char text[MEMBER_CARD_BYTES_MAX])
{
    char id[HEX_TEXT_BYTES(IDENTITY_BYTES)], key[HEX_TEXT_BYTES(MEMBER_KEY_BYTES)];
    char fingerprint[MEMBER_KEY_FINGERPRINT_BYTES];
    hex_encode(card->public.id.bytes, IDENTITY_BYTES, id);
    hex_encode(card->public.key, MEMBER_KEY_BYTES, key);
    member_key_fingerprint(&card->public, fingerprint);
    int count = snprintf(text, MEMBER_CARD_BYTES_MAX, MAGIC VERSION "\nname %s\nmember %s\npublic %s\nfingerprint %s\n",
                         card->name, id, key, fingerprint);
    assert(count > 0 && count < MEMBER_CARD_BYTES_MAX);
    return (size_t)count;
}
