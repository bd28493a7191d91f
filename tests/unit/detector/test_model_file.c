/* kernels/detector: safetensors and model files, sound and hostile. */
#include "assert_near.h"

#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "detector.h"
#include "device.h"
#include "file.h"
#include "model_info.h"
#include "random.h"

static char folder[] = "/tmp/cytofs-model-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

static const float values_a[6] = {1, -2, 3.5f, 0, 1e-30f, 6}, values_b[2] = {7, 8};

static void write_sample(void)
{
    const struct safetensors_entry entries[] = {{.name = "a.weight", .rank = 2, .shape = {2, 3}, .values = values_a},
                                                {.name = "b", .rank = 1, .shape = {2}, .values = values_b}};
    const struct safetensors_note notes[] = {{"format", "cytofs"}, {"quoted", "a \"b\"\n\\"}};
    struct safetensors_content content = {entries, 2, notes, 2};
    struct failure why;
    assert_code_ok(safetensors_write(path, &content, &why), why);
}

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    write_sample();
    SCOPE_BUFFER bytes = {0};
    struct failure why;
    assert_code_ok(file_read(path, 10000, &bytes, &why), why);
    struct safetensors *file;
    assert_code_ok(safetensors_parse(bytes.data, bytes.length, path, &file, &why), why);
    assert_int_equal(safetensors_count(file), 2);
    const struct safetensors_tensor *a = safetensors_find(file, "a.weight");
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->shape[1], 3);
    float read[6];
    safetensors_copy(a, read);
    assert_memory_equal(read, values_a, sizeof read);
    assert_string_equal(safetensors_metadata(file, "quoted"), "a \"b\"\n\\");
    assert_null(safetensors_metadata(file, "missing"));
    assert_null(safetensors_find(file, "missing"));
    safetensors_destroy(file);
}

/* The independent reader: Python's struct and json, by the format's public description. */
static void python_reads_the_same_values(void **state)
{
    (void)state;
    if (access("/usr/bin/python3", X_OK) != 0) {
        print_message("skipped: no /usr/bin/python3 to read the file with\n");
        skip();
    }
    write_sample();
    char command[1024];
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c 'import struct,json\n"
             "b=open(\"%s\",\"rb\").read()\n"
             "n,=struct.unpack(\"<Q\",b[:8]); h=json.loads(b[8:8+n]); d=b[8+n:]\n"
             "assert h[\"__metadata__\"][\"format\"]==\"cytofs\"\n"
             "o=h[\"a.weight\"]; assert o[\"dtype\"]==\"F32\" and o[\"shape\"]==[2,3]\n"
             "s,e=o[\"data_offsets\"]; v=struct.unpack(\"<6f\",d[s:e])\n"
             "assert v[:4]==(1,-2,3.5,0) and v[5]==6, v\n"
             "s,e=h[\"b\"][\"data_offsets\"]; assert struct.unpack(\"<2f\",d[s:e])==(7,8) and e==len(d)'",
             path);
    assert_int_equal(system(command), 0);
}

/* A file with the given header and `data_bytes` of zeros behind it. */
static enum code parse_text(const char *header, size_t data_bytes, struct failure *why)
{
    SCOPE_BUFFER bytes = {0};
    uint8_t length[8];
    bytes_store64(length, strlen(header));
    buffer_append(&bytes, length, 8);
    buffer_append_text(&bytes, header);
    for (size_t i = 0; i < data_bytes; i++)
        buffer_append(&bytes, "", 1);
    struct safetensors *file = NULL;
    enum code code = safetensors_parse(bytes.data, bytes.length, "x", &file, why);
    safetensors_destroy(file);
    return code;
}

