/* Arguments and environment: see run_environment.h.
 *
 * A program gets a stated environment, so that a run does not depend on what the shell that mounted the lab happened to
 * export.  Passed on where set: see passed_on.  Set: CUDA_VISIBLE_DEVICES where the node has GPUs, CYTOFS_RUN,
 * CYTOFS_DATASET, OMP_NUM_THREADS (and its kin for BLAS libraries), PYTHONUNBUFFERED (else a Python program's output would
 * reach the log in blocks of 8 KiB).
 */
#include "run_environment.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec.h"

static const char *const passed_on[] = {
    "PATH",           "HOME",         "USER",        "LOGNAME",     "SHELL",           "LANG",
    "LC_ALL",         "TZ",           "TMPDIR",      "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "GOMP_SPINCOUNT", "http_proxy",   "https_proxy", "no_proxy",    "ASAN_OPTIONS",    "UBSAN_OPTIONS",
    "LSAN_OPTIONS",   "TSAN_OPTIONS",
};

/* Adds the text, owned, to a NULL-terminated list with room for it.  NULL without memory. */
static void add(struct run_command *command, const char **list, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct run_command *command, const char **list, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    size_t length = 0;
    while (list[length])
        length++;
    list[length] = text;
    command->texts[command->text_count++] = text;
}

static void add_arguments(struct run_command *out, const struct spec *spec, const char *program, const char *folder)
{
    const char **list = out->arguments;
    if (spec->action == SPEC_RUN) {
        add(out, list, "/bin/sh");
        add(out, list, "-c");
        add(out, list, "%s", spec->run);
        return;
    }
    add(out, list, "%s", program);
    add(out, list, "train");
    add(out, list, "--spec");
    add(out, list, "%s/spec.yaml", folder);
    add(out, list, "--dataset");
    add(out, list, "%s/dataset", folder);
    add(out, list, "--output");
    add(out, list, "%s", folder);
}

static void add_environment(struct run_command *out, const char *folder, const char *dataset, const struct run_share *share)
{
    const char **list = out->environment;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        if (getenv(passed_on[i]) && !(share->visible_gpus && strcmp(passed_on[i], "CUDA_VISIBLE_DEVICES") == 0))
            add(out, list, "%s=%s", passed_on[i], getenv(passed_on[i]));
    if (share->visible_gpus)
        add(out, list, "CUDA_VISIBLE_DEVICES=%s", share->visible_gpus);
    if (!getenv("PATH"))
        add(out, list, "PATH=/usr/local/bin:/usr/bin:/bin");
    add(out, list, "CYTOFS_RUN=%s", folder);
    if (dataset[0])
        add(out, list, "CYTOFS_DATASET=%s", dataset);
    add(out, list, "OMP_NUM_THREADS=%d", share->cpus);
    add(out, list, "OPENBLAS_NUM_THREADS=%d", share->cpus);
    add(out, list, "MKL_NUM_THREADS=%d", share->cpus);
    add(out, list, "PYTHONUNBUFFERED=1");
}

enum code run_environment_make(struct run_command *out, const struct spec *spec, const char *program, const char *folder,
                               const char *dataset, const struct run_share *share, struct failure *why)
{
    *out = (struct run_command){0};
    add_arguments(out, spec, program, folder);
    add_environment(out, folder, dataset, share);
    bool complete = true;
    for (size_t i = 0; i < out->text_count; i++)
        complete = complete && out->texts[i];
    char *working_folder = NULL;
    if (!complete || asprintf(&working_folder, "%s", folder) < 0) {
        run_environment_free(out);
        return failure_set(why, CODE_NO_MEMORY, "starting the program: out of memory");
    }
    out->texts[out->text_count++] = working_folder;
    out->command = (struct exec_command){out->arguments, out->environment, working_folder, -1};
    return CODE_OK;
}

void run_environment_free(struct run_command *command)
{
    for (size_t i = 0; i < command->text_count; i++)
        free(command->texts[i]);
    *command = (struct run_command){0};
}
