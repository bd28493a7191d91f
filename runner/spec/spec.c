/* A spec: from the tree of its text to a struct, with every finding.
 *
 * The keys are declared in tables (one per map): kind, place in struct spec, limits, words for what to write
 * instead.  Values are read by kind; what tables cannot say (train or run, epochs or steps, 1, 4 or 8 views, the
 * dataset's path) follows below. Where the text is broken in the middle (spec_tree_complete is false), what was read
 * before is still checked, but nothing is called missing.  Pure; any thread.
 */
#include "spec.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec_findings.h"
#include "spec_tree.h"
#include "spec_value.h"
#include "suggest.h"
#include "when.h"

#define RUN_BYTES_MAX   16384
#define FIELDS_MAX      16
#define VIEWS_ADVICE    "1, 4 or 8 views of an image"
#define SHOWN_VALUE_MAX 40 /* bytes of a wrong value that a finding repeats */

enum field_kind { FIELD_INT, FIELD_INT64, FIELD_NUMBER, FIELD_CHOICE, FIELD_SIZE, FIELD_DURATION, FIELD_NAME };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;                  /* in struct spec */
    size_t size;                    /* FIELD_CHOICE, FIELD_NAME: of the char array there */
    int64_t low, high;              /* FIELD_INT, FIELD_INT64, FIELD_SIZE, FIELD_DURATION: both allowed */
    double low_number, high_number; /* FIELD_NUMBER: high is allowed, low too unless low_open */
    bool low_open;
    int multiple; /* FIELD_INT: of what; 0 for any */
    const char *const *choices;
    const char *advice; /* what to write */
};

static const char *const networks[] = {"celldet-n", "celldet-s", "celldet-m", NULL};
static const char *const bad_images[] = {"skip", "fail", NULL};
static const char *const precisions[] = {"auto", "f32", "bf16", NULL};

#define AT(member) offsetof(struct spec, member), sizeof((struct spec *)NULL)->member

static const struct field train_fields[] = {
    {"network", FIELD_CHOICE, AT(train.network), .choices = networks, .advice = "celldet-n, celldet-s or celldet-m"},
    {"epochs", FIELD_INT, AT(train.epochs), .low = 1, .high = 100000, .advice = "1 to 100000"},
    {"steps", FIELD_INT, AT(train.steps), .low = 1, .high = 10000000, .advice = "1 to 10000000"},
    {"batch", FIELD_INT, AT(train.batch), .low = 1, .high = 1024, .advice = "1 to 1024"},
    {"image_size", FIELD_INT, AT(train.image_size), .low = 64, .high = 2048, .multiple = 32,
     .advice = "64 to 2048, a multiple of 32"},
    {"lr", FIELD_NUMBER, AT(train.lr), .low_number = 0, .high_number = 1, .low_open = true,
     .advice = "a number above 0, up to 1, as in 2e-3"},
    {"weight_decay", FIELD_NUMBER, AT(train.weight_decay), .low_number = 0, .high_number = 1, .advice = "0 to 1"},
    {"views", FIELD_INT, AT(train.views), .low = 1, .high = 8, .advice = VIEWS_ADVICE},
    {"validations", FIELD_INT, AT(train.validations), .low = 1, .high = 1000, .advice = "1 to 1000 looks on the way"},
    {"patience", FIELD_INT, AT(train.patience), .low = 1, .high = 1000,
     .advice = "1 to 1000 looks without progress that end the training"},
    {"seed", FIELD_INT64, AT(train.seed), .low = 0, .high = INT64_MAX, .advice = "a whole number from 0"},
    {"precision", FIELD_CHOICE, AT(train.precision), .choices = precisions, .advice = "auto, f32 or bf16"},
    {"on_bad_image", FIELD_CHOICE, AT(train.on_bad_image), .choices = bad_images,
     .advice = "skip (leave images that cannot be read out) or fail"},
    {.key = NULL},
};

static const struct field resource_fields[] = {
    {"gpus", FIELD_INT, AT(gpus), .low = 0, .high = 64, .advice = "0 to 64"},
    {"cpus", FIELD_INT, AT(cpus), .low = 1, .high = 1024, .advice = "1 to 1024"},
    {"memory", FIELD_SIZE, AT(memory_bytes), .low = 1 << 20, .high = INT64_C(1) << 44, .advice = "1M to 16T, as in 8G"},
    {"time", FIELD_DURATION, AT(time_s), .low = 1, .high = INT64_C(365) * 86400, .advice = "1s to 365d, as in 2h"},
    {.key = NULL},
};

