/* runner/spec: good specs, every kind of bad one with its exact findings, and texts from a broken keyboard.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "scope.h"
#include "spec.h"
#include "spec_value.h"
#include "suggest.h"

static struct spec *parse_good(const char *text)
{
    struct spec *spec;
    struct spec_findings findings;
    struct failure why;
    assert_code_ok(spec_parse(text, strlen(text), "cells", &spec, &findings, &why), why);
    return spec;
}

static void a_full_spec_gives_each_value(void **state)
{
    (void)state;
    struct spec *spec = parse_good("experiment: nuclei   # default: the file's name\n"
                                   "dataset: datasets/nuclei/.snap/v1\n"
                                   "train: {network: celldet-s, epochs: 30, batch: 16, image_size: 256, lr: 2e-3,\n"
                                   "        weight_decay: 0, seed: 0, precision: bf16, views: 4}\n"
                                   "resources: {gpus: 1, cpus: 2, memory: 8G, time: 1h30m}\n"
                                   "register: nuclei-detector\n");
    assert_string_equal(spec->experiment, "nuclei");
    assert_string_equal(spec->dataset, "datasets/nuclei/.snap/v1");
    assert_int_equal(spec->action, SPEC_TRAIN);
    assert_string_equal(spec->train.network, "celldet-s");
    assert_int_equal(spec->train.epochs, 30);
    assert_int_equal(spec->train.steps, 0);
    assert_int_equal(spec->train.batch, 16);
    assert_int_equal(spec->train.image_size, 256);
    assert_true(spec->train.lr == 0.002);
    assert_true(spec->train.weight_decay == 0);
    assert_int_equal(spec->train.seed, 0);
    assert_string_equal(spec->train.precision, "bf16");
    assert_int_equal(spec->train.views, 4);
    assert_int_equal(spec->gpus, 1);
    assert_int_equal(spec->cpus, 2);
    assert_true(spec->memory_bytes == UINT64_C(8) << 30);
    assert_int_equal(spec->time_s, 5400);
    assert_string_equal(spec->register_model, "nuclei-detector");
    spec_destroy(spec);
}

static void what_is_not_given_has_its_stated_default(void **state)
{
    (void)state;
    struct spec *spec = parse_good("dataset: datasets/a/\ntrain: {}\n");
    assert_string_equal(spec->experiment, "cells");
    assert_string_equal(spec->dataset, "datasets/a");
    assert_string_equal(spec->train.network, "");
    assert_int_equal(spec->train.epochs, 0);
    assert_int_equal(spec->train.seed, -1);
    assert_int_equal(spec->train.views, 0);
    assert_true(spec->train.weight_decay == -1);
    assert_int_equal(spec->gpus, -1);
    assert_int_equal(spec->cpus, 0);
    assert_null(spec->run);
    spec_destroy(spec);
}

static void a_program_may_have_many_lines_and_needs_no_dataset(void **state)
{
    (void)state;
    struct spec *spec = parse_good("run: |\n  echo \"a: b\"\n  python3 train.py\n");
    assert_int_equal(spec->action, SPEC_RUN);
    assert_string_equal(spec->run, "echo \"a: b\"\npython3 train.py\n");
    assert_string_equal(spec->dataset, "");
    spec_destroy(spec);
}

/* Texts with what must be found, "line:column text" in order, ended by NULL. */
struct bad_spec {
    const char *text;
    const char *findings[6];
};

#define GOOD_DATASET "dataset: datasets/a\n"
#define NEITHER      "1:1 neither \"train\" nor \"run\" is given (write for example train: {network: celldet-n, epochs: 30})"

