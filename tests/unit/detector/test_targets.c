/* kernels/detector: training targets, and that decoding undoes them. */
#include "assert_near.h"

#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "random.h"
#include "targets.h"

#define SIDE  96
#define CELLS (SIDE / 4)

struct painted {
    struct targets targets;
    float heat[CELLS * CELLS * 2], box[CELLS * CELLS * 4], box_weight[CELLS * CELLS];
    float rays[CELLS * CELLS * 8], ray_weight[CELLS * CELLS];
};

static struct painted *paint(const struct target_object *objects, size_t count, const uint32_t *labels)
{
    static struct painted painted;
    memset(&painted, 0xFF, sizeof painted); /* everything must be overwritten */
    painted.targets = (struct targets){
        SIDE, SIDE, 2, labels ? 8 : 0, painted.heat, painted.box, painted.box_weight, painted.rays, painted.ray_weight};
    struct failure why;
    assert_code_ok(targets_fill(&painted.targets, objects, count, labels, &why), why);
    return &painted;
}

static size_t make_objects(struct target_object *objects, uint64_t stream)
{
    struct random random = random_stream(77, stream);
    size_t count = 1 + random_below(&random, 9);
    for (size_t i = 0; i < count; i++) {
        float x = (float)random_between(&random, -5, 85), y = (float)random_between(&random, -5, 85);
        objects[i] = (struct target_object){x,
                                            y,
                                            x + (float)random_between(&random, 2, 50),
                                            y + (float)random_between(&random, 2, 50),
                                            (int32_t)random_below(&random, 2),
                                            (uint32_t)i + 1};
    }
    return count;
}

static double area(const struct target_object *o)
{
    return ((double)o->x1 - o->x0) * ((double)o->y1 - o->y0);
}

/* The Gaussian of one object at one cell, from the formulas; 0 outside of its window. */
static double bump_at(const struct target_object *o, int row, int column)
{
    double w = ((double)o->x1 - o->x0) / 4, h = ((double)o->y1 - o->y0) / 4;
    int rx = (int)floor(0.27 * w + 1e-6), ry = (int)floor(0.27 * h + 1e-6);
    int cx = (int)rint(((double)o->x0 + o->x1) / 8 - 0.5), cy = (int)rint(((double)o->y0 + o->y1) / 8 - 0.5);
    cx = cx < 0 ? 0 : cx > CELLS - 1 ? CELLS - 1 : cx;
    cy = cy < 0 ? 0 : cy > CELLS - 1 ? CELLS - 1 : cy;
    if (abs(column - cx) > rx || abs(row - cy) > ry)
        return 0;
    double sx = fmax((2 * rx + 1) / 6.0, 0.3), sy = fmax((2 * ry + 1) / 6.0, 0.3);
    return exp(-(column - cx) * (column - cx) / (2 * sx * sx) - (row - cy) * (row - cy) / (2 * sy * sy));
}

/* The object that owns a cell's distances: the smallest whose bump is above 0.1 there and whose box holds its
 * centre. */
static int owner_of(const struct target_object *objects, size_t count, int row, int column)
{
    int owner = -1;
    double x = 4 * column + 2, y = 4 * row + 2;
    for (size_t i = 0; i < count; i++) {
        const struct target_object *o = &objects[i];
        if (bump_at(o, row, column) <= 0.1 || x <= o->x0 || x >= o->x1 || y <= o->y0 || y >= o->y1)
            continue;
        if (owner < 0 || area(o) <= area(&objects[owner]))
            owner = (int)i;
    }
    return owner;
}