static const struct field name_fields[] = {
    {"experiment", FIELD_NAME, AT(experiment), .advice = "letters, digits, '.', '_', '-', at most 100"},
    {"register", FIELD_NAME, AT(register_model), .advice = "letters, digits, '.', '_', '-', at most 100"},
    {.key = NULL},
};

static const char *const top_keys[] = {"experiment", "dataset", "train", "run", "resources",
                                       "register",   "sweep",   "steps", NULL};

/* What is being checked. */
struct checking {
    struct spec *spec;
    struct spec_findings *findings;
    bool complete; /* of the text: whether something can be called missing */
};

/* "key: value" of a wrong entry, cut to one short line. */
static void show_entry(const struct spec_node *node, char out[SPEC_NAME_MAX + SHOWN_VALUE_MAX + 16])
{
    char value[SHOWN_VALUE_MAX + 8];
    size_t length = strcspn(node->text, "\n");
    bool cut = node->text[length] || length > SHOWN_VALUE_MAX;
    if (length > SHOWN_VALUE_MAX)
        length = SHOWN_VALUE_MAX;
    while (cut && length > 0 && ((unsigned char)node->text[length] & 0xC0) == 0x80)
        length--;
    snprintf(value, sizeof value, "%.*s%s", (int)length, node->text, cut ? " ..." : "");
    snprintf(out, SPEC_NAME_MAX + SHOWN_VALUE_MAX + 16, "%.*s: %s", SPEC_NAME_MAX, node->key, value);
}

static void refuse_value(struct checking *checking, const struct spec_node *node, const char *fault, const char *advice)
{
    char entry[SPEC_NAME_MAX + SHOWN_VALUE_MAX + 16];
    show_entry(node, entry);
    spec_findings_add(checking->findings, node->line, node->column, "\"%s\" %s (write %s)", entry, fault, advice);
}

/* Whether the entry holds one word or number; says so where it does not. */
static bool is_text(struct checking *checking, const struct spec_node *node, const char *advice)
{
    if (node->refused)
        return false;
    if (node->kind != SPEC_NODE_TEXT) {
        spec_findings_add(checking->findings, node->line, node->column, "\"%.*s\" is a %s, not one value (write %s)",
                          SPEC_NAME_MAX, node->key, node->kind == SPEC_NODE_MAP ? "map" : "list", advice);
        return false;
    }
    if (!*node->text) {
        spec_findings_add(checking->findings, node->key_line, node->key_column, "\"%.*s\" has no value (write %s)",
                          SPEC_NAME_MAX, node->key, advice);
        return false;
    }
    return true;
}

/* Reads a whole number of a field whose kind it is, or says what is wrong. */
static bool read_integer(struct checking *checking, const struct field *field, const struct spec_node *node, int64_t *out)
{
    int64_t value = 0;
    uint64_t bytes = 0;
    const char *noun = "whole number";
    bool readable;
    if (field->kind == FIELD_SIZE) {
        noun = "size with its unit";
        readable = spec_value_size(node->text, &bytes);
        value = (int64_t)bytes;
    } else if (field->kind == FIELD_DURATION) {
        noun = "time with its unit";
        readable = spec_value_duration(node->text, &value);
    } else {
        readable = spec_value_integer(node->text, &value);
    }
    char fault[64];
    if (!readable || !node->plain) {
        snprintf(fault, sizeof fault, "is not a %s%s", noun, readable ? " but a text in quotes" : "");
        refuse_value(checking, node, fault, field->advice);
    } else if (value < field->low || value > field->high) {
        refuse_value(checking, node, "is out of range", field->advice);
    } else if (field->multiple && value % field->multiple) {
        snprintf(fault, sizeof fault, "is not a multiple of %d", field->multiple);
        refuse_value(checking, node, fault, field->advice);
    } else {
        *out = value;
        return true;
    }
    return false;
}

