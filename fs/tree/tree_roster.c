/* Lists of readers: see tree_roster.h. */
#include "tree_roster.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_space.h"
#include "hex.h"
#include "key_lines.h"

#define MAGIC      "cytofs readers 1"
#define ID_DIGITS  (2 * IDENTITY_BYTES)
#define KEY_DIGITS (2 * MEMBER_KEY_BYTES)

void roster_free(struct roster *roster)
{
    free(roster->readers);
    free(roster->roles);
    *roster = (struct roster){0};
}

enum code roster_copy(const struct roster *from, struct roster *out, struct failure *why)
{
    *out = (struct roster){.everyone = from->everyone, .due = from->due};
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < from->count; i++)
        code = roster_add(out, &from->readers[i], why);
    for (size_t i = 0; code == CODE_OK && i < from->role_count; i++)
        code = roster_set_role(out, &from->roles[i].id, from->roles[i].role, why);
    if (code != CODE_OK)
        roster_free(out);
    return code;
}

static struct roster_role *find_role(const struct roster *roster, const struct member_id *id)
{
    for (size_t i = 0; i < roster->role_count; i++)
        if (memcmp(roster->roles[i].id.bytes, id->bytes, IDENTITY_BYTES) == 0)
            return &roster->roles[i];
    return NULL;
}

const struct reader *roster_find_recovery(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        if (roster->readers[i].flags & CATALOG_MEMBER_RECOVERY && !roster->readers[i].former)
            return &roster->readers[i];
    return NULL;
}

bool roster_role(const struct roster *roster, const struct member_id *id, enum member_role *role)
{
    const struct roster_role *found = find_role(roster, id);
    if (found)
        *role = found->role;
    return found != NULL;
}

enum code roster_set_role(struct roster *roster, const struct member_id *id, enum member_role role, struct failure *why)
{
    struct roster_role *found = find_role(roster, id);
    if (found) {
        found->role = role;
        return CODE_OK;
    }
    if (!roster_find(roster, id) || roster->role_count == ROSTER_READERS_MAX)
        return failure_set(why, CODE_INVALID, "a role belongs to a member");
    struct roster_role *roles = realloc(roster->roles, (roster->role_count + 1) * sizeof *roles);
    if (!roles)
        return failure_set(why, CODE_NO_MEMORY, "giving a role: no memory");
    roster->roles = roles;
    roles[roster->role_count++] = (struct roster_role){*id, role};
    return CODE_OK;
}

struct reader *roster_find(const struct roster *roster, const struct member_id *id)
{
    for (size_t i = 0; i < roster->count; i++)
        if (memcmp(roster->readers[i].public.id.bytes, id->bytes, IDENTITY_BYTES) == 0)
            return &roster->readers[i];
    return NULL;
}

struct reader *roster_find_name(const struct roster *roster, const char *name)
{
    struct reader *found = NULL;
    for (size_t i = 0; i < roster->count; i++)
        if (strcmp(roster->readers[i].name, name) == 0 && (!found || found->former))
            found = &roster->readers[i];
    return found;
}

enum code roster_add(struct roster *roster, const struct reader *reader, struct failure *why)
{
    struct reader *same = roster_find(roster, &reader->public.id);
    if (same) {
        *same = *reader;
        return CODE_OK;
    }
    if (roster->count == ROSTER_READERS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "there are %d members already, with those that have left",
                           ROSTER_READERS_MAX);
    struct reader *readers = realloc(roster->readers, (roster->count + 1) * sizeof *readers);
    if (!readers)
        return failure_set(why, CODE_NO_MEMORY, "listing who may read: no memory");
    roster->readers = readers;
    readers[roster->count++] = *reader;
    return CODE_OK;
}

void roster_remove(struct roster *roster, const struct member_id *id)
{
    struct reader *reader = roster_find(roster, id);
    if (!reader)
        return;
    size_t behind = roster->count - (size_t)(reader - roster->readers) - 1;
    struct roster_role *role = find_role(roster, id);
    memmove(reader, reader + 1, behind * sizeof *reader);
    roster->count--;
    if (role)
        *role = roster->roles[--roster->role_count];
}

