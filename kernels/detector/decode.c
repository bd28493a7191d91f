/* Peaks of the heat map: see decode.h.
 *
 * A cell is a peak of its class when no neighbour of its 3x3 surroundings is higher; of equal neighbours the
 * first in reading order counts, so a plateau gives one detection.  Logits are compared: sigmoid keeps their
 * order.
 */
#include "decode.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "targets.h"

float decode_distance(float z)
{
    return TARGETS_STRIDE * expf(fminf(fmaxf(z, -4), 6));
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static bool is_peak(const struct decode_outputs *outputs, int row, int column, int class_index)
{
    const float *heat = outputs->heat + class_index;
    size_t classes = (size_t)outputs->classes, columns = (size_t)outputs->columns;
    float here = heat[((size_t)row * columns + (size_t)column) * classes];
    for (int y = row - 1; y <= row + 1; y++) {
        for (int x = column - 1; x <= column + 1; x++) {
            if (y < 0 || y >= outputs->rows || x < 0 || x >= outputs->columns || (y == row && x == column))
                continue;
            float there = heat[((size_t)y * columns + (size_t)x) * classes];
            bool is_earlier = y < row || (y == row && x < column);
            if (there > here || (there == here && is_earlier))
                return false;
        }
    }
    return true;
}

static struct detection detection_at(const struct decode_outputs *outputs, int row, int column, int class_index)
{
    size_t cell = (size_t)row * (size_t)outputs->columns + (size_t)column;
    const float *box = &outputs->box[cell * 4];
    float x = (float)(column * TARGETS_STRIDE) + 2, y = (float)(row * TARGETS_STRIDE) + 2;
    float score = sigmoid(outputs->heat[cell * (size_t)outputs->classes + (size_t)class_index]);
    struct detection found = {
        .box = {x - decode_distance(box[0]), y - decode_distance(box[1]), x + decode_distance(box[2]),
                y + decode_distance(box[3])},
        .score = score,
        .probability = score,
        .class_index = class_index,
        .origin_x = x,
        .origin_y = y,
    };
    for (int k = 0; k < outputs->ray_count; k++)
        found.rays[k] = decode_distance(outputs->rays[cell * (size_t)outputs->ray_count + (size_t)k]);
    return found;
}

enum code decode_peaks(const struct decode_outputs *outputs, struct detection_list *list, struct failure *why)
{
    const float floor_logit = logf(DECODE_SCORE_FLOOR / (1 - DECODE_SCORE_FLOOR));
    struct detection_list found = {.ray_count = outputs->ray_count};
    enum code code = CODE_OK;
    const float *heat = outputs->heat;
    for (int row = 0; row < outputs->rows && code == CODE_OK; row++) {
        for (int column = 0; column < outputs->columns && code == CODE_OK; column++) {
            for (int k = 0; k < outputs->classes && code == CODE_OK; k++, heat++) {
                if (!(*heat > floor_logit) || !is_peak(outputs, row, column, k))
                    continue;
                struct detection peak = detection_at(outputs, row, column, k);
                code = detection_list_add(&found, &peak, why);
            }
        }
    }
    detection_list_sort(&found);
    for (size_t i = 0; i < found.count && i < DECODE_PEAKS_MAX && code == CODE_OK; i++)
        code = detection_list_add(list, &found.items[i], why);
    detection_list_free(&found);
    return code;
}
