/* Certificates: see certificate.h.
 *
 * What is in them is the least that OpenSSL's verification asks for: version 3, a random serial number, CN, validity, and
 * for the lab's own CA:TRUE.  A member's carries one extension more, the fingerprint of the member's key as an IA5String. */
#include "certificate.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certificate_x509.h"
#include "entropy.h"
#include "openssl_failure.h"

#define FINGERPRINT_OID "2.25.126736497263549182736450918273645091827"
#define DAY_S           (24 * 60 * 60L)
#define LAB_DAYS        (30 * 365)
#define MEMBER_DAYS     (10 * 365)
#define CLOCK_SKEW_S    DAY_S /* a workstation's clock may be behind */
#define SERIAL_BYTES    16

typedef X509 certificate;
typedef EVP_PKEY private_key;

static void free_certificate(certificate **held)
{
    X509_free(*held);
}

static void free_key(private_key **held)
{
    EVP_PKEY_free(*held);
}

static void free_bio(BIO **held)
{
    BIO_free(*held);
}

#define SCOPE_CERTIFICATE __attribute__((cleanup(free_certificate))) certificate
#define SCOPE_KEY         __attribute__((cleanup(free_key))) private_key
#define SCOPE_BIO         __attribute__((cleanup(free_bio))) BIO

/* PEM ------------------------------------------------------------------------------------------------------------ */

static BIO *reader_of(const void *text, size_t count)
{
    return count <= CERTIFICATE_PEM_MAX ? BIO_new_mem_buf(text, (int)count) : NULL;
}

static enum code take_text(BIO *from, struct buffer *out, struct failure *why)
{
    char *text;
    long count = BIO_get_mem_data(from, &text);
    if (count <= 0)
        return openssl_failure_set(why, "writing a key or a certificate");
    buffer_clear(out);
    buffer_append(out, text, (size_t)count);
    return buffer_check(out, "a key or a certificate", why);
}

X509 *certificate_read(const struct buffer *pem, struct failure *why)
{
    SCOPE_BIO *from = reader_of(buffer_text(pem), pem->length);
    X509 *read = from ? PEM_read_bio_X509(from, NULL, NULL, NULL) : NULL;
    openssl_failure_forget();
    if (!read)
        failure_set(why, CODE_CORRUPT, "a certificate is damaged: it is not X.509 in PEM form");
    return read;
}

EVP_PKEY *certificate_read_key(const struct buffer *pem, struct failure *why)
{
    SCOPE_BIO *from = reader_of(buffer_text(pem), pem->length);
    EVP_PKEY *read = from ? PEM_read_bio_PrivateKey(from, NULL, NULL, NULL) : NULL;
    openssl_failure_forget();
    if (read && EVP_PKEY_get_id(read) == EVP_PKEY_ED25519)
        return read;
    EVP_PKEY_free(read);
    failure_set(why, CODE_CORRUPT, "a certificate's private key is damaged: it is not Ed25519 in PEM form");
    return NULL;
}

enum code certificate_make_key(struct buffer *key_pem, struct failure *why)
{
    SCOPE_KEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    SCOPE_BIO *text = BIO_new(BIO_s_secmem());
    if (!key || !text || PEM_write_bio_PKCS8PrivateKey(text, key, NULL, NULL, 0, NULL, NULL) != 1)
        return openssl_failure_set(why, "making a key for certificates");
    return take_text(text, key_pem, why);
}

enum code certificate_public_key(const struct buffer *key_pem, struct buffer *public_pem, struct failure *why)
{
    SCOPE_KEY *key = certificate_read_key(key_pem, why);
    if (!key)
        return CODE_CORRUPT;
    SCOPE_BIO *text = BIO_new(BIO_s_mem());
    if (!text || PEM_write_bio_PUBKEY(text, key) != 1)
        return openssl_failure_set(why, "writing a public key");
    return take_text(text, public_pem, why);
}

/* Issuing -------------------------------------------------------------------------------------------------------- */

