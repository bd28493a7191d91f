/* Image readers on hostile bytes: as a picture, as labels, and cleaned for import.  Seeds are small files of
 * each format, made by the writers where there is one. */
#include "fuzzing.h"

#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "scope.h"
#include "tiny_images.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    SCOPE_IMAGE image = {0};
    if (image_decode(bytes, count, "input", &image, &why) == CODE_OK) {
        /* Every pixel must be there to be read. */
        size_t size = (size_t)image.width * (size_t)image.height * (size_t)image.channels * (size_t)image.bits / 8;
        volatile uint8_t last = ((const uint8_t *)image.data)[size - 1];
        (void)last;
    }
    struct image_labels labels;
    if (image_decode_labels(bytes, count, "input", &labels, &why) == CODE_OK)
        image_labels_free(&labels);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    struct buffer bytes = {0};
    if (!tiny_images_make(index, index % 2, &bytes))
        return NULL;
    *count = bytes.length;
    return (uint8_t *)bytes.data;
}
