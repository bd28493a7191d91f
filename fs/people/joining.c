/* Question and answer of somebody who joins: see joining.h.  Lines first, then the longer texts, each as long as its line
 * said. */
#include "joining.h"

#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "key_lines.h"

#define QUESTION "cytofs join "
#define ANSWER   "cytofs joined "
#define VERSION  "1"

static void print_hex(struct buffer *out, const char *word, const void *bytes, size_t count)
{
    char text[HEX_TEXT_BYTES(MEMBER_KEY_BYTES)];
    hex_encode(bytes, count, text);
    buffer_printf(out, "%s%s\n", word, text);
}

void joining_write_question(const struct joining_question *question, struct buffer *out)
{
    buffer_printf(out, QUESTION VERSION "\nname %s\n", question->name);
    print_hex(out, "secret ", question->secret, sizeof question->secret);
    print_hex(out, "member ", question->member.id.bytes, IDENTITY_BYTES);
    print_hex(out, "public ", question->member.key, MEMBER_KEY_BYTES);
    buffer_printf(out, "link-key %zu\n", question->link_key.length);
    buffer_append(out, buffer_text(&question->link_key), question->link_key.length);
}

void joining_write_answer(const struct joining_answer *answer, struct buffer *out)
{
    buffer_printf(out, ANSWER VERSION "\nrole %s\ncertificate %zu\nlab-certificate %zu\n", member_role_name(answer->role),
                  answer->certificate.length, answer->lab_certificate.length);
    buffer_append(out, buffer_text(&answer->certificate), answer->certificate.length);
    buffer_append(out, buffer_text(&answer->lab_certificate), answer->lab_certificate.length);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

static enum code check_version(struct key_lines *lines, const char *magic, struct failure *why)
{
    struct key_text line;
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, magic))
        return failure_set(why, CODE_INVALID, "joining: the other side does not speak cytofs's way of joining");
    if (line.count != strlen(VERSION) || memcmp(line.bytes, VERSION, line.count) != 0)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "joining: the other side speaks form %.*s, this program " VERSION ": update cytofs",
                           (int)(line.count < 8 ? line.count : 8), line.bytes);
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

/* A line that ends in a length. */
static bool take_length(struct key_lines *lines, const char *word, size_t max, size_t *length)
{
    struct key_text line;
    char digits[6];
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, word) || line.count == 0 || line.count >= sizeof digits)
        return false;
    memcpy(digits, line.bytes, line.count);
    digits[line.count] = 0;
    *length = strtoul(digits, NULL, 10);
    return strspn(digits, "0123456789") == line.count && *length <= max;
}

static bool take_bytes(struct key_lines *lines, size_t length, struct buffer *out)
{
    if (length > (size_t)(lines->end - lines->at))
        return false;
    buffer_append(out, lines->at, length);
    lines->at += length;
    return !out->failed;
}

enum code joining_read_question(const void *text, size_t count, struct joining_question *out, struct failure *why)
{
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    size_t length;
    enum code code = check_version(&lines, QUESTION, why);
    if (code != CODE_OK)
        return code;
    if (!take_name(&lines, out->name) || !key_lines_take_hex(&lines, "secret ", out->secret, sizeof out->secret) ||
        !key_lines_take_hex(&lines, "member ", out->member.id.bytes, IDENTITY_BYTES) ||
        !key_lines_take_hex(&lines, "public ", out->member.key, MEMBER_KEY_BYTES) ||
        !take_length(&lines, "link-key ", CERTIFICATE_PEM_MAX, &length) || !take_bytes(&lines, length, &out->link_key) ||
        lines.at != lines.end)
        return failure_set(why, CODE_INVALID, "joining: the question is damaged in line %u", lines.line);
    return member_card_check_name(out->name, why);
}

static bool take_role(struct key_lines *lines, enum member_role *role)
{
    struct key_text line;
    return key_lines_take(lines, &line) && key_lines_skip(&line, "role ") &&
           member_role_parse(line.bytes, line.count, role, NULL) == CODE_OK;
}

enum code joining_read_answer(const void *text, size_t count, struct joining_answer *out, struct failure *why)
{
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    size_t certificate, lab;
    enum code code = check_version(&lines, ANSWER, why);
    if (code != CODE_OK)
        return code;
    if (!take_role(&lines, &out->role) || !take_length(&lines, "certificate ", CERTIFICATE_PEM_MAX, &certificate) ||
        !take_length(&lines, "lab-certificate ", CERTIFICATE_PEM_MAX, &lab) ||
        !take_bytes(&lines, certificate, &out->certificate) || !take_bytes(&lines, lab, &out->lab_certificate) ||
        lines.at != lines.end)
        return failure_set(why, CODE_INVALID, "joining: the server's answer is damaged in line %u", lines.line);
    return CODE_OK;
}