static bool add_extension(X509 *to, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool added = extension && X509_add_ext(to, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_fingerprint(X509 *to, const char *fingerprint)
{
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_OCTET_STRING *wrapped = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *kind = OBJ_txt2obj(FINGERPRINT_OID, 1);
    unsigned char *der = NULL;
    X509_EXTENSION *extension = NULL;
    bool added = false;
    if (text && wrapped && kind && ASN1_STRING_set(text, fingerprint, -1) == 1) {
        int count = i2d_ASN1_IA5STRING(text, &der);
        if (count > 0 && ASN1_OCTET_STRING_set(wrapped, der, count) == 1)
            extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 0, wrapped);
        added = extension && X509_add_ext(to, extension, -1) == 1;
    }
    X509_EXTENSION_free(extension);
    OPENSSL_free(der);
    ASN1_OBJECT_free(kind);
    ASN1_OCTET_STRING_free(wrapped);
    ASN1_IA5STRING_free(text);
    return added;
}

static bool set_serial(X509 *to)
{
    uint8_t random[SERIAL_BYTES];
    if (entropy_fill(random, sizeof random, NULL) != CODE_OK)
        return false;
    random[0] = (random[0] & 0x7f) | 0x40; /* positive, and always as long */
    BIGNUM *number = BN_bin2bn(random, sizeof random, NULL);
    bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(to));
    BN_free(number);
    return set;
}

static bool set_name(X509_NAME *name, const char *text)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

/* Everything but who issues it and the signature. */
static X509 *begin_certificate(EVP_PKEY *public, const char *name, int days)
{
    X509 *made = X509_new();
    if (made && X509_set_version(made, X509_VERSION_3) == 1 && set_serial(made) &&
        X509_gmtime_adj(X509_getm_notBefore(made), -CLOCK_SKEW_S) &&
        X509_time_adj_ex(X509_getm_notAfter(made), days, 0, NULL) && X509_set_pubkey(made, public) == 1 &&
        set_name(X509_get_subject_name(made), name))
        return made;
    X509_free(made);
    return NULL;
}

static enum code finish_certificate(X509 *made, EVP_PKEY *signer, struct buffer *out, struct failure *why)
{
    SCOPE_BIO *text = BIO_new(BIO_s_mem());
    if (!text || X509_sign(made, signer, NULL) <= 0 || PEM_write_bio_X509(text, made) != 1)
        return openssl_failure_set(why, "issuing a certificate");
    return take_text(text, out, why);
}

enum code certificate_make_lab(const struct buffer *lab_key_pem, const char *lab_name, struct buffer *certificate_pem,
                               struct failure *why)
{
    SCOPE_KEY *key = certificate_read_key(lab_key_pem, why);
    if (!key)
        return CODE_CORRUPT;
    SCOPE_CERTIFICATE *made = begin_certificate(key, lab_name, LAB_DAYS);
    if (!made || X509_set_issuer_name(made, X509_get_subject_name(made)) != 1 ||
        !add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(made, made, NID_key_usage, "critical,keyCertSign"))
        return openssl_failure_set(why, "making the lab's certificate");
    return finish_certificate(made, key, certificate_pem, why);
}

static EVP_PKEY *read_public(const void *public_pem, size_t count, struct failure *why)
{
    SCOPE_BIO *from = reader_of(public_pem, count);
    EVP_PKEY *public = from ? PEM_read_bio_PUBKEY(from, NULL, NULL, NULL) : NULL;
    openssl_failure_forget();
    if (public && EVP_PKEY_get_id(public) == EVP_PKEY_ED25519)
        return public;
    EVP_PKEY_free(public);
    failure_set(why, CODE_INVALID, "the public key for a certificate is not Ed25519 in PEM form");
    return NULL;
}

