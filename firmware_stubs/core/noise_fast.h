/* Gaussians of many lanes at once. */
#ifndef HWL_NOISE_FAST_H
#define HWL_NOISE_FAST_H

#include "random.h"
#include "simd.h"

/* Numbers are made in groups of this many; arrays of lanes, steps and Gaussians have room for whole groups. */
#define HWL_NOISE_GROUP 32u

/* Gaussians of `count` lanes at their steps: `first` from word 0 and, unless NULL, `second` from word 1.
 *
 * The bits of `lane_mask` belong to a lane; the others are ignored. */
HWL_API void hwl_noise(uint32_t simd, uint32_t key, uint32_t count, const uint32_t *lanes, uint32_t lane_mask,
                       const uint32_t *steps, float *first, float *second);

/* Gaussians from word 0 of the lanes `lane`, `lane + 1`, ... at one step. */
HWL_API void hwl_noise_line(uint32_t simd, uint32_t key, uint32_t count, uint32_t lane, uint32_t step, float *first);

#endif