static void every_cell_agrees_with_the_definition(void **state)
{
    (void)state;
    for (uint64_t stream = 0; stream < 60; stream++) {
        struct target_object objects[16];
        size_t count = make_objects(objects, stream);
        struct painted *painted = paint(objects, count, NULL);
        double sums[16] = {0};
        for (int cell = 0; cell < CELLS * CELLS; cell++) {
            int owner = owner_of(objects, count, cell / CELLS, cell % CELLS);
            if (owner >= 0)
                sums[owner] += bump_at(&objects[owner], cell / CELLS, cell % CELLS);
        }
        for (int cell = 0; cell < CELLS * CELLS; cell++) {
            int row = cell / CELLS, column = cell % CELLS, owner = owner_of(objects, count, row, column);
            for (int k = 0; k < 2; k++) {
                double highest = 0;
                for (size_t i = 0; i < count; i++)
                    if (objects[i].class_index == k)
                        highest = fmax(highest, bump_at(&objects[i], row, column));
                assert_near(painted->heat[cell * 2 + k], highest, 1e-5);
            }
            if (owner < 0) {
                assert_near(painted->box_weight[cell], 0, 0);
                continue;
            }
            assert_near(painted->box_weight[cell], bump_at(&objects[owner], row, column) / sums[owner], 1e-5);
            assert_near(painted->box[cell * 4], 4 * column + 2 - (double)objects[owner].x0, 1e-4);
            assert_near(painted->box[cell * 4 + 1], 4 * row + 2 - (double)objects[owner].y0, 1e-4);
            assert_near(painted->box[cell * 4 + 2], (double)objects[owner].x1 - (4 * column + 2), 1e-4);
            assert_near(painted->box[cell * 4 + 3], (double)objects[owner].y1 - (4 * row + 2), 1e-4);
        }
    }
}

static void a_centre_is_exactly_one_and_distances_are_positive(void **state)
{
    (void)state;
    for (uint64_t stream = 100; stream < 130; stream++) {
        struct target_object objects[16];
        size_t count = make_objects(objects, stream);
        struct painted *painted = paint(objects, count, NULL);
        int peaks = 0;
        for (int cell = 0; cell < CELLS * CELLS; cell++) {
            peaks += painted->heat[cell * 2] == 1.0f;
            peaks += painted->heat[cell * 2 + 1] == 1.0f;
            for (int i = 0; painted->box_weight[cell] > 0 && i < 4; i++)
                assert_true(painted->box[cell * 4 + i] > 0);
        }
        assert_in_range(peaks, 1, count);
    }
}

static void no_objects_make_no_targets(void **state)
{
    (void)state;
    struct painted *painted = paint(NULL, 0, NULL);
    for (int cell = 0; cell < CELLS * CELLS; cell++)
        assert_true(painted->heat[cell * 2] == 0 && painted->box_weight[cell] == 0);
}

static void rays_reach_the_border_of_a_disc(void **state)
{
    (void)state;
    static uint32_t labels[SIDE * SIDE];
    memset(labels, 0, sizeof labels);
    const double cx = 50, cy = 46, radius = 17;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if ((x + 0.5 - cx) * (x + 0.5 - cx) + (y + 0.5 - cy) * (y + 0.5 - cy) <= radius * radius)
                labels[y * SIDE + x] = 3;
    struct target_object disc = {33, 29, 67, 63, 1, 3};
    struct painted *painted = paint(&disc, 1, labels);
    double weights = 0;
    for (int cell = 0; cell < CELLS * CELLS; cell++) {
        weights += painted->ray_weight[cell];
        if (painted->ray_weight[cell] == 0)
            continue;
        double x = cell % CELLS * 4 + 2 - cx, y = cell / CELLS * 4 + 2 - cy;
        for (int k = 0; k < 8; k++) {
            /* The distance from (x, y) to the circle along the ray, from the quadratic. */
            double dx = cos(2 * 3.14159265358979 * k / 8), dy = sin(2 * 3.14159265358979 * k / 8);
            double along = x * dx + y * dy;
            double expected = -along + sqrt(along * along - x * x - y * y + radius * radius);
            assert_near(painted->rays[cell * 8 + k], expected, 1.1);
        }
    }
    assert_near(weights, 1, 1e-5);
}

/* Exactly, and as far in one direction as in the other: half a pixel is a quarter of a small nucleus's area. */
static void rays_end_where_the_label_does(void **state)
{
    (void)state;
    static uint32_t labels[SIDE * SIDE];
    memset(labels, 0, sizeof labels);
    const double x0 = 31, y0 = 20, x1 = 60, y1 = 71;
    for (int y = (int)y0; y < y1; y++)
        for (int x = (int)x0; x < x1; x++)
            labels[y * SIDE + x] = 3;
    struct target_object object = {(float)x0, (float)y0, (float)x1, (float)y1, 1, 3};
    struct painted *painted = paint(&object, 1, labels);
    int seen = 0;
    for (int cell = 0; cell < CELLS * CELLS; cell++) {
        if (painted->ray_weight[cell] == 0)
            continue;
        double x = cell % CELLS * 4 + 2, y = cell / CELLS * 4 + 2;
        double right = x1 - x, down = y1 - y, left = x - x0, up = y - y0;
        const double expected[8] = {right, sqrt(2) * fmin(right, down), down, sqrt(2) * fmin(down, left),
                                    left,  sqrt(2) * fmin(left, up),    up,   sqrt(2) * fmin(up, right)};
        for (int k = 0; k < 8; k++)
            assert_near(painted->rays[cell * 8 + k], expected[k], 1e-4);
        seen++;
    }
    assert_true(seen > 4);
}

