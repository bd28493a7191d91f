/* Key files that somebody else wrote.  Only the reading of the text: unlocking costs 32 MiB and 50 ms by
 * design. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "member_key_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct member_key_file file;
    enum code code = member_key_file_parse(bytes, count, &file, &why);
    if (code != CODE_OK) {
        assert(code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
        return 0;
    }
    assert(file.secret_count == (file.protected_by_passphrase ? MEMBER_KEY_FILE_SECRET_MAX : MEMBER_KEY_BYTES));
    assert(!file.protected_by_passphrase ||
           (file.cost >= MEMBER_KEY_FILE_COST_MIN && file.cost <= MEMBER_KEY_FILE_COST_MAX));
    if (!file.protected_by_passphrase) {
        struct member_key *key = NULL;
        code = member_key_file_unlock(&file, NULL, &key, &why);
        assert(code == CODE_OK || code == CODE_CORRUPT);
        if (code == CODE_OK)
            member_key_destroy(key);
    }
    return 0;
}

#define HEAD                                                                                                                \
    "cytofs member key 1\nmember 00112233445566778899aabbccddeeff\n"                                                        \
    "public 8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a\nprotection "
#define PLAIN "none\nsecret 77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a\n"
#define SEALED                                                                                                              \
    "scrypt 15 6a79fa9f80b470e4a203bae39a8711fd\nsecret "                                                                   \
    "a9e62db2d8eeacf1557ad0822379872f7f98c60e7987b653be9f6097f"                                                             \
    "ad3db2351331badbebccb3f8de5664807c6ae741a68f35dddbf153623afb999\n"

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const seeds[] = {HEAD PLAIN, HEAD SEALED};
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
