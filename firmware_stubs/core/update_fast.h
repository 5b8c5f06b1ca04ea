/* Outer-product updates, rows outside and samples inside; the same bits as `hwl_update_plain`. */
#ifndef HWL_UPDATE_FAST_H
#define HWL_UPDATE_FAST_H

#include "simd.h"
#include "trains.h"

/* Bytes of scratch that one thread's updates of a tile with so many columns need. */
HWL_API size_t hwl_update_scratch(uint32_t cols);

/* As `hwl_update_plain`; `scratch` is aligned to 64 bytes. */
HWL_API uint64_t hwl_update_fast(hwl_tile *tile, uint32_t simd, uint64_t ordinal, const hwl_trains *trains,
                                 uint32_t row_begin, uint32_t row_end, void *scratch);

/* Slots are taken in units of one word of the masks; a chunk is a range of units, words of samples in order. */
typedef struct hwl_chunk {
    uint32_t begin;
    uint32_t end;
} hwl_chunk;

/* The step of the random numbers of a unit's first slot. */
static inline uint32_t hwl_unit_step(const hwl_tile *tile, const hwl_trains *trains, uint32_t unit)
{
    return (tile->first_sample + unit / trains->words) << 8 | (unit % trains->words) * HWL_SLOTS_PER_WORD;
}

/* Position of the lowest bit that is set. */
static inline uint32_t hwl_lowest_bit(uint32_t bits)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(bits);
#else
    uint32_t position = 0;
    while (!(bits >> position & 1u)) {
        position++;
    }
    return position;
#endif
}

#endif
