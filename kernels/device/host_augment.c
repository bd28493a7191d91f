/* Crops made where the program runs: see host_augment.h. */
#include "host_augment.h"

#include <assert.h>

#include "augmentation.h"

void host_augment(const struct device *device, const struct augmentation_crop *crops, const struct tensor *x)
{
    (void)device;
    size_t pixels = (size_t)x->h * (size_t)x->w, channels = (size_t)x->c;
    for (int n = 0; n < x->n; n++) {
        const struct augmentation_crop *crop = &crops[n];
        assert(crop->view.side == x->w && x->h == x->w && crop->channels == x->c);
        for (size_t p = 0; p < pixels; p++) {
            float value[AUGMENTATION_CHANNELS_MAX];
            augmentation_pixel(crop, (int)(p % (size_t)x->w), (int)(p / (size_t)x->w), value);
            size_t first = ((size_t)n * pixels + p) * channels;
            for (size_t c = 0; c < channels; c++)
                if (x->dtype == DTYPE_F32)
                    ((float *)x->data)[first + c] = value[c];
                else
                    ((uint16_t *)x->data)[first + c] = bf16_from_f32(value[c]);
        }
    }
}
