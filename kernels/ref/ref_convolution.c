/* Convolution by its definition: y[n,i,j,o] = bias[o] + sum over (r, s, c) of x[n, i*stride + r - pad,
 * j*stride + s - pad, c]
 * * w[o,r,s,c], zero outside.  Both gradients walk the same terms.  The plan keeps the weights rounded to the
 * type of the activations, as a device that multiplies in bf16 does. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ref_internal.h"

struct convolution {
    struct convolution_spec spec;
    int height_out, width_out;
    float *weights; /* (Cout, Kh, Kw, Cin), scaled and rounded */
    float *bias;    /* (Cout) */
    double *sums;   /* as many as the largest of y, dx and dweights has elements */
};

static size_t weight_count(const struct convolution_spec *spec)
{
    return (size_t)spec->channels_out * (size_t)spec->kernel * (size_t)spec->kernel * (size_t)spec->channels_in;
}

static size_t input_count(const struct convolution_spec *spec)
{
    return (size_t)spec->batch * (size_t)spec->height * (size_t)spec->width * (size_t)spec->channels_in;
}

static size_t output_count(const struct convolution *plan)
{
    return (size_t)plan->spec.batch * (size_t)plan->height_out * (size_t)plan->width_out * (size_t)plan->spec.channels_out;
}

enum code ref_convolution_create(const struct device *device, const struct convolution_spec *spec, struct convolution **out,
                                 struct failure *why)
{
    (void)device;
    assert(spec->kernel == 1 || spec->kernel == 3);
    assert(!spec->training || (!spec->accumulate && !spec->relu));
    struct convolution *plan = calloc(1, sizeof *plan);
    if (!plan)
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory");
    plan->spec = *spec;
    plan->height_out = (spec->height + spec->stride - 1) / spec->stride;
    plan->width_out = (spec->width + spec->stride - 1) / spec->stride;
    size_t sums = output_count(plan);
    if (sums < weight_count(spec))
        sums = weight_count(spec);
    if (sums < input_count(spec))
        sums = input_count(spec);
    plan->weights = calloc(weight_count(spec), sizeof *plan->weights);
    plan->bias = calloc((size_t)spec->channels_out, sizeof *plan->bias);
    plan->sums = calloc(sums, sizeof *plan->sums);
    if (!plan->weights || !plan->bias || !plan->sums) {
        ref_convolution_destroy(plan);
        return failure_set(why, CODE_NO_MEMORY, "planning a convolution: out of memory");
    }
    *out = plan;
    return CODE_OK;
}

void ref_convolution_destroy(struct convolution *plan)
{
    if (!plan)
        return;
    free(plan->weights);
    free(plan->bias);
    free(plan->sums);
    free(plan);
}

void ref_convolution_set_weights(struct convolution *plan, const float *weights, const float *scale, const float *bias)
{
    const struct convolution_spec *spec = &plan->spec;
    size_t per_output = weight_count(spec) / (size_t)spec->channels_out;
    for (size_t o = 0; o < (size_t)spec->channels_out; o++) {
        for (size_t k = 0; k < per_output; k++) {
            float value = weights[o * per_output + k] * (scale ? scale[o] : 1.0f);
            plan->weights[o * per_output + k] = spec->dtype == DTYPE_F32 ? value : bf16_to_f32(bf16_from_f32(value));
        }
        plan->bias[o] = bias ? bias[o] : 0.0f;
    }
}

/* One term of the sum: indexes of the x and w that meet at an output pixel. */
struct term {
    size_t y, x, w; /* of channel 0; w of output channel 0 */
};

/* Calls `visit` for each output pixel and each tap that falls inside the input. */
static void each_term(const struct convolution *plan, void (*visit)(const struct term *term, void *context), void *context)
{
    const struct convolution_spec *spec = &plan->spec;
    int pad = spec->kernel / 2;
    for (int n = 0; n < spec->batch; n++)
        for (int i = 0; i < plan->height_out; i++)
            for (int j = 0; j < plan->width_out; j++)
                for (int tap = 0; tap < spec->kernel * spec->kernel; tap++) {
                    int row = i * spec->stride + tap / spec->kernel - pad;
                    int column = j * spec->stride + tap % spec->kernel - pad;
                    if (row < 0 || row >= spec->height || column < 0 || column >= spec->width)
                        continue;
                    struct term term = {
                        .y = (((size_t)n * (size_t)plan->height_out + (size_t)i) * (size_t)plan->width_out + (size_t)j) *
                             (size_t)spec->channels_out,
                        .x = (((size_t)n * (size_t)spec->height + (size_t)row) * (size_t)spec->width + (size_t)column) *
                             (size_t)spec->channels_in,
                        .w = (size_t)tap * (size_t)spec->channels_in,
                    };
                    visit(&term, context);
                }
}

