/* Deterministic pseudo-random numbers: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators", OOPSLA 2014).  The same seed gives the same numbers on every machine.  Not for keys: see crypto. */
#ifndef CYTOFS_RANDOM_H
#define CYTOFS_RANDOM_H

#include <stdint.h>

#ifdef __CUDACC__ /* kernels of kernels/cuda take numbers from the same streams */
#define RANDOM_ANYWHERE __host__ __device__
#else
#define RANDOM_ANYWHERE
#endif

struct random {
    uint64_t state;
};

/* The state after n numbers is the state before plus n times this. */
#define RANDOM_INCREMENT UINT64_C(0x9E3779B97F4A7C15)

/* The number that a state stands for. */
RANDOM_ANYWHERE static inline uint64_t random_mix(uint64_t state)
{
    uint64_t z = (state ^ state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static inline uint64_t random_next(struct random *random)
{
    return random_mix(random->state += RANDOM_INCREMENT);
}

/* Uniform in [0, 1), 53 bits. */
static inline double random_uniform(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Uniform in [low, high). */
static inline double random_between(struct random *random, double low, double high)
{
    return low + (high - low) * random_uniform(random);
}

/* Uniform in 0 .. count-1; count > 0.  Lemire's multiply-shift; its bias is below 2^-32 for count < 2^32. */
static inline uint32_t random_below(struct random *random, uint32_t count)
{
    return (uint32_t)((random_next(random) >> 32) * count >> 32);
}

/* Roughly Gaussian, mean 0, variance 1: the sum of twelve 16-bit uniforms (Irwin-Hall), from integer arithmetic only. */
static inline double random_gaussian(struct random *random)
{
    int64_t sum = 0;
    for (int word = 0; word < 3; word++) {
        uint64_t bits = random_next(random);
        for (int part = 0; part < 4; part++)
            sum += (int64_t)(bits >> 16 * part & 0xFFFF);
    }
    return (double)(sum - 393210) / 65536.0;
}

/* An independent generator for (seed, stream). */
static inline struct random random_stream(uint64_t seed, uint64_t stream)
{
    struct random random = {seed ^ stream * UINT64_C(0xD1B54A32D192ED03)};
    random_next(&random);
    random_next(&random);
    return random;
}

#endif
