/* What somebody hands over, or types: members' cards and recovery keys. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "member_card.h"
#include "recovery_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct member_card card;
    enum code code = member_card_parse(bytes, count, &card, &why);
    assert(code == CODE_OK || code == CODE_CORRUPT || code == CODE_INVALID || code == CODE_NEWER_FORMAT);
    if (code == CODE_OK) {
        char text[MEMBER_CARD_BYTES_MAX];
        assert(member_card_write(&card, text) == count && memcmp(text, bytes, count) == 0);
    }
    uint8_t secret[RECOVERY_SECRET_BYTES];
    char *typed = strndup((const char *)bytes, count);
    if (typed && recovery_key_read(typed, secret, &why) == CODE_OK) {
        char text[RECOVERY_TEXT_BYTES];
        uint8_t again[RECOVERY_SECRET_BYTES];
        recovery_key_write(secret, text);
        assert(recovery_key_read(text, again, &why) == CODE_OK && memcmp(secret, again, sizeof secret) == 0);
    }
    free(typed);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const seeds[] = {"cytofs member card 1\nname bob\nmember bb000000000000000000000000000000\n"
                                        "public de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f\n"
                                        "fingerprint 326a 38ee 04f2 e6f7 3a4e 8651 c62f cf3c\n",
                                        "00000032-00000064-00000056-0000004F-0000007D",
                                        "00000032 00000064\n00000056 0000004f o000oo7d"};
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
