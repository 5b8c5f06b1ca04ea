#include "range.h"

uint64_t hwl_outside(size_t count, const int32_t *values, int32_t low, int32_t high)
{
    uint64_t outside = 0;
    for (size_t n = 0; n < count; n++) {
        outside += (values[n] < low) | (values[n] > high);
    }
    return outside;
}

uint64_t hwl_outside_bytes(size_t count, const int8_t *values, int32_t low, int32_t high)
{
    uint64_t outside = 0;
    for (size_t n = 0; n < count; n++) {
        outside += (values[n] < low) | (values[n] > high);
    }
    return outside;
}

uint32_t hwl_take_lines(size_t count, const int64_t *lines, uint32_t bound, uint32_t *taken, uint8_t *marks)
{
    for (uint32_t line = 0; line < bound; line++) {
        marks[line] = 0;
    }
    for (size_t n = 0; n < count; n++) {
        if (lines[n] < 0 || lines[n] >= (int64_t)bound) {
            return HWL_LINES_OUTSIDE;
        }
        if (marks[lines[n]]) {
            return HWL_LINES_TWICE;
        }
        marks[lines[n]] = 1;
        taken[n] = (uint32_t)lines[n];
    }
    return HWL_LINES_FIT;
}

uint64_t hwl_pulse_rounds(size_t rows, size_t cols, const int16_t *counts, int64_t rounds[2])
{
    uint64_t lowest_possible = 0;
    rounds[0] = rounds[1] = 0;
    for (size_t row = 0; row < rows; row++) {
        int32_t highest = 0, lowest = 0;
        for (size_t col = 0; col < cols; col++) {
            const int32_t count = counts[row * cols + col];
            highest = count > highest ? count : highest;
            lowest = count < lowest ? count : lowest;
            lowest_possible += count == INT16_MIN;
        }
        rounds[0] += highest;
        rounds[1] += lowest;
    }
    return lowest_possible;
}