#define TENSOR(shape, from, to) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    struct failure why;
    assert_code_ok(parse_text("{\"a\":" TENSOR("[2]", "0", "8") "}", 8, &why), why);
    assert_code_ok(parse_text("{}", 0, &why), why);
    static const char *const wrong[] = {
        "[]",
        "{",
        "{\"a\":3}",
        "{\"a\":{}}",
        "{\"a\":" TENSOR("[2]", "0", "8") ",\"a\":" TENSOR("[2]", "0", "8") "}",
        "{\"a\":" TENSOR("[2]", "0", "12") "}",
        "{\"a\":" TENSOR("[3]", "0", "12") "}",
        "{\"a\":" TENSOR("[2]", "-8", "0") "}",
        "{\"a\":" TENSOR("[-2]", "0", "8") "}",
        "{\"a\":" TENSOR("[2]", "8", "0") "}",
        "{\"a\":" TENSOR("[1]", "0", "4") "}",
        "{\"a\":" TENSOR("[1]", "4", "8") "}",
        "{\"a\":" TENSOR("[2]", "0", "8") ",\"b\":" TENSOR("[1]", "4", "8") "}",
        "{\"a\":" TENSOR("[4294967296,4294967296]", "0", "8") "}",
        "{\"a\":" TENSOR("[1,1,1,1,1,1,1,1,2]", "0", "8") "}",
        "{\"a\":" TENSOR("[2.0]", "0", "8") "}",
        "{\"__metadata__\":{\"k\":3},\"a\":" TENSOR("[2]", "0", "8") "}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (parse_text(wrong[i], 8, &why) != CODE_CORRUPT)
            fail_msg("accepted: %s", wrong[i]);
    assert_int_equal(parse_text("{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}", 8, &why),
                     CODE_UNSUPPORTED);
}

static void a_cut_file_is_refused_at_every_length(void **state)
{
    (void)state;
    write_sample();
    SCOPE_BUFFER bytes = {0};
    struct failure why;
    assert_code_ok(file_read(path, 10000, &bytes, &why), why);
    for (size_t length = 0; length < bytes.length; length++) {
        struct safetensors *file = NULL;
        char *copy = malloc(length + 1); /* its own block: reading beyond is seen by the sanitizer */
        memcpy(copy, bytes.data, length);
        assert_int_equal(safetensors_parse(copy, length, "cut", &file, &why), CODE_CORRUPT);
        free(copy);
    }
}

static struct model_info sample_info(void)
{
    struct model_info info = {
        .architecture = {NETWORK_N, 1, 2, 0},
        .class_names = {"RBC", "a \"b\""},
        .preprocessing = {INTENSITY_PERCENTILE, 0.0123, 0.731, 1},
        .views = 4,
        .outline_factor = 1.0625,
        .image_bits = 16,
        .pixel_um = 0.325,
        .object_side_px = 28.5,
        .object_side_p99 = 61,
        .range_low = {0.01, 0.02},
        .range_high = {0.5, 0.75},
        .software = "0.1.0",
        .dataset_digest = "abc",
    };
    info.thresholds.best_f1_all = 0.3f;
    for (int k = 0; k < 2; k++) {
        info.thresholds.best_f1[k] = 0.25f + (float)k / 10;
        info.thresholds.unbiased[k] = 0.2f;
        info.thresholds.calibration[k] = (struct calibration){1.25, 0.25 - 0.5 * k};
    }
    return info;
}

static void a_description_survives_as_json(void **state)
{
    (void)state;
    struct model_info info = sample_info();
    static struct model_info back;
    SCOPE_BUFFER first = {0}, second = {0};
    struct failure why;
    model_info_format(&info, &first);
    assert_code_ok(model_info_parse(buffer_text(&first), "x", &back, &why), why);
    model_info_format(&back, &second);
    assert_string_equal(buffer_text(&first), buffer_text(&second));
    assert_string_equal(back.class_names[1], "a \"b\"");
    assert_near(back.preprocessing.scale, 0.731, 0);
    assert_int_equal(back.preprocessing.channels, 1);
    assert_int_equal(back.views, 4);
    assert_near(back.outline_factor, 1.0625, 0);
}

/* Each member of the description is taken away or spoilt in turn; its name stands in the refusal. */
static void a_description_without_a_member_is_refused_by_name(void **state)
{
    (void)state;
    struct model_info info = sample_info();
    SCOPE_BUFFER json = {0};
    model_info_format(&info, &json);
    static const char *const members[] = {"classes",   "size",     "input_channels", "rays",           "intensity",
                                          "scale",     "pixel_um", "object_side_px", "threshold_all",  "range_high",
                                          "threshold", "software", "calibration",    "dataset_digest", "range_floor"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char *copy = strdup(buffer_text(&json));
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\":", members[i]);
        char *at = strstr(copy, quoted);
        assert_non_null(at);
        at[1] = '?';
        static struct model_info back;
        struct failure why;
        assert_int_equal(model_info_parse(copy, "x", &back, &why), CODE_CORRUPT);
        assert_non_null(strstr(why.text, members[i]));
        free(copy);
    }
}

