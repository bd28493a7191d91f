/* kernels/detector: average precision, thresholds, calibration. */
#include "assert_near.h"

#include <stdlib.h>
#include <string.h>

#include "evaluation.h"
#include "reliability.h"
#include "thresholds.h"
#include "evaluation_report.h"
#include "random.h"

#define IMAGES 40

struct made_image {
    struct truth truths[16];
    struct detection detections[32];
    size_t truth_count, detection_count;
};

static struct box shifted(struct box box, struct random *random)
{
    float shift[4];
    for (int i = 0; i < 4; i++)
        shift[i] = (float)(random_uniform(random) * 8 - 4);
    return (struct box){box.x0 + shift[0], box.y0 + shift[1], box.x1 + shift[2], box.y1 + shift[3]};
}

/* The same image as make_image() of oracle_evaluation.py. */
static void make_image(uint64_t index, struct made_image *out)
{
    struct random random = random_stream(2026, index);
    *out = (struct made_image){0};
    out->truth_count = random_below(&random, 12);
    for (size_t i = 0; i < out->truth_count; i++) {
        float x = (float)(random_uniform(&random) * 200), y = (float)(random_uniform(&random) * 200);
        float w = (float)(10 + random_uniform(&random) * 30), h = (float)(10 + random_uniform(&random) * 30);
        out->truths[i] = (struct truth){{x, y, x + w, y + h}, (int32_t)random_below(&random, 3)};
    }
    for (size_t i = 0; i < out->truth_count; i++) {
        if (random_uniform(&random) < 0.2)
            continue;
        struct detection *item = &out->detections[out->detection_count++];
        item->box = shifted(out->truths[i].box, &random);
        item->class_index = out->truths[i].class_index;
        item->score = (float)(0.3 + 0.7 * random_uniform(&random));
    }
    size_t wrong = random_below(&random, 5);
    for (size_t i = 0; i < wrong; i++) {
        struct detection *item = &out->detections[out->detection_count++];
        float x = (float)(random_uniform(&random) * 200), y = (float)(random_uniform(&random) * 200);
        item->box = (struct box){x, y, x + 20, y + 20};
        item->class_index = (int32_t)random_below(&random, 3);
        item->score = (float)(0.6 * random_uniform(&random));
    }
}

static void make_images(struct made_image *made, struct evaluation_image *images)
{
    for (uint64_t i = 0; i < IMAGES; i++) {
        make_image(i, &made[i]);
        images[i] =
            (struct evaluation_image){made[i].truths, made[i].truth_count, made[i].detections, made[i].detection_count};
    }
}

static void scores_agree_with_an_independent_implementation(void **state)
{
    (void)state;
    /* Printed by oracle_evaluation.py: objects, AP50, AP75, mAP, precision, recall, count MAE, count bias. */
    static const double expected[3][8] = {
        {80, 0.796707850, 0.152766405, 0.285884104, 0.808823529, 0.687500000, 0.650000000, -0.300000000},
        {60, 0.576833388, 0.077171146, 0.206223324, 0.794871795, 0.516666667, 0.675000000, -0.525000000},
        {64, 0.780178066, 0.137160200, 0.307932416, 0.882352941, 0.703125000, 0.575000000, -0.325000000},
    };
    static struct made_image made[IMAGES];
    struct evaluation_image images[IMAGES];
    make_images(made, images);
    const float thresholds[3] = {0.45f, 0.45f, 0.45f};
    static struct evaluation found;
    struct failure why;
    assert_code_ok(evaluation_compute(images, IMAGES, 3, thresholds, &found, &why), why);
    for (int k = 0; k < 3; k++) {
        const struct evaluation_class *c = &found.classes[k];
        const double values[8] = {(double)c->objects, c->ap[0],  c->ap[5],     c->map,
                                  c->precision,       c->recall, c->count_mae, c->count_bias};
        for (int v = 0; v < 8; v++)
            assert_near(values[v], expected[k][v], 1e-6);
    }
    assert_near(found.ap50, (expected[0][1] + expected[1][1] + expected[2][1]) / 3, 1e-6);
}

