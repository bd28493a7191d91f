/* The lab's issuing key: see authority.h.
 *
 * The record of keys is written first, then that of the certificate: who finds a certificate finds keys.  Keys without a
 * certificate are what a crash has left of an attempt, and are made anew.
 *
 * The keys go with the home that they lie in.  Another home may have its name afterwards, so the certificate's record says
 * which node it was. */
#include "authority.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_lines.h"
#include "logging.h"
#include "secret.h"
#include "tree.h"
#include "tree_path.h"
#include "tree_record.h"

#define KEYS_MAGIC        "cytofs authority keys 1"
#define CERTIFICATE_MAGIC "cytofs authority 1"
#define LAB_NAME          "cytofs lab"

static const struct record_place certificate_place = {"lab/members", RECORD_PREFIX "authority"};

static void wipe(struct buffer *buffer)
{
    if (buffer->data)
        secret_wipe(buffer->data, buffer->length);
    buffer_free(buffer);
}

void authority_free_credentials(struct wire_credentials *credentials)
{
    wipe(&credentials->key);
    buffer_free(&credentials->certificate);
    buffer_free(&credentials->lab_certificate);
}

void authority_free(struct authority *authority)
{
    wipe(&authority->lab_key);
    authority_free_credentials(&authority->server);
}

/* Texts ------------------------------------------------------------------------------------------------------------ */

static void print_part(struct buffer *out, const char *word, const struct buffer *part)
{
    buffer_printf(out, "%s%zu\n", word, part->length);
    buffer_append(out, buffer_text(part), part->length);
}

void authority_print(const struct authority *authority, struct buffer *out)
{
    buffer_append_text(out, KEYS_MAGIC "\n");
    print_part(out, "lab-key ", &authority->lab_key);
    print_part(out, "server-key ", &authority->server.key);
    print_part(out, "server-certificate ", &authority->server.certificate);
}

static bool take_part(struct key_lines *lines, const char *word, struct buffer *out)
{
    struct key_text line;
    char digits[6];
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, word) || !line.count || line.count >= sizeof digits)
        return false;
    memcpy(digits, line.bytes, line.count);
    digits[line.count] = 0;
    size_t length = strtoul(digits, NULL, 10);
    if (strspn(digits, "0123456789") != line.count || !length || length > CERTIFICATE_PEM_MAX ||
        length > (size_t)(lines->end - lines->at))
        return false;
    buffer_append(out, lines->at, length);
    lines->at += length;
    return !out->failed;
}

enum code authority_parse(const void *text, size_t count, struct authority *out, struct failure *why)
{
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    struct key_text line;
    if (key_lines_take(&lines, &line) && key_lines_skip(&line, KEYS_MAGIC) && !line.count &&
        take_part(&lines, "lab-key ", &out->lab_key) && take_part(&lines, "server-key ", &out->server.key) &&
        take_part(&lines, "server-certificate ", &out->server.certificate) && lines.at == lines.end)
        return CODE_OK;
    return failure_set(why, CODE_CORRUPT, "the lab's issuing keys are damaged in line %u", lines.line);
}

/* Where the issuing key lies. */
struct seat {
    char holder[MEMBER_NAME_MAX + 1];
    uint64_t home; /* the node of home/<holder>; 0: it was not noted */
};

/* A number to the line's end, of up to 19 digits. */
static bool take_number(const struct key_text *line, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < line->count; i++) {
        if (line->bytes[i] < '0' || line->bytes[i] > '9' || i == 18)
            return false;
        *out = *out * 10 + (uint64_t)(line->bytes[i] - '0');
    }
    return line->count > 0;
}

/* "cytofs authority 1", "holder NAME", "home NODE" (older ones have none), and the certificate. */
static enum code parse_certificate(const struct buffer *text, struct seat *seat, struct buffer *certificate,
                                   struct failure *why)
{
    struct key_lines lines = {.at = buffer_text(text), .end = buffer_text(text) + text->length};
    struct key_text line;
    if (!key_lines_take(&lines, &line) || !key_lines_skip(&line, CERTIFICATE_MAGIC) || line.count ||
        !key_lines_take(&lines, &line) || !key_lines_skip(&line, "holder ") || line.count > MEMBER_NAME_MAX)
        return failure_set(why, CODE_CORRUPT, "the lab's certificate is damaged in line %u", lines.line);
    memcpy(seat->holder, line.bytes, line.count);
    seat->holder[line.count] = 0;
    const struct key_lines before = lines;
    if (!key_lines_take(&lines, &line) || !key_lines_skip(&line, "home "))
        lines = before;
    else if (!take_number(&line, &seat->home))
        return failure_set(why, CODE_CORRUPT, "the lab's certificate is damaged in line %u", lines.line);
    buffer_append(certificate, lines.at, (size_t)(lines.end - lines.at));
    return buffer_check(certificate, "the lab's certificate", why);
}

/* Making ----------------------------------------------------------------------------------------------------------- */

static enum code issue_server(struct authority *authority, struct failure *why)
{
    SCOPE_BUFFER public = {0};
    struct certificate_holder holder = {.name = CERTIFICATE_SERVER_NAME};
    enum code code = certificate_make_key(&authority->server.key, why);
    if (code == CODE_OK)
        code = certificate_public_key(&authority->server.key, &public, why);
    if (code != CODE_OK)
        return code;
    return certificate_issue(&authority->lab_key, &authority->server.lab_certificate, &holder, buffer_text(&public),
                             public.length, &authority->server.certificate, why);
}