/* Models that were made before there were views, or factors, do not tell. */
static void what_younger_descriptions_tell_is_one_in_older_ones_and_checked(void **state)
{
    (void)state;
    static const char views[] = "\"views\":4", factor[] = "\"outline_factor\":1.0625";
    const struct {
        const char *original, *text;
        double value; /* 0: refused */
    } cases[] = {{views, views, 4},
                 {views, "\"views\":1", 1},
                 {views, "\"views\":8", 8},
                 {views, "\"views\":9", 0},
                 {views, "\"seen\":4", 1},
                 {views, "\"views\":2", 0},
                 {views, "\"views\":5", 0},
                 {views, "\"views\":0", 0},
                 {factor, factor, 1.0625},
                 {factor, "\"drawn\":1.1", 1},
                 {factor, "\"outline_factor\":0.5", 0.5},
                 {factor, "\"outline_factor\":0.4", 0},
                 {factor, "\"outline_factor\":1e9", 0},
                 {factor, "\"outline_factor\":\"1\"", 0}};
    struct model_info info = sample_info();
    SCOPE_BUFFER json = {0};
    model_info_format(&info, &json);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPE_BUFFER changed = {0};
        bool is_factor = cases[i].original == factor;
        const char *at = strstr(buffer_text(&json), cases[i].original);
        assert_non_null(at);
        buffer_printf(&changed, "%.*s%s%s", (int)(at - buffer_text(&json)), buffer_text(&json), cases[i].text,
                      at + strlen(cases[i].original));
        static struct model_info back;
        struct failure why;
        enum code code = model_info_parse(buffer_text(&changed), "x", &back, &why);
        assert_int_equal(code, cases[i].value ? CODE_OK : CODE_CORRUPT);
        if (cases[i].value)
            assert_near(is_factor ? back.outline_factor : back.views, cases[i].value, 0);
        else
            assert_non_null(strstr(why.text, is_factor ? "\"outline_factor\"" : "\"views\""));
    }
}

static struct network *make_network(struct device *device, const struct model_info *info)
{
    struct network_plan plan = {.batch = 1, .height = 64, .width = 64};
    struct network *network;
    struct failure why;
    assert_code_ok(network_create(device, &info->architecture, &plan, &network, &why), why);
    network_initialize(network, 5);
    return network;
}

/* A detector from memory and one from its file see the same in an image. */
static void a_model_file_detects_as_the_weights_it_was_made_of(void **state)
{
    (void)state;
    const struct device_options one_thread = {.threads = 1};
    struct device *device;
    struct failure why;
    assert_code_ok(device_open("cpu", &one_thread, &device, &why), why);
    struct model_info info = sample_info();
    struct network *network = make_network(device, &info);
    size_t floats = network_slab_floats(network);
    float *weights = malloc(floats * sizeof *weights);
    network_read_slab(network, SLAB_WEIGHTS, weights);
    assert_code_ok(model_file_write(path, &info, network, weights, &why), why);
    struct detector_options options = {.device = device};
    struct detector *made, *opened;
    assert_code_ok(detector_create(&info, weights, floats, &options, &made, &why), why);
    assert_code_ok(detector_open(path, &options, &opened, &why), why);
    assert_string_equal(detector_info(opened)->class_names[0], "RBC");
    SCOPE_IMAGE image = {0};
    assert_code_ok(image_create(150, 130, 1, 16, &image, &why), why);
    struct random random = random_stream(8, 8);
    for (int i = 0; i < 150 * 130; i++)
        ((uint16_t *)image.data)[i] = (uint16_t)random_below(&random, 4096);
    SCOPE_DETECTIONS a = {0};
    SCOPE_DETECTIONS b = {0};
    assert_code_ok(detector_detect(made, &image, &a, &why), why);
    assert_code_ok(detector_detect(opened, &image, &b, &why), why);
    assert_true(a.count > 0);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.items, b.items, a.count * sizeof *a.items);
    for (size_t i = 0; i < a.count; i++)
        assert_true(a.items[i].box.x0 >= 0 && a.items[i].box.x1 <= 150 && a.items[i].box.y1 <= 130);
    detector_destroy(made);
    detector_destroy(opened);
    network_destroy(network);
    free(weights);
    device_close(device);
}