static void average_precision_of_a_case_worked_by_hand(void **state)
{
    (void)state;
    /* Two objects; right, wrong, right: precision 1 to recall 0.5 (51 points), 2/3 to recall 1 (50 points).
     */
    const struct evaluation_match matches[] = {{0.9f, true}, {0.8f, false}, {0.7f, true}};
    assert_near(evaluation_average_precision(matches, 3, 2), (51 + 50 * 2.0 / 3) / 101, 1e-12);
    assert_near(evaluation_average_precision(matches, 0, 2), 0, 0);
    assert_true(isnan(evaluation_average_precision(matches, 3, 0)));
}

static void an_object_is_taken_once_and_by_the_best_score(void **state)
{
    (void)state;
    struct truth truth = {{0, 0, 10, 10}, 0};
    struct detection twice[2] = {{.box = {0, 0, 10, 10}, .score = 0.5f}, {.box = {0, 0, 10, 9}, .score = 0.8f}};
    struct evaluation_image image = {&truth, 1, twice, 2};
    struct evaluation_verdicts verdicts;
    struct failure why;
    assert_code_ok(evaluation_judge(&image, 1, 0, 0.5f, &verdicts, &why), why);
    assert_int_equal(verdicts.count, 2);
    assert_int_equal(verdicts.object_count, 1);
    assert_true(verdicts.matches[0].is_true && verdicts.matches[0].score == 0.8f);
    assert_false(verdicts.matches[1].is_true);
    free(verdicts.matches);
}

static void probabilities_are_held_against_what_came_true(void **state)
{
    (void)state;
    /* Four detections called 0.75, of which two are objects; one called 0.15, which is none. */
    struct truth truths[2] = {{{0, 0, 10, 10}, 0}, {{20, 0, 30, 10}, 0}};
    struct detection items[5] = {{.box = {0, 0, 10, 10}, .score = 0.75f},
                                 {.box = {20, 0, 30, 10}, .score = 0.75f},
                                 {.box = {40, 0, 50, 10}, .score = 0.75f},
                                 {.box = {60, 0, 70, 10}, .score = 0.75f},
                                 {.box = {80, 0, 90, 10}, .score = 0.15f}};
    struct evaluation_image image = {truths, 2, items, 5};
    struct thresholds thresholds = {.best_f1 = {0.5f}, .calibration = {{1, 0}}};
    struct reliability found;
    struct failure why;
    assert_code_ok(reliability_compute(&image, 1, 1, &thresholds, &found, &why), why);
    assert_int_equal(found.detections, 5);
    assert_int_equal(found.found, 4);
    assert_near(found.ece, (4 * 0.25 + 0.15) / 5, 1e-6);
    assert_near(found.ece_found, 0.25, 1e-6);
    assert_int_equal(found.bins[7].count, 4);
    assert_near(found.bins[7].predicted, 0.75, 1e-6);
    assert_near(found.bins[7].observed, 0.5, 1e-6);
    assert_int_equal(found.bins[1].count, 1);
}

static void an_empty_image_without_detections_is_perfect(void **state)
{
    (void)state;
    struct evaluation_image image = {0};
    const float threshold = 0.5f;
    static struct evaluation found;
    struct failure why;
    assert_code_ok(evaluation_compute(&image, 1, 1, &threshold, &found, &why), why);
    assert_near(found.precision, 1, 0);
    assert_near(found.recall, 1, 0);
    assert_near(found.f1, 1, 0);
    assert_near(found.count_mae, 0, 0);
    assert_true(isnan(found.ap50));
}

static void the_best_f1_threshold_beats_every_other_one(void **state)
{
    (void)state;
    struct evaluation_match matches[50];
    struct random random = random_stream(5, 1);
    for (int i = 0; i < 50; i++)
        matches[i] = (struct evaluation_match){(float)(50 - i) / 51, random_uniform(&random) < 1 - i / 50.0};
    float chosen = thresholds_best_f1(matches, 50, 40);
    double best = -1, at_chosen = -1;
    for (int t = 0; t <= 510; t++) {
        float threshold = t == 510 ? chosen : (float)t / 510;
        int found = 0, true_count = 0;
        for (int i = 0; i < 50 && matches[i].score >= threshold; i++) {
            found++;
            true_count += matches[i].is_true;
        }
        double f1 = 2.0 * true_count / (found + 40);
        best = fmax(best, f1);
        if (t == 510)
            at_chosen = f1;
    }
    assert_near(at_chosen, best, 1e-12);
}

