/* Pulses on eight cells at once, their states and parameters in registers. */
#ifndef HWL_STATES_AVX2_H
#define HWL_STATES_AVX2_H

#include "avx2.h"
#include "byte_bits.h"
#include "tile.h"

#if HWL_HAVE_AVX2

HWL_AVX2 static inline __m256i positions_avx2(const uint8_t positions[8])
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)positions));
}

/* Eight cells in registers. */
typedef struct states {
    __m256 up_a, up_b, down_a, down_b, bound_max, bound_min;
    __m256 w;
    __m256 eta; /* of the last pulse */
    __m256i pulses; /* counted downwards */
} states;

HWL_AVX2 static inline void load_states(states *states, const hwl_cell cells[8], const float w[8])
{
    __m256 row[8], pair[8], quad[8];
    for (int n = 0; n < 8; n++) {
        row[n] = _mm256_loadu_ps(&cells[n].up_a);
    }
    for (int n = 0; n < 8; n += 2) {
        pair[n] = _mm256_unpacklo_ps(row[n], row[n + 1]);
        pair[n + 1] = _mm256_unpackhi_ps(row[n], row[n + 1]);
    }
    for (int n = 0; n < 8; n += 4) {
        quad[n] = _mm256_shuffle_ps(pair[n], pair[n + 2], 0x44);
        quad[n + 1] = _mm256_shuffle_ps(pair[n], pair[n + 2], 0xEE);
        quad[n + 2] = _mm256_shuffle_ps(pair[n + 1], pair[n + 3], 0x44);
        quad[n + 3] = _mm256_shuffle_ps(pair[n + 1], pair[n + 3], 0xEE);
    }
    states->up_a = _mm256_permute2f128_ps(quad[0], quad[4], 0x20);
    states->up_b = _mm256_permute2f128_ps(quad[1], quad[5], 0x20);
    states->down_a = _mm256_permute2f128_ps(quad[2], quad[6], 0x20);
    states->down_b = _mm256_permute2f128_ps(quad[3], quad[7], 0x20);
    states->bound_max = _mm256_permute2f128_ps(quad[0], quad[4], 0x31);
    states->bound_min = _mm256_permute2f128_ps(quad[1], quad[5], 0x31);
    states->w = _mm256_loadu_ps(w);
    states->eta = _mm256_setzero_ps();
    states->pulses = _mm256_setzero_si256();
}

/* All ones in the lanes whose bit is set. */
HWL_AVX2 static inline __m256 chosen(__m256i bits, __m256i lane_bits)
{
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(bits, lane_bits), lane_bits));
}

/* Gaussians of the lanes of a mask, from those that lie together. */
HWL_AVX2 static inline __m256 spread(const float *together, uint8_t mask)
{
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(together), positions_avx2(hwl_bits_below[mask]));
}

enum cycle_noise { NO_NOISE, ADDITIVE, MULTIPLICATIVE };

/* One pulse on the cells of `mask`; the same operations in the same order as `hwl_moved`. */
HWL_AVX2 HWL_INLINE void pulse_states(states *states, enum cycle_noise noise, int write_noise, __m256 scale,
                                      __m256 hit, __m256 down, const float *first, const float *second, uint8_t mask)
{
    const __m256 a = _mm256_blendv_ps(states->up_a, states->down_a, down);
    const __m256 b = _mm256_blendv_ps(states->up_b, states->down_b, down);
    const __m256 w = states->w;
    __m256 step = _mm256_add_ps(a, _mm256_mul_ps(b, w));
    if (noise == ADDITIVE) {
        step = _mm256_add_ps(step, _mm256_mul_ps(_mm256_mul_ps(scale, a), spread(first, mask)));
    }
    if (noise == MULTIPLICATIVE) {
        const __m256 factor = _mm256_add_ps(_mm256_set1_ps(1.0f), _mm256_mul_ps(scale, spread(first, mask)));
        step = _mm256_mul_ps(step, factor);
    }
    const __m256 moved =
        _mm256_min_ps(states->bound_max, _mm256_max_ps(states->bound_min, _mm256_add_ps(w, step)));
    states->w = _mm256_blendv_ps(w, moved, hit);
    states->pulses = _mm256_add_epi32(states->pulses, _mm256_castps_si256(hit));
    if (write_noise) {
        states->eta = _mm256_blendv_ps(states->eta, spread(second, mask), hit);
    }
}

HWL_AVX2 static inline void store_states(const states *states, int write_noise, hwl_cell cells[8], float *w,
                                         float *visible)
{
    int32_t pulses[8];
    _mm256_storeu_si256((__m256i *)pulses, states->pulses);
    __m256 seen = states->w;
    if (write_noise) {
        float noise[8];
        for (int n = 0; n < 8; n++) {
            noise[n] = cells[n].write_noise;
        }
        seen = _mm256_add_ps(seen, _mm256_mul_ps(_mm256_loadu_ps(noise), states->eta));
    }
    const __m256 touched = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_setzero_si256(), states->pulses));
    _mm256_storeu_ps(w, states->w);
    _mm256_storeu_ps(visible, _mm256_blendv_ps(_mm256_loadu_ps(visible), seen, touched));
    for (int n = 0; n < 8; n++) {
        cells[n].pulses -= (uint32_t)pulses[n];
    }
}

#endif
#endif
