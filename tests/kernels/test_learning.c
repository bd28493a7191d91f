/* What a user would notice: after a short training on synthetic nuclei, the detector finds those in images
 * that it has never seen.  Everything takes part: device, network, loss, optimiser, augmentation, decoding,
 * scores. */
#include <math.h>
#include <stdlib.h>

#include "file.h"
#include "scope.h"
#include "synth.h"
#include "testing.h"
#include "trainer.h"

static void say_nothing(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static void sixty_steps_find_most_unseen_nuclei(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_learning.XXXXXX";
    assert_non_null(mkdtemp(folder));
    SCOPE_FREE char *cells = file_join(folder, "cells");
    SCOPE_FREE char *output = file_join(folder, "run");
    struct failure why;
    const struct synth_request request = {SYNTH_FLUO16, 3, 0, 32, 128, 128};
    assert_code_ok(synth_write(&request, cells, NULL, NULL, &why), why);
    struct trainer_options options = trainer_defaults();
    options.dataset_folder = cells;
    options.output_folder = output;
    options.precision = TRAINER_PRECISION_F32;
    options.steps = 60;
    options.image_size = 128;
    options.rays = 0;
    options.validations = 0;
    options.on_line = say_nothing;
    struct trainer_report report;
    assert_code_ok(trainer_run(&options, &report, &why), why);
    print_message("test AP50 %.3f after %.1f s\n", report.test_ap50, report.total_seconds);
    assert_true(report.test_images > 0);
    assert_true(report.test_ap50 >= 0.6);
    assert_code_ok(file_remove_tree(folder, &why), why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sixty_steps_find_most_unseen_nuclei)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
