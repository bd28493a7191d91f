/* Learning rate and averaging over a training: see schedule.h. */
#include "schedule.h"

#include <math.h>

static const double last_part = 0.01, ema_decay = 0.998, pi = 3.141592653589793;

static int64_t warm_up_steps(int64_t total)
{
    return total / 10 < SCHEDULE_WARM_UP_STEPS ? total / 10 : SCHEDULE_WARM_UP_STEPS;
}

float schedule_lr(int64_t step, int64_t total, double peak)
{
    int64_t warm_up = warm_up_steps(total);
    if (step <= warm_up)
        return (float)(peak * (double)step / (double)(warm_up + 1));
    int64_t left = total - warm_up - 1;
    double part = left > 0 ? (double)(step - warm_up - 1) / (double)left : 1;
    return (float)(peak * (last_part + (1 - last_part) * (1 + cos(pi * part)) / 2));
}

float schedule_ema_decay(int64_t step)
{
    return (float)fmin(ema_decay, (double)(1 + step) / (double)(10 + step));
}