static bool read_number(struct checking *checking, const struct field *field, const struct spec_node *node, double *out)
{
    double value;
    if (!spec_value_number(node->text, &value) || !node->plain) {
        refuse_value(checking, node, "is not a number", field->advice);
        return false;
    }
    bool too_low = field->low_open ? value <= field->low_number : value < field->low_number;
    if (too_low || value > field->high_number) {
        refuse_value(checking, node, "is out of range", field->advice);
        return false;
    }
    *out = value;
    return true;
}

static void read_choice(struct checking *checking, const struct field *field, const struct spec_node *node, char *out)
{
    for (const char *const *choice = field->choices; *choice; choice++)
        if (!strcmp(*choice, node->text)) {
            snprintf(out, field->size, "%s", *choice);
            return;
        }
    const char *nearest = suggest_nearest(node->text, field->choices);
    char fault[64] = "is none of the choices";
    if (nearest)
        snprintf(fault, sizeof fault, "is none of the choices, did you mean %s?", nearest);
    refuse_value(checking, node, fault, field->advice);
}

static void read_name(struct checking *checking, const struct field *field, const struct spec_node *node, char *out)
{
    if (spec_value_is_name(node->text, SPEC_NAME_MAX))
        snprintf(out, field->size, "%s", node->text);
    else
        refuse_value(checking, node, "is not a name", field->advice);
}

static void read_field(struct checking *checking, const struct field *field, const struct spec_node *node)
{
    if (!is_text(checking, node, field->advice))
        return;
    void *at = (char *)checking->spec + field->offset;
    int64_t whole;
    double number;
    switch (field->kind) {
    case FIELD_INT:
        if (read_integer(checking, field, node, &whole))
            *(int *)at = (int)whole;
        break;
    case FIELD_INT64:
    case FIELD_DURATION:
        if (read_integer(checking, field, node, &whole))
            *(int64_t *)at = whole;
        break;
    case FIELD_SIZE:
        if (read_integer(checking, field, node, &whole))
            *(uint64_t *)at = (uint64_t)whole;
        break;
    case FIELD_NUMBER:
        if (read_number(checking, field, node, &number))
            *(double *)at = number;
        break;
    case FIELD_CHOICE:
        read_choice(checking, field, node, at);
        break;
    case FIELD_NAME:
        read_name(checking, field, node, at);
        break;
    }
}

static void refuse_key(struct checking *checking, const struct spec_node *node, const char *place, const char *const *known)
{
    const char *nearest = suggest_nearest(node->key, known);
    char hint[128] = "";
    if (nearest)
        snprintf(hint, sizeof hint, ", did you mean \"%s\"?", nearest);
    spec_findings_add(checking->findings, node->key_line, node->key_column, "\"%.*s\" is not a key of %s%s", SPEC_NAME_MAX,
                      node->key, place, hint);
}

/* Reads each entry of a map by the table. */
static void read_fields(struct checking *checking, const struct field *fields, const struct spec_node *map)
{
    const char *known[FIELDS_MAX + 1] = {NULL};
    for (size_t i = 0; fields[i].key; i++)
        known[i] = fields[i].key;
    for (const struct spec_node *node = map->first; node; node = node->next) {
        const struct field *field = fields;
        while (field->key && strcmp(field->key, node->key))
            field++;
        if (field->key)
            read_field(checking, field, node);
        else
            refuse_key(checking, node, map->key, known);
    }
}

static bool is_map(struct checking *checking, const struct spec_node *node, const char *advice)
{
    if (node->refused || node->kind == SPEC_NODE_MAP)
        return !node->refused;
    if (checking->complete || node->next)
        spec_findings_add(checking->findings, node->line, node->column, "\"%s\" needs keys of its own (write %s)", node->key,
                          advice);
    return false;
}

/* The model looks once; or as the image lies and mirrored in each of three ways; or so at two sizes. */
static void check_views(struct checking *checking, const struct spec_node *train)
{
    int views = checking->spec->train.views;
    if (views > 1 && views != 4 && views != 8)
        refuse_value(checking, spec_tree_entry(train, "views"), "is none of them", VIEWS_ADVICE);
}