void roster_print(const struct roster *roster, struct buffer *out)
{
    buffer_printf(out, MAGIC "\neveryone %s\ndue %s\n", roster->everyone ? "yes" : "no", roster->due ? "yes" : "no");
    for (size_t i = 0; i < roster->count; i++) {
        const struct reader *reader = &roster->readers[i];
        char id[HEX_TEXT_BYTES(IDENTITY_BYTES)], key[HEX_TEXT_BYTES(MEMBER_KEY_BYTES)];
        hex_encode(reader->public.id.bytes, IDENTITY_BYTES, id);
        hex_encode(reader->public.key, MEMBER_KEY_BYTES, key);
        buffer_printf(out, "%s %s %s %u %s\n", reader->former ? "former" : "reader", id, key, reader->flags, reader->name);
    }
    for (size_t i = 0; i < roster->role_count; i++) {
        char id[HEX_TEXT_BYTES(IDENTITY_BYTES)];
        hex_encode(roster->roles[i].id.bytes, IDENTITY_BYTES, id);
        buffer_printf(out, "role %s %s\n", id, member_role_name(roster->roles[i].role));
    }
}

static bool take_answer(struct key_lines *lines, const char *question, bool *answer)
{
    struct key_text line;
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, question))
        return false;
    *answer = key_lines_skip(&line, "yes");
    return (*answer || key_lines_skip(&line, "no")) && line.count == 0;
}

static bool take_digits(struct key_text *line, void *bytes, size_t digits)
{
    if (line->count <= digits || line->bytes[digits] != ' ' || !hex_decode(line->bytes, digits, bytes, digits / 2))
        return false;
    line->bytes += digits + 1;
    line->count -= digits + 1;
    return true;
}

static bool parse_reader(struct key_text line, struct reader *out)
{
    *out = (struct reader){0};
    out->former = key_lines_skip(&line, "former ");
    if (!out->former && !key_lines_skip(&line, "reader "))
        return false;
    if (!take_digits(&line, out->public.id.bytes, ID_DIGITS) || !take_digits(&line, out->public.key, KEY_DIGITS))
        return false;
    if (line.count < 3 || line.bytes[0] < '0' || line.bytes[0] > '9' || line.bytes[1] != ' ' ||
        line.count - 2 > MEMBER_NAME_MAX || memchr(line.bytes, 0, line.count))
        return false;
    out->flags = (uint32_t)(line.bytes[0] - '0');
    memcpy(out->name, line.bytes + 2, line.count - 2);
    return true;
}

static bool parse_role(struct key_text line, struct roster *out)
{
    struct member_id id;
    enum member_role role;
    return key_lines_skip(&line, "role ") && take_digits(&line, id.bytes, ID_DIGITS) && !roster_role(out, &id, &role) &&
           member_role_parse(line.bytes, line.count, &role, NULL) == CODE_OK &&
           roster_set_role(out, &id, role, NULL) == CODE_OK;
}

/* A reader, or, behind all of them, a role; each once. */
static enum code parse_line(struct key_text line, struct roster *out, bool *fine, struct failure *why)
{
    struct reader reader;
    if (!out->role_count && parse_reader(line, &reader)) {
        *fine = !roster_find(out, &reader.public.id);
        return *fine ? roster_add(out, &reader, why) : CODE_OK;
    }
    *fine = parse_role(line, out);
    return CODE_OK;
}

enum code roster_parse(const void *text, size_t count, struct roster *out, struct failure *why)
{
    *out = (struct roster){0};
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    struct key_text line;
    bool fine = key_lines_take(&lines, &line) && key_lines_skip(&line, MAGIC) && line.count == 0 &&
                take_answer(&lines, "everyone ", &out->everyone) && take_answer(&lines, "due ", &out->due);
    while (fine && lines.at != lines.end) {
        fine = key_lines_take(&lines, &line);
        enum code code = fine ? parse_line(line, out, &fine, why) : CODE_OK;
        if (code != CODE_OK) {
            roster_free(out);
            return code;
        }
    }
    if (fine)
        return CODE_OK;
    roster_free(out);
    return failure_set(why, CODE_CORRUPT, "the list of who may read is damaged in line %u", lines.line);
}
