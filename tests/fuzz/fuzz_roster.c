/* Lists of readers, which whoever reads a space may have written.  What is accepted is written again as the same bytes. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tree_roster.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    SCOPE_ROSTER roster = {0};
    SCOPE_BUFFER again = {0};
    enum code code = roster_parse(bytes, count, &roster, &why);
    assert(code == CODE_OK || code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
    if (code != CODE_OK)
        return 0;
    assert(roster.count <= ROSTER_READERS_MAX);
    roster_print(&roster, &again);
    assert(again.length == count && memcmp(again.data, bytes, count) == 0);
    for (size_t i = 0; i < roster.count; i++)
        assert(roster_find(&roster, &roster.readers[i].public.id) && roster_find_name(&roster, roster.readers[i].name));
    return 0;
}

#define KEY    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
#define READER "reader bb000000000000000000000000000000 " KEY " 0 bob\n"

static const char *const seeds[] = {
    "cytofs readers 1\neveryone yes\ndue no\n",
    "cytofs readers 1\neveryone no\ndue yes\n" READER,
    "cytofs readers 1\neveryone yes\ndue no\n" READER "reader aa000000000000000000000000000000 " KEY " 1 recovery\n"
    "former cc000000000000000000000000000000 " KEY " 0 eve\nrole bb000000000000000000000000000000 admin\n",
};

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