static enum code put_keys(struct tree *tree, const struct authority *authority, struct failure *why)
{
    SCOPE_BUFFER folder = {0};
    struct buffer text = {.max = RECORD_BYTES_MAX};
    buffer_printf(&folder, "home/%s", tree_member_name(tree));
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX - 1); /* so that it stays where it can be wiped */
    authority_print(authority, &text);
    enum code code = buffer_check(&text, "the lab's issuing keys", why);
    const struct record_place place = {buffer_text(&folder), RECORD_PREFIX "authority-keys"};
    if (code == CODE_OK)
        code = record_put(tree, &place, buffer_text(&text), text.length, why);
    wipe(&text);
    return code;
}

static enum code find_home(struct tree *tree, const char *member, struct node_attributes *out, struct failure *why)
{
    SCOPE_BUFFER path = {0};
    buffer_printf(&path, "home/%s", member);
    return tree_path_attributes(tree, buffer_text(&path), out, why);
}

static enum code make(struct tree *tree, struct authority *out, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    struct node_attributes home;
    enum code code = certificate_make_key(&out->lab_key, why);
    if (code == CODE_OK)
        code = certificate_make_lab(&out->lab_key, LAB_NAME, &out->server.lab_certificate, why);
    if (code == CODE_OK)
        code = issue_server(out, why);
    if (code == CODE_OK)
        code = put_keys(tree, out, why);
    if (code == CODE_OK)
        code = find_home(tree, tree_member_name(tree), &home, why);
    if (code != CODE_OK)
        return code;
    buffer_printf(&text, CERTIFICATE_MAGIC "\nholder %s\nhome %llu\n", tree_member_name(tree),
                  (unsigned long long)home.id.value);
    buffer_append(&text, buffer_text(&out->server.lab_certificate), out->server.lab_certificate.length);
    return record_put(tree, &certificate_place, buffer_text(&text), text.length, why);
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

static enum code read_certificate(struct tree *tree, struct seat *seat, struct buffer *certificate, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    enum code code = record_get(tree, &certificate_place, &text, why);
    return code == CODE_OK ? parse_certificate(&text, seat, certificate, why) : code;
}

/* CODE_NOT_FOUND: the home that held the keys was deleted. */
static enum code check_seat(struct tree *tree, const struct seat *seat, struct failure *why)
{
    struct node_attributes home;
    enum code code = find_home(tree, seat->holder, &home, why);
    if (code == CODE_OK && seat->home && home.id.value != seat->home)
        return failure_set(why, CODE_NOT_FOUND, "home/%s is another one than that which held the keys", seat->holder);
    return code;
}

static enum code read_keys(struct tree *tree, const char *holder, struct authority *out, struct failure *why)
{
    SCOPE_BUFFER folder = {0};
    struct buffer text = {.max = RECORD_BYTES_MAX};
    buffer_printf(&folder, "home/%s", holder);
    const struct record_place place = {buffer_text(&folder), RECORD_PREFIX "authority-keys"};
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX - 1);
    enum code code = record_get(tree, &place, &text, why);
    if (code == CODE_OK)
        code = authority_parse(buffer_text(&text), text.length, out, why);
    wipe(&text);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_NOT_FOUND, "home/%s does not hold the keys", holder);
    if (code == CODE_DENIED)
        return failure_set(
            why, CODE_DENIED,
            "%s has served this lab so far, and the key that issues certificates lies in home/%s: serve it with "
            "%s's key, or let %s share that home with you",
            holder, holder, holder, holder);
    return code;
}

enum code authority_open(struct tree *tree, struct authority *out, struct failure *why)
{
    struct seat seat = {0};
    *out = (struct authority){0};
    enum code code = read_certificate(tree, &seat, &out->server.lab_certificate, why);
    if (code == CODE_OK) {
        code = check_seat(tree, &seat, why);
        if (code == CODE_OK)
            code = read_keys(tree, seat.holder, out, why);
    } else if (code == CODE_NO_DATA)
        code = make(tree, out, why);
    if (code == CODE_NOT_FOUND) { /* the holder was removed, and his home deleted */
        logging_warning("the key that issued this lab's certificates went with home/%s: a new one is made, and members on "
                        "other machines have to "
                        "join anew (cytofs member add, cytofs join)",
                        seat.holder);
        authority_free(out);
        *out = (struct authority){0};
        code = make(tree, out, why);
    }
    if (code == CODE_OK)
        return code;
    authority_free(out);
    *out = (struct authority){0};
    return failure_wrap(why, code, "the lab's certificates");
}

enum code authority_certificate(struct tree *tree, struct buffer *lab_certificate, struct failure *why)
{
    struct seat seat = {0};
    enum code code = read_certificate(tree, &seat, lab_certificate, why);
    if (code == CODE_OK)
        code = check_seat(tree, &seat, why);
    if (code != CODE_NO_DATA && code != CODE_NOT_FOUND)
        return code;
    buffer_clear(lab_certificate);
    struct authority made;
    code = authority_open(tree, &made, why);
    if (code != CODE_OK)
        return code;
    buffer_append(lab_certificate, buffer_text(&made.server.lab_certificate), made.server.lab_certificate.length);
    authority_free(&made);
    return buffer_check(lab_certificate, "the lab's certificate", why);
}
