/* Anything may come over a connection before we know who is there, and from a member who means harm: the first byte says
 * which parser. The input is copied to the end of its own memory, so that the address sanitizer sees one byte too many. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire_frame.h"
#include "wire_ledger.h"

static void take_frames(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct wire_frame frame;
    size_t taken;
    while (wire_frame_take(bytes, count, &frame, &taken, &why) == CODE_OK) {
        struct wire_greeting greeting;
        assert(taken <= count && frame.length <= WIRE_MESSAGE_MAX && frame.bytes + frame.length == bytes + taken);
        if (frame.kind == WIRE_HELLO || frame.kind == WIRE_WELCOME) {
            enum code code = wire_frame_read_greeting(&frame, &greeting, &why);
            assert(code == CODE_OK || why.text[0]);
        }
        if (frame.kind == WIRE_REFUSED)
            assert(wire_frame_read_refusal(&frame, &why) != CODE_OK);
        bytes += taken;
        count -= taken;
    }
}

/* What is read back is what is written again. */
static void restore(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct wire_ledger ledger;
    size_t taken;
    if (wire_ledger_restore(&ledger, bytes, count, &taken, &why) != CODE_OK) {
        assert(why.text[0]);
        return;
    }
    SCOPE_BUFFER again = {0};
    wire_ledger_save(&ledger, &again);
    assert(taken <= count && again.length == taken && memcmp(again.data, bytes, taken) == 0);
    uint64_t first = ledger.acknowledged, last = ledger.sent;
    assert(wire_ledger_rewind(&ledger, last + 1, &why) == CODE_CORRUPT || last == UINT64_MAX);
    enum code code = wire_ledger_rewind(&ledger, first, &why);
    assert(code == CODE_OK && (ledger.next || first == last));
    wire_ledger_clear(&ledger);
}

static const struct {
    uint8_t parser;
    const char *bytes;
    size_t count;
} seeds[] = {
    {1, "\x28\0\0\0\1\0\0\0cytofs\r\n\1\0\0\0\0\0\0\0abcdefghijklmnop\5\0\0\0\0\0\0\0", 48},
    {1,
     "\x28\0\0\0\2\0\0\0cytofs\r\n\1\0\1\0\0\0\0\0abcdefghijklmnop\5\0\0\0\0\0\0\0\3\0\0\0\4\0\0\0xyz\x8\0\0\0\5\0\0\0\1\0\0"
     "\0\0\0\0\0",
     75},
    {1, "\x7\0\0\0\3\0\0\0\1\0\0\0now\0\0\0\0\6\0\0\0\0\0\0\0\x9\0\0\0", 31},
    {0, "\2\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0abc\1\0\0\0d", 36},
};

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = seeds[index].count + 1;
    uint8_t *seed = malloc(*count);
    assert(seed);
    seed[0] = seeds[index].parser;
    memcpy(seed + 1, seeds[index].bytes, seeds[index].count);
    return seed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count == 0)
        return 0;
    uint8_t *copy = malloc(count - 1 ? count - 1 : 1);
    assert(copy);
    memcpy(copy, data + 1, count - 1);
    if (data[0] & 1)
        take_frames(copy, count - 1);
    else
        restore(copy, count - 1);
    free(copy);
    return 0;
}
