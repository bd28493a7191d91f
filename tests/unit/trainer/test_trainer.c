/* kernels/trainer: whole trainings on a few small synthetic images, with the network on the CPU. */
#include "testing.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "best.h"
#include "file.h"
#include "model_file.h"
#include "scope.h"
#include "small_training.h"
#include "synth.h"

static char folder[] = "/tmp/cytofs-trainer-XXXXXX";

static char *in_folder(const char *name)
{
    return file_join(folder, name);
}

static int make_images(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    struct synth_request request = {SYNTH_FLUO16, 7, 0, 20, 96, 96};
    SCOPE_FREE char *cells = in_folder("cells");
    return synth_write(&request, cells, NULL, NULL, NULL) == CODE_OK ? 0 : -1;
}

static int remove_images(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

static void say_nothing(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static struct trainer_options small_options(const char *cells, const char *output)
{
    struct trainer_options options = small_training(cells, output, 12);
    options.code_version = "0.1.0";
    options.dataset_name = "datasets/cells";
    options.on_line = say_nothing;
    return options;
}

static void read_whole(const char *output, const char *name, struct buffer *out)
{
    SCOPE_FREE char *path = file_join(output, name);
    struct failure why;
    assert_code_ok(file_read(path, (size_t)1 << 28, out, &why), why);
}

static void assert_same_file(const char *one, const char *other, const char *name)
{
    SCOPE_BUFFER a = {.max = (size_t)1 << 29}, b = {.max = (size_t)1 << 29};
    read_whole(one, name, &a);
    read_whole(other, name, &b);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
}

static void train(const char *output, struct trainer_report *report)
{
    SCOPE_FREE char *cells = in_folder("cells");
    struct trainer_options options = small_options(cells, output);
    struct failure why;
    assert_code_ok(trainer_run(&options, report, &why), why);
}

static void a_training_leaves_every_file_it_promises(void **state)
{
    (void)state;
    SCOPE_FREE char *output = in_folder("whole");
    struct trainer_report report;
    train(output, &report);
    static const char *const names[] = {"progress",
                                        "metrics/train/loss",
                                        "metrics/train/lr",
                                        "metrics/val/ap50",
                                        "metrics/test/ap50",
                                        "metrics/test/count_mae",
                                        "params/batch",
                                        "params/seed",
                                        "tags/device",
                                        "tags/dataset_digest",
                                        "tags/code_version",
                                        "artifacts/checkpoint.safetensors",
                                        "artifacts/counts.csv",
                                        "artifacts/detections/test.csv",
                                        "model/model.safetensors",
                                        "model/model.onnx",
                                        "model/rdf.yaml",
                                        "model/test_image.npy",
                                        "model/test_rays.npy",
                                        "model/card.md",
                                        "model/lineage.yaml",
                                        "metrics/train/images_per_second"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        SCOPE_FREE char *path = file_join(output, names[i]);
        if (!file_exists(path))
            fail_msg("%s is missing", names[i]);
    }
    assert_int_equal(report.steps, 12);
    assert_int_equal(report.resumed_at, 0);
    assert_true(isfinite(report.test_ap50));
    SCOPE_BUFFER progress = {0}, lineage = {0};
    read_whole(output, "progress", &progress);
    assert_int_equal(strncmp(buffer_text(&progress), "12 12 steps ", 12), 0);
    read_whole(output, "model/lineage.yaml", &lineage);
    assert_non_null(strstr(buffer_text(&lineage), "\n  path: \"datasets/cells\"\n"));
    assert_null(strstr(buffer_text(&lineage), "\nrun:"));
}

static void the_model_file_says_how_to_use_the_weights(void **state)
{
    (void)state;
    SCOPE_FREE char *output = in_folder("whole");
    SCOPE_FREE char *path = file_join(output, "model/model.safetensors");
    struct model_file *file;
    struct failure why;
    assert_code_ok(model_file_open(path, &file, &why), why);
    const struct model_info *info = model_file_info(file);
    assert_int_equal(info->architecture.input_channels, 1);
    assert_int_equal(info->architecture.rays, 8);
    assert_int_equal(info->views, 8);
    assert_int_equal(info->architecture.classes, 1);
    assert_int_equal(info->image_bits, 16);
    assert_int_equal(info->preprocessing.intensity, INTENSITY_PERCENTILE);
    assert_true(info->object_side_px > 5 && info->object_side_px < 60);
    assert_string_equal(info->software, "0.1.0");
    model_file_close(file);
}

static void the_same_options_make_the_same_model(void **state)
{
    (void)state;
    SCOPE_FREE char *first = in_folder("whole");
    SCOPE_FREE char *second = in_folder("again");
    struct trainer_report report;
    train(second, &report);
    assert_same_file(first, second, "model/model.safetensors");
    assert_same_file(first, second, "artifacts/detections/test.csv");
}

/* Killed without warning as soon as it has written a first checkpoint, in the middle of a step. */
/* At the end at the latest it waits to be killed, however late its parent looks. */
static void wait_at_the_end(void *context, int64_t done, int64_t total, double steps_per_second, double loss)
{
    (void)context;
    (void)steps_per_second;
    (void)loss;
    while (done == total)
        pause();
}

static void train_and_be_killed(const char *output)
{
    SCOPE_FREE char *checkpoint = file_join(output, "artifacts/checkpoint.safetensors");
    SCOPE_FREE char *model = file_join(output, "model/model.safetensors");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        SCOPE_FREE char *cells = in_folder("cells");
        struct trainer_options options = small_options(cells, output);
        struct trainer_report report;
        options.checkpoint_interval_ms = 0;
        options.on_progress = wait_at_the_end;
        _exit(trainer_run(&options, &report, NULL) == CODE_OK ? 0 : 1);
    }
    while (!file_exists(checkpoint) && waitpid(child, NULL, WNOHANG) == 0)
        usleep(2000);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_false(file_exists(model));
}

static void a_killed_training_ends_with_the_same_bits(void **state)
{
    (void)state;
    SCOPE_FREE char *first = in_folder("whole");
    SCOPE_FREE char *killed = in_folder("killed");
    struct trainer_report report;
    train_and_be_killed(killed);
    train(killed, &report);
    assert_in_range(report.resumed_at, 1, 11);
    assert_int_equal(report.steps, 12);
    assert_same_file(first, killed, "model/model.safetensors");
    assert_same_file(first, killed, "artifacts/detections/test.csv");
    /* Every step's loss is there once. */
    SCOPE_BUFFER losses = {0};
    read_whole(killed, "metrics/train/loss", &losses);
    int64_t step = 0;
    for (const char *line = buffer_text(&losses); *line; line = strchr(line, '\n') + 1) {
        long long ms, at;
        double loss;
        assert_int_equal(sscanf(line, "%lld %lf %lld", &ms, &loss, &at), 3);
        assert_int_equal(at, ++step);
    }
    assert_int_equal(step, 12);
}

/* As after a kill between the last checkpoint and the end: the scores are taken anew, and stand there once.
 */
static void a_finished_training_can_be_finished_again(void **state)
{
    (void)state;
    SCOPE_FREE char *output = in_folder("again");
    SCOPE_FREE char *model = file_join(output, "model");
    SCOPE_BUFFER scores = {0};
    struct trainer_report report;
    struct failure why;
    assert_code_ok(file_remove_tree(model, &why), why);
    train(output, &report);
    assert_int_equal(report.resumed_at, 12);
    read_whole(output, "metrics/test/ap50", &scores);
    assert_ptr_equal(strchr(buffer_text(&scores), '\n'), scores.data + scores.length - 1);
    SCOPE_FREE char *first = in_folder("whole");
    assert_same_file(first, output, "model/model.safetensors");
}

/* A rate at which nothing is learnt: the first look stays the best. */
static struct trainer_options hopeless_options(const char *cells, const char *output)
{
    struct trainer_options options = small_options(cells, output);
    options.steps = 40;
    options.lr = 1e-9;
    options.validations = 19;
    options.patience = 3;
    return options;
}

static void a_training_without_progress_ends_early_and_no_sooner(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("cells");
    SCOPE_FREE char *output = in_folder("hopeless");
    SCOPE_FREE char *model = file_join(output, "model/model.safetensors");
    struct trainer_options options = hopeless_options(cells, output);
    struct trainer_report report;
    struct failure why;
    assert_code_ok(trainer_run(&options, &report, &why), why);
    assert_int_equal(report.steps, 8); /* looks at 2, 4, 6 and 8 */
    assert_true(file_exists(model));
    struct best best;
    SCOPE_FREE char *path = file_join(output, "artifacts/best.safetensors");
    struct failure unread;
    assert_int_equal(best_read(path, "another training", &best, NULL, 0, &unread), CODE_INVALID);
}

static void one_that_was_stopped_on_the_way_ends_at_the_same_step_with_the_same_bits(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("cells");
    SCOPE_FREE char *output = in_folder("hopeless, stopped");
    SCOPE_FREE char *whole = in_folder("hopeless");
    struct trainer_options options = hopeless_options(cells, output);
    struct trainer_report report = {0};
    atomic_bool stop = true;
    options.stop = &stop;
    options.checkpoint_interval_ms = 0;
    struct failure why;
    for (int stops = 0; stops < 8; stops++) { /* after every step, also amid looks */
        enum code code = trainer_run(&options, &report, &why);
        if (code == CODE_OK)
            break;
        assert_int_equal(code, CODE_INTERRUPTED);
    }
    atomic_store(&stop, false);
    assert_code_ok(trainer_run(&options, &report, &why), why);
    assert_int_equal(report.steps, 8);
    assert_same_file(whole, output, "model/model.safetensors");
}

static void the_lineage_holds_the_spec_as_it_was_written(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("cells");
    SCOPE_FREE char *output = in_folder("again");
    SCOPE_FREE char *spec = in_folder("job.yaml");
    static const char text[] = "# mine\nexperiment: cells\n\ntrain: {steps: 12}";
    struct trainer_options options = small_options(cells, output);
    struct trainer_report report;
    SCOPE_BUFFER lineage = {0};
    struct failure why;
    assert_code_ok(file_write(spec, text, sizeof text - 1, &why), why);
    options.spec_path = spec;
    assert_code_ok(trainer_run(&options, &report, &why), why);
    read_whole(output, "model/lineage.yaml", &lineage);
    static const char expected[] = "\nspec: |2\n  # mine\n  experiment: cells\n  \n  train: {steps: 12}\n";
    const char *found = strstr(buffer_text(&lineage), expected);
    assert_non_null(found);
    assert_int_equal(strlen(found), sizeof expected - 1); /* the last of the file */
}

static atomic_bool stop;

static void stop_at_once(void *context, int64_t done, int64_t total, double rate, double loss)
{
    (void)context;
    (void)done;
    (void)total;
    (void)rate;
    (void)loss;
    atomic_store(&stop, true);
}

static void a_stopped_training_keeps_a_checkpoint_and_goes_on(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("cells");
    SCOPE_FREE char *first = in_folder("whole");
    SCOPE_FREE char *output = in_folder("stopped");
    struct trainer_options options = small_options(cells, output);
    struct trainer_report report;
    struct failure why;
    options.stop = &stop;
    options.on_progress = stop_at_once;
    assert_int_equal(trainer_run(&options, &report, &why), CODE_INTERRUPTED);
    assert_non_null(strstr(why.text, "goes on"));
    assert_in_range(report.steps, 1, 11);
    atomic_store(&stop, false);
    train(output, &report);
    assert_true(report.resumed_at > 0);
    assert_same_file(first, output, "model/model.safetensors");
}

static void a_checkpoint_of_other_options_is_not_used(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("cells");
    SCOPE_FREE char *output = in_folder("stopped");
    struct trainer_options options = small_options(cells, output);
    struct trainer_report report;
    struct failure why;
    options.seed = 4;
    options.steps = 2;
    assert_code_ok(trainer_run(&options, &report, &why), why);
    assert_int_equal(report.resumed_at, 0);
    assert_int_equal(report.steps, 2);
}

static void options_out_of_range_are_refused_in_words(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("cells");
    SCOPE_FREE char *output = in_folder("refused");
    struct trainer_report report;
    struct failure why;
    struct trainer_options options = small_options(cells, output);
    options.image_size = 100;
    assert_int_equal(trainer_run(&options, &report, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "multiple of 32"));
    options = small_options(cells, output);
    options.lr = -1;
    assert_int_equal(trainer_run(&options, &report, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "lr"));
    options = small_options("/nonexistent", output);
    assert_int_not_equal(trainer_run(&options, &report, &why), CODE_OK);
}

static void an_image_that_cannot_be_read_is_left_out(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("torn");
    SCOPE_FREE char *output = in_folder("torn-run");
    struct synth_request request = {SYNTH_FLUO16, 9, 0, 20, 96, 96};
    struct failure why;
    assert_code_ok(synth_write(&request, cells, NULL, NULL, &why), why);
    SCOPE_FREE char *images = file_join(cells, "images");
    struct file_names names;
    assert_code_ok(file_list(images, 100, &names, &why), why);
    for (size_t i = 0; i < names.count; i += 4) { /* every fourth image loses its second half */
        SCOPE_FREE char *path = file_join(images, names.names[i]);
        assert_int_equal(truncate(path, 9000), 0);
    }
    file_names_free(&names);
    struct trainer_options options = small_options(cells, output);
    struct trainer_report report;
    options.steps = 2;
    options.rays = 0;
    assert_code_ok(trainer_run(&options, &report, &why), why);
    assert_in_range(report.train_images, 5, 15);
    assert_int_equal(report.skipped_images, 5);
    options.bad_image_fails = true;
    assert_int_equal(trainer_run(&options, &report, &why), CODE_CORRUPT);
    assert_non_null(strstr(why.text, "/images/"));
    assert_non_null(strstr(why.text, "on_bad_image"));
}

/* Not even its header: such images are left out before the splits are made. */
static void an_image_without_a_header_fails_the_training_where_that_is_wanted(void **state)
{
    (void)state;
    SCOPE_FREE char *cells = in_folder("headless");
    SCOPE_FREE char *output = in_folder("headless-run");
    struct synth_request request = {SYNTH_FLUO16, 9, 0, 20, 96, 96};
    struct failure why;
    assert_code_ok(synth_write(&request, cells, NULL, NULL, &why), why);
    SCOPE_FREE char *images = file_join(cells, "images");
    struct file_names names;
    assert_code_ok(file_list(images, 100, &names, &why), why);
    SCOPE_FREE char *path = file_join(images, names.names[0]);
    assert_int_equal(truncate(path, 3), 0);
    struct trainer_options options = small_options(cells, output);
    struct trainer_report report;
    options.steps = 1;
    options.rays = 0;
    assert_code_ok(trainer_run(&options, &report, &why), why);
    assert_int_equal(report.skipped_images, 1);
    options.bad_image_fails = true;
    assert_int_equal(trainer_run(&options, &report, &why), CODE_CORRUPT);
    assert_non_null(strstr(why.text, names.names[0]));
    file_names_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_leaves_every_file_it_promises),
        cmocka_unit_test(the_model_file_says_how_to_use_the_weights),
        cmocka_unit_test(the_same_options_make_the_same_model),
        cmocka_unit_test(a_finished_training_can_be_finished_again),
        cmocka_unit_test(a_training_without_progress_ends_early_and_no_sooner),
        cmocka_unit_test(one_that_was_stopped_on_the_way_ends_at_the_same_step_with_the_same_bits),
        cmocka_unit_test(the_lineage_holds_the_spec_as_it_was_written),
        cmocka_unit_test(a_killed_training_ends_with_the_same_bits),
        cmocka_unit_test(a_stopped_training_keeps_a_checkpoint_and_goes_on),
        cmocka_unit_test(a_checkpoint_of_other_options_is_not_used),
        cmocka_unit_test(options_out_of_range_are_refused_in_words),
        cmocka_unit_test(an_image_that_cannot_be_read_is_left_out),
        cmocka_unit_test(an_image_without_a_header_fails_the_training_where_that_is_wanted),
    };
    return cmocka_run_group_tests(tests, make_images, remove_images);
}
