/* The ids that keys are bound to.  Random, 16 bytes, never reused; each kind is its own type so that they
 * cannot be mixed up.  On disk an id is its 16 bytes; in texts it is 32 lower-case hexadecimal digits
 * (hex.h). */
#ifndef CYTOFS_IDENTITY_H
#define CYTOFS_IDENTITY_H

#include <stdint.h>

#define IDENTITY_BYTES 16

struct store_id {
    uint8_t bytes[IDENTITY_BYTES];
};

/* A key space: a dataset, a member's private space, the registry. */
struct space_id {
    uint8_t bytes[IDENTITY_BYTES];
};

struct member_id {
    uint8_t bytes[IDENTITY_BYTES];
};

#endif
