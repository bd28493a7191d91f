/* cytofs train: a detector from a folder of annotated images.  On a mounted lab, the node runs this with --spec. */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "lineage.h"
#include "preprocessing.h"
#include "progress_bar.h"
#include "scope.h"
#include "spec.h"
#include "trainer.h"
#include "version.h"

#define EXIT_INTERRUPTED 75 /* EX_TEMPFAIL of sysexits.h: a checkpoint was written, the same command goes on */

const char command_train_details[] =
    "Trains CellDet on the images below DATASET. Annotations (Pascal VOC, COCO, YOLO, instance masks) and the split are\n"
    "found by themselves. Metrics, artifacts and the model go to --output. Interrupted (exit status 75) and started again\n"
    "with the same options, it goes on from its checkpoint and ends with the same weights.\n"
    "--reproduce trains as the lineage of a model version says, and tells whether the same weights came out.";

static atomic_bool stop_requested;

static void request_stop(int signal_number)
{
    (void)signal_number;
    atomic_store(&stop_requested, true);
}

static void show_progress(void *context, int64_t done, int64_t total, double steps_per_second, double loss)
{
    (void)steps_per_second;
    char label[64];
    snprintf(label, sizeof label, "training, loss %.3f", loss);
    progress_bar_draw(context, label, done, total, "steps");
}

struct train_arguments {
    const char *dataset, *output, *spec, *reproduce, *network, *precision, *device, *on_bad_image;
    int64_t checkpoint_seconds; /* -1 not given */
    int64_t steps, batch, image_size, rays, views, seed, threads, validations, patience;
    double epochs, lr, weight_decay, scale;
};

static enum code parse_network(const char *name, enum network_size *size, struct failure *why)
{
    static const char *const names[] = {[NETWORK_N] = "celldet-n", [NETWORK_S] = "celldet-s", [NETWORK_M] = "celldet-m"};
    for (int i = NETWORK_N; i <= NETWORK_M; i++)
        if (strcmp(name, names[i]) == 0) {
            *size = (enum network_size)i;
            return CODE_OK;
        }
    return failure_set(why, CODE_INVALID, "network: \"%s\" is not known (write celldet-n, celldet-s or celldet-m)", name);
}

static enum code parse_precision(const char *name, enum trainer_precision *precision, struct failure *why)
{
    if (strcmp(name, "auto") == 0)
        *precision = TRAINER_PRECISION_AUTO;
    else if (strcmp(name, "f32") == 0)
        *precision = TRAINER_PRECISION_F32;
    else if (strcmp(name, "bf16") == 0)
        *precision = TRAINER_PRECISION_BF16;
    else
        return failure_set(why, CODE_INVALID, "precision: \"%s\" is not known (write f32, bf16 or auto)", name);
    return CODE_OK;
}

static enum code parse_bad_image(const char *name, bool *fails, struct failure *why)
{
    *fails = strcmp(name, "fail") == 0;
    if (*fails || strcmp(name, "skip") == 0)
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "on-bad-image: \"%s\" is not known (write skip or fail)", name);
}

