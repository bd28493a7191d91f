/* runner/views: derived files of runs in a lab in memory. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "metric_set.h"
#include "tree_path.h"
#include "view_lab.h"

#define RUN "experiments/nuclei/001"

static struct tree *tree;

static int begin(void **state)
{
    (void)state;
    tree = view_lab_make();
    return 0;
}

static int end(void **state)
{
    (void)state;
    view_lab_close(tree);
    return 0;
}

static void put_curve(const char *run, const char *key, int count, double first, double slope)
{
    for (int i = 0; i < count; i++)
        view_lab_measure(tree, run, key, VIEW_LAB_START_MS + 6000 + 1000 * i, first + slope * i, i + 1);
}

/* Whether the derived file of this path contains a text. */
static bool shows(const char *path, const char *text)
{
    SCOPE_BUFFER page = {0};
    view_lab_read(tree, path, &page);
    return strstr(buffer_text(&page), text) != NULL;
}

static void status_of_a_running_run_shows_bar_rate_time_left_and_metrics(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    view_lab_put_run(tree, RUN);
    put_curve(RUN, "train/loss", 3, 0.9, -0.25);
    put_curve(RUN, "val/ap50", 2, 0.5, 0.123456789);
    view_lab_put(tree, RUN "/progress", "50 200 steps 2.5\n");
    view_lab_put(tree, RUN "/log", "loading\nstep 50\n\n");
    view_lab_read(tree, RUN "/status", &text);
    assert_string_equal(buffer_text(&text), "state:      running\n"
                                            "job:        nuclei\n"
                                            "member:     ada\n"
                                            "submitted:  2026-11-22 10:00:00 UTC\n"
                                            "node:       box-1\n"
                                            "started:    2026-11-22 10:00:05 UTC\n"
                                            "ran:        3.0 s so far\n"
                                            "progress:   [#######>......................]  25.0 %   50 of 200 steps, "
                                            "2.5 a second, 1 min 00 s left\n"
                                            "metrics:\n"
                                            "  train/loss:  0.4          step 3\n"
                                            "  val/ap50:    0.623457     step 2\n"
                                            "output:     step 50\n");
}

static void status_of_a_failed_run_gives_the_reason_second(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    view_lab_put_run(tree, RUN);
    view_lab_fail(tree, RUN, VIEW_LAB_START_MS + 5000 + 3725000, "the program ended with exit status 1: no images");
    view_lab_read(tree, RUN "/status", &text);
    assert_string_equal(buffer_text(&text), "state:      failed\n"
                                            "reason:     the program ended with exit status 1: no images\n"
                                            "job:        nuclei\n"
                                            "member:     ada\n"
                                            "submitted:  2026-11-22 10:00:00 UTC\n"
                                            "node:       box-1\n"
                                            "started:    2026-11-22 10:00:05 UTC\n"
                                            "ended:      2026-11-22 11:02:10 UTC\n"
                                            "ran:        1 h 02 min\n");
}

static void status_of_a_second_attempt_tells_of_the_first(void **state)
{
    (void)state;
    view_lab_put_run(tree, RUN);
    view_lab_lose(tree, RUN, VIEW_LAB_START_MS + 9000, "its node box-1 went away");
    assert_true(shows(RUN "/status", "state:      queued\n"
                                     "note:       an earlier attempt was lost: its node box-1 went away\n"));
}

static void status_hides_no_metric_behind_a_bad_line_and_counts_it(void **state)
{
    (void)state;
    view_lab_put_run(tree, RUN);
    view_lab_put(tree, RUN "/metrics/a", "1 0.5 1\nnot a metric\n2 0.75 2\n3 0.9");
    assert_true(shows(RUN "/status", "  a:  0.75         step 2\n"));
    assert_true(shows(RUN "/status", "(1 of the last lines read are no metric"));
}

static void status_does_not_obey_control_characters_of_programs(void **state)
{
    (void)state;
    view_lab_put_run(tree, RUN);
    view_lab_put(tree, RUN "/log", "\x1b[2Jhello\xff\n");
    assert_true(shows(RUN "/status", "output:     \xEF\xBF\xBD[2Jhello\xEF\xBF\xBD\n"));
}

static void a_folder_that_is_no_run_has_no_status(void **state)
{
    (void)state;
    struct node_attributes attributes;
    view_lab_put(tree, "experiments/nuclei/notes/readme.txt", "mine\n");
    assert_int_equal(tree_path_attributes(tree, "experiments/nuclei/notes/status", &attributes, NULL), CODE_NOT_FOUND);
    assert_int_equal(tree_path_attributes(tree, "experiments/nuclei/notes/metrics.csv", &attributes, NULL), CODE_NOT_FOUND);
}

