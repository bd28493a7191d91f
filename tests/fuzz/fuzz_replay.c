/* Runs a fuzz target as an ordinary test, without libFuzzer and with any compiler.
 *
 * - fuzz_x [CORPUS FOLDER]: every file of the corpus, every built-in seed (fuzzing.h), then mutations of them
 * - fuzz_x --only NUMBER: the one mutation of that number, to look at a failure
 * - fuzz_x --write-seeds FOLDER: writes the built-in seeds there, as a first corpus for libFuzzer
 *
 * Mutation number i is a function of i and the inputs alone, so a failure can be repeated.  MUTATIONS are
 * run, or as many as fit into SECONDS (environment: CYTOFS_FUZZ_SECONDS); how many it were is printed.  When
 * the target dies, the number of the mutation is the last line on standard error.
 */
#include "fuzzing.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "file.h"
#include "random.h"
#include "scope.h"
#include "timing.h"

#define MUTATIONS       200000
#define SECONDS         5
#define INPUTS_MAX      4096
#define INPUT_BYTES_MAX ((size_t)1 << 20)
#define CHANGES_MAX     8
#define SEED            2026

#pragma weak fuzzing_seed

struct inputs {
    struct buffer items[INPUTS_MAX];
    size_t count;
};

static struct inputs inputs;
static char where[64] = "before the first input\n";

static void report(int signal_number)
{
    ssize_t ignored = write(STDERR_FILENO, where, strlen(where));
    (void)ignored;
    if (signal_number) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

static void report_death(void)
{
    report(0);
}

/* Sanitizers end the process without a signal; they offer a callback. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch_for_death(void)
{
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(report_death);
    else
        signal(SIGSEGV, report);
    signal(SIGABRT, report);
}

static void add_input(const void *bytes, size_t count)
{
    if (inputs.count == INPUTS_MAX || count > INPUT_BYTES_MAX)
        return;
    buffer_append(&inputs.items[inputs.count], bytes, count);
    inputs.count++;
}

static void gather_seeds(void)
{
    for (size_t index = 0; fuzzing_seed; index++) {
        size_t count = 0;
        SCOPE_FREE uint8_t *bytes = fuzzing_seed(index, &count);
        if (!bytes)
            break;
        add_input(bytes, count);
    }
}

static void gather_corpus(const char *folder)
{
    struct file_names names;
    struct failure why;
    if (file_list(folder, INPUTS_MAX, &names, &why) != CODE_OK) {
        fprintf(stderr, "%s\n", why.text);
        exit(2);
    }
    for (size_t i = 0; i < names.count; i++) {
        SCOPE_FREE char *path = file_join(folder, names.names[i]);
        SCOPE_BUFFER bytes = {0};
        if (path && file_read(path, INPUT_BYTES_MAX, &bytes, NULL) == CODE_OK)
            add_input(bytes.data, bytes.length);
    }
    file_names_free(&names);
}

static int write_seeds(const char *folder)
{
    for (size_t i = 0; i < inputs.count; i++) {
        char path[4096];
        struct failure why;
        snprintf(path, sizeof path, "%s/seed-%03zu", folder, i);
        if (file_write(path, buffer_text(&inputs.items[i]), inputs.items[i].length, &why) != CODE_OK) {
            fprintf(stderr, "%s\n", why.text);
            return 2;
        }
    }
    return 0;
}

/* One change at a random place: the kinds that parsers trip over. */
static void change(struct buffer *input, struct random *random)
{
    static const uint32_t numbers[] = {0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    uint32_t length = (uint32_t)input->length;
    if (length == 0)
        return;
    uint32_t at = random_below(random, length), left = length - at;
    uint32_t run = 1 + random_below(random, left < 64 ? left : 64);
    switch (random_below(random, 8)) {
    case 0:
        input->data[at] ^= (char)(1 << random_below(random, 8));
        break;
    case 1:
        input->data[at] = (char)random_next(random);
        break;
    case 2: { /* a number of 1, 2 or 4 bytes, in either order */
        uint32_t value = numbers[random_below(random, sizeof numbers / sizeof *numbers)];
        uint32_t width = 1u << random_below(random, 3);
        if (random_next(random) & 1)
            value = __builtin_bswap32(value);
        memcpy(input->data + at, &value, width < left ? width : left);
        break;
    }
    case 3: /* cut the end off */
        input->length = at;
        break;
    case 4: /* take a run out */
        memmove(input->data + at, input->data + at + run, left - run);
        input->length -= run;
        break;
    case 5: { /* say a run twice */
        SCOPE_FREE char *copy = malloc(left);
        if (!copy)
            break;
        memcpy(copy, input->data + at, left);
        buffer_append(input, copy, run);
        if (!input->failed)
            memcpy(input->data + at + run, copy, left);
        break;
    }
    case 6: { /* overwrite by a piece of another input */
        const struct buffer *other = &inputs.items[random_below(random, (uint32_t)inputs.count)];
        if (other->length == 0)
            break;
        uint32_t from = random_below(random, (uint32_t)other->length);
        uint32_t most = (uint32_t)other->length - from;
        memcpy(input->data + at, other->data + from, run < most ? run : most);
        break;
    }
    default: { /* a neighbour of the number there */
        int step = (int)random_below(random, 35) - 17;
        input->data[at] = (char)(input->data[at] + step);
        break;
    }
    }
}

static void try_mutation(uint64_t number)
{
    struct random random = random_stream(SEED, number);
    SCOPE_BUFFER input = {0};
    if (inputs.count > 0) {
        const struct buffer *origin = &inputs.items[random_below(&random, (uint32_t)inputs.count)];
        buffer_append(&input, buffer_text(origin), origin->length);
        for (uint32_t left = 1 + random_below(&random, CHANGES_MAX); left > 0; left--)
            change(&input, &random);
    } else {
        for (uint32_t left = random_below(&random, 256); left > 0; left--) {
            uint8_t byte = (uint8_t)random_next(&random);
            buffer_append(&input, &byte, 1);
        }
    }
    snprintf(where, sizeof where, "repeat this with --only %llu\n", (unsigned long long)number);
    /* A copy of exactly its size, so that a sanitizer sees the first byte read beyond it. */
    SCOPE_FREE uint8_t *exact = malloc(input.length ? input.length : 1);
    if (exact) {
        if (input.length)
            memcpy(exact, input.data, input.length);
        LLVMFuzzerTestOneInput(exact, input.length);
    }
}

int main(int argc, char **argv)
{
    watch_for_death();
    gather_seeds();
    if (argc == 3 && strcmp(argv[1], "--write-seeds") == 0)
        return write_seeds(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--only") == 0) {
        try_mutation(strtoull(argv[2], NULL, 10));
        return 0;
    }
    if (argc == 2)
        gather_corpus(argv[1]);
    for (size_t i = 0; i < inputs.count; i++) {
        snprintf(where, sizeof where, "input %zu, unchanged\n", i);
        LLVMFuzzerTestOneInput((const uint8_t *)buffer_text(&inputs.items[i]), inputs.items[i].length);
    }
    const char *seconds = getenv("CYTOFS_FUZZ_SECONDS");
    int64_t end_ms = timing_monotonic_ms() + 1000 * (seconds ? atoll(seconds) : SECONDS);
    uint64_t done = 0;
    while (done < MUTATIONS && timing_monotonic_ms() < end_ms)
        try_mutation(done++);
    printf("%zu inputs, %llu mutations\n", inputs.count, (unsigned long long)done);
    for (size_t i = 0; i < inputs.count; i++)
        buffer_free(&inputs.items[i]);
    return 0;
}
