/* A lab's day in small, during which something fails once, or from then on: what each operation answered is held against
 * what the lab is like afterwards.
 *
 *  1. An operation that fails says what in words.
 *  2. When nothing fails any more the lab goes on, or says clearly that it will not before it is opened again.
 *  3. Opened again it is a state that it had, from the newest acknowledged one (tree_fsync or tree_sync succeeded) on, and
 *     passes the check with all its contents.
 */
#ifndef CYTOFS_FAULT_SCENARIO_H
#define CYTOFS_FAULT_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

struct fault_switch {
    /* Counts calls of its kind from 1 again, and lets number `n` fail (and all after it, where `on`). */
    void (*arm)(void *context, uint64_t n, bool on);
    /* Nothing fails until it is armed again; calls are not counted while paused. */
    void (*pause)(void *context, bool paused);
    void (*disarm)(void *context);
    uint64_t (*count)(void *context); /* of calls since it was armed */
    void *context;
    bool must_go_on; /* afterwards the lab may not refuse to go on */
    /* The store has a mirror, and what fails is one of its folders alone: no operation fails.  Afterwards the folder is
     * brought up to date, and 3. holds for each of the folders alone. */
    bool mirrored;
};

/* Where a run's store lies below the folder, and in which folders; watch them by these. */
#define FAULT_SCENARIO_RUN    "run"
#define FAULT_SCENARIO_MIRROR "second"

struct fault_outcome {
    uint64_t runs, failed, refused, violations;  /* runs in which an operation failed; in which the lab did not go on */
    char first_failure[200], first_refusal[200]; /* their words */
};

/* Runs the scenario for n = 1, 1 + stride, ... as long as there is an n-th call.  Stores are made below `folder`. */
void fault_scenario_run(const struct fault_switch *fault, const char *name, const char *folder, uint64_t stride, bool on,
                        struct fault_outcome *out);

#endif
