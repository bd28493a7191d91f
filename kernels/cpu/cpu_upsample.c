/* Nearest-neighbour upsampling by 2 onto an existing tensor, and its gradient, a coarse row at a time. */
#include <assert.h>

#include "cpu_internal.h"
#include "cpu_vector.h"

/* Two fine rows, each of 2 * width pixels, and the coarse row between them. */
struct rows {
    void *coarse, *upper, *lower;
    size_t width, channels;
};

CPU_INLINE void add_rows(enum dtype dtype, const struct rows *rows)
{
    void *restrict lines[2] = {rows->upper, rows->lower};
    size_t channels = rows->channels;
    for (int line = 0; line < 2; line++)
        for (size_t j = 0; j < 2 * rows->width; j++)
            for (size_t c = 0; c < channels; c += CPU_LANES) {
                float value[CPU_LANES];
                for (size_t k = 0; k < CPU_LANES; k++)
                    value[k] = cpu_vector_get(dtype, lines[line], j * channels + c + k) +
                               cpu_vector_get(dtype, rows->coarse, j / 2 * channels + c + k);
                for (size_t k = 0; k < CPU_LANES; k++)
                    cpu_vector_set(dtype, lines[line], j * channels + c + k, value[k]);
            }
}

CPU_INLINE void sum_rows(enum dtype dtype, const struct rows *rows)
{
    size_t channels = rows->channels;
    for (size_t j = 0; j < rows->width; j++)
        for (size_t c = 0; c < channels; c += CPU_LANES) {
            size_t left = 2 * j * channels + c, right = left + channels;
            float value[CPU_LANES];
            for (size_t k = 0; k < CPU_LANES; k++)
                value[k] = cpu_vector_get(dtype, rows->upper, left + k) + cpu_vector_get(dtype, rows->upper, right + k) +
                           cpu_vector_get(dtype, rows->lower, left + k) + cpu_vector_get(dtype, rows->lower, right + k);
            for (size_t k = 0; k < CPU_LANES; k++)
                cpu_vector_set(dtype, rows->coarse, j * channels + c + k, value[k]);
        }
}

VECTORISED static void add_rows_f32(const struct rows *rows)
{
    add_rows(DTYPE_F32, rows);
}

VECTORISED static void add_rows_bf16(const struct rows *rows)
{
    add_rows(DTYPE_BF16, rows);
}

VECTORISED static void sum_rows_f32(const struct rows *rows)
{
    sum_rows(DTYPE_F32, rows);
}

VECTORISED static void sum_rows_bf16(const struct rows *rows)
{
    sum_rows(DTYPE_BF16, rows);
}

static void each_row(const struct device *device, const struct tensor *coarse, const struct tensor *fine,
                     void (*visit)(const struct rows *rows))
{
    assert(fine->h == 2 * coarse->h && fine->w == 2 * coarse->w && fine->n == coarse->n && fine->c == coarse->c);
    assert(fine->dtype == coarse->dtype && fine->c % CPU_LANES == 0);
    size_t coarse_row = (size_t)coarse->w * (size_t)coarse->c * dtype_bytes(coarse->dtype);
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (int row = 0; row < coarse->n * coarse->h; row++) {
        struct rows rows = {.coarse = (char *)coarse->data + (size_t)row * coarse_row,
                            .upper = (char *)fine->data + (size_t)row * 4 * coarse_row,
                            .lower = (char *)fine->data + (size_t)row * 4 * coarse_row + 2 * coarse_row,
                            .width = (size_t)coarse->w, .channels = (size_t)coarse->c};
        visit(&rows);
    }
}

void cpu_upsample_add(const struct device *device, const struct tensor *coarse, const struct tensor *fine)
{
    each_row(device, coarse, fine, coarse->dtype == DTYPE_F32 ? add_rows_f32 : add_rows_bf16);
}

void cpu_upsample_backward(const struct device *device, const struct tensor *dfine, const struct tensor *dcoarse)
{
    each_row(device, dcoarse, dfine, dcoarse->dtype == DTYPE_F32 ? sum_rows_f32 : sum_rows_bf16);
}
