/* The pure parts of views: axes, thinning, metric files, text that is safe to show. */
#include "testing.h"

#include <iconv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "metric_series.h"
#include "metric_set.h"
#include "random.h"
#include "run_facts.h"
#include "time_text.h"
#include "utf8_text.h"

static void an_axis_holds_its_values_between_round_ends(void **state)
{
    (void)state;
    struct random random = random_stream(1, 1);
    for (int i = 0; i < 20000; i++) {
        double size = pow(10, random_between(&random, -9, 12));
        double minimum = random_between(&random, -size, size), maximum = minimum + random_between(&random, 0, size);
        struct chart_axis axis = chart_axis_fit(minimum, maximum, 7);
        double lead = axis.step / pow(10, floor(log10(axis.step) + 1e-9));
        assert_true(axis.low <= minimum + axis.step * 1e-6 && axis.high >= maximum - axis.step * 1e-6);
        assert_in_range(axis.ticks, 2, 16);
        assert_true(fabs(lead - 1) < 1e-6 || fabs(lead - 2) < 1e-6 || fabs(lead - 5) < 1e-6);
    }
}

static void an_axis_of_one_value_has_room_on_both_sides(void **state)
{
    (void)state;
    const double values[] = {0, 1, -3.5, 1e12, 1e-12, 0.1234567890123, 1e300, 1e-300, 5e-324};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct chart_axis axis = chart_axis_fit(values[i], values[i], 7);
        double place = chart_axis_place(&axis, values[i]);
        assert_true(place > 0.05 && place < 0.95);
    }
}

static void an_axis_of_steps_counts_in_whole_steps(void **state)
{
    (void)state;
    for (int low = 0; low < 30; low++)
        for (int high = low; high < 200; high++) {
            struct chart_axis axis = chart_axis_fit_steps(low, high, 8);
            assert_true(axis.step >= 0.999 && axis.low <= low && axis.high >= high && axis.low < axis.high);
            assert_in_range(axis.ticks, 2, 16);
            assert_true(fabs(axis.low + (axis.ticks - 1) * axis.step - axis.high) < 1e-6);
        }
}

static void labels_have_the_digits_that_the_step_needs(void **state)
{
    (void)state;
    char text[32];
    struct chart_axis axis = chart_axis_fit(0, 1, 6);
    chart_axis_label(&axis, 1, text);
    assert_string_equal(text, "0.2");
    axis = chart_axis_fit(-0.004, 0.004, 5);
    chart_axis_label(&axis, 2, text);
    assert_string_equal(text, "0.000");
    axis = chart_axis_fit(0, 12000, 7);
    chart_axis_label(&axis, axis.ticks - 1, text);
    assert_string_equal(text, "12000");
}

static void a_thinned_curve_keeps_its_ends_and_its_extremes(void **state)
{
    (void)state;
    enum { COUNT = 10000, COLUMNS = 50 };
    struct random random = random_stream(2, 1);
    struct metric_point *points = calloc(COUNT, sizeof *points), out[4 * COLUMNS];
    assert_non_null(points);
    for (int i = 0; i < COUNT; i++)
        points[i] = (struct metric_point){.ms = i, .value = random_uniform(&random), .step = i};
    points[1234].value = 7;
    points[4321].value = -7;
    points[5000].value = NAN;
    struct metric_series series = {.points = points, .count = COUNT};
    const struct metric_series *all[] = {&series};
    struct chart_range range;
    assert_true(chart_range_of(all, 1, &range));
    assert_true(range.value_low == -7 && range.value_high == 7 && range.step_high == COUNT - 1);
    size_t count = chart_thin(&series, &range, COLUMNS, out);
    assert_in_range(count, COLUMNS, 4 * COLUMNS);
    bool highest = false, lowest = false;
    for (size_t i = 0; i < count; i++) {
        highest |= out[i].value == 7;
        lowest |= out[i].value == -7;
        assert_true(isfinite(out[i].value));
        if (i > 0)
            assert_true(out[i].step > out[i - 1].step);
    }
    assert_true(highest && lowest);
    assert_int_equal(out[0].step, 0);
    assert_int_equal(out[count - 1].step, COUNT - 1);
    free(points);
}

static struct metric_series parsed(const char *text, bool cut)
{
    struct metric_series series;
    struct failure why;
    assert_code_ok(metric_series_parse(&series, "k", text, strlen(text), cut, &why), why);
    return series;
}

static void a_metric_file_is_read_line_by_line_whatever_else_is_in_it(void **state)
{
    (void)state;
    struct metric_series series = parsed("5 0.5 1\n"
                                         "garbage\n"
                                         "\n"
                                         "6 0.25\n"
                                         "7 x 2\n"
                                         "8 0.1 2 3\n"
                                         "9 1e400 9\n"
                                         "99999999999999999999 1 1\n"
                                         "10 -nan 10\n"
                                         "11 0.75 11",
                                         false);
    assert_int_equal(series.count, 4);
    assert_int_equal(series.lines_skipped, 5);
    assert_int_equal(series.points[0].step, 1);
    assert_int_equal(series.points[1].step, 3); /* "6 0.25": its line number */
    assert_true(isinf(series.points[2].value));
    assert_true(isnan(series.points[3].value));
    metric_series_free(&series);
}

static void a_cut_file_loses_only_the_line_that_was_cut(void **state)
{
    (void)state;
    struct metric_series series = parsed("34 0.5 1\n5 0.25 2\n", true);
    assert_int_equal(series.count, 1);
    assert_int_equal(series.points[0].step, 2);
    metric_series_free(&series);
}

