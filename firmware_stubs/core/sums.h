/* Exact sums of grid values and codes, for blocks of output lines and samples. */
#ifndef HWL_SUMS_H
#define HWL_SUMS_H

#include "grid.h"

/* Samples and output lines of a block, and how far the arrays of a block may be read or written past it. */
#define HWL_BLOCK_SAMPLES 96u
#define HWL_BLOCK_LINES 256u
#define HWL_SAMPLES_PAST 6u

/* A block: the lines [begin, end), of which `sums` has `lines` per sample, a multiple of 16. */
typedef struct hwl_block {
    const hwl_tile *tile;
    const hwl_grid *grid;
    uint32_t kind; /* HWL_FORWARD or HWL_BACKWARD */
    uint32_t driven;
    uint32_t samples;
    uint32_t begin;
    uint32_t end;
    uint32_t lines;
    float *sums; /* [samples, lines], rounded once from the exact sum */
} hwl_block;

/* Samples whose sums fit in 32 bits, in any order, with 16-bit grid values and codes.
 *
 * Driven lines are taken in steps, sixteen in a forward read and two in a backward read, and samples in groups. */
typedef struct hwl_narrow {
    int16_t *codes;   /* [samples + HWL_SAMPLES_PAST, stride]; zeros behind the last sample and line */
    size_t stride;
    uint16_t *steps;  /* [groups, step count]: steps in which any sample of a group has a code other than 0 */
    uint32_t *counts; /* [groups]: how many */
    uint32_t group;   /* samples of a group */
    int16_t *panel;   /* backward: two rows interleaved, of sixteen columns: [steps, 16, 2] */
} hwl_narrow;

#define HWL_FORWARD_STEP 16u
#define HWL_BACKWARD_STEP 2u

static inline uint32_t hwl_step_count(uint32_t kind, uint32_t driven)
{
    const uint32_t step = kind == HWL_FORWARD ? HWL_FORWARD_STEP : HWL_BACKWARD_STEP;
    return (driven + step - 1u) / step;
}

/* Samples of a group, whose sums are in registers together. */
uint32_t hwl_group_samples(uint32_t kind, uint32_t samples);

void hwl_sums_narrow(uint32_t simd, const hwl_block *block, const hwl_narrow *narrow);

/* Samples and grids of any width. */
typedef struct hwl_wide {
    int64_t *codes;    /* [samples, stride]; zeros behind the last line */
    size_t stride;     /* a multiple of 4 */
    int64_t *panel;    /* [16, stride]: the grid values of sixteen output lines */
} hwl_wide;

#define HWL_WIDE_LINES 16u

void hwl_sums_wide(uint32_t simd, const hwl_block *block, const hwl_wide *wide);

#endif