static const struct bad_spec bad_specs[] = {
    {"", {"1:1 the spec is empty (see README for one that works)"}},
    {"# nothing\n", {"1:1 the spec is empty (see README for one that works)"}},
    {"- a\n- b\n", {"1:1 a spec is a list of \"key: value\" lines, this is not (see README for one that works)"}},
    {"hello\n", {"1:1 a spec is a list of \"key: value\" lines, this is not (see README for one that works)"}},
    {GOOD_DATASET, {NEITHER}},
    {"train: {epochs: 1}\n", {"1:1 \"dataset\" is missing: training needs one (write dataset: datasets/NAME)"}},
    {GOOD_DATASET "train: {}\nrun: ls\n", {"3:1 \"train\" and \"run\" are both given: a spec has one of them"}},
    {"dataset: datasets/a\ntrain:\n  epochs: many\n  bacth: 16\nresources: {memory: 8}\n",
     {"3:11 \"epochs: many\" is not a whole number (write 1 to 100000)",
      "4:3 \"bacth\" is not a key of train, did you mean \"batch\"?",
      "5:21 \"memory: 8\" is not a size with its unit (write 1M to 16T, as in 8G)"}},
    {GOOD_DATASET "train: {epochs: 0, batch: 1025, image_size: 100, lr: 2, seed: -1, weight_decay: nan}\n",
     {"2:17 \"epochs: 0\" is out of range (write 1 to 100000)", "2:27 \"batch: 1025\" is out of range (write 1 to 1024)",
      "2:45 \"image_size: 100\" is not a multiple of 32 (write 64 to 2048, a multiple of 32)",
      "2:54 \"lr: 2\" is out of range (write a number above 0, up to 1, as in 2e-3)",
      "2:63 \"seed: -1\" is out of range (write a whole number from 0)",
      "2:81 \"weight_decay: nan\" is not a number (write 0 to 1)"}},
    {GOOD_DATASET "train: {lr: 0}\n", {"2:13 \"lr: 0\" is out of range (write a number above 0, up to 1, as in 2e-3)"}},
    {GOOD_DATASET "train: {epochs: 1, steps: 1}\n",
     {"2:20 \"epochs\" and \"steps\" both say how long to train: give one of them"}},
    {GOOD_DATASET "train: {views: 3}\n", {"2:16 \"views: 3\" is none of them (write 1, 4 or 8 views of an image)"}},
    {GOOD_DATASET "train: {views: 9}\n", {"2:16 \"views: 9\" is out of range (write 1, 4 or 8 views of an image)"}},
    {GOOD_DATASET "train: {network: celldet-x}\n",
     {"2:18 \"network: celldet-x\" is none of the choices, did you mean celldet-n? (write celldet-n, "
      "celldet-s or "
      "celldet-m)"}},
    {GOOD_DATASET "train: {epochs: \"30\"}\n",
     {"2:17 \"epochs: 30\" is not a whole number but a text in quotes (write 1 to 100000)"}},
    {GOOD_DATASET "train: {epochs: [1, 2], batch: {a: 1}, seed: }\n",
     {"2:17 \"epochs\" is a list, not one value (write 1 to 100000)",
      "2:32 \"batch\" is a map, not one value (write 1 to 1024)",
      "2:40 \"seed\" has no value (write a whole number from 0)"}},
    {GOOD_DATASET "train: celldet-n\n",
     {"2:8 \"train\" needs keys of its own (write train: {network: celldet-n, epochs: 30})"}},
    {GOOD_DATASET "train: {}\nepochs: 3\n", {"3:1 \"epochs\" belongs below train: (write train: {epochs: ...})"}},
    {GOOD_DATASET "train: {epochs: 1}\ntrain: {epochs: 2}\n", {"3:1 \"train\" is given twice (the first is on line 2)"}},
    {GOOD_DATASET "train: {epochs: 1, epochs: 2}\n", {"2:20 \"epochs\" is given twice (the first is on line 2)"}},
    {"dataste: datasets/a\nrun: ls\n", {"1:1 \"dataste\" is not a key of a spec, did you mean \"dataset\"?"}},
    {"zebra: 1\nrun: ls\n", {"1:1 \"zebra\" is not a key of a spec"}},
    {"dataset: cells\nrun: ls\n",
     {"1:10 \"dataset: cells\" is not the path of a dataset (write datasets/NAME or "
      "datasets/NAME/.snap/LABEL)"}},
    {"dataset: datasets/../lab\nrun: ls\n",
     {"1:10 \"dataset: datasets/../lab\" is not the path of a dataset (write datasets/NAME or "
      "datasets/NAME/.snap/LABEL)"}},
    {"dataset: datasets/a/train\nrun: ls\n",
     {"1:10 \"dataset: datasets/a/train\" is not the path of a dataset (write datasets/NAME or "
      "datasets/NAME/.snap/LABEL)"}},
    {"experiment: a/b\nregister: .hidden\nrun: ls\n",
     {"1:13 \"experiment: a/b\" is not a name (write letters, digits, '.', '_', '-', at most 100)",
      "2:11 \"register: .hidden\" is not a name (write letters, digits, '.', '_', '-', at most 100)"}},
    {"run: ' '\n", {"1:6 \"run:  \" is empty (write a command, as in python3 train.py)"}},
    {"resources: {gpus: 65, cpus: 0, memory: 99P, time: 2 hours}\nrun: ls\n",
     {"1:19 \"gpus: 65\" is out of range (write 0 to 64)", "1:29 \"cpus: 0\" is out of range (write 1 to 1024)",
      "1:40 \"memory: 99P\" is not a size with its unit (write 1M to 16T, as in 8G)",
      "1:51 \"time: 2 hours\" is not a time with its unit (write 1s to 365d, as in 2h)"}},
    {GOOD_DATASET "sweep: {trials: 3}\n", {"2:1 \"sweep\" is not supported by this version: write one spec for each run"}},
    {"steps: {a: {run: ls}}\n",
     {"1:1 \"steps\" is not supported by this version: write one spec for each run (the length of a training "
      "is train: "
      "{steps: 500})"}},
    {"run: &a ls\n", {"1:6 anchors (&name) are not allowed in a spec: write the value where it is needed"}},
    {"run: *a\n", {"1:6 aliases (*name) are not allowed in a spec: write the value where it is needed"}},
    {"run: !!str ls\n", {"1:6 tags (!name) are not allowed in a spec: remove it"}},
    {"run: ls\n---\nrun: ls\n", {"2:1 a second document begins here: one file holds one spec"}},
    {"? [a]\n: 1\nrun: ls\n", {"1:3 a key must be one word, not a list or a map"}},
    {"run: \"ls\n", {"1:7 not valid YAML: double-quoted scalar without closing quote"}},
    {GOOD_DATASET "train:\n\tepochs: 3\n", {"3:1 the line is indented with a tab: use spaces"}},
    {"train: {epochs: x}\nrun: a: b\n",
     {"1:17 \"epochs: x\" is not a whole number (write 1 to 100000)",
      "2:1 \"train\" and \"run\" are both given: a spec has one of them",
      "2:7 not valid YAML: invalid nested block mapping on the same line"}},
    {"run: \"a\\0b\"\n", {"1:6 a text must not hold the character \\0"}},
    {"run: a\x01\n", {"1:7 the byte 0x01 is not text (save the file as UTF-8)"}},
    {"run: \xff\xfe\n", {"1:6 the byte 0xFF is not text (save the file as UTF-8)"}},
    {"\xc3\xa9\xc3\xa9: 1\nrun: \xc3\xa9 # \xc3\nx", {"2:10 the byte 0xC3 is not text (save the file as UTF-8)"}},
    {"a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n",
     {"1:1 \"a\" is not a key of a spec", "1:19 the spec is nested more than 16 levels deep"}},
};

