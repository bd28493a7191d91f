/* Comparison of doubles with a stated tolerance; the failing message names both. */
#ifndef CYTOFS_ASSERT_NEAR_H
#define CYTOFS_ASSERT_NEAR_H

#include <math.h>

#include "testing.h"

#define assert_near(actual, expected, tolerance)                                                                            \
    do {                                                                                                                    \
        double near_actual = (actual), near_expected = (expected);                                                          \
        if (!(fabs(near_actual - near_expected) <= (tolerance)))                                                            \
            fail_msg("%s is %.9g, not %.9g", #actual, near_actual, near_expected);                                          \
    } while (0)

#endif
