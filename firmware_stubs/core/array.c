#include "array.h"

/* Rounded to the nearest, halves to the even one, at least 1. */
uint64_t hwl_width_ticks(double seconds, uint64_t tick_picoseconds)
{
    const double ticks = seconds / ((double)tick_picoseconds / 1e12);
    if (!(ticks < 9e18)) {
        return UINT64_MAX / 2u;
    }
    uint64_t whole = (uint64_t)ticks;
    const double rest = ticks - (double)whole;
    if (rest > 0.5 || (rest == 0.5 && (whole & 1u))) {
        whole++;
    }
    return whole > 0 ? whole : 1u;
}
