/* Metric files that any program wrote, through all that is drawn from them: the table, the curve, the
 * picture's numbers. */
#include "fuzzing.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "curve_svg.h"
#include "metric_set.h"
#include "utf8_text.h"
#include "view_metrics_csv.h"

static void draw(const struct metric_series *series)
{
    SCOPE_BUFFER table = {0}, curve = {0};
    struct failure why;
    struct metric_series copy = *series;
    struct metric_set set = {.items = &copy, .count = 1};
    assert(view_metrics_csv_render(&set, &table, &why) == CODE_OK);
    struct curve_svg_line line = {series, series->key, 0};
    assert(curve_svg_append(&curve, series->key, &line, 1, &why) == CODE_OK);
    assert(!curve.data || (!strstr(curve.data, "nan") && !strstr(curve.data, "inf")));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct metric_series series;
    struct failure why;
    for (int cut = 0; cut < 2; cut++) {
        if (metric_series_parse(&series, "key", (const char *)bytes, count, cut, &why) != CODE_OK)
            return 0;
        for (size_t i = 1; i < series.count; i++)
            assert(series.points[i - 1].step <= series.points[i].step);
        draw(&series);
        metric_series_free(&series);
    }
    SCOPE_BUFFER text = {0};
    utf8_text_append_markup(&text, (const char *)bytes, count, 1000);
    assert(!text.data || !strpbrk(text.data, "<>\"'"));
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const seeds[] = {
        "1795341600000 0.5 1\n1795341601000 0.25 2\n",
        "1 nan 1\n2 inf 2\n3 -1e308 3\n4 1e308 4\n",
        "9223372036854775807 1 9223372036854775807\n-9223372036854775808 1 -9223372036854775808\n",
        "1 5e-324 1\n",
        "1 -5e-324 1\n2 1e-320 2\n",
        "1 1e-310 1\n2 2e-300 2\n",
        "1 0.5\n\n2 x 1\n3 0.5 3",
    };
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
