/* kernels/trainer: what is chosen from the data and what the options decide. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "training_plan.h"

static const struct device fast = {.name = "cpu", .description = "a processor", .bf16 = true, .threads = 2};
static const struct device plain = {.name = "ref", .description = "plain loops", .bf16 = false, .threads = 1};

/* Four blood-smear-like images with boxes. */
static const struct dataset *make_dataset(size_t mask_count)
{
    static struct dataset_image images[4];
    static struct dataset_object object = {10, 10, 50, 50, 0, 0};
    static char folder[] = "cells", path[] = "x.png", class_name[] = "cell";
    static struct dataset dataset = {.folder = folder, .images = images, .image_count = 4, .class_count = 1};
    for (int i = 0; i < 4; i++)
        images[i] = (struct dataset_image){.path = path, .objects = &object, .object_count = 1, .mask_count = mask_count};
    dataset.class_names[0] = class_name;
    return &dataset;
}

static struct survey smear = {.bits = 8,
                              .is_grey = false,
                              .range_median = 0.6,
                              .side_median = 103,
                              .side_p99 = 230,
                              .image_width = 640,
                              .image_height = 480};
static struct survey nuclei = {.bits = 16,
                               .is_grey = true,
                               .range_median = 0.04,
                               .side_median = 27,
                               .side_p99 = 45,
                               .image_width = 256,
                               .image_height = 256};

static struct training_plan make(const struct trainer_options *options, const struct survey *survey,
                                 const struct device *device, size_t masks)
{
    struct training_plan plan;
    struct failure why;
    struct training_facts facts = {make_dataset(masks), survey, device, 205};
    assert_code_ok(training_plan_make(options, &facts, &plan, &why), why);
    return plan;
}

static void open_choices_suit_blood_smears(void **state)
{
    (void)state;
    struct trainer_options options = trainer_defaults();
    struct training_plan plan = make(&options, &smear, &fast, 0);
    assert_int_equal(plan.architecture.input_channels, 3);
    assert_int_equal(plan.architecture.rays, 0);
    assert_int_equal(plan.preprocessing.intensity, INTENSITY_FULL);
    assert_true(fabs(plan.preprocessing.scale * 103 - 42) < 1e-9);
    assert_int_equal(plan.side, 224);
    assert_int_equal(plan.batch, 8);
    assert_int_equal(plan.steps, 1538); /* 60 times 205 images, 8 a step */
    assert_int_equal(plan.precision, PRECISION_BF16);
    assert_true(plan.lr == 2e-3);
}

static void open_choices_suit_fluorescent_nuclei(void **state)
{
    (void)state;
    struct trainer_options options = trainer_defaults();
    struct training_plan plan = make(&options, &nuclei, &plain, 1);
    assert_int_equal(plan.architecture.input_channels, 1);
    assert_int_equal(plan.architecture.rays, 32);
    assert_int_equal(plan.preprocessing.intensity, INTENSITY_PERCENTILE);
    assert_true(fabs(plan.preprocessing.range_floor - 0.01) < 1e-12);
    assert_true(plan.preprocessing.scale == 1);
    assert_int_equal(plan.side, 256);
    assert_int_equal(plan.precision, PRECISION_F32);
}

static void small_objects_are_enlarged_within_reason(void **state)
{
    (void)state;
    assert_true(training_plan_scale(3, false) == 2);
    assert_true(training_plan_scale(10, false) > 1);
    assert_true(training_plan_scale(30, false) == 1);
    assert_true(fabs(training_plan_scale(84, false) - 0.5) < 1e-9);
    assert_true(training_plan_scale(60000, false) >= PREPROCESSING_SCALE_MIN);
    assert_true(training_plan_scale(3, true) == 2);
    assert_true(training_plan_scale(14.5, true) == 2);
    assert_true(training_plan_scale(30, true) == 1);
}

static void options_win_over_choices(void **state)
{
    (void)state;
    struct trainer_options options = trainer_defaults();
    options.epochs = 2;
    options.batch = 32;
    options.image_size = 96;
    options.scale = 0.7;
    options.rays = 0;
    struct training_plan plan = make(&options, &nuclei, &fast, 1);
    assert_int_equal(plan.steps, 13); /* 410 draws in batches of 32 */
    assert_int_equal(plan.side, 96);
    assert_true(fabs(plan.lr - 4e-3) < 1e-9);
    assert_true(plan.preprocessing.scale == 0.7);
    assert_int_equal(plan.architecture.rays, 0);
    options.steps = 7;
    options.lr = 0.5;
    plan = make(&options, &nuclei, &fast, 1);
    assert_int_equal(plan.steps, 7);
    assert_true(plan.lr == 0.5);
}

