/* Whole trainings on the imitated GPU: what lies on the card and what is streamed, how the streams run, whether steps are
 * recorded, and where the training was cut, change nothing about the model. */
#include "testing.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda_runtime_api.h"
#include "file.h"
#include "scope.h"
#include "small_training.h"
#include "synth.h"

static char folder[] = "/tmp/cytofs-cuda-XXXXXX";

static int make_images(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    struct synth_request request = {SYNTH_FLUO16, 7, 0, 12, 96, 96};
    SCOPE_FREE char *cells = file_join(folder, "cells");
    return synth_write(&request, cells, NULL, NULL, NULL) == CODE_OK ? 0 : -1;
}

static int remove_images(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

/* What a training said, and when it is to stop. */
struct listener {
    char text[8192];
    int64_t stop_at;
    atomic_bool stop;
};

static void hear(void *context, const char *line)
{
    struct listener *listener = context;
    size_t used = strlen(listener->text);
    snprintf(listener->text + used, sizeof listener->text - used, "%s\n", line);
}

static void see(void *context, int64_t done, int64_t total, double steps_per_second, double loss)
{
    (void)total;
    (void)steps_per_second;
    (void)loss;
    struct listener *listener = context;
    if (listener->stop_at > 0 && done >= listener->stop_at)
        atomic_store(&listener->stop, true);
}

static enum code train(const char *name, const struct cuda_host_manner *manner, struct listener *listener,
                       struct trainer_report *report)
{
    SCOPE_FREE char *cells = file_join(folder, "cells"), *output = file_join(folder, name);
    struct trainer_options options = small_training(cells, output, 7);
    options.device = "cuda";
    options.precision = TRAINER_PRECISION_F32;
    options.context = listener;
    options.on_line = hear;
    options.on_progress = see;
    options.stop = &listener->stop;
    struct failure why;
    cuda_host_set(manner);
    enum code code = trainer_run(&options, report, &why);
    if (code != CODE_OK && code != CODE_INTERRUPTED)
        fail_msg("%s: %s", name, why.text);
    if (getenv("CYTOFS_TEST_VERBOSE"))
        fputs(listener->text, stderr);
    assert_int_equal(cuda_host_count().memory_bytes, 0);
    return code;
}

static void assert_same_model(const char *one, const char *other)
{
    const char *const names[] = {one, other};
    struct buffer files[2] = {{.max = (size_t)1 << 28}, {.max = (size_t)1 << 28}};
    struct failure why;
    for (int i = 0; i < 2; i++) {
        SCOPE_FREE char *output = file_join(folder, names[i]), *path = file_join(output, "model/model.safetensors");
        assert_code_ok(file_read(path, (size_t)1 << 28, &files[i], &why), why);
    }
    assert_int_equal(files[0].length, files[1].length);
    assert_memory_equal(files[0].data, files[1].data, files[0].length);
    buffer_free(&files[0]);
    buffer_free(&files[1]);
}

static void a_dataset_larger_than_the_card_streams_and_trains_the_same_model(void **state)
{
    (void)state;
    static struct listener whole, streamed;
    struct trainer_report report;
    assert_int_equal(train("whole", &(struct cuda_host_manner){0}, &whole, &report), CODE_OK);
    assert_int_equal(report.steps, 7);
    assert_non_null(strstr(whole.text, "the GPU keeps 10 of 10 training images in its memory"));
    assert_non_null(strstr(whole.text, "a step is one graph, recorded once and replayed"));
    const size_t image = 96 * 96 * sizeof(uint16_t); /* half of what is free is for images */
    assert_int_equal(train("streamed", &(struct cuda_host_manner){.unused_bytes = 2 * 3 * image + 1000, .lazy = true},
                           &streamed, &report),
                     CODE_OK);
    assert_non_null(strstr(streamed.text, "the GPU keeps 3 of 10 training images in its memory"));
    assert_non_null(strstr(streamed.text, "of the others it is sent what crops need"));
    assert_same_model("whole", "streamed");
}

static void a_training_cut_and_continued_ends_with_the_same_model(void **state)
{
    (void)state;
    static struct listener listener;
    struct trainer_report report;
    const struct cuda_host_manner manner = {.lazy = true};
    listener.stop_at = 3;
    assert_int_equal(train("cut", &manner, &listener, &report), CODE_INTERRUPTED);
    assert_true(report.steps >= 3 && report.steps < 7);
    listener.stop_at = 0;
    atomic_store(&listener.stop, false);
    assert_int_equal(train("cut", &manner, &listener, &report), CODE_OK);
    assert_true(report.resumed_at >= 3);
    assert_same_model("whole", "cut");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dataset_larger_than_the_card_streams_and_trains_the_same_model),
        cmocka_unit_test(a_training_cut_and_continued_ends_with_the_same_model),
    };
    return cmocka_run_group_tests(tests, make_images, remove_images);
}
