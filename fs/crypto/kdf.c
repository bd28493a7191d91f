/* HKDF-SHA256: see kdf.h. */
#include "kdf.h"

#include <assert.h>
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "openssl_failure.h"

/* OpenSSL's parameters take pointers to what may be changed; inputs are not. */
static OSSL_PARAM octets(const char *name, const void *bytes, size_t count)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, count);
}

enum code kdf_hkdf(const struct kdf_input *input, void *out, size_t count, struct failure *why)
{
    assert(count >= 1 && count <= KDF_OUTPUT_MAX);
    char digest[] = "SHA256";
    OSSL_PARAM parameters[5], *next = parameters;
    *next++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    *next++ = octets(OSSL_KDF_PARAM_KEY, input->secret, input->secret_count);
    if (input->salt_count)
        *next++ = octets(OSSL_KDF_PARAM_SALT, input->salt, input->salt_count);
    if (input->info_count)
        *next++ = octets(OSSL_KDF_PARAM_INFO, input->info, input->info_count);
    *next = OSSL_PARAM_construct_end();

    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    bool done = context && EVP_KDF_derive(context, out, count, parameters) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(hkdf);
    return done ? CODE_OK : openssl_failure_set(why, "deriving a key");
}