static void metrics_csv_has_a_row_a_step_and_a_column_a_key(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    view_lab_put_run(tree, RUN);
    view_lab_put(tree, RUN "/metrics/loss", "1795341601000 0.5 1\n1795341602500 0.25 2\n1795341602600 0.2 2\n");
    view_lab_put(tree, RUN "/metrics/val/ap50", "1795341602700 0.875 2\n1795341603000 nan 3\n");
    view_lab_put(tree, RUN "/metrics/step", "1795341601000 9 1\n");
    view_lab_put(tree, RUN "/metrics/a,\"b", "1795341601000 -inf 1\n");
    view_lab_read(tree, RUN "/metrics.csv", &text);
    assert_string_equal(buffer_text(&text), "step,time,\"a,\"\"b\",loss,metrics/step,val/ap50\n"
                                            "1,2026-11-22T10:00:01.000Z,-inf,0.5,9,\n"
                                            "2,2026-11-22T10:00:02.700Z,,0.25,,0.875\n"
                                            "2,2026-11-22T10:00:02.600Z,,0.2,,\n"
                                            "3,2026-11-22T10:00:03.000Z,,,,nan\n");
}

/* Decodes the picture; how many of its samples are not white. */
static size_t decode_plot(const struct buffer *file, struct image *image)
{
    struct failure why;
    assert_code_ok(image_decode((const uint8_t *)file->data, file->length, "plot", image, &why), why);
    assert_int_equal(image->bits, 8);
    size_t drawn = 0;
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height * (size_t)image->channels; i++)
        drawn += ((const uint8_t *)image->data)[i] != 255;
    return drawn;
}

static void a_plot_is_a_png_of_800_by_500_with_something_drawn(void **state)
{
    (void)state;
    SCOPE_BUFFER file = {0};
    SCOPE_IMAGE image = {0};
    view_lab_put_run(tree, RUN);
    put_curve(RUN, "val/ap50", 200, 0.1, 0.004);
    view_lab_read(tree, RUN "/plots/val-ap50.png", &file);
    size_t drawn = decode_plot(&file, &image);
    assert_int_equal(image.width, 800);
    assert_int_equal(image.height, 500);
    assert_in_range(drawn, 10000, 300000);
    const char *keep = getenv("CYTOFS_KEEP_PLOT");
    FILE *kept = keep ? fopen(keep, "wb") : NULL;
    if (kept) {
        fwrite(file.data, 1, file.length, kept);
        fclose(kept);
    }
}

static void a_plot_without_a_finite_value_is_still_a_picture(void **state)
{
    (void)state;
    SCOPE_BUFFER file = {0};
    SCOPE_IMAGE image = {0};
    view_lab_put_run(tree, RUN);
    view_lab_put(tree, RUN "/metrics/a", "1 nan 1\n2 inf 2\n3 1e308 3\n");
    view_lab_read(tree, RUN "/plots/a.png", &file);
    assert_true(decode_plot(&file, &image) > 100);
}

static void a_metric_that_does_not_exist_has_no_plot(void **state)
{
    (void)state;
    struct node_attributes attributes;
    view_lab_put_run(tree, RUN);
    assert_int_equal(tree_path_attributes(tree, RUN "/plots/a.png", &attributes, NULL), CODE_NOT_FOUND);
}

/* The names in a folder of the tree, each followed by a blank. */
static void list_folder(const char *path, struct buffer *out)
{
    struct failure why;
    struct node_attributes attributes;
    struct tree_folder *folder;
    const char *name;
    assert_code_ok(tree_path_attributes(tree, path, &attributes, &why), why);
    assert_code_ok(tree_open_folder(tree, attributes.id, &folder, &why), why);
    for (uint64_t cursor = 0; tree_folder_entry(folder, cursor, &name, &attributes); cursor++)
        buffer_printf(out, "%s ", name);
    tree_close_folder(folder);
}

static void plots_are_listed_one_for_each_name_that_keys_give(void **state)
{
    (void)state;
    SCOPE_BUFFER names = {0};
    SCOPE_BUFFER file = {0};
    view_lab_put_run(tree, RUN);
    put_curve(RUN, "a-b", 3, 0, 1);
    put_curve(RUN, "a/b", 3, 1, 1);
    put_curve(RUN, "z", 3, 1, 1);
    list_folder(RUN "/plots", &names);
    assert_string_equal(buffer_text(&names), "a-b.png z.png ");
    view_lab_read(tree, RUN "/plots/a-b.png", &file);
    assert_true(file.length > 1000);
    buffer_clear(&names);
    list_folder(RUN, &names);
    assert_non_null(strstr(names.data, "status "));
    assert_non_null(strstr(names.data, "metrics.csv "));
}

