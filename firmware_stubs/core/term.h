/* Each term for one cell; both forms of looking at a tile are made of these. */
#ifndef HWL_TERM_H
#define HWL_TERM_H

#include "exponent.h"
#include "interpolate.h"
#include "tile.h"

static inline float hwl_level(const hwl_levels *levels, float u)
{
    return hwl_interpolate(levels->values, levels->knots, u);
}

static inline float hwl_level_argument(const hwl_terms *terms, float w)
{
    return hwl_clamp((w - terms->level_low) * terms->level_scale, 0.0f, 1.0f);
}

/* Whether pulses move a cell: a stuck one neither drifts nor relaxes. */
static inline int hwl_moves(const hwl_cell *cell)
{
    return cell->bound_max > cell->bound_min;
}

/* Ticks since the last pulse. */
static inline float hwl_age(const hwl_time *time, size_t cell)
{
    return time->now > time->pulsed[cell] ? (float)(time->now - time->pulsed[cell]) : 0.0f;
}

/* The state `v` after an age; `xi` is the cell's own. */
static inline float hwl_drifted(const hwl_terms *terms, float v, float u, float age, float xi)
{
    const float octaves = hwl_log2(1.0f + age * terms->drift_rate);
    const float exponent = hwl_level(&terms->drift_exponent, u) * (1.0f + terms->drift_spread * xi);
    return (v - terms->drift_zero) * hwl_exp2(-(exponent * octaves)) + terms->drift_zero;
}

/* Octaves of an age, and what a path has come to after them: steps that are over, and a share of the next. */
static inline float hwl_relaxation_octaves(const hwl_terms *terms, float age)
{
    return hwl_log2(1.0f + age * terms->relaxation_rate);
}

static inline float hwl_relaxed(const hwl_terms *terms, float v, float u, float octaves, float path)
{
    return v + (hwl_level(&terms->relaxation_mean, u) * octaves + hwl_level(&terms->relaxation_std, u) * path);
}

/* Time of a cell's noise, in ticks: no two cells of a tile keep the same, so that they do not change together. */
static inline uint64_t hwl_own_time(const hwl_time *time, size_t cell)
{
    return time->now + ((uint64_t)cell + 1u) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline uint32_t hwl_octave_block(uint64_t own_time, uint32_t shift)
{
    return (uint32_t)(own_time >> shift);
}

static inline float hwl_noisy(const hwl_terms *terms, float v, float u, float sum)
{
    return v + hwl_level(&terms->noise_std, u) * sum;
}

/* With the trap of a cell, if it has one. */
static inline float hwl_trapped(const hwl_terms *terms, float v, float u, uint64_t own_time, uint32_t cell,
                                uint32_t trap_key, uint32_t filled_key)
{
    const hwl_words trap = hwl_words_at(trap_key, cell, 0);
    if (trap.word[0] > terms->trap_last) {
        return v;
    }
    const hwl_words slowness = hwl_words_at(trap_key, cell, 1);
    const uint32_t octave = (uint32_t)((uint64_t)slowness.word[0] * terms->trap_octaves >> 32);
    const uint32_t block = hwl_octave_block(own_time, terms->trap_shift + octave);
    const float filled = hwl_words_at(filled_key, cell, block).word[0] < terms->trap_filled ? 1.0f : 0.0f;
    const float height = hwl_level(&terms->trap_height, u) * (1.0f + terms->trap_spread * hwl_gaussian(trap.word[1]));
    return v + height * (filled - terms->trap_mean);
}

#endif