static void a_class_with_few_objects_leans_on_the_threshold_of_all(void **state)
{
    (void)state;
    /* Class 0: 60 objects found at 0.8.  Class 1: 5 objects found at 0.4; alone its threshold would be near
     * 0.2. */
    static struct truth truths[65];
    static struct detection detections[65];
    for (int i = 0; i < 65; i++) {
        struct box box = {(float)i * 20, 0, (float)i * 20 + 10, 10};
        truths[i] = (struct truth){box, i >= 60};
        detections[i] = (struct detection){.box = box, .class_index = i >= 60, .score = i >= 60 ? 0.4f : 0.8f};
    }
    struct evaluation_image image = {truths, 65, detections, 65};
    static struct thresholds chosen;
    struct failure why;
    assert_code_ok(thresholds_choose(&image, 1, 2, &chosen, &why), why);
    assert_near(chosen.best_f1[0], 0.4, 1e-6);  /* halfway from 0.8 to nothing */
    assert_near(chosen.best_f1_all, 0.2, 1e-6); /* halfway from 0.4 to nothing */
    assert_near(chosen.best_f1[1], 0.2, 1e-6);
    assert_near(chosen.unbiased[0], 0.4, 1e-6);
    detections[64].score = 0.1f; /* now class 1 alone: 0.05 */
    assert_code_ok(thresholds_choose(&image, 1, 2, &chosen, &why), why);
    assert_near(chosen.best_f1[1], 0.1 * 0.05 + 0.9 * chosen.best_f1_all, 1e-6);
}

static void calibration_finds_the_curve_that_made_the_verdicts(void **state)
{
    (void)state;
    static struct evaluation_match matches[20000];
    struct random random = random_stream(9, 9);
    for (int i = 0; i < 20000; i++) {
        float score = (float)random_between(&random, 0.05, 0.95);
        double p = 1 / (1 + exp(-(1.7 * log(score / (1 - score)) - 0.6)));
        matches[i] = (struct evaluation_match){score, random_uniform(&random) < p};
    }
    struct calibration fit = thresholds_calibrate(matches, 20000);
    assert_near(fit.slope, 1.7, 0.08);
    assert_near(fit.offset, -0.6, 0.08);
    assert_near(thresholds_probability(&(struct calibration){1, 0}, 0.3f), 0.3, 1e-6);
}

static void too_few_verdicts_leave_scores_as_they_are(void **state)
{
    (void)state;
    struct evaluation_match matches[12] = {{0.9f, true}, {0.8f, true}, {0.2f, false}};
    struct calibration fit = thresholds_calibrate(matches, 3);
    assert_near(fit.slope, 1, 0);
    assert_near(fit.offset, 0, 0);
}

static void reports_name_every_class_and_mark_what_is_undefined(void **state)
{
    (void)state;
    static struct model_info info = {.architecture.classes = 2, .class_names = {"RBC", "WBC"}};
    struct truth truth = {{0, 0, 10, 10}, 0};
    struct evaluation_image image = {&truth, 1, NULL, 0};
    const float thresholds[2] = {0.5f, 0.5f};
    static struct evaluation found;
    struct failure why;
    assert_code_ok(evaluation_compute(&image, 1, 2, thresholds, &found, &why), why);
    SCOPE_BUFFER table = {0}, json = {0};
    evaluation_report_table(&found, &info, &table);
    evaluation_report_json(&found, &info, &json);
    assert_non_null(strstr(buffer_text(&table), "RBC"));
    assert_non_null(strstr(buffer_text(&table), "     -"));
    assert_non_null(strstr(buffer_text(&json), "{\"name\":\"WBC\",\"objects\":0,\"ap50\":null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_agree_with_an_independent_implementation),
        cmocka_unit_test(average_precision_of_a_case_worked_by_hand),
        cmocka_unit_test(an_object_is_taken_once_and_by_the_best_score),
        cmocka_unit_test(probabilities_are_held_against_what_came_true),
        cmocka_unit_test(an_empty_image_without_detections_is_perfect),
        cmocka_unit_test(the_best_f1_threshold_beats_every_other_one),
        cmocka_unit_test(a_class_with_few_objects_leans_on_the_threshold_of_all),
        cmocka_unit_test(calibration_finds_the_curve_that_made_the_verdicts),
        cmocka_unit_test(too_few_verdicts_leave_scores_as_they_are),
        cmocka_unit_test(reports_name_every_class_and_mark_what_is_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
