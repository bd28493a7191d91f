/* Points of a backup and their lists of the audit log, on a disk that anybody may have written to.  The first byte of an
 * input says which of the two, and whether its checksum is put right, since nearly everything else would end there. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backup_audit.h"
#include "backup_point.h"
#include "summed_text.h"

static void take_list(struct buffer *text, bool finish)
{
    struct failure why;
    struct backup_audit_file *files;
    size_t files_count;
    SCOPE_BUFFER again = {0};
    if (finish)
        summed_text_finish(text);
    if (backup_audit_parse(buffer_text(text), text->length, &files, &files_count, &why) != CODE_OK) {
        assert(why.text[0] && !files);
        return;
    }
    backup_audit_print(files, files_count, &again);
    assert(again.length == text->length && memcmp(again.data, text->data, again.length) == 0);
    free(files);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct backup_point point;
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER again = {0};
    if (count == 0)
        return 0;
    buffer_append(&text, bytes + 1, count - 1);
    assert(!text.failed);
    if (bytes[0] & 2) {
        take_list(&text, bytes[0] & 1);
        return 0;
    }
    if (bytes[0] & 1)
        backup_point_seal(&text);
    enum code code = backup_point_read(buffer_text(&text), text.length, &point, &why);
    assert(code == CODE_OK || code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
    if (code == CODE_OK) {
        assert(point.number >= 1 && point.number <= BACKUP_POINTS_MAX);
        for (size_t i = 0; i < point.pack_count; i++)
            assert(point.packs[i].sound <= point.packs[i].bytes &&
                   backup_point_find_pack(&point, point.packs[i].number) == &point.packs[i]);
        assert(backup_point_write(&point, &again, &why) == CODE_OK);
        /* Numbers may have had zeros in front. */
        assert(again.length <= text.length);
    }
    backup_point_free(&point);
    return 0;
}

#define HEAD                                                                                                                \
    "\1cytofs backup point 1\nnumber 3\nmade 1795357800000\nstore 00112233445566778899aabbccddeeff\n"                       \
    "catalog 4096 ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7\n"

static const char *const seeds[] = {
    HEAD,
    HEAD "pack 1 0 122 122\npack 7 1 268435400 1000\n",
    HEAD "pack 1 0 122 122\npack 7 1 268435400 1000\ndamaged 7 1000 131096 2\n",
    "\3cytofs backup audit 1\n",
    "\3cytofs backup audit 1\nlog 0 0 8388700\nlog 91833 2 412\n",
};

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