static void too_many_objects_are_refused(void **state)
{
    (void)state;
    static struct target_object objects[TARGETS_OBJECTS_MAX + 1];
    static float cells[CELLS * CELLS * 4];
    struct targets targets = {SIDE, SIDE, 1, 0, cells, cells, cells, NULL, NULL};
    struct failure why;
    assert_int_equal(targets_fill(&targets, objects, TARGETS_OBJECTS_MAX + 1, NULL, &why), CODE_TOO_LARGE);
}

/* A network that says exactly its targets is decoded into exactly the objects. */
static void decoding_perfect_outputs_gives_the_objects_back(void **state)
{
    (void)state;
    const struct target_object objects[] = {{10, 12, 30, 40, 0, 1}, {50, 14, 90, 50, 1, 2}, {20, 60, 44, 84, 0, 3}};
    struct painted *painted = paint(objects, 3, NULL);
    static float heat[CELLS * CELLS * 2], box[CELLS * CELLS * 4];
    for (int i = 0; i < CELLS * CELLS * 2; i++) {
        float p = fminf(fmaxf(painted->heat[i], 1e-4f), 1 - 1e-4f);
        heat[i] = logf(p / (1 - p));
    }
    for (int i = 0; i < CELLS * CELLS * 4; i++)
        box[i] = logf(fmaxf(painted->box[i], 0.1f) / 4);
    struct decode_outputs outputs = {CELLS, CELLS, 2, 0, heat, box, NULL};
    SCOPE_DETECTIONS list = {0};
    struct failure why;
    assert_code_ok(decode_peaks(&outputs, &list, &why), why);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++) {
        bool is_found = false;
        struct box wanted = {objects[i].x0, objects[i].y0, objects[i].x1, objects[i].y1};
        for (size_t k = 0; k < list.count; k++)
            is_found |=
                list.items[k].class_index == objects[i].class_index && detection_iou(&list.items[k].box, &wanted) > 0.999f;
        assert_true(is_found);
    }
}

static void a_plateau_is_one_peak_and_low_peaks_are_passed_over(void **state)
{
    (void)state;
    static float heat[8 * 8], box[8 * 8 * 4];
    for (int i = 0; i < 64; i++)
        heat[i] = -10;
    heat[3 * 8 + 3] = heat[3 * 8 + 4] = heat[4 * 8 + 3] = 2;
    heat[7 * 8 + 7] = -3.95f; /* 0.0189, below the floor */
    struct decode_outputs outputs = {8, 8, 1, 0, heat, box, NULL};
    SCOPE_DETECTIONS list = {0};
    struct failure why;
    assert_code_ok(decode_peaks(&outputs, &list, &why), why);
    assert_int_equal(list.count, 1);
    assert_near(list.items[0].score, 1 / (1 + exp(-2)), 1e-6);
    assert_near(list.items[0].box.x0, 4 * 3 + 2 - 4, 1e-6);
}

static void distances_that_are_not_numbers_stay_bounded(void **state)
{
    (void)state;
    assert_near(decode_distance(1e30f), 4 * exp(6), 1e-2);
    assert_near(decode_distance(-1e30f), 4 * exp(-4), 1e-5);
    assert_true(isfinite(decode_distance(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_agrees_with_the_definition),
        cmocka_unit_test(a_centre_is_exactly_one_and_distances_are_positive),
        cmocka_unit_test(no_objects_make_no_targets),
        cmocka_unit_test(rays_reach_the_border_of_a_disc),
        cmocka_unit_test(rays_end_where_the_label_does),
        cmocka_unit_test(too_many_objects_are_refused),
        cmocka_unit_test(decoding_perfect_outputs_gives_the_objects_back),
        cmocka_unit_test(a_plateau_is_one_peak_and_low_peaks_are_passed_over),
        cmocka_unit_test(distances_that_are_not_numbers_stay_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
