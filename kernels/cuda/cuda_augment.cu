/* Training crops: a thread a pixel, which runs the function that the CPU runs (augmentation.h).  Built without fused
 * multiply-add, so that both round alike. */
#include "cuda_values.cuh"

#include "augmentation.h"

template <typename T>
__global__ void augment(size_t pixels, int side, int channels, const struct augmentation_crop *crops, T *x)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels)
        return;
    size_t in_image = i % ((size_t)side * side);
    float value[AUGMENTATION_CHANNELS_MAX];
    augmentation_pixel(&crops[i / ((size_t)side * side)], (int)(in_image % side), (int)(in_image / side), value);
    for (int c = 0; c < AUGMENTATION_CHANNELS_MAX; c++)
        if (c < channels)
            cuda_set(x, i * channels + c, value[c]);
}

void cuda_augment(cudaStream_t stream, const struct augmentation_crop *crops, const struct tensor *x)
{
    size_t pixels = tensor_pixels(x);
    CUDA_WITH_TYPE(x->dtype, T,
                   CUDA_LAUNCH(augment, cuda_blocks(pixels), CUDA_THREADS, stream, pixels, x->w, x->c, crops, (T *)x->data));
}
