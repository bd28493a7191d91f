/* kernels/trainer: kept images, batches, and the thread that makes them ahead. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "prefetch.h"
#include "scope.h"
#include "synth.h"

#define BATCH 3
#define SIDE  64
#define RAYS  8

struct fixture {
    char folder[48];
    struct dataset *dataset;
    struct image_store *store;
    struct sampler *sampler;
    struct batch_source source;
};

static struct fixture *fixture_create(uint64_t seed, size_t bytes_max)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct failure why;
    strcpy(fixture->folder, "/tmp/cytofs-prefetch-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    struct synth_request request = {SYNTH_FLUO16, 7, 0, 8, 96, 96};
    assert_code_ok(synth_write(&request, fixture->folder, NULL, NULL, &why), why);
    SCOPE_BUFFER warnings = {0};
    assert_code_ok(dataset_load(fixture->folder, &fixture->dataset, &warnings, &why), why);
    struct image_store_options options = {
        .recipe = {.intensity = INTENSITY_PERCENTILE, .range_floor = 0.01, .scale = 1, .channels = 1},
        .with_labels = true,
        .bytes_max = bytes_max};
    assert_code_ok(image_store_create(fixture->dataset, &options, &fixture->store, &why), why);
    size_t indices[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    assert_code_ok(sampler_create(fixture->dataset, indices, 8, seed, &fixture->sampler, &why), why);
    fixture->source = (struct batch_source){fixture->dataset,
                                            fixture->store,
                                            fixture->sampler,
                                            seed,
                                            {BATCH, SIDE, 1, fixture->dataset->class_count, RAYS},
                                            NULL,
                                            NULL};
    return fixture;
}

static void fixture_destroy(struct fixture *fixture)
{
    struct failure why;
    sampler_destroy(fixture->sampler);
    image_store_destroy(fixture->store);
    dataset_destroy(fixture->dataset);
    assert_code_ok(file_remove_tree(fixture->folder, &why), why);
    free(fixture);
}

static void assert_same_batch(const struct batch *a, const struct batch *b)
{
    const size_t cells = BATCH * (SIDE / 4) * (SIDE / 4);
    assert_int_equal(a->step, b->step);
    assert_memory_equal(a->input, b->input, BATCH * SIDE * SIDE * sizeof(float));
    assert_memory_equal(a->heat, b->heat, cells * sizeof(float));
    assert_memory_equal(a->box, b->box, cells * 4 * sizeof(float));
    assert_memory_equal(a->box_weight, b->box_weight, cells * sizeof(float));
    assert_memory_equal(a->rays, b->rays, cells * RAYS * sizeof(float));
    assert_memory_equal(a->ray_weight, b->ray_weight, cells * sizeof(float));
}

static void the_thread_makes_the_batches_of_their_steps(void **state)
{
    (void)state;
    struct fixture *ahead = fixture_create(5, 0), *direct = fixture_create(5, 0);
    struct prefetch *prefetch;
    struct batch wanted;
    struct failure why;
    assert_code_ok(batch_create(&direct->source.shape, &wanted, &why), why);
    assert_code_ok(prefetch_create(&ahead->source, 4, 20, &prefetch, &why), why);
    for (int64_t step = 4; step <= 20; step++) {
        const struct batch *batch;
        assert_code_ok(prefetch_next(prefetch, &batch, &why), why);
        assert_code_ok(batch_fill(&direct->source, step, &wanted, &why), why);
        assert_same_batch(batch, &wanted);
    }
    prefetch_destroy(prefetch);
    batch_free(&wanted);
    fixture_destroy(ahead);
    fixture_destroy(direct);
}

static void images_that_find_no_room_are_the_same_when_read_again(void **state)
{
    (void)state;
    struct fixture *roomy = fixture_create(6, 0), *tight = fixture_create(6, 1);
    struct batch a, b;
    struct failure why;
    assert_code_ok(batch_create(&roomy->source.shape, &a, &why), why);
    assert_code_ok(batch_create(&tight->source.shape, &b, &why), why);
    for (int64_t step = 1; step <= 4; step++) {
        assert_code_ok(batch_fill(&roomy->source, step, &a, &why), why);
        assert_code_ok(batch_fill(&tight->source, step, &b, &why), why);
        assert_same_batch(&a, &b);
    }
    batch_free(&a);
    batch_free(&b);
    fixture_destroy(roomy);
    fixture_destroy(tight);
}

static void a_prefetch_can_be_left_at_any_time(void **state)
{
    (void)state;
    for (int taken = 0; taken < 4; taken++) {
        struct fixture *fixture = fixture_create(1, 0);
        struct prefetch *prefetch;
        const struct batch *batch;
        struct failure why;
        assert_code_ok(prefetch_create(&fixture->source, 1, 1000000, &prefetch, &why), why);
        for (int i = 0; i < taken; i++)
            assert_code_ok(prefetch_next(prefetch, &batch, &why), why);
        prefetch_destroy(prefetch);
        fixture_destroy(fixture);
    }
}

static void an_image_that_vanishes_is_told_by_name(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(2, 1);
    struct prefetch *prefetch;
    const struct batch *batch;
    struct failure why;
    SCOPE_FREE char *path = file_join(fixture->folder, fixture->dataset->images[0].path);
    assert_int_equal(unlink(path), 0);
    assert_code_ok(prefetch_create(&fixture->source, 1, 100, &prefetch, &why), why);
    enum code code = CODE_OK;
    for (int i = 0; i < 100 && code == CODE_OK; i++)
        code = prefetch_next(prefetch, &batch, &why);
    assert_int_equal(code, CODE_NOT_FOUND);
    assert_non_null(strstr(why.text, fixture->dataset->images[0].path));
    assert_int_equal(prefetch_next(prefetch, &batch, &why), CODE_NOT_FOUND); /* and again */
    prefetch_destroy(prefetch);
    fixture_destroy(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_thread_makes_the_batches_of_their_steps),
        cmocka_unit_test(images_that_find_no_room_are_the_same_when_read_again),
        cmocka_unit_test(a_prefetch_can_be_left_at_any_time),
        cmocka_unit_test(an_image_that_vanishes_is_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
