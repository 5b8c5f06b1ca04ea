#include "convert_fast.h"

/* The arithmetic of `hwl_convert`, with the bounds outside the loop. */
HWL_INLINE void convert(const hwl_adc *adc, uint32_t count, const hwl_inputs *inputs, const float *restrict xi,
                        const float *restrict gains, int32_t *restrict codes, uint8_t *restrict saturated)
{
    const float *restrict const sums = inputs->sums;
    const float *restrict const offsets = inputs->offsets;
    const float lsb = inputs->lsb;
    const float noise = inputs->noise;
    const float scale = (float)adc->code_max / adc->range;
    const float limit = (float)(adc->code_max + 1);
    const float largest = (float)adc->code_max;
    const int32_t code_max = adc->code_max;
    for (uint32_t n = 0; n < count; n++) {
        const float y = sums[n] * lsb;
        const float noisy = xi ? y + noise * xi[n] : y;
        const float converted = gains ? noisy * gains[n] + offsets[n] : noisy;
        const float value = converted * scale;
        const float clamped = hwl_clamp(value, -limit, limit);
        const int32_t code = (int32_t)(clamped + (clamped < 0.0f ? -0.5f : 0.5f));
        saturated[n] = (uint8_t)((value >= largest) | (value <= -largest));
        codes[n] = code > code_max ? code_max : code < -code_max ? -code_max : code;
    }
}

/* A loop for each of what there may be. */
HWL_INLINE void convert_any(const hwl_adc *adc, uint32_t count, const hwl_inputs *inputs, int32_t *codes,
                            uint8_t *saturated)
{
    if (inputs->gains && inputs->xi) {
        convert(adc, count, inputs, inputs->xi, inputs->gains, codes, saturated);
    } else if (inputs->gains) {
        convert(adc, count, inputs, NULL, inputs->gains, codes, saturated);
    } else if (inputs->xi) {
        convert(adc, count, inputs, inputs->xi, NULL, codes, saturated);
    } else {
        convert(adc, count, inputs, NULL, NULL, codes, saturated);
    }
}

#if HWL_HAVE_AVX2
HWL_AVX2 static void convert_avx2(const hwl_adc *adc, uint32_t count, const hwl_inputs *inputs, int32_t *codes,
                                  uint8_t *saturated)
{
    convert_any(adc, count, inputs, codes, saturated);
}
#endif

void hwl_convert_fast(uint32_t simd, const hwl_adc *adc, uint32_t count, const hwl_inputs *inputs, int32_t *codes,
                      uint8_t *saturated)
{
#if HWL_HAVE_AVX2
    if (simd == HWL_SIMD_AVX2) {
        convert_avx2(adc, count, inputs, codes, saturated);
        return;
    }
#endif
    (void)simd;
    convert_any(adc, count, inputs, codes, saturated);
}