static void outlines_are_looked_at_in_eight_views_unless_told_otherwise(void **state)
{
    (void)state;
    struct trainer_options options = trainer_defaults();
    assert_int_equal(make(&options, &nuclei, &plain, 1).views, 8);
    assert_int_equal(make(&options, &smear, &plain, 0).views, 1);
    options.rays = 7; /* a mirrored ray would be none */
    assert_int_equal(make(&options, &nuclei, &plain, 1).views, 1);
    options.rays = -1;
    options.views = 1;
    assert_int_equal(make(&options, &nuclei, &plain, 1).views, 1);
    options.views = 4;
    assert_int_equal(make(&options, &smear, &plain, 0).views, 4);
}

/* So that a training can go on, from its checkpoint, to a model with other views. */
static void views_decide_nothing_about_the_weights(void **state)
{
    (void)state;
    struct trainer_options options = trainer_defaults();
    struct training_plan four = make(&options, &nuclei, &plain, 1);
    options.views = 1;
    struct training_plan one = make(&options, &nuclei, &plain, 1);
    assert_string_equal(four.digest, one.digest);
}

static void whatever_decides_the_weights_changes_the_digest(void **state)
{
    (void)state;
    struct trainer_options base = trainer_defaults();
    struct training_plan first = make(&base, &smear, &fast, 0), again = make(&base, &smear, &fast, 0);
    assert_string_equal(first.digest, again.digest);
    struct trainer_options changed[7];
    for (int i = 0; i < 7; i++)
        changed[i] = base;
    changed[0].seed = 2;
    changed[1].lr = 1e-3;
    changed[2].batch = 4;
    changed[3].precision = TRAINER_PRECISION_F32;
    changed[4].weight_decay = 0;
    changed[5].size = NETWORK_S;
    changed[6].scale = 0.5;
    for (int i = 0; i < 7; i++) {
        struct training_plan plan = make(&changed[i], &smear, &fast, 0);
        assert_string_not_equal(plan.digest, first.digest);
    }
    struct training_plan elsewhere = make(&base, &smear, &plain, 0);
    assert_string_not_equal(elsewhere.digest, first.digest);
}

static void what_cannot_be_is_refused_with_what_to_write(void **state)
{
    (void)state;
    struct {
        struct trainer_options options;
        const char *text;
        size_t masks;
    } cases[7] = {0};
    for (int i = 0; i < 7; i++)
        cases[i].options = trainer_defaults();
    cases[0].options.batch = 1000, cases[0].text = "batch is 1000 (write 0 to 256)";
    cases[1].options.image_size = 32, cases[1].text = "multiple of 32, at least 64";
    cases[2].options.rays = 32, cases[2].text = "boxes only";
    cases[3].options.precision = TRAINER_PRECISION_BF16, cases[3].text = "plain loops cannot compute in bf16";
    cases[4].options.lr = NAN, cases[4].text = "lr is nan";
    cases[5].options.views = 2, cases[5].text = "views is 2 (write 1, 4 or 8)";
    cases[6].options.views = 4, cases[6].options.rays = 7, cases[6].masks = 1, cases[6].text = "an even number of rays";
    for (int i = 0; i < 7; i++) {
        struct training_plan plan;
        struct failure why = {0};
        struct training_facts facts = {make_dataset(cases[i].masks), &smear, &plain, 10};
        enum code code = training_plan_make(&cases[i].options, &facts, &plan, &why);
        assert_int_not_equal(code, CODE_OK);
        if (!strstr(why.text, cases[i].text))
            fail_msg("\"%s\" does not say \"%s\"", why.text, cases[i].text);
    }
}

static void a_class_name_that_no_model_could_hold_is_refused(void **state)
{
    (void)state;
    char name[] = "a name of a class that goes on and on until it is longer than any model file can take";
    struct dataset dataset = *make_dataset(0);
    dataset.class_names[0] = name;
    struct trainer_options options = trainer_defaults();
    struct training_plan plan;
    struct failure why;
    struct training_facts facts = {&dataset, &smear, &plain, 10};
    assert_int_equal(training_plan_make(&options, &facts, &plan, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "longer than 63 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_choices_suit_blood_smears),
        cmocka_unit_test(open_choices_suit_fluorescent_nuclei),
        cmocka_unit_test(small_objects_are_enlarged_within_reason),
        cmocka_unit_test(options_win_over_choices),
        cmocka_unit_test(outlines_are_looked_at_in_eight_views_unless_told_otherwise),
        cmocka_unit_test(views_decide_nothing_about_the_weights),
        cmocka_unit_test(whatever_decides_the_weights_changes_the_digest),
        cmocka_unit_test(what_cannot_be_is_refused_with_what_to_write),
        cmocka_unit_test(a_class_name_that_no_model_could_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
