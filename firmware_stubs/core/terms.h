/* Terms of the model that depend on the chip's clock: drift, relaxation, low-frequency and telegraph noise.
 *
 * docs/array-model.md, section 5, is the specification. */
#ifndef HWL_TERMS_H
#define HWL_TERMS_H

#include <stdint.h>

#define HWL_LEVELS_MAX 33u
#define HWL_OCTAVES_MAX 40u

/* A quantity over the state, at equally spaced values of the argument. */
typedef struct hwl_levels {
    uint32_t knots; /* at least 2 */
    float values[HWL_LEVELS_MAX];
} hwl_levels;

/* What a host says of a tile's terms: plain numbers of 32 bits, the same in memory everywhere. Zeros are a term that is
 * off. */
typedef struct hwl_terms {
    float level_low;   /* state at which the argument of all levels is 0 */
    float level_scale; /* argument per state */
    float drift_rate;  /* per tick; 0 without drift */
    float drift_spread;
    float drift_zero;      /* state of conductance 0 */
    float relaxation_rate; /* per tick; 0 without relaxation */
    uint32_t noise_octaves; /* 0 without low-frequency noise */
    uint32_t noise_shift;   /* the first octave is constant for 2^noise_shift ticks */
    uint32_t trap_octaves;  /* 0 without traps */
    uint32_t trap_shift;
    uint32_t trap_last;   /* a cell whose word is at most this has a trap */
    uint32_t trap_filled; /* a trap whose word is below this is filled */
    float trap_spread;
    float trap_mean; /* share of the time in which a trap is filled */
    float noise_weights[HWL_OCTAVES_MAX];
    hwl_levels drift_exponent;
    hwl_levels relaxation_mean;
    hwl_levels relaxation_std;
    hwl_levels noise_std;
    hwl_levels trap_height;
} hwl_terms;

_Static_assert(sizeof(hwl_terms) == 4u * (14u + HWL_OCTAVES_MAX + 5u * (1u + HWL_LEVELS_MAX)), "numbers of 32 bits");

/* The time of a tile whose terms are not all off. The caller owns every array. */
typedef struct hwl_time {
    uint64_t now; /* of the tile's clock, when the operation at hand began */
    const hwl_terms *terms;
    uint64_t *pulsed;   /* [rows, cols], `now` of a cell's last pulse */
    uint32_t *counted;  /* [rows, cols], a cell's pulses that `pulsed` knows of */
    float *seen;        /* [rows, cols], what reads see */
    uint64_t *seen_at;  /* [rows], `now` that `seen` is of */
    uint32_t *seen_of;  /* [rows], version of the row that `seen` is of */
    uint32_t *seen_versions; /* [rows], counts the changes of `seen` */
} hwl_time;

#endif
