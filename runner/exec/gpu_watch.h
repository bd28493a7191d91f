/* The NVIDIA GPUs of this machine, as the driver's own library (NVML, libnvidia-ml.so.1) describes them: opened at run time,
 * never linked, without a CUDA context on any card.  One thread. */
#ifndef CYTOFS_GPU_WATCH_H
#define CYTOFS_GPU_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define GPU_WATCH_MAX 64 /* cards; more are not seen */

struct gpu_watch;

struct gpu_facts {
    char name[96];
    uint64_t memory_bytes, memory_used; /* 0 where not told */
    int busy_percent, celsius;          /* -1 where not told */
};

/* library: NULL for the driver's own.  visible: CUDA_VISIBLE_DEVICES, whose numbers choose cards and their order, NULL for
 * all. CODE_UNSUPPORTED, with the reason for the person, where there is no driver, it does not answer, or no card is left.
 */
MUST_CHECK enum code gpu_watch_open(const char *library, const char *visible, struct gpu_watch **out, struct failure *why);
void gpu_watch_close(struct gpu_watch *watch); /* NULL is fine */

size_t gpu_watch_count(const struct gpu_watch *watch);

/* As it is now.  index < gpu_watch_count. */
struct gpu_facts gpu_watch_read(const struct gpu_watch *watch, size_t index);

/* What CUDA_VISIBLE_DEVICES calls that card. */
unsigned gpu_watch_number(const struct gpu_watch *watch, size_t index);

/* All cards in one line of at most `room` bytes with its end: "NVIDIA H100 80GB HBM3 12.3 of 79.6 GiB, 87 %, 61 C; ...";
 * those that find no room are counted. */
void gpu_watch_describe(const struct gpu_watch *watch, char *text, size_t room);

#endif