enum code certificate_issue(const struct buffer *lab_key_pem, const struct buffer *lab_certificate_pem,
                            const struct certificate_holder *holder, const void *public_pem, size_t count,
                            struct buffer *certificate_pem, struct failure *why)
{
    SCOPE_KEY *key = certificate_read_key(lab_key_pem, why);
    SCOPE_CERTIFICATE *lab = key ? certificate_read(lab_certificate_pem, why) : NULL;
    if (!lab)
        return CODE_CORRUPT;
    SCOPE_KEY *public = read_public(public_pem, count, why);
    if (!public)
        return CODE_INVALID;
    SCOPE_CERTIFICATE *made = begin_certificate(public, holder->name, MEMBER_DAYS);
    if (!made || X509_set_issuer_name(made, X509_get_subject_name(lab)) != 1 ||
        !add_extension(made, lab, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(made, lab, NID_key_usage, "critical,digitalSignature") ||
        (holder->member_fingerprint[0] && !add_fingerprint(made, holder->member_fingerprint)))
        return openssl_failure_set(why, "issuing a certificate");
    return finish_certificate(made, key, certificate_pem, why);
}

/* Reading -------------------------------------------------------------------------------------------------------- */

enum code certificate_digest(const X509 *from, uint8_t out[CERTIFICATE_FINGERPRINT_BYTES], struct failure *why)
{
    unsigned int count = CERTIFICATE_FINGERPRINT_BYTES;
    if (X509_digest(from, EVP_sha256(), out, &count) != 1 || count != CERTIFICATE_FINGERPRINT_BYTES)
        return openssl_failure_set(why, "the fingerprint of a certificate");
    return CODE_OK;
}

enum code certificate_fingerprint(const struct buffer *certificate_pem, uint8_t out[CERTIFICATE_FINGERPRINT_BYTES],
                                  struct failure *why)
{
    SCOPE_CERTIFICATE *read = certificate_read(certificate_pem, why);
    return read ? certificate_digest(read, out, why) : CODE_CORRUPT;
}

/* The text must be whole: no terminator within, no more than fits. */
static bool copy_text(const unsigned char *from, int count, char *to, size_t size)
{
    if (count <= 0 || (size_t)count >= size || memchr(from, 0, (size_t)count))
        return false;
    memcpy(to, from, (size_t)count);
    to[count] = 0;
    return true;
}

static bool read_name(const X509 *from, char *name, size_t size)
{
    X509_NAME *subject = X509_get_subject_name(from);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return false;
    unsigned char *text = NULL;
    int count = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool copied = copy_text(text, count, name, size);
    OPENSSL_free(text);
    return copied;
}

/* "" where there is none; false where it is not ours. */
static bool read_fingerprint(const X509 *from, char *fingerprint, size_t size)
{
    ASN1_OBJECT *kind = OBJ_txt2obj(FINGERPRINT_OID, 1);
    int at = kind ? X509_get_ext_by_OBJ(from, kind, -1) : -1;
    ASN1_OBJECT_free(kind);
    fingerprint[0] = 0;
    if (at < 0)
        return true;
    const ASN1_OCTET_STRING *wrapped = X509_EXTENSION_get_data(X509_get_ext(from, at));
    const unsigned char *der = ASN1_STRING_get0_data(wrapped);
    ASN1_IA5STRING *text = d2i_ASN1_IA5STRING(NULL, &der, ASN1_STRING_length(wrapped));
    bool copied = text && copy_text(ASN1_STRING_get0_data(text), ASN1_STRING_length(text), fingerprint, size);
    ASN1_IA5STRING_free(text);
    return copied;
}

enum code certificate_holder_of(const X509 *from, struct certificate_holder *out, struct failure *why)
{
    *out = (struct certificate_holder){0};
    bool read = read_name(from, out->name, sizeof out->name) &&
                read_fingerprint(from, out->member_fingerprint, sizeof out->member_fingerprint);
    openssl_failure_forget();
    bool server = read && strcmp(out->name, CERTIFICATE_SERVER_NAME) == 0;
    if (!read || server != !out->member_fingerprint[0])
        return failure_set(why, CODE_CORRUPT, "a certificate does not say whose it is in the way of this lab");
    return CODE_OK;
}

enum code certificate_refuse(long reason, const char *whose, struct failure *why)
{
    switch (reason) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return failure_set(why, CODE_IO,
                           "%s certificate is not valid yet: this computer's clock is behind, or that of who issued it was "
                           "ahead: set the clock "
                           "(timedatectl set-ntp true) and try again",
                           whose);
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return failure_set(why, CODE_IO,
                           "%s certificate has expired: if this computer's clock is right (timedatectl tells), a member "
                           "joins again with a new "
                           "invitation, and for the server's ask who runs the lab",
                           whose);
    default:
        return failure_set(why, CODE_DENIED, "%s certificate is not one of this lab: %s", whose,
                           X509_verify_cert_error_string(reason));
    }
}

enum code certificate_verify(X509 *checked, X509 *issuer, struct failure *why)
{
    X509_STORE *trusted = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    enum code code = CODE_OK;
    if (!trusted || !context || X509_STORE_add_cert(trusted, issuer) != 1 ||
        X509_STORE_CTX_init(context, trusted, checked, NULL) != 1)
        code = openssl_failure_set(why, "checking a certificate");
    else if (X509_verify_cert(context) != 1)
        code = certificate_refuse(X509_STORE_CTX_get_error(context), "the", why);
    openssl_failure_forget();
    X509_STORE_CTX_free(context);
    X509_STORE_free(trusted);
    return code;
}