/* What a spec gives fills the arguments that the command line left open. */
static enum code take_spec(struct train_arguments *arguments, struct spec **out, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    static struct spec_findings findings;
    enum code code = file_read(arguments->spec, SPEC_BYTES_MAX, &text, why);
    if (code == CODE_OK)
        code = spec_parse(buffer_text(&text), text.length, "job", out, &findings, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s", arguments->spec);
    const struct spec_train *train = &(*out)->train;
    if ((*out)->action != SPEC_TRAIN)
        return failure_set(why, CODE_INVALID, "%s: has no train: section", arguments->spec);
    if (!arguments->network && train->network[0])
        arguments->network = train->network;
    if (!arguments->precision && train->precision[0])
        arguments->precision = train->precision;
    if (!arguments->on_bad_image && train->on_bad_image[0])
        arguments->on_bad_image = train->on_bad_image;
    if (arguments->steps == 0 && arguments->epochs == 0) {
        arguments->steps = train->steps;
        arguments->epochs = train->epochs;
    }
    if (arguments->batch == 0)
        arguments->batch = train->batch;
    if (arguments->image_size == 0)
        arguments->image_size = train->image_size;
    if (arguments->views == 0)
        arguments->views = train->views;
    if (arguments->lr == 0)
        arguments->lr = train->lr;
    if (arguments->weight_decay < 0)
        arguments->weight_decay = train->weight_decay;
    if (arguments->seed < 0)
        arguments->seed = train->seed;
    if (arguments->validations < 0 && train->validations > 0)
        arguments->validations = train->validations;
    if (arguments->patience == 0)
        arguments->patience = train->patience;
    if (arguments->threads == 0)
        arguments->threads = (*out)->cpus;
    return CODE_OK;
}

/* Where the dataset is a link to a snapshot, as in a run's folder: its label, in memory that lasts; else NULL. */
static const char *snapshot_label(const char *dataset)
{
    static char target[PATH_MAX];
    ssize_t length = readlink(dataset, target, sizeof target - 1);
    target[length > 0 ? length : 0] = 0;
    const char *snapshot = strstr(target, "/.snap/");
    return snapshot ? snapshot + strlen("/.snap/") : NULL;
}

/* The dataset that a lineage names: within the lab that holds the model, a snapshot if it was one. */
static char *lineage_dataset(const struct train_arguments *arguments, const struct lineage *lineage)
{
    char *path = NULL;
    const char *between = lineage->snapshot[0] ? "/.snap/" : "";
    if (lineage->dataset[0] == '/')
        return asprintf(&path, "%s", lineage->dataset) < 0 ? NULL : path;
    bool named = strstr(lineage->dataset, "/.snap/");
    int written = asprintf(&path, "%s/../../../%s%s%s", arguments->reproduce, lineage->dataset, named ? "" : between,
                           named ? "" : lineage->snapshot);
    return written < 0 ? NULL : path;
}

/* Everything that decides about the weights, as the lineage has it; *dataset is the caller's to free. */
static enum code take_lineage(struct train_arguments *arguments, struct lineage *lineage, char **dataset,
                              struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_FREE char *path = file_join(arguments->reproduce, "lineage.yaml");
    enum code code =
        path ? file_read(path, LINEAGE_BYTES_MAX, &text, why) : failure_set(why, CODE_NO_MEMORY, "out of memory");
    if (code == CODE_OK)
        code = lineage_parse(buffer_text(&text), text.length, path, lineage, why);
    if (code != CODE_OK)
        return code;
    if (lineage->batch > TRAINER_BATCH_MAX || lineage->image_size > TRAINER_IMAGE_SIDE_MAX ||
        lineage->steps > TRAINER_STEPS_MAX || lineage->rays > NETWORK_RAYS_MAX || lineage->threads > 4096 ||
        lineage->seed < 0 || lineage->validations > TRAINER_LOOKS_MAX || lineage->patience > TRAINER_LOOKS_MAX ||
        lineage->views < 1 || lineage->views > TRAINER_VIEWS_MAX)
        return failure_set(why, CODE_INVALID, "%s: holds numbers that no training has", path);
    arguments->network = lineage->network;
    arguments->precision = lineage->precision;
    arguments->device = lineage->device;
    arguments->steps = lineage->steps;
    arguments->batch = lineage->batch;
    arguments->image_size = lineage->image_size;
    arguments->rays = lineage->rays;
    arguments->views = lineage->views;
    arguments->scale = lineage->scale;
    arguments->lr = lineage->lr;
    arguments->weight_decay = lineage->weight_decay;
    arguments->seed = lineage->seed;
    arguments->validations = lineage->validations;
    arguments->patience = lineage->patience;
    arguments->threads = lineage->threads;
    if (!arguments->dataset)
        arguments->dataset = *dataset = lineage_dataset(arguments, lineage);
    return arguments->dataset ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "out of memory");
}