static void each_mistake_is_found_at_its_place(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof bad_specs / sizeof bad_specs[0]; i++) {
        const struct bad_spec *bad = &bad_specs[i];
        struct spec *spec;
        struct spec_findings findings;
        struct failure why;
        assert_int_equal(spec_parse(bad->text, strlen(bad->text), "cells", &spec, &findings, &why), CODE_INVALID);
        assert_null(spec);
        char seen[4096] = "", wanted[4096] = "";
        for (size_t k = 0; k < findings.count; k++) {
            const struct spec_finding *finding = &findings.items[k];
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d:%d %s\n", finding->line, finding->column,
                     finding->text);
        }
        for (size_t k = 0; k < 6 && bad->findings[k]; k++)
            snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s\n", bad->findings[k]);
        if (strcmp(seen, wanted)) {
            print_error("spec:\n%s\nfound:\n%s\nwanted:\n%s", bad->text, seen, wanted);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void a_spec_that_is_too_long_is_refused_before_it_is_read(void **state)
{
    (void)state;
    SCOPE_FREE char *text = malloc(SPEC_BYTES_MAX + 1);
    memset(text, '\n', SPEC_BYTES_MAX + 1);
    memcpy(text, "run: ls", 7);
    struct spec *spec;
    struct spec_findings findings;
    struct failure why;
    assert_int_equal(spec_parse(text, SPEC_BYTES_MAX + 1, "a", &spec, &findings, &why), CODE_INVALID);
    assert_string_equal(findings.items[0].text, "the spec has 65537 bytes; at most 65536 are allowed");
    assert_code_ok(spec_parse(text, SPEC_BYTES_MAX, "a", &spec, &findings, &why), why);
    spec_destroy(spec);
}

static void a_spec_of_too_many_values_is_refused(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    buffer_append_text(&text, "a: [");
    for (int i = 0; i < 5000; i++)
        buffer_append_text(&text, "1,");
    buffer_append_text(&text, "]\n");
    struct spec *spec;
    struct spec_findings findings;
    struct failure why;
    assert_int_equal(spec_parse(text.data, text.length, "a", &spec, &findings, &why), CODE_INVALID);
    assert_non_null(strstr(findings.items[findings.count - 1].text, "more than 2000 values"));
}

static void a_hundred_findings_are_kept_and_no_more(void **state)
{
    (void)state;
    SCOPE_BUFFER text = {0};
    for (int i = 0; i < 300; i++)
        buffer_printf(&text, "zz%d: 1\n", i);
    struct spec *spec;
    struct spec_findings findings;
    assert_int_equal(spec_parse(text.data, text.length, "a", &spec, &findings, NULL), CODE_INVALID);
    assert_int_equal(findings.count, SPEC_FINDINGS_MAX);
    SCOPE_BUFFER shown = {0};
    spec_format_findings(&findings, "jobs/a.yaml", text.data, text.length, &shown);
    assert_non_null(strstr(buffer_text(&shown), "Only the first 100 findings are shown.\n"));
}

static void the_first_finding_names_the_failure_and_counts_the_rest(void **state)
{
    (void)state;
    const char *text = "run: ls\nzebra: 1\nlion: 2\n";
    struct spec *spec;
    struct spec_findings findings;
    struct failure why;
    assert_int_equal(spec_parse(text, strlen(text), "a", &spec, &findings, &why), CODE_INVALID);
    assert_string_equal(why.text, "line 2, column 1: \"zebra\" is not a key of a spec (and 1 more)");
}

static void a_file_name_that_is_no_experiment_is_said(void **state)
{
    (void)state;
    struct spec *spec;
    struct spec_findings findings;
    struct failure why;
    assert_int_equal(spec_parse("run: ls\n", 8, "my job", &spec, &findings, &why), CODE_INVALID);
    assert_int_equal(findings.count, 1);
    const char *text = "run: ls\nexperiment: e\n";
    assert_code_ok(spec_parse(text, strlen(text), "my job", &spec, &findings, &why), why);
    spec_destroy(spec);
}

static void findings_are_shown_with_the_line_and_a_caret(void **state)
{
    (void)state;
    const char *text = "run: ls\nr\xc3\xa9sources: {gpus: x}\n";
    struct spec_findings findings = {.count = 0};
    spec_add_finding(&findings, text, strlen(text), "r\xc3\xa9sources", "is odd");
    spec_add_finding(&findings, text, strlen(text), "missing", "is missing");
    SCOPE_BUFFER shown = {0};
    spec_format_findings(&findings, "jobs/a.yaml", text, strlen(text), &shown);
    assert_string_equal(buffer_text(&shown), "jobs/a.yaml:1:1: is missing\n"
                                             "  run: ls\n"
                                             "  ^\n"
                                             "jobs/a.yaml:2:12: is odd\n"
                                             "  r\xc3\xa9sources: {gpus: x}\n"
                                             "             ^\n");
}

static void sizes_and_durations_need_their_units(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(spec_value_size("1.5k", &bytes) && bytes == 1536);
    assert_true(spec_value_size("2GiB", &bytes) && bytes == UINT64_C(2) << 30);
    assert_true(spec_value_size("3MB", &bytes) && bytes == UINT64_C(3) << 20);
    const char *no_sizes[] = {"", "8", "G", "8g8", "-1G", "1e3G", "99999999999999999999T", "1..5G", "8Gb", "8 G"};
    for (size_t i = 0; i < sizeof no_sizes / sizeof no_sizes[0]; i++)
        assert_false(spec_value_size(no_sizes[i], &bytes));
    int64_t seconds = 0;
    assert_true(spec_value_duration("1d2h3m4s", &seconds) && seconds == 93784);
    const char *no_times[] = {"", "5", "1m1h", "1h1h", "h", "-1s", "1.5h", "99999999999d", "1h 30m"};
    for (size_t i = 0; i < sizeof no_times / sizeof no_times[0]; i++)
        assert_false(spec_value_duration(no_times[i], &seconds));
}

static void a_near_name_is_suggested_and_a_far_one_not(void **state)
{
    (void)state;
    const char *names[] = {"cells", "nuclei", "bccd", NULL};
    assert_string_equal(suggest_nearest("cell", names), "cells");
    assert_string_equal(suggest_nearest("celsl", names), "cells");
    assert_string_equal(suggest_nearest("Nuclie", names), "nuclei");
    assert_null(suggest_nearest("zebra", names));
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("ab", "ba"), 1);
    assert_int_equal(suggest_distance("", "abc"), 3);
}