static void a_derived_file_keeps_its_time_until_its_sources_change(void **state)
{
    (void)state;
    static const char *const files[] = {RUN "/status", RUN "/metrics.csv", RUN "/plots/a.png",
                                        "experiments/nuclei/board.csv", "experiments/nuclei/report.html"};
    struct failure why;
    struct node_attributes before, again, after;
    view_lab_put_run(tree, RUN);
    put_curve(RUN, "a", 3, 0, 1);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_code_ok(tree_path_attributes(tree, files[i], &before, &why), why);
        view_lab_put(tree, "datasets/other/file", "x");
        assert_code_ok(tree_path_attributes(tree, files[i], &again, &why), why);
        assert_true(before.modify_ns > 0);
        assert_true(before.modify_ns == again.modify_ns && before.size == again.size);
        usleep(2000);
        view_lab_measure(tree, RUN, "a", VIEW_LAB_START_MS + 60000, 0.123, 100 + (long long)i);
        assert_code_ok(tree_path_attributes(tree, files[i], &after, &why), why);
        assert_true(after.modify_ns > before.modify_ns);
    }
}

static void what_is_left_out_is_said(void **state)
{
    (void)state;
    char path[128];
    view_lab_put_run(tree, RUN);
    for (int i = 0; i < METRIC_KEYS_MAX + 5; i++) {
        snprintf(path, sizeof path, RUN "/metrics/key%03d", i);
        view_lab_put(tree, path, "1 1 1\n");
    }
    view_lab_put(tree, RUN "/metrics/a/b/c/d/e", "1 1 1\n");
    assert_true(shows(RUN "/status", "more than 200 keys"));
    assert_true(shows("experiments/nuclei/board.csv", "\n...,Only 100 parameters and 100 metrics are shown.,"));
    assert_true(shows("experiments/nuclei/report.html", "Only 100 parameters and 100 metrics are shown."));
}

static void put_three_runs(void)
{
    view_lab_put_run(tree, "experiments/nuclei/001");
    view_lab_put_run(tree, "experiments/nuclei/002");
    view_lab_put_run(tree, "experiments/nuclei/010");
    put_curve("experiments/nuclei/001", "val/ap50", 3, 0.5, 0.1);
    put_curve("experiments/nuclei/002", "val/ap50", 3, 0.7, 0.1);
    put_curve("experiments/nuclei/002", "train/loss", 2, 1, -0.5);
    view_lab_put(tree, "experiments/nuclei/001/params/lr", "0.002\n");
    view_lab_put(tree, "experiments/nuclei/010/params/note", "a \"good\", long\nnight");
    view_lab_finish(tree, "experiments/nuclei/001", VIEW_LAB_START_MS + 15000, "models/m/1");
    view_lab_fail(tree, "experiments/nuclei/010", VIEW_LAB_START_MS + 6500, "no, <b>really</b>");
}

static void the_board_has_a_row_a_run_best_first(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    put_three_runs();
    view_lab_read(tree, "experiments/nuclei/board.csv", &text);
    assert_string_equal(buffer_text(&text),
                        "run,state,started,duration_s,member,job,node,model,train/loss,val/ap50,params/lr,params/"
                        "note,reason\n"
                        "002,running,2026-11-22T10:00:05.000Z,3.0,ada,nuclei,box-1,,0.5,0.9,,,\n"
                        "001,finished,2026-11-22T10:00:05.000Z,10.0,ada,nuclei,box-1,models/m/1,,0.7,0.002,,\n"
                        "010,failed,2026-11-22T10:00:05.000Z,1.5,ada,nuclei,box-1,,,,,\"a \"\"good\"\", long\nnight\",\"no, "
                        "<b>really</b>\"\n");
}

static void a_loss_ranks_upwards_where_there_is_no_score(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    view_lab_put_run(tree, "experiments/e/001");
    view_lab_put_run(tree, "experiments/e/002");
    view_lab_measure(tree, "experiments/e/001", "train/loss", 1, 2, 1);
    view_lab_measure(tree, "experiments/e/002", "train/loss", 1, 1, 1);
    view_lab_read(tree, "experiments/e/board.csv", &text);
    assert_true(strstr(text.data, "\n002,") < strstr(text.data, "\n001,"));
}

