/* Tables of equally spaced knots. */
#ifndef HWL_INTERPOLATE_H
#define HWL_INTERPOLATE_H

#include <stdint.h>

/* Value of a table at `u` in [0, 1]. */
static inline float hwl_interpolate(const float *table, uint32_t knots, float u)
{
    const float position = u * (float)(knots - 1u);
    uint32_t knot = (uint32_t)position;
    if (knot > knots - 2u) {
        knot = knots - 2u;
    }
    const float fraction = position - (float)knot;
    return table[knot] + fraction * (table[knot + 1u] - table[knot]);
}

#endif
