/* A small network on a device with a batch of made-up images and targets: what the network's tests share. */
#ifndef CYTOFS_NETWORK_FIXTURE_H
#define CYTOFS_NETWORK_FIXTURE_H

#include "device.h"
#include "network.h"

struct network_fixture {
    struct device *device;
    struct network *network;
    struct network_architecture architecture;
    struct network_plan plan;
    float *input;                   /* (N, H, W, Cin) */
    float *heat, *box, *box_weight; /* (N, H/4, W/4, ..) */
    float *rays, *ray_weight;
    struct network_targets targets;
};

/* Random images, and in each a few square objects at random places; all from `seed`. */
void network_fixture_open(struct network_fixture *fixture, const char *device, int threads,
                          const struct network_architecture *architecture, const struct network_plan *plan, uint64_t seed);
void network_fixture_close(struct network_fixture *fixture);

/* Moves every gamma and beta away from its start (where each block's last gamma is 0, which hides the block's
 * gradients). */
void network_fixture_shake(struct network_fixture *fixture, uint64_t seed);

/* Adds `step` times `direction` (a slab) to the weights. */
void network_fixture_move(struct network_fixture *fixture, const float *direction, double step);

/* Forward and backward. */
struct network_loss network_fixture_gradient(struct network_fixture *fixture);

/* The slab, to be freed. */
float *network_fixture_slab(const struct network_fixture *fixture, enum network_slab slab);

/* One step of the optimiser. */
void network_fixture_apply(struct network_fixture *fixture, int64_t step, float lr);

#endif