static void steps_out_of_order_are_sorted_and_one_step_by_time(void **state)
{
    (void)state;
    struct metric_series series = parsed("3 0.3 2\n1 0.1 1\n2 0.2 2\n", false);
    assert_true(series.points[0].value == 0.1 && series.points[1].value == 0.2 && series.points[2].value == 0.3);
    metric_series_free(&series);
}

static void keys_become_names_of_plots(void **state)
{
    (void)state;
    char name[256], key[300];
    assert_true(metric_set_plot_name("val/ap50", name));
    assert_string_equal(name, "val-ap50.png");
    memset(key, 'k', sizeof key);
    key[252] = 0;
    assert_false(metric_set_plot_name(key, name));
    key[251] = 0;
    assert_true(metric_set_plot_name(key, name));
}

static void progress_is_known_only_where_the_line_says_so(void **state)
{
    (void)state;
    struct run_progress progress = run_facts_parse_progress("12 100 epochs 0.5\n");
    assert_true(progress.known && progress.done == 12 && progress.total == 100 && progress.per_second == 0.5);
    assert_string_equal(progress.unit, "epochs");
    assert_true(run_facts_parse_progress("12 100 epochs").known);
    const char *const bad[] = {"", "12", "12 100", "nan 100 steps 1", "a b c d", "-1 5 steps 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(run_facts_parse_progress(bad[i]).known);
}

/* glibc's own converter says what UTF-8 is. */
static bool is_utf8(const char *text, size_t count)
{
    char out[8192], *in_at = (char *)(uintptr_t)text, *out_at = out;
    size_t out_left = sizeof out;
    iconv_t converter = iconv_open("UTF-32LE", "UTF-8");
    assert_true(converter != (iconv_t)-1);
    bool good = iconv(converter, &in_at, &count, &out_at, &out_left) != (size_t)-1 && count == 0;
    iconv_close(converter);
    return good;
}

static void any_bytes_become_utf8_without_controls(void **state)
{
    (void)state;
    struct random random = random_stream(3, 1);
    static const unsigned char leads[] = {0xC0, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0x80, 0xBF, 0x9F, 0x1B, '<', 'a'};
    for (int i = 0; i < 20000; i++) {
        char bytes[24];
        for (size_t b = 0; b < sizeof bytes; b++)
            bytes[b] =
                (char)(random_below(&random, 2) ? leads[random_below(&random, sizeof leads)] : random_below(&random, 256));
        SCOPE_BUFFER text = {0};
        utf8_text_append(&text, bytes, sizeof bytes, 100);
        assert_true(is_utf8(text.data, text.length));
        for (size_t b = 0; b < text.length; b++)
            assert_true((unsigned char)text.data[b] >= 0x20 && text.data[b] != 0x7F);
        buffer_clear(&text);
        utf8_text_append_markup(&text, bytes, sizeof bytes, 100);
        assert_null(strpbrk(text.data, "<>\"'"));
    }
}

static void good_text_stays_as_it_is_and_long_text_is_cut_between_letters(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    const char *letters = "n\xC3\xA4heres \xE2\x82\xAC \xF0\x9F\x94\xAC";
    utf8_text_append(&text, letters, strlen(letters), 100);
    assert_string_equal(buffer_text(&text), letters);
    buffer_clear(&text);
    utf8_text_append(&text, letters, strlen(letters), 2);
    assert_string_equal(buffer_text(&text), "n\xC3\xA4\xE2\x80\xA6");
}

static void durations_and_moments_read_well(void **state)
{
    (void)state;
    const struct {
        double seconds;
        const char *text;
    } durations[] = {{0, "0.0 s"},        {4.24, "4.2 s"},      {59.94, "59.9 s"},           {59.96, "1 min 00 s"},
                     {185, "3 min 05 s"}, {3600, "1 h 00 min"}, {86399, "23 h 59 min"},      {90000, "1 d 1 h"},
                     {-1, "0.0 s"},       {NAN, "0.0 s"},       {1e300, "more than 10000 d"}};
    char text[TIME_TEXT_MAX];
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        time_text_duration(durations[i].seconds, text);
        assert_string_equal(text, durations[i].text);
    }
    time_text_iso(1795341600250, text);
    assert_string_equal(text, "2026-11-22T10:00:00.250Z");
    time_text_iso(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_axis_holds_its_values_between_round_ends),
        cmocka_unit_test(an_axis_of_one_value_has_room_on_both_sides),
        cmocka_unit_test(an_axis_of_steps_counts_in_whole_steps),
        cmocka_unit_test(labels_have_the_digits_that_the_step_needs),
        cmocka_unit_test(a_thinned_curve_keeps_its_ends_and_its_extremes),
        cmocka_unit_test(a_metric_file_is_read_line_by_line_whatever_else_is_in_it),
        cmocka_unit_test(a_cut_file_loses_only_the_line_that_was_cut),
        cmocka_unit_test(steps_out_of_order_are_sorted_and_one_step_by_time),
        cmocka_unit_test(keys_become_names_of_plots),
        cmocka_unit_test(progress_is_known_only_where_the_line_says_so),
        cmocka_unit_test(any_bytes_become_utf8_without_controls),
        cmocka_unit_test(good_text_stays_as_it_is_and_long_text_is_cut_between_letters),
        cmocka_unit_test(durations_and_moments_read_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
