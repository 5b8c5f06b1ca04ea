/* Converters, many values at a time. */
#ifndef HWL_CONVERT_FAST_H
#define HWL_CONVERT_FAST_H

#include "read.h"
#include "simd.h"

/* What is converted: sums[n] * lsb + noise * xi[n], without the noise if `xi` is NULL; then by converters with gains and
 * offsets, if these are not NULL. */
typedef struct hwl_inputs {
    const float *sums;
    const float *xi;
    const float *gains;
    const float *offsets;
    float lsb;
    float noise;
} hwl_inputs;

/* `hwl_convert` of many inputs. */
void hwl_convert_fast(uint32_t simd, const hwl_adc *adc, uint32_t count, const hwl_inputs *inputs, int32_t *codes,
                      uint8_t *saturated);

#endif
