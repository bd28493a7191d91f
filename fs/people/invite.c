/* Invitations as words: see invite.h.  The check tells a word that was mistyped or cut from one that the lab does not know,
 * before one of the few tries that the lab allows is spent on it. */
#include "invite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "hex.h"

#define VERSION      "1."
#define CHECK_BYTES  4
#define LABEL        "cytofs invite 1"
#define EXPIRY_MAX_S INT64_C(99999999999)

static void compute_check(const struct invite *invite, uint8_t check[CHECK_BYTES])
{
    struct digest digest;
    uint8_t whole[DIGEST_BYTES];
    digest_begin(&digest);
    digest_add_text(&digest, LABEL " check");
    digest_add_text(&digest, invite->name);
    digest_add_number(&digest, (uint64_t)invite->expires_s);
    digest_add(&digest, invite->secret, sizeof invite->secret);
    digest_add(&digest, invite->lab_fingerprint, sizeof invite->lab_fingerprint);
    digest_end(&digest, whole);
    memcpy(check, whole, CHECK_BYTES);
}

/* Takes exactly these digits and the point behind them. */
static bool take_hex(const char **at, void *bytes, size_t count)
{
    size_t digits = 2 * count;
    if (strnlen(*at, digits + 1) <= digits || (*at)[digits] != '.' || !hex_decode(*at, digits, bytes, count))
        return false;
    *at += digits + 1;
    return true;
}

static bool take_expiry(const char **at, int64_t *seconds)
{
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 11 || (*at)[digits] != '.')
        return false;
    *seconds = strtoll(*at, NULL, 10);
    *at += digits + 1;
    return *seconds <= EXPIRY_MAX_S;
}

static bool take_all(const char *at, struct invite *out)
{
    uint8_t check[CHECK_BYTES], right[CHECK_BYTES];
    if (strnlen(at, INVITE_TEXT_MAX) >= INVITE_TEXT_MAX || strncmp(at, VERSION, strlen(VERSION)) != 0)
        return false;
    at += strlen(VERSION);
    if (!take_expiry(&at, &out->expires_s) || !take_hex(&at, out->secret, sizeof out->secret) ||
        !take_hex(&at, out->lab_fingerprint, sizeof out->lab_fingerprint) || !take_hex(&at, check, sizeof check) ||
        member_card_check_name(at, NULL) != CODE_OK)
        return false;
    strcpy(out->name, at);
    compute_check(out, right);
    return memcmp(check, right, sizeof check) == 0;
}

enum code invite_parse(const char *text, struct invite *out, struct failure *why)
{
    *out = (struct invite){0};
    if (take_all(text, out))
        return CODE_OK;
    *out = (struct invite){0};
    return failure_set(why, CODE_INVALID,
                       "this is not a whole invitation: copy the word once more, from \"" VERSION "\" to the member's name");
}

void invite_write(const struct invite *invite, char text[INVITE_TEXT_MAX])
{
    char secret[HEX_TEXT_BYTES(INVITE_SECRET_BYTES)], fingerprint[HEX_TEXT_BYTES(CERTIFICATE_FINGERPRINT_BYTES)];
    char check_text[HEX_TEXT_BYTES(CHECK_BYTES)];
    uint8_t check[CHECK_BYTES];
    hex_encode(invite->secret, sizeof invite->secret, secret);
    hex_encode(invite->lab_fingerprint, sizeof invite->lab_fingerprint, fingerprint);
    compute_check(invite, check);
    hex_encode(check, sizeof check, check_text);
    snprintf(text, INVITE_TEXT_MAX, VERSION "%" PRId64 ".%s.%s.%s.%s", invite->expires_s, secret, fingerprint, check_text,
             invite->name);
}

void invite_digest(const char *name, const uint8_t secret[INVITE_SECRET_BYTES], uint8_t result[INVITE_DIGEST_BYTES])
{
    struct digest digest;
    digest_begin(&digest);
    digest_add_text(&digest, LABEL);
    digest_add_text(&digest, name);
    digest_add(&digest, secret, INVITE_SECRET_BYTES);
    digest_end(&digest, result);
}
