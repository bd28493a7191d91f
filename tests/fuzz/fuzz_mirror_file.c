/* Lists of mirrors that somebody else wrote.  What is accepted is written again as the same bytes.  The first byte of an
 * input says whether its sum is put right, since nearly everything else would end there. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "mirror_file.h"
#include "summed_text.h"

static void parse(const char *text, size_t count)
{
    struct failure why;
    struct mirror_file file;
    SCOPE_BUFFER again = {0};
    enum code code = mirror_file_parse(text, count, &file, &why);
    assert(code == CODE_OK || code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
    if (code == CODE_OK) {
        assert(file.member_count <= MIRROR_SIDES_MAX && file.past_count <= MIRROR_FILE_PAST_MAX);
        assert(mirror_file_compare(&file, &file) == MIRROR_SAME);
        mirror_file_write(&file, &again);
        assert(again.length == count && memcmp(again.data, text, count) == 0);
    }
    mirror_file_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    SCOPE_BUFFER text = {.max = 2 * MIRROR_FILE_BYTES_MAX};
    if (count == 0)
        return 0;
    buffer_append(&text, bytes + 1, count - 1);
    if (bytes[0] & 1)
        summed_text_finish(&text);
    if (!text.failed)
        parse(buffer_text(&text), text.length);
    return 0;
}

#define HEAD                                                                                                                \
    "\1cytofs mirrors 1\nself 000102030405060708090a0b0c0d0e0f\nstate whole\nclosed yes\n"                                  \
    "epoch 2 101112131415161718191a1b1c1d1e1f\n"
#define BEFORE "before 202122232425262728292a2b2c2d2e2f\n"
#define SIDES                                                                                                               \
    "side 000102030405060708090a0b0c0d0e0f current /data/lab\nside 303132333435363738393a3b3c3d3e3f behind /mnt/lab\n"

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const seeds[] = {HEAD, HEAD BEFORE SIDES, HEAD BEFORE BEFORE SIDES};
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
