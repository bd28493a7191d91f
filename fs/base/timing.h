/* Clocks.  Wall time is for people and records; monotonic time for durations and deadlines. */
#ifndef CYTOFS_TIMING_H
#define CYTOFS_TIMING_H

#include <stdint.h>
#include <time.h>

static inline int64_t timing_read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Since 1970 (UTC). */
static inline int64_t timing_wall_ns(void)
{
    return timing_read_ns(CLOCK_REALTIME);
}

static inline int64_t timing_wall_ms(void)
{
    return timing_wall_ns() / 1000000;
}

/* Since some fixed moment; never goes back. */
static inline int64_t timing_monotonic_ns(void)
{
    return timing_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t timing_monotonic_ms(void)
{
    return timing_monotonic_ns() / 1000000;
}

#endif
