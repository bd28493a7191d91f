/* The step sizes over a training: pure functions of the step, 1-based, and the whole number of steps. */
#ifndef CYTOFS_SCHEDULE_H
#define CYTOFS_SCHEDULE_H

#include <stdint.h>

#define SCHEDULE_WARM_UP_STEPS 100

/* Linear warm-up over the first SCHEDULE_WARM_UP_STEPS (a tenth of short trainings), then a half cosine from
 * `peak` to a hundredth of it at the last step.  (Loshchilov, Hutter: "SGDR", ICLR 2017.) */
float schedule_lr(int64_t step, int64_t total, double peak);

/* Decay of the averaged weights: 0.998, less at the start so that the first average is not the random
 * weights'. */
float schedule_ema_decay(int64_t step);

#endif
