/* Converters, many values at a time. */
#ifndef HWL_CONVERT_FAST_H
#define HWL_CONVERT_FAST_H

#include "read.h"
#include "simd.h"

/* `hwl_convert` of sums[n] * lsb + noise * xi[n], without the noise if `xi` is NULL. */
void hwl_convert_fast(uint32_t simd, const hwl_adc *adc, uint32_t count, const float *sums, float lsb, float noise,
                      const float *xi, int32_t *codes, uint8_t *saturated);

#endif
