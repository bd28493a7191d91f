/* One training step of the network, written down for another program to repeat: see compare_with_torch.py.
 *
 *     record_step N|S|M DEVICE FILE [ONNX]
 *
 * FILE is safetensors.  Tensors: data.input; target.heat, .box, .box_weight, .rays, .ray_weight;
 * before.<parameter>, average_before.<parameter>, gradient.<parameter>, after.<parameter>,
 * average.<parameter> around one step; output.heat, .box, .rays of its forward pass; inference.heat, .box,
 * .rays of an inference plan with the weights after it.  Metadata: loss, loss_heat, loss_box, loss_rays.
 *
 * ONNX gets the same weights as an ONNX model: see check_onnx.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network_fixture.h"
#include "onnx_model.h"
#include "safetensors.h"
#include "testing.h"

#define ENTRIES_MAX 1000

/* What was noted so far; tensors are kept until the program ends. */
struct record {
    struct safetensors_entry entries[ENTRIES_MAX];
    char names[ENTRIES_MAX][96];
    size_t count;
};

static struct record record;

static void note(const char *group, const char *name, const int *shape, int rank, const float *values)
{
    assert_true(record.count < ENTRIES_MAX);
    char *whole = record.names[record.count];
    snprintf(whole, sizeof record.names[0], "%s.%s", group, name);
    struct safetensors_entry *entry = &record.entries[record.count++];
    *entry = (struct safetensors_entry){.name = whole, .rank = rank, .values = values};
    for (int k = 0; k < rank; k++)
        entry->shape[k] = shape[k];
}

static void note_slab(const struct network_fixture *fixture, const char *group, enum network_slab slab)
{
    const float *values = network_fixture_slab(fixture, slab);
    for (size_t i = 0; i < network_parameter_count(fixture->network); i++) {
        const struct network_parameter *parameter = network_parameter(fixture->network, i);
        note(group, parameter->name, parameter->shape, parameter->rank, values + parameter->offset);
    }
}

/* A map at stride 4. */
static void note_map(const struct network_fixture *fixture, const char *group, const char *name, int channels,
                     const float *values)
{
    const struct network_plan *plan = &fixture->plan;
    note(group, name, (const int[]){plan->batch, plan->height / 4, plan->width / 4, channels}, 4, values);
}

static void note_outputs(const struct network_fixture *fixture, const struct network *network, const char *group)
{
    const struct network_architecture *architecture = &fixture->architecture;
    size_t cells = (size_t)fixture->plan.batch * (size_t)fixture->plan.height * (size_t)fixture->plan.width / 16;
    float *heat = calloc(cells, (size_t)architecture->classes * sizeof *heat);
    float *box = calloc(cells, 4 * sizeof *box);
    float *rays = calloc(cells, (size_t)architecture->rays * sizeof *rays);
    assert_true(heat && box && rays);
    network_read_outputs(network, heat, box, rays);
    note_map(fixture, group, "heat", architecture->classes, heat);
    note_map(fixture, group, "box", 4, box);
    note_map(fixture, group, "rays", architecture->rays, rays);
}

static void note_data(const struct network_fixture *fixture)
{
    const struct network_plan *plan = &fixture->plan;
    const int channels = fixture->architecture.input_channels;
    note("data", "input", (const int[]){plan->batch, plan->height, plan->width, channels}, 4, fixture->input);
    note_map(fixture, "target", "heat", fixture->architecture.classes, fixture->heat);
    note_map(fixture, "target", "box", 4, fixture->box);
    note_map(fixture, "target", "box_weight", 1, fixture->box_weight);
    note_map(fixture, "target", "rays", fixture->architecture.rays, fixture->rays);
    note_map(fixture, "target", "ray_weight", 1, fixture->ray_weight);
}

/* The weights after the step in an inference plan, which folds the norms into the convolutions. */
static void note_inference(struct network_fixture *fixture)
{
    struct network_plan plan = fixture->plan;
    struct network *network;
    struct failure why;
    plan.training = false;
    assert_code_ok(network_create(fixture->device, &fixture->architecture, &plan, &network, &why), why);
    float *weights = network_fixture_slab(fixture, SLAB_WEIGHTS);
    network_write_slab(network, SLAB_WEIGHTS, weights);
    free(weights);
    assert_code_ok(network_forward(network, fixture->input, &why), why);
    note_outputs(fixture, network, "inference");
    network_destroy(network);
}

static void write_record(const char *path, const struct network_loss *loss)
{
    char texts[4][32];
    const double values[4] = {loss->total, loss->heat, loss->box, loss->rays};
    for (int i = 0; i < 4; i++)
        snprintf(texts[i], sizeof texts[i], "%.17g", values[i]);
    const struct safetensors_note notes[] = {
        {"loss", texts[0]}, {"loss_heat", texts[1]}, {"loss_box", texts[2]}, {"loss_rays", texts[3]}};
    struct failure why;
    assert_code_ok(safetensors_write(path, &(struct safetensors_content){record.entries, record.count, notes, 4}, &why),
                   why);
}

static void write_onnx(const struct network_fixture *fixture, const char *path)
{
    static struct model_info info; /* large */
    info.architecture = fixture->architecture;
    for (int k = 0; k < fixture->architecture.classes; k++)
        snprintf(info.class_names[k], sizeof info.class_names[k], "class %d", k);
    float *weights = network_fixture_slab(fixture, SLAB_WEIGHTS);
    struct failure why;
    assert_code_ok(onnx_model_write(path, &info, weights, &why), why);
    free(weights);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5 || strlen(argv[1]) != 1 || !strchr("NSM", argv[1][0])) {
        fprintf(stderr, "usage: record_step N|S|M DEVICE FILE [ONNX]\n");
        return 2;
    }
    const int size = argv[1][0] == 'N' ? NETWORK_N : argv[1][0] == 'S' ? NETWORK_S : NETWORK_M;
    const struct network_architecture architecture = {
        .size = (enum network_size)size, .input_channels = 3, .classes = 3, .rays = 32};
    const struct network_plan plan = {.batch = 2, .height = 96, .width = 128, .training = true};
    struct network_fixture fixture;
    network_fixture_open(&fixture, argv[2], 0, &architecture, &plan, 5);
    network_fixture_shake(&fixture, 6);
    note_data(&fixture);
    note_slab(&fixture, "before", SLAB_WEIGHTS);
    note_slab(&fixture, "average_before", SLAB_EMA);
    struct network_loss loss = network_fixture_gradient(&fixture);
    note_outputs(&fixture, fixture.network, "output");
    note_slab(&fixture, "gradient", SLAB_GRADIENT);
    network_fixture_apply(&fixture, 1, 1e-3f);
    note_slab(&fixture, "after", SLAB_WEIGHTS);
    note_slab(&fixture, "average", SLAB_EMA);
    note_inference(&fixture);
    write_record(argv[3], &loss);
    if (argc == 5)
        write_onnx(&fixture, argv[4]);
    network_fixture_close(&fixture);
    return 0;
}
