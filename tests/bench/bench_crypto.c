/* How fast contents are sealed and opened on one core, beside what OpenSSL's own loop over one buffer would
 * give.
 *
 *     bench_crypto [seconds per line]
 *
 * One line a figure:  <what> <bytes a message> <GB/s> <ns a message>.  Each message has its own nonce and a
 * 48-byte associated data, as the tree's chunks do.  Beside it run: openssl speed -evp aes-256-gcm -bytes N
 * -seconds 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "entropy.h"
#include "failure.h"
#include "siv.h"
#include "timing.h"

#define MESSAGE_MAX ((size_t)1 << 20)

struct bench {
    struct aead_key *contents;
    struct siv_key *names;
    uint8_t *plain, *sealed; /* MESSAGE_MAX, and room for the overhead */
    size_t count;            /* bytes of the message at hand */
};

typedef enum code bench_step(struct bench *bench, struct failure *why);

static const uint8_t place[48];

static enum code seal(struct bench *bench, struct failure *why)
{
    const struct aead_message message = {place, sizeof place, bench->plain, bench->count};
    return aead_seal(bench->contents, &message, bench->sealed, why);
}

static enum code open_sealed(struct bench *bench, struct failure *why)
{
    const struct aead_message message = {place, sizeof place, bench->sealed, bench->count + AEAD_OVERHEAD};
    return aead_open(bench->contents, &message, bench->plain, why);
}

static enum code name(struct bench *bench, struct failure *why)
{
    const struct siv_message message = {place, 8, bench->plain, bench->count};
    return siv_seal(bench->names, &message, bench->sealed, why);
}

static enum code measure(struct bench *bench, const char *what, bench_step *step, double seconds, struct failure *why)
{
    int64_t start = timing_monotonic_ns(), spent = 0;
    uint64_t steps = 0;
    while ((double)spent < seconds * 1e9) {
        for (int i = 0; i < 16; i++, steps++) {
            enum code code = step(bench, why);
            if (code != CODE_OK)
                return code;
        }
        spent = timing_monotonic_ns() - start;
    }
    double ns = (double)spent / (double)steps;
    printf("%-10s %8zu %7.2f GB/s %9.0f ns\n", what, bench->count, (double)bench->count / ns, ns);
    return CODE_OK;
}

static enum code make_keys(struct bench *bench, struct failure *why)
{
    uint8_t bytes[SIV_KEY_BYTES];
    enum code code = entropy_fill(bytes, sizeof bytes, why);
    if (code == CODE_OK)
        code = aead_key_create(bytes, &bench->contents, why);
    if (code == CODE_OK)
        code = siv_key_create(bytes, &bench->names, why);
    return code;
}

static enum code run(struct bench *bench, double seconds, struct failure *why)
{
    static const size_t sizes[] = {4096, 65536, 131072, 1048576};
    enum code code = make_keys(bench, why);
    for (size_t i = 0; code == CODE_OK && i < sizeof sizes / sizeof *sizes; i++) {
        bench->count = sizes[i];
        code = measure(bench, "seal", seal, seconds, why);
        if (code == CODE_OK)
            code = measure(bench, "open", open_sealed, seconds, why);
    }
    bench->count = 20;
    return code == CODE_OK ? measure(bench, "name", name, seconds, why) : code;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    struct failure why;
    struct bench bench = {.plain = calloc(1, MESSAGE_MAX), .sealed = calloc(1, MESSAGE_MAX + AEAD_OVERHEAD)};
    enum code code =
        bench.plain && bench.sealed ? run(&bench, seconds, &why) : failure_set(&why, CODE_NO_MEMORY, "out of memory");
    if (code != CODE_OK)
        fprintf(stderr, "bench_crypto: %s\n", why.text);
    aead_key_destroy(bench.contents);
    siv_key_destroy(bench.names);
    free(bench.plain);
    free(bench.sealed);
    return failure_to_exit_status(code);
}