struct pass {
    const struct convolution *plan;
    const void *x, *dy;
    double *sums;
};

static void add_output(const struct term *term, void *context)
{
    const struct pass *pass = context;
    const struct convolution_spec *spec = &pass->plan->spec;
    size_t step = (size_t)(spec->kernel * spec->kernel * spec->channels_in);
    for (size_t o = 0; o < (size_t)spec->channels_out; o++)
        for (size_t c = 0; c < (size_t)spec->channels_in; c++)
            pass->sums[term->y + o] +=
                ref_get(spec->dtype, pass->x, term->x + c) * (double)pass->plan->weights[o * step + term->w + c];
}

static void add_input_gradient(const struct term *term, void *context)
{
    const struct pass *pass = context;
    const struct convolution_spec *spec = &pass->plan->spec;
    size_t step = (size_t)(spec->kernel * spec->kernel * spec->channels_in);
    for (size_t o = 0; o < (size_t)spec->channels_out; o++)
        for (size_t c = 0; c < (size_t)spec->channels_in; c++)
            pass->sums[term->x + c] +=
                ref_get(spec->dtype, pass->dy, term->y + o) * (double)pass->plan->weights[o * step + term->w + c];
}

static void add_weight_gradient(const struct term *term, void *context)
{
    const struct pass *pass = context;
    const struct convolution_spec *spec = &pass->plan->spec;
    size_t step = (size_t)(spec->kernel * spec->kernel * spec->channels_in);
    for (size_t o = 0; o < (size_t)spec->channels_out; o++)
        for (size_t c = 0; c < (size_t)spec->channels_in; c++)
            pass->sums[o * step + term->w + c] +=
                ref_get(spec->dtype, pass->dy, term->y + o) * ref_get(spec->dtype, pass->x, term->x + c);
}

void ref_convolution_forward(struct convolution *plan, const void *x, void *y)
{
    const struct convolution_spec *spec = &plan->spec;
    memset(plan->sums, 0, output_count(plan) * sizeof *plan->sums);
    each_term(plan, add_output, &(struct pass){.plan = plan, .x = x, .sums = plan->sums});
    for (size_t i = 0; i < output_count(plan); i++) {
        double value = plan->sums[i] + (double)plan->bias[i % (size_t)spec->channels_out];
        if (spec->accumulate)
            value += ref_get(spec->dtype_out, y, i);
        ref_set(spec->dtype_out, y, i, spec->relu && value < 0 ? 0 : value);
    }
}

void ref_convolution_backward_data(struct convolution *plan, const void *dy, void *dx)
{
    const struct convolution_spec *spec = &plan->spec;
    memset(plan->sums, 0, input_count(spec) * sizeof *plan->sums);
    each_term(plan, add_input_gradient, &(struct pass){.plan = plan, .dy = dy, .sums = plan->sums});
    for (size_t i = 0; i < input_count(spec); i++)
        ref_set(spec->dtype, dx, i, plan->sums[i]);
}

void ref_convolution_backward_weights(struct convolution *plan, const void *x, const void *dy, float *dweights, float *dbias)
{
    const struct convolution_spec *spec = &plan->spec;
    memset(plan->sums, 0, weight_count(spec) * sizeof *plan->sums);
    each_term(plan, add_weight_gradient, &(struct pass){.plan = plan, .x = x, .dy = dy, .sums = plan->sums});
    for (size_t i = 0; i < weight_count(spec); i++)
        dweights[i] = (float)plan->sums[i];
    size_t channels = (size_t)spec->channels_out, pixels = output_count(plan) / channels;
    for (size_t o = 0; spec->bias && o < channels; o++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += ref_get(spec->dtype, dy, p * channels + o);
        dbias[o] = (float)sum;
    }
}