static void a_model_with_weights_that_are_no_numbers_is_refused(void **state)
{
    (void)state;
    const struct device_options one_thread = {.threads = 1};
    struct device *device;
    struct failure why;
    assert_code_ok(device_open("cpu", &one_thread, &device, &why), why);
    const struct model_info info = sample_info();
    struct network *network = make_network(device, &info);
    float *weights = malloc(network_slab_floats(network) * sizeof *weights);
    network_read_slab(network, SLAB_WEIGHTS, weights);
    const struct network_parameter *parameter = network_parameter(network, 3);
    weights[parameter->offset] = NAN;
    assert_code_ok(model_file_write(path, &info, network, weights, &why), why);
    const struct detector_options options = {.device = device};
    struct detector *detector;
    assert_int_equal(detector_open(path, &options, &detector, &why), CODE_CORRUPT);
    assert_non_null(strstr(why.text, parameter->name));
    network_destroy(network);
    free(weights);
    device_close(device);
}

static void a_large_image_is_seen_in_tiles_without_doubles(void **state)
{
    (void)state;
    const struct device_options one_thread = {.threads = 1};
    struct device *device;
    struct failure why;
    assert_code_ok(device_open("cpu", &one_thread, &device, &why), why);
    struct model_info info = sample_info();
    info.preprocessing.scale = 1;
    struct network *network = make_network(device, &info);
    size_t floats = network_slab_floats(network);
    float *weights = malloc(floats * sizeof *weights);
    network_read_slab(network, SLAB_WEIGHTS, weights);
    struct detector_options options = {.device = device};
    struct detector *detector;
    assert_code_ok(detector_create(&info, weights, floats, &options, &detector, &why), why);
    SCOPE_IMAGE image = {0};
    assert_code_ok(image_create(2100, 100, 1, 16, &image, &why), why);
    struct random random = random_stream(8, 8);
    for (int i = 0; i < 2100 * 100; i++)
        ((uint16_t *)image.data)[i] = (uint16_t)random_below(&random, 4096);
    SCOPE_DETECTIONS list = {0};
    assert_code_ok(detector_detect(detector, &image, &list, &why), why);
    bool is_seen[3] = {false, false, false}; /* by thirds: three tiles of 1024 */
    for (size_t i = 0; i < list.count; i++) {
        const struct detection *item = &list.items[i];
        assert_true(item->box.x0 >= 0 && item->box.x1 <= 2100 && item->origin_x < 2100 && item->origin_y < 100);
        is_seen[(int)item->origin_x / 700] = true;
        for (size_t k = 0; k < i; k++)
            assert_false(item->class_index == list.items[k].class_index &&
                         detection_iou(&item->box, &list.items[k].box) > 0.5f);
    }
    assert_true(is_seen[0] && is_seen[1] && is_seen[2]);
    detector_destroy(detector);
    network_destroy(network);
    free(weights);
    device_close(device);
}

static void files_that_are_no_models_are_refused_in_words(void **state)
{
    (void)state;
    struct model_file *file;
    struct failure why;
    write_sample();
    assert_int_equal(model_file_open(path, &file, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "not a cytofs detector"));
    const struct safetensors_note notes[] = {{"cytofs.version", "2"}};
    struct safetensors_content content = {NULL, 0, notes, 1};
    assert_code_ok(safetensors_write(path, &content, &why), why);
    assert_int_equal(model_file_open(path, &file, &why), CODE_NEWER_FORMAT);
    assert_int_equal(model_file_open("/nonexistent/m", &file, &why), CODE_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(python_reads_the_same_values),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(a_cut_file_is_refused_at_every_length),
        cmocka_unit_test(a_description_survives_as_json),
        cmocka_unit_test(a_description_without_a_member_is_refused_by_name),
        cmocka_unit_test(what_younger_descriptions_tell_is_one_in_older_ones_and_checked),
        cmocka_unit_test(a_model_file_detects_as_the_weights_it_was_made_of),
        cmocka_unit_test(a_model_with_weights_that_are_no_numbers_is_refused),
        cmocka_unit_test(a_large_image_is_seen_in_tiles_without_doubles),
        cmocka_unit_test(files_that_are_no_models_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
