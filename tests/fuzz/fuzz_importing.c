/* Cleaning image files for import, on hostile bytes.  Where the original can be decoded, the cleaned file
 * must decode to the same pixels. */
#include "fuzzing.h"

#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "importing.h"
#include "scope.h"
#include "tiny_images.h"

static void must_be_equal(const struct image *a, const struct image *b)
{
    if (a->width != b->width || a->height != b->height || a->channels != b->channels || a->bits != b->bits)
        abort();
    size_t size = (size_t)a->width * (size_t)a->height * (size_t)a->channels * (size_t)a->bits / 8;
    if (memcmp(a->data, b->data, size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    SCOPE_BUFFER cleaned = {0};
    SCOPE_BUFFER removed = {0};
    if (importing_clean(bytes, count, "input", &cleaned, &removed, &why) != CODE_OK)
        return 0;
    SCOPE_IMAGE before = {0}, after = {0};
    if (image_decode(bytes, count, "before", &before, &why) != CODE_OK)
        return 0;
    if (image_decode(cleaned.data, cleaned.length, "after", &after, &why) != CODE_OK)
        abort();
    must_be_equal(&before, &after);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    struct buffer bytes = {0};
    if (!tiny_images_make(index, true, &bytes))
        return NULL;
    *count = bytes.length;
    return (uint8_t *)bytes.data;
}