static void read_train(struct checking *checking, const struct spec_node *node)
{
    if (!is_map(checking, node, "train: {network: celldet-n, epochs: 30}"))
        return;
    read_fields(checking, train_fields, node);
    check_views(checking, node);
    const struct spec_node *epochs = spec_tree_entry(node, "epochs"), *steps = spec_tree_entry(node, "steps");
    if (epochs && steps) {
        const struct spec_node *later =
            steps->line > epochs->line || (steps->line == epochs->line && steps->column > epochs->column) ? steps : epochs;
        spec_findings_add(checking->findings, later->key_line, later->key_column,
                          "\"epochs\" and \"steps\" both say how long to train: give one of them");
    }
}

static void read_run(struct checking *checking, const struct spec_node *node)
{
    static const char advice[] = "a command, as in python3 train.py";
    if (!is_text(checking, node, advice))
        return;
    if (strlen(node->text) > RUN_BYTES_MAX)
        spec_findings_add(checking->findings, node->line, node->column,
                          "\"run\" has more than %d bytes: put the program into a file", RUN_BYTES_MAX);
    else if (!node->text[strspn(node->text, " \t\n")])
        refuse_value(checking, node, "is empty", advice);
    else
        checking->spec->run = strdup(node->text);
}

/* A snapshot's label or number, or a moment. */
static bool is_snapshot(const char *text)
{
    int64_t moment_ms;
    return spec_value_is_name(text, 255) || when_parse(text, &moment_ms);
}

/* Which folder: datasets/<name> or datasets/<name>/.snap/<label, number or moment>. */
static void read_dataset(struct checking *checking, const struct spec_node *node)
{
    static const char advice[] = "datasets/NAME or datasets/NAME/.snap/LABEL";
    if (!is_text(checking, node, advice))
        return;
    char path[sizeof checking->spec->dataset];
    size_t length = strlen(node->text);
    if (length > 0 && node->text[length - 1] == '/')
        length--;
    if (length >= sizeof path || strncmp(node->text, "datasets/", 9)) {
        refuse_value(checking, node, "is not the path of a dataset", advice);
        return;
    }
    memcpy(path, node->text, length);
    path[length] = 0;
    char *name = path + 9, *rest = strchr(name, '/');
    if (rest)
        *rest++ = 0;
    const char *label = rest && !strncmp(rest, ".snap/", 6) ? rest + 6 : NULL;
    if (!spec_value_is_name(name, SPEC_NAME_MAX) || (rest && (!label || !is_snapshot(label)))) {
        refuse_value(checking, node, "is not the path of a dataset", advice);
        return;
    }
    if (rest)
        rest[-1] = '/';
    snprintf(checking->spec->dataset, sizeof checking->spec->dataset, "%s", path);
}

static bool is_train_key(const char *key)
{
    for (const struct field *field = train_fields; field->key; field++)
        if (!strcmp(field->key, key))
            return true;
    return false;
}

static void read_entry(struct checking *checking, const struct spec_node *node)
{
    if (!strcmp(node->key, "experiment"))
        read_field(checking, &name_fields[0], node);
    else if (!strcmp(node->key, "register"))
        read_field(checking, &name_fields[1], node);
    else if (!strcmp(node->key, "dataset"))
        read_dataset(checking, node);
    else if (!strcmp(node->key, "train"))
        read_train(checking, node);
    else if (!strcmp(node->key, "run"))
        read_run(checking, node);
    else if (!strcmp(node->key, "resources")) {
        if (is_map(checking, node, "resources: {memory: 8G, time: 2h}"))
            read_fields(checking, resource_fields, node);
    } else if (!strcmp(node->key, "sweep") || !strcmp(node->key, "steps"))
        spec_findings_add(checking->findings, node->key_line, node->key_column,
                          "\"%s\" is not supported by this version: write one spec for each run%s", node->key,
                          !strcmp(node->key, "steps") ? " (the length of a training is train: {steps: 500})" : "");
    else if (is_train_key(node->key))
        spec_findings_add(checking->findings, node->key_line, node->key_column,
                          "\"%s\" belongs below train: (write train: {%s: ...})", node->key, node->key);
    else
        refuse_key(checking, node, "a spec", top_keys);
}