static void the_report_escapes_what_users_wrote_and_needs_nothing_else(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    put_three_runs();
    view_lab_measure(tree, "experiments/nuclei/001", "<script>alert(1)</script>", 1, 1, 1);
    view_lab_put(tree, "experiments/nuclei/001/params/\"><img src=x onerror=y>", "'><svg/onload=z>\xC0\xAF");
    view_lab_read(tree, "experiments/nuclei/report.html", &text);
    assert_null(strstr(text.data, "<script"));
    assert_null(strstr(text.data, "<img"));
    assert_null(strstr(text.data, "<svg/"));
    assert_null(strstr(text.data, "<b>"));
    assert_null(strstr(text.data, "\xC0"));
    assert_null(strstr(text.data, "http://"));
    assert_null(strstr(text.data, "https://"));
    assert_non_null(strstr(text.data, "no, &lt;b&gt;really&lt;/b&gt;"));
    assert_non_null(strstr(text.data, "<path class=\"curve c0\""));
    assert_non_null(strstr(text.data, "best first by val/ap50"));
    const char *keep = getenv("CYTOFS_KEEP_REPORT");
    FILE *kept = keep ? fopen(keep, "wb") : NULL;
    if (kept) {
        fwrite(text.data, 1, text.length, kept);
        fclose(kept);
    }
}

/* What Python's csv module makes of a derived file: its rows as JSON.  Skips the test where there is no Python. */
static void read_with_python(const char *path, struct buffer *out)
{
    SCOPE_BUFFER text = {0};
    char file[] = "/tmp/cytofs-csv-XXXXXX", command[256], bytes[4096];
    if (system("python3 -c 'import csv' 2>/dev/null") != 0) {
        print_message("skipped: python3, whose csv module is the oracle, is not here\n");
        skip();
    }
    view_lab_read(tree, path, &text);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.length), text.length);
    close(fd);
    snprintf(command, sizeof command,
             "python3 -c 'import "
             "csv,json;print(json.dumps(list(csv.reader(open(\"%s\",newline=\"\"),strict=True))),end=\"\")'",
             file);
    FILE *answer = popen(command, "r");
    assert_non_null(answer);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, answer)) > 0;)
        buffer_append(out, bytes, got);
    assert_int_equal(pclose(answer), 0);
    unlink(file);
}

static void python_reads_the_csv_files_as_they_were_meant(void **state)
{
    (void)state;
    SCOPE_BUFFER rows = {0};
    view_lab_put_run(tree, RUN);
    view_lab_put(tree, RUN "/metrics/a \"quoted\", key", "1795341601000 0.5 1\n");
    view_lab_put(tree, RUN "/params/note", "two\nlines, \"and\" more\r");
    read_with_python(RUN "/metrics.csv", &rows);
    assert_string_equal(buffer_text(&rows), "[[\"step\", \"time\", \"a \\\"quoted\\\", key\"], "
                                            "[\"1\", \"2026-11-22T10:00:01.000Z\", \"0.5\"]]");
    buffer_clear(&rows);
    read_with_python("experiments/nuclei/board.csv", &rows);
    assert_non_null(strstr(rows.data, "\"a \\\"quoted\\\", key\", \"params/note\", \"reason\"]"));
    assert_non_null(strstr(rows.data, "\"0.5\", \"two\\nlines, \\\"and\\\" more\\r\", \"\"]]"));
}

#define IN_A_LAB(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_LAB(status_of_a_running_run_shows_bar_rate_time_left_and_metrics),
        IN_A_LAB(status_of_a_failed_run_gives_the_reason_second),
        IN_A_LAB(status_of_a_second_attempt_tells_of_the_first),
        IN_A_LAB(status_hides_no_metric_behind_a_bad_line_and_counts_it),
        IN_A_LAB(status_does_not_obey_control_characters_of_programs),
        IN_A_LAB(a_folder_that_is_no_run_has_no_status),
        IN_A_LAB(metrics_csv_has_a_row_a_step_and_a_column_a_key),
        IN_A_LAB(a_plot_is_a_png_of_800_by_500_with_something_drawn),
        IN_A_LAB(a_plot_without_a_finite_value_is_still_a_picture),
        IN_A_LAB(a_metric_that_does_not_exist_has_no_plot),
        IN_A_LAB(plots_are_listed_one_for_each_name_that_keys_give),
        IN_A_LAB(a_derived_file_keeps_its_time_until_its_sources_change),
        IN_A_LAB(what_is_left_out_is_said),
        IN_A_LAB(python_reads_the_csv_files_as_they_were_meant),
        IN_A_LAB(the_board_has_a_row_a_run_best_first),
        IN_A_LAB(a_loss_ranks_upwards_where_there_is_no_score),
        IN_A_LAB(the_report_escapes_what_users_wrote_and_needs_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
