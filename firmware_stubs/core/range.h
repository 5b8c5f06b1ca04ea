/* Whether integers are in range, before they are used. */
#ifndef HWL_RANGE_H
#define HWL_RANGE_H

#include <stddef.h>

#include "api.h"

/* How many of the values are below `low` or above `high`. */
HWL_API uint64_t hwl_outside(size_t count, const int32_t *values, int32_t low, int32_t high);

/* The same for bytes. */
HWL_API uint64_t hwl_outside_bytes(size_t count, const int8_t *values, int32_t low, int32_t high);

/* What is wrong with the lines of a block. */
enum hwl_lines_fault { HWL_LINES_FIT = 0, HWL_LINES_OUTSIDE = 1, HWL_LINES_TWICE = 2 };

/* Takes the lines of a block, each below `bound` and listed once; `marks` holds `bound` bytes of scratch. */
HWL_API uint32_t hwl_take_lines(size_t count, const int64_t *lines, uint32_t bound, uint32_t *taken, uint8_t *marks);

/* How many up and, negative, down pulses it takes to give a block row by row, the cells of a row together: sums over
 * rows of the largest count and of the smallest. Returns how many counts are INT16_MIN, which has no positive
 * counterpart. */
HWL_API uint64_t hwl_pulse_rounds(size_t rows, size_t cols, const int16_t *counts, int64_t rounds[2]);

#endif
