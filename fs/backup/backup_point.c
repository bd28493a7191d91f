/* The text of a point: see backup_point.h and FORMAT.md.  Lines of words; the last one is the SHA-256 of all before it, so a
 * text that was cut or changed by accident is not believed.  Each number is bounded before it is used: who reads a backup
 * may not have made it. */
#include "backup_point.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "hex.h"
#include "pack_format.h"

#define MAGIC "cytofs backup point"

static enum code grow(void **rows, size_t count, size_t row_bytes, struct failure *why)
{
    if (count & (count - 1)) /* room is doubled whenever a power of two is full */
        return CODE_OK;
    void *more = realloc(*rows, (count ? count * 2 : 1) * row_bytes);
    if (!more)
        return failure_set(why, CODE_NO_MEMORY, "a point of a backup: out of memory");
    *rows = more;
    return CODE_OK;
}

enum code backup_point_add_pack(struct backup_point *point, const struct backup_pack *pack, struct failure *why)
{
    enum code code = grow((void **)&point->packs, point->pack_count, sizeof *pack, why);
    if (code == CODE_OK)
        point->packs[point->pack_count++] = *pack;
    return code;
}

enum code backup_point_add_damage(struct backup_point *point, const struct backup_damage *damage, struct failure *why)
{
    enum code code = grow((void **)&point->damages, point->damage_count, sizeof *damage, why);
    if (code == CODE_OK)
        point->damages[point->damage_count++] = *damage;
    return code;
}

const struct backup_pack *backup_point_find_pack(const struct backup_point *point, uint32_t number)
{
    size_t low = 0, high = point->pack_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (point->packs[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < point->pack_count && point->packs[low].number == number ? &point->packs[low] : NULL;
}

uint64_t backup_point_bytes(const struct backup_point *point)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < point->pack_count; i++)
        bytes += point->packs[i].bytes;
    return bytes;
}

void backup_point_seal(struct buffer *text)
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    char hex[DIGEST_TEXT_BYTES];
    digest_begin(&digest);
    digest_add(&digest, buffer_text(text), text->length);
    digest_end(&digest, result);
    digest_to_text(result, hex);
    buffer_printf(text, "end %s\n", hex);
}

