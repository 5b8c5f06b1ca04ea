/* Pulse trains of the lines of an outer-product update, as bit masks. */
#ifndef HWL_TRAINS_H
#define HWL_TRAINS_H

#include "tile.h"

#define HWL_SLOTS_PER_WORD 32u

/* Trains of the lines of both sides, bit `slot % 32` of word `slot / 32` of a line and sample.
 *
 * A line that fires in a slot has its bit in the plus mask or in the minus mask, by the sign of its code. */
typedef struct hwl_trains {
    const uint32_t *x_plus; /* [samples, words, cols] */
    const uint32_t *x_minus;
    const uint32_t *d_plus; /* [samples, words, rows] */
    const uint32_t *d_minus;
    uint32_t samples;
    uint32_t words; /* per line and sample, enough for the longest train */
} hwl_trains;

/* Draws the trains of the lines of one side from their codes.
 *
 * codes [samples, lines]; lengths (below 256 slots) and gains (1 to 65536) [samples]; plus and minus
 * [samples, words, lines]; purpose is HWL_PURPOSE_X_TRAINS or HWL_PURPOSE_D_TRAINS. Works on the samples
 * [sample_begin, sample_end). */
HWL_API void hwl_draw_trains_plain(const hwl_tile *tile, uint64_t ordinal, uint32_t purpose, uint32_t lines,
                                   const int32_t *codes, const int32_t *lengths, const int32_t *gains,
                                   uint32_t words, uint32_t *plus, uint32_t *minus, uint32_t sample_begin,
                                   uint32_t sample_end);

/* Packs trains that the host has drawn: trains [samples, slots, lines] in {-1, 0, 1} into plus and minus
 * [samples, words, lines]. */
HWL_API void hwl_pack_trains(uint32_t lines, uint32_t samples, uint32_t slots, const int8_t *trains, uint32_t words,
                             uint32_t *plus, uint32_t *minus);

/* A line fires in a slot if its word is below this; 2^32 for the largest code at full gain. */
static inline uint64_t hwl_threshold(int32_t code, int32_t gain, int32_t code_max)
{
    const uint64_t magnitude = (uint64_t)(code < 0 ? -(int64_t)code : (int64_t)code);
    const uint64_t largest = (uint64_t)code_max;
    return (magnitude * (uint64_t)gain * 65536u + largest - 1u) / largest;
}

#endif