/* Whether the new model is the old one, bit for bit. */
static enum code compare_models(const struct train_arguments *arguments, const struct lineage *lineage, struct failure *why)
{
    SCOPE_FREE char *path = file_join(arguments->output, "model/lineage.yaml");
    SCOPE_BUFFER text = {0};
    static struct lineage made;
    enum code code =
        path ? file_read(path, LINEAGE_BYTES_MAX, &text, why) : failure_set(why, CODE_NO_MEMORY, "out of memory");
    if (code == CODE_OK)
        code = lineage_parse(buffer_text(&text), text.length, path, &made, why);
    if (code != CODE_OK)
        return code;
    if (strcmp(made.model_sha256, lineage->model_sha256) == 0) {
        printf("%s: made again, the same bit for bit (model.safetensors, SHA-256 %s)\n", arguments->reproduce,
               made.model_sha256);
        return CODE_OK;
    }
    if (strcmp(made.dataset_digest, lineage->dataset_digest) != 0)
        return failure_set(why, CODE_INVALID, "%s: trained again, but the dataset %s is not what it was",
                           arguments->reproduce, arguments->dataset);
    return failure_set(why, CODE_INVALID,
                       "%s: trained again, but other weights came out; then: cytofs %s on %s; now: cytofs %s on %s",
                       arguments->reproduce, lineage->code_version, lineage->device_description, made.code_version,
                       made.device_description);
}

static enum code train(const struct train_arguments *arguments, const struct spec *spec, struct failure *why)
{
    struct trainer_options options = trainer_defaults();
    struct trainer_report report = {0};
    struct progress_bar bar;
    options.dataset_folder = arguments->dataset;
    options.output_folder = arguments->output;
    options.spec_path = arguments->spec;
    options.dataset_name = spec && spec->dataset[0] ? spec->dataset : arguments->dataset;
    options.dataset_snapshot = snapshot_label(arguments->dataset);
    options.code_version = CYTOFS_VERSION;
    options.steps = arguments->steps;
    options.epochs = arguments->epochs;
    options.batch = (int)arguments->batch;
    options.rays = (int)arguments->rays;
    options.views = (int)arguments->views;
    options.image_size = (int)arguments->image_size;
    options.lr = arguments->lr;
    options.weight_decay = arguments->weight_decay;
    options.scale = arguments->scale;
    options.threads = (int)arguments->threads;
    options.patience = (int)arguments->patience;
    if (arguments->validations >= 0)
        options.validations = (int)arguments->validations;
    options.stop = &stop_requested;
    options.on_progress = show_progress;
    options.context = &bar;
    if (arguments->seed >= 0)
        options.seed = (uint64_t)arguments->seed;
    if (arguments->device)
        options.device = arguments->device;
    if (arguments->checkpoint_seconds >= 0)
        options.checkpoint_interval_ms = arguments->checkpoint_seconds * 1000;
    enum code code = parse_network(arguments->network ? arguments->network : "celldet-n", &options.size, why);
    if (code == CODE_OK)
        code = parse_precision(arguments->precision ? arguments->precision : "auto", &options.precision, why);
    if (code == CODE_OK && arguments->on_bad_image)
        code = parse_bad_image(arguments->on_bad_image, &options.bad_image_fails, why);
    if (code != CODE_OK)
        return code;
    progress_bar_start(&bar);
    code = trainer_run(&options, &report, why);
    progress_bar_end(&bar);
    return code;
}