enum code backup_point_write(const struct backup_point *point, struct buffer *text, struct failure *why)
{
    char store[HEX_TEXT_BYTES(IDENTITY_BYTES)], catalog[DIGEST_TEXT_BYTES];
    hex_encode(point->store.bytes, IDENTITY_BYTES, store);
    digest_to_text(point->catalog_digest, catalog);
    buffer_clear(text);
    text->max = BACKUP_POINT_BYTES_MAX;
    buffer_printf(text, MAGIC " %d\nnumber %" PRIu32 "\nmade %" PRId64 "\nstore %s\ncatalog %" PRIu64 " %s\n",
                  BACKUP_POINT_FORMAT, point->number, point->made_ms, store, point->catalog_bytes, catalog);
    for (size_t i = 0; i < point->pack_count; i++) {
        const struct backup_pack *pack = &point->packs[i];
        buffer_printf(text, "pack %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 "\n", pack->number, pack->variant,
                      pack->bytes, pack->sound);
    }
    for (size_t i = 0; i < point->damage_count; i++) {
        const struct backup_damage *damage = &point->damages[i];
        buffer_printf(text, "damaged %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", damage->number, damage->offset,
                      damage->bytes, damage->chunks);
    }
    backup_point_seal(text);
    return buffer_check(text, "a point of a backup", why);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

static enum code damaged(struct failure *why, const char *what)
{
    return failure_set(why, CODE_CORRUPT, "the text of a point is damaged: %s", what);
}

/* A decimal number at *at, ended by `end`, which is passed. */
static bool take_number(const char **at, char end, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    const char *start = *at;
    for (; **at >= '0' && **at <= '9' && *at - start < 20; (*at)++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            return false;
    if (*at == start || **at != end || value > max)
        return false;
    (*at)++;
    *out = value;
    return true;
}

static bool take_word(const char **at, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0 || (*at)[length] != ' ')
        return false;
    *at += length + 1;
    return true;
}

static bool take_hex(const char **at, uint8_t *out, size_t bytes)
{
    if (strnlen(*at, 2 * bytes + 1) < 2 * bytes + 1 || (*at)[2 * bytes] != '\n' || !hex_decode(*at, 2 * bytes, out, bytes))
        return false;
    *at += 2 * bytes + 1;
    return true;
}

/* Everything in front of the last line is what was sealed. */
static enum code check_seal(const char *text, size_t count, struct failure *why)
{
    const size_t line = sizeof "end " - 1 + 2 * DIGEST_BYTES + 1;
    uint8_t stated[DIGEST_BYTES], result[DIGEST_BYTES];
    if (count < line || memchr(text, 0, count) || text[count - line - (count > line)] != '\n')
        return damaged(why, "its end is missing");
    const char *at = text + count - line;
    if (!take_word(&at, "end") || !take_hex(&at, stated, sizeof stated))
        return damaged(why, "its end is missing");
    struct digest digest;
    digest_begin(&digest);
    digest_add(&digest, text, count - line);
    digest_end(&digest, result);
    return memcmp(stated, result, sizeof result) == 0 ? CODE_OK : damaged(why, "its checksum is another");
}

static enum code read_head(const char **at, struct backup_point *out, struct failure *why)
{
    uint64_t number = 0, made = 0;
    bool sane = take_word(at, "number") && take_number(at, '\n', BACKUP_POINTS_MAX, &number) && number > 0 &&
                take_word(at, "made") && take_number(at, '\n', INT64_MAX, &made) && take_word(at, "store") &&
                take_hex(at, out->store.bytes, IDENTITY_BYTES) && take_word(at, "catalog") &&
                take_number(at, ' ', INT64_MAX, &out->catalog_bytes) && take_hex(at, out->catalog_digest, DIGEST_BYTES);
    out->number = (uint32_t)number;
    out->made_ms = (int64_t)made;
    return sane ? CODE_OK : damaged(why, "its first lines");
}

static enum code read_pack(const char **at, struct backup_point *out, struct failure *why)
{
    uint64_t number = 0, variant = 0;
    struct backup_pack pack = {0};
    if (!take_number(at, ' ', CHUNK_STORE_PACK_MAX, &number) || !take_number(at, ' ', UINT32_MAX, &variant) ||
        !take_number(at, ' ', PACK_BYTES_MAX, &pack.bytes) || !take_number(at, '\n', pack.bytes, &pack.sound) ||
        pack.sound < PACK_HEADER_BYTES || number <= (out->pack_count ? out->packs[out->pack_count - 1].number : 0))
        return damaged(why, "a line about a pack");
    pack.number = (uint32_t)number;
    pack.variant = (uint32_t)variant;
    return backup_point_add_pack(out, &pack, why);
}

static enum code read_damage(const char **at, struct backup_point *out, struct failure *why)
{
    uint64_t number = 0;
    struct backup_damage damage = {0};
    if (!take_number(at, ' ', CHUNK_STORE_PACK_MAX, &number) || !take_number(at, ' ', PACK_BYTES_MAX, &damage.offset) ||
        !take_number(at, ' ', PACK_BYTES_MAX, &damage.bytes) || !take_number(at, '\n', INT64_MAX, &damage.chunks))
        return damaged(why, "a line about damage");
    damage.number = (uint32_t)number;
    return backup_point_add_damage(out, &damage, why);
}

enum code backup_point_read(const char *text, size_t count, struct backup_point *out, struct failure *why)
{
    *out = (struct backup_point){0};
    const char *at = text;
    uint64_t format;
    /* A newer format may be sealed otherwise: it is looked at first. */
    if (count < sizeof MAGIC || text[count] != 0 || !take_word(&at, MAGIC) || !take_number(&at, '\n', UINT32_MAX, &format))
        return damaged(why, "its first line");
    if (format != BACKUP_POINT_FORMAT)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "was made by a newer cytofs (format %" PRIu64 ", this one knows %d): update cytofs", format,
                           BACKUP_POINT_FORMAT);
    enum code code = check_seal(text, count, why);
    if (code == CODE_OK)
        code = read_head(&at, out, why);
    while (code == CODE_OK && !take_word(&at, "end"))
        code = take_word(&at, "pack")      ? read_pack(&at, out, why)
               : take_word(&at, "damaged") ? read_damage(&at, out, why)
                                           : damaged(why, "a line that is none");
    return code;
}

void backup_point_free(struct backup_point *point)
{
    free(point->packs);
    free(point->damages);
    *point = (struct backup_point){0};
}
