/* runner/exec/gpu_watch against a library of made-up cards, and without any. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "gpu_watch.h"

static struct gpu_watch *open_cards(const char *cards, const char *visible)
{
    struct gpu_watch *watch;
    struct failure why;
    setenv("FAKE_NVML_CARDS", cards, 1);
    assert_code_ok(gpu_watch_open(FAKE_NVML, visible, &watch, &why), why);
    return watch;
}

static void cards_are_described_as_far_as_the_driver_tells(void **state)
{
    (void)state;
    char text[256];
    struct gpu_watch *watch = open_cards("3", NULL);
    assert_int_equal(gpu_watch_count(watch), 3);
    gpu_watch_describe(watch, text, sizeof text);
    assert_string_equal(text,
                        "NVIDIA H100 number 0 1.0 of 80.0 GiB, 87 %, 60 C; NVIDIA H100 number 1 2.0 of 80.0 GiB, 61 C; "
                        "NVIDIA H100 number 2 3.0 of 80.0 GiB");
    gpu_watch_close(watch);
}

static void cards_without_room_are_counted(void **state)
{
    (void)state;
    char text[256];
    struct gpu_watch *watch = open_cards("8", NULL);
    gpu_watch_describe(watch, text, sizeof text);
    assert_true(strlen(text) < sizeof text);
    assert_non_null(strstr(text, "; 3 more"));
    gpu_watch_describe(watch, text, 20);
    assert_string_equal(text, "8 more");
    gpu_watch_close(watch);
}

static void visible_cards_alone_are_seen_in_their_order(void **state)
{
    (void)state;
    static const struct {
        const char *visible;
        unsigned numbers[3];
        size_t count;
    } cases[] = {{"2,0", {2, 0}, 2}, {"1", {1}, 1}, {"1,7,2", {1}, 1}, {"0,1,2", {0, 1, 2}, 3}, {"GPU-5a", {0, 1, 2}, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gpu_watch *watch = open_cards("3", cases[i].visible);
        assert_int_equal(gpu_watch_count(watch), cases[i].count);
        for (size_t k = 0; k < cases[i].count; k++)
            assert_int_equal(gpu_watch_number(watch, k), cases[i].numbers[k]);
        gpu_watch_close(watch);
    }
}

static void what_is_missing_is_said_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *library, *cards, *visible, *words;
    } cases[] = {
        {"libnvidia-ml-of-nobody.so.1", "0", NULL, "no NVIDIA driver is installed"},
        {"libm.so.6", "0", NULL, "too old"},
        {FAKE_NVML, "-1", NULL, "installed but not loaded"},
        {FAKE_NVML, "-2", NULL, "says: Unknown Error"},
        {FAKE_NVML, "0", NULL, "sees 0"},
        {FAKE_NVML, "2", "", "CUDA_VISIBLE_DEVICES names none"},
        {FAKE_NVML, "2", "-1", "CUDA_VISIBLE_DEVICES names none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gpu_watch *watch = NULL;
        struct failure why;
        setenv("FAKE_NVML_CARDS", cases[i].cards, 1);
        assert_int_equal(gpu_watch_open(cases[i].library, cases[i].visible, &watch, &why), CODE_UNSUPPORTED);
        if (!strstr(why.text, cases[i].words))
            fail_msg("\"%s\" does not say \"%s\"", why.text, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_described_as_far_as_the_driver_tells),
        cmocka_unit_test(cards_without_room_are_counted),
        cmocka_unit_test(visible_cards_alone_are_seen_in_their_order),
        cmocka_unit_test(what_is_missing_is_said_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