int command_train(const struct command *command, int argc, char **argv)
{
    struct train_arguments train_arguments = {
        .weight_decay = -1, .seed = -1, .rays = -1, .validations = -1, .checkpoint_seconds = -1};
    struct train_arguments *a = &train_arguments;
    const struct command_option options[] = {
        {"output", 'o', OPTION_TEXT, &a->output, "DIR", "where everything goes (needed)", 0, 0},
        {"dataset", 'd', OPTION_TEXT, &a->dataset, "DIR", "the images, in place of the argument", 0, 0},
        {"spec", 'S', OPTION_TEXT, &a->spec, "FILE", "a job spec; its train: section gives the options", 0, 0},
        {"reproduce", 'R', OPTION_TEXT, &a->reproduce, "MODEL",
         "train as this version (models/m/3) was; needs only --output", 0, 0},
        {"network", 'n', OPTION_TEXT, &a->network, "NAME", "celldet-n (default), celldet-s or celldet-m", 0, 0},
        {"epochs", 'e', OPTION_NUMBER, &a->epochs, "N", "passes over the images", 0.01, 100000},
        {"steps", 't', OPTION_INTEGER, &a->steps, "N", "optimiser steps, in place of --epochs", 1, TRAINER_STEPS_MAX},
        {"batch", 'b', OPTION_INTEGER, &a->batch, "N", "images a step (default: 8)", 1, TRAINER_BATCH_MAX},
        {"image-size", 'i', OPTION_INTEGER, &a->image_size, "PX", "side of the crops, a multiple of 32", 32,
         TRAINER_IMAGE_SIDE_MAX},
        {"lr", 'l', OPTION_NUMBER, &a->lr, "X", "peak learning rate", 1e-9, 1},
        {"weight-decay", 'w', OPTION_NUMBER, &a->weight_decay, "X", "of AdamW (default: 1e-2)", 0, 1},
        {"validations", 'v', OPTION_INTEGER, &a->validations, "N", "looks at validation images on the way (default: 3)", 0,
         TRAINER_LOOKS_MAX},
        {"patience", 'a', OPTION_INTEGER, &a->patience, "N", "end early when N looks in a row found no better weights", 1,
         TRAINER_LOOKS_MAX},
        {"on-bad-image", 'B', OPTION_TEXT, &a->on_bad_image, "WHAT", "skip (default) or fail, where one cannot be read", 0,
         0},
        {"checkpoint-seconds", 'k', OPTION_INTEGER, &a->checkpoint_seconds, "N", "between checkpoints (default: 20)", 0,
         86400},
        {"scale", 'x', OPTION_NUMBER, &a->scale, "X", "working pixels per image pixel (default: by the objects' size)",
         PREPROCESSING_SCALE_MIN, PREPROCESSING_SCALE_MAX},
        {"views", 'V', OPTION_INTEGER, &a->views, "N", "views the model averages, 1, 4 or 8 (default: 8 with outlines)", 1,
         TRAINER_VIEWS_MAX},
        {"seed", 's', OPTION_INTEGER, &a->seed, "N", "of everything random", 0, 9e15},
        {"precision", 'p', OPTION_TEXT, &a->precision, "P", "f32, bf16 or auto (default)", 0, 0},
        {"device", 'D', OPTION_TEXT, &a->device, "NAME", "auto (default), cuda, cpu or ref; see cytofs version", 0, 0},
        {"threads", 'j', OPTION_INTEGER, &a->threads, "N", "CPU cores to use (default: all)", 1, 4096},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 0, 1, &arguments);
    if (status != -1)
        return status;
    if (arguments.count == 1 && !a->dataset)
        a->dataset = arguments.positional[0];
    if ((!a->dataset && !a->reproduce) || !a->output)
        return command_usage(command, "it needs: DATASET --output DIR, or --reproduce MODEL --output DIR");
    if (a->reproduce && a->spec)
        return command_usage(command, "--reproduce has its own spec: leave --spec out");

    struct failure why;
    struct spec *spec = NULL;
    struct sigaction action = {.sa_handler = request_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    static struct lineage lineage;
    SCOPE_FREE char *dataset = NULL;
    enum code code = a->spec        ? take_spec(a, &spec, &why)
                     : a->reproduce ? take_lineage(a, &lineage, &dataset, &why)
                                    : CODE_OK;
    if (code == CODE_OK)
        code = train(a, spec, &why);
    if (code == CODE_OK && a->reproduce)
        code = compare_models(a, &lineage, &why);
    spec_destroy(spec);
    if (code == CODE_OK)
        return EXIT_DONE;
    status = command_fail(command, &why);
    return code == CODE_INTERRUPTED ? EXIT_INTERRUPTED : status;
}
