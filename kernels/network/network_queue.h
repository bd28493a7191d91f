/* Training steps queued ahead of the host, on a device with memory of its own.
 *
 * A step takes all that it needs (crops, targets, learning rate) from device memory, where one transfer brings it while an
 * earlier step computes; nothing inside waits for the host.  After the first step, which goes call by call so that every
 * library has loaded what it loads on first use, a step is one recording (on an NVIDIA GPU: a CUDA graph) that is replayed.
 * Where recording fails, calls are queued one by one, with the same results bit for bit.
 *
 * DEVICE_SLOTS steps have a place each.  The caller fills a slot's feed, queues its step, and waits for the slot before it
 * fills it again.  Steps compute in the order of network_queue_step.  One thread; another one may fill feeds of slots that
 * are not queued.
 */
#ifndef CYTOFS_NETWORK_QUEUE_H
#define CYTOFS_NETWORK_QUEUE_H

#include "augmentation.h"
#include "network.h"

struct network_queue;

/* The inputs of one slot's step, in memory of the host; all of it is the caller's to fill in. */
struct network_feed {
    struct augmentation_crop *crops; /* (N) */
    float *tables;                   /* (N, AUGMENTATION_TABLE_FLOATS) */
    float *heat, *box, *box_weight;  /* as in struct network_targets */
    float *rays, *ray_weight;        /* NULL without rays */
    /* Samples for crops of images that the device does not hold: (N, window_samples_max), and how many each crop uses, 0 for
     * none.  Only those are transferred. */
    uint16_t *windows;
    size_t *window_samples, window_samples_max; /* (N) */
    /* Where the device will find tables and windows: what crops are to point to. */
    const float *device_tables;
    const uint16_t *device_windows;
};

/* False where the device computes in the host's memory and steps are better taken one at a time. */
bool network_queue_is_supported(const struct network *network);

/* For a network with a training plan and square images; borrowed.  window_samples_max may be 0. */
MUST_CHECK enum code network_queue_create(struct network *network, size_t window_samples_max, struct network_queue **out,
                                          struct failure *why);
void network_queue_destroy(struct network_queue *queue); /* waits for what is queued; NULL is fine */

struct network_feed *network_queue_feed(struct network_queue *queue, int slot);

/* Bytes of page-locked host memory, and as many of device memory, that the queue holds. */
size_t network_queue_bytes(const struct network_queue *queue);

/* Queues augmentation, forward, loss, backward, update.  A failure shows when the slot is waited for. */
void network_queue_step(struct network_queue *queue, int slot, const struct network_update *update);

/* Waits until the slot's step is over. */
MUST_CHECK enum code network_queue_wait(struct network_queue *queue, int slot, struct network_loss *loss,
                                        float *gradient_norm, struct failure *why);

/* How steps are queued, for the log: "" while that is not settled. */
const char *network_queue_manner(const struct network_queue *queue);

#endif