/* Mutations of a good spec: whatever comes, the parser answers, every finding has a place in the text, and a
 * text is either good or has findings. */
static void a_broken_keyboard_never_breaks_the_parser(void **state)
{
    (void)state;
    static const char seed_text[] = "experiment: n\ndataset: datasets/n/.snap/v1\n"
                                    "train: {network: celldet-n, epochs: 30, lr: 2e-3}\n"
                                    "resources: {gpus: 1, memory: 8G, time: 2h}\nregister: d\n";
    static const char alphabet[] = "\n\t {}[]:,&*!|>'\"%@`?-#a0\\\x80\xc3";
    struct random random = {20};
    for (int round = 0; round < 3000; round++) {
        char text[512];
        size_t count = sizeof seed_text - 1;
        memcpy(text, seed_text, count);
        for (uint32_t edits = 1 + random_below(&random, 6); edits > 0; edits--) {
            size_t at = random_below(&random, (uint32_t)count);
            if (random_below(&random, 3) == 0 && count > 1) {
                size_t cut = 1 + random_below(&random, (uint32_t)(count - at));
                memmove(text + at, text + at + cut, count - at - cut);
                count -= cut;
                if (count == 0)
                    text[count++] = 'a';
            } else {
                text[at] = alphabet[random_below(&random, sizeof alphabet - 1)];
            }
        }
        struct spec *spec;
        struct spec_findings findings;
        enum code code = spec_parse(text, count, "a", &spec, &findings, NULL);
        assert_true((code == CODE_OK) == (spec != NULL));
        assert_true((code == CODE_OK) == (findings.count == 0));
        for (size_t i = 0; i < findings.count; i++)
            assert_true(findings.items[i].line >= 1 && findings.items[i].column >= 1);
        SCOPE_BUFFER shown = {0};
        spec_format_findings(&findings, "jobs/a.yaml", text, count, &shown);
        spec_destroy(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_spec_gives_each_value),
        cmocka_unit_test(what_is_not_given_has_its_stated_default),
        cmocka_unit_test(a_program_may_have_many_lines_and_needs_no_dataset),
        cmocka_unit_test(each_mistake_is_found_at_its_place),
        cmocka_unit_test(a_spec_that_is_too_long_is_refused_before_it_is_read),
        cmocka_unit_test(a_spec_of_too_many_values_is_refused),
        cmocka_unit_test(a_hundred_findings_are_kept_and_no_more),
        cmocka_unit_test(the_first_finding_names_the_failure_and_counts_the_rest),
        cmocka_unit_test(a_file_name_that_is_no_experiment_is_said),
        cmocka_unit_test(findings_are_shown_with_the_line_and_a_caret),
        cmocka_unit_test(sizes_and_durations_need_their_units),
        cmocka_unit_test(a_near_name_is_suggested_and_a_far_one_not),
        cmocka_unit_test(a_broken_keyboard_never_breaks_the_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
