/* Certificates, as who is asked to join a lab, or whoever connects to it, hands them over.  An input is the DER form, from
 * which the text is made. What they say of their holder is short and whole, or refused. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "certificate_x509.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* RFC 7468. */
static void write_pem(const uint8_t *der, size_t count, struct buffer *out)
{
    buffer_append_text(out, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < count; at += 3) {
        size_t left = count - at < 3 ? count - at : 3;
        uint32_t bits = (uint32_t)der[at] << 16 | (left > 1 ? (uint32_t)der[at + 1] << 8 : 0) | (left > 2 ? der[at + 2] : 0);
        const char four[] = {digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                             left > 2 ? digits[bits & 63] : '='};
        buffer_append(out, four, sizeof four);
        if (at % 48 == 45)
            buffer_append_text(out, "\n");
    }
    buffer_append_text(out, "\n-----END CERTIFICATE-----\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    SCOPE_BUFFER pem = {0};
    uint8_t fingerprint[CERTIFICATE_FINGERPRINT_BYTES];
    struct certificate_holder holder;
    write_pem(bytes, count, &pem);
    enum code code = certificate_fingerprint(&pem, fingerprint, &why);
    assert(code == CODE_OK || (code == CODE_CORRUPT && why.text[0]));
    X509 *read = certificate_read(&pem, &why);
    assert((read != NULL) == (code == CODE_OK));
    if (!read)
        return 0;
    code = certificate_holder_of(read, &holder, &why);
    assert(code == CODE_OK || (code == CODE_CORRUPT && why.text[0]));
    if (code == CODE_OK) {
        bool server = strcmp(holder.name, CERTIFICATE_SERVER_NAME) == 0;
        assert(memchr(holder.name, 0, sizeof holder.name) && holder.name[0]);
        assert(memchr(holder.member_fingerprint, 0, sizeof holder.member_fingerprint));
        assert(server == !holder.member_fingerprint[0]);
    }
    X509_free(read);
    return 0;
}

static int value_of(char digit)
{
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

static uint8_t *read_pem(const struct buffer *pem, size_t *count)
{
    uint8_t *der = malloc(pem->length);
    const char *at = strchr(buffer_text(pem), '\n');
    uint32_t bits = 0;
    assert(der && at);
    *count = 0;
    for (int held = 0; *at != '-' && *at != '='; at++)
        if (value_of(*at) >= 0) {
            bits = bits << 6 | (uint32_t)value_of(*at);
            held += 6;
            if (held >= 8)
                der[(*count)++] = (uint8_t)(bits >> (held -= 8));
        }
    return der;
}

/* The lab's own, its server's, a member's. */
uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const struct certificate_holder holders[] = {{.name = CERTIFICATE_SERVER_NAME},
                                                        {.name = "ada", .member_fingerprint = "0123 4567 89ab cdef"}};
    struct failure why;
    SCOPE_BUFFER lab_key = {0};
    SCOPE_BUFFER lab = {0};
    SCOPE_BUFFER public_key = {0};
    SCOPE_BUFFER issued = {0};
    if (index > sizeof holders / sizeof *holders)
        return NULL;
    enum code code = certificate_make_key(&lab_key, &why);
    if (code == CODE_OK)
        code = certificate_make_lab(&lab_key, "a lab", &lab, &why);
    if (code == CODE_OK)
        code = certificate_public_key(&lab_key, &public_key, &why);
    if (code == CODE_OK && index)
        code = certificate_issue(&lab_key, &lab, &holders[index - 1], public_key.data, public_key.length, &issued, &why);
    assert(code == CODE_OK);
    return read_pem(index ? &issued : &lab, count);
}