/* What the keys must say together. */
static void check_together(struct checking *checking, const struct spec_node *root)
{
    const struct spec_node *train = spec_tree_entry(root, "train"), *run = spec_tree_entry(root, "run");
    bool unsupported = spec_tree_entry(root, "sweep") || spec_tree_entry(root, "steps");
    if (train && run) {
        const struct spec_node *later = run->key_line > train->key_line ? run : train;
        spec_findings_add(checking->findings, later->key_line, later->key_column,
                          "\"train\" and \"run\" are both given: a spec has one of them");
    }
    if (!checking->complete)
        return;
    if (!train && !run && !unsupported)
        spec_findings_add(checking->findings, 1, 1,
                          "neither \"train\" nor \"run\" is given (write for example train: {network: celldet-n, "
                          "epochs: 30})");
    if (train && !run && !spec_tree_entry(root, "dataset"))
        spec_findings_add(checking->findings, 1, 1,
                          "\"dataset\" is missing: training needs one (write dataset: datasets/NAME)");
}

static void check_root(struct checking *checking, const struct spec_node *root)
{
    if (!root || (root->kind == SPEC_NODE_TEXT && !*root->text)) {
        if (checking->complete)
            spec_findings_add(checking->findings, 1, 1, "the spec is empty (see README for one that works)");
        return;
    }
    if (root->kind != SPEC_NODE_MAP) {
        if (checking->complete && !root->refused)
            spec_findings_add(checking->findings, root->line, root->column,
                              "a spec is a list of \"key: value\" lines, this is not (see README for one that works)");
        return;
    }
    for (const struct spec_node *node = root->first; node; node = node->next)
        read_entry(checking, node);
    check_together(checking, root);
}

static enum code finish(struct spec *spec, const struct spec_findings *findings, bool run_expected, struct spec **out,
                        struct failure *why)
{
    if (findings->count == 0 && run_expected && !spec->run) {
        spec_destroy(spec);
        return failure_set(why, CODE_NO_MEMORY, "reading a spec: not enough memory");
    }
    if (findings->count == 0) {
        spec->action = spec->run ? SPEC_RUN : SPEC_TRAIN;
        *out = spec;
        return CODE_OK;
    }
    spec_destroy(spec);
    char more[40] = "";
    if (findings->count > 1)
        snprintf(more, sizeof more, " (and %zu more)", findings->count - 1);
    return failure_set(why, CODE_INVALID, "line %d, column %d: %s%s", findings->items[0].line, findings->items[0].column,
                       findings->items[0].text, more);
}

enum code spec_parse(const char *text, size_t count, const char *job, struct spec **out, struct spec_findings *findings,
                     struct failure *why)
{
    *out = NULL;
    findings->count = 0;
    struct spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return failure_set(why, CODE_NO_MEMORY, "reading a spec: not enough memory");
    spec->gpus = -1;
    spec->train.seed = -1;
    spec->train.weight_decay = -1;
    struct spec_tree *tree = NULL;
    enum code code = spec_tree_read(text, count, &tree, findings, why);
    if (code != CODE_OK) {
        spec_destroy(spec);
        return code;
    }
    struct checking checking = {spec, findings, spec_tree_complete(tree)};
    const struct spec_node *root = spec_tree_root(tree);
    check_root(&checking, root);
    if (!*spec->experiment && spec_value_is_name(job, SPEC_NAME_MAX))
        snprintf(spec->experiment, sizeof spec->experiment, "%s", job);
    else if (!*spec->experiment && !spec_tree_entry(root, "experiment"))
        spec_findings_add(findings, 1, 1,
                          "the file's name is no name for an experiment: call it with letters, digits, '.', '_', '-', "
                          "or give \"experiment\"");
    bool run_expected = spec_tree_entry(root, "run") != NULL;
    spec_tree_destroy(tree);
    return finish(spec, findings, run_expected, out, why);
}

void spec_find_dataset(const char *text, size_t count, char dataset[SPEC_DATASET_MAX])
{
    dataset[0] = 0;
    struct spec_findings findings = {.count = 0};
    struct spec_tree *tree = NULL;
    struct spec spec = {.action = SPEC_TRAIN};
    struct checking checking = {&spec, &findings, true};
    if (spec_tree_read(text, count, &tree, &findings, NULL) == CODE_OK) {
        const struct spec_node *node = spec_tree_entry(spec_tree_root(tree), "dataset");
        if (node)
            read_dataset(&checking, node);
        snprintf(dataset, SPEC_DATASET_MAX, "%s", spec.dataset);
    }
    spec_tree_destroy(tree);
}

void spec_destroy(struct spec *spec)
{
    if (!spec)
        return;
    free(spec->run);
    free(spec);
}
