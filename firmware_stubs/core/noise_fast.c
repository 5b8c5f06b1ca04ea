#include "noise_fast.h"

#include <stddef.h>

#include "avx2.h"

#if HWL_HAVE_AVX2

HWL_AVX2 HWL_INLINE void store_avx2(float *to, const __m256i words[HWL_VECTORS_AVX2])
{
    HWL_UNROLL(4)
    for (int n = 0; n < HWL_VECTORS_AVX2; n++) {
        _mm256_storeu_ps(to + 8 * n, hwl_gaussian_avx2(words[n]));
    }
}

HWL_AVX2 HWL_INLINE void noise_avx2(uint32_t key, uint32_t count, const uint32_t *lanes, uint32_t lane_mask,
                                    const uint32_t *steps, float *first, float *second)
{
    const hwl_keys_avx2 keys = hwl_keys_of_avx2(key);
    const __m256i mask = _mm256_set1_epi32((int32_t)lane_mask);
    for (uint32_t at = 0; at < count; at += HWL_NOISE_GROUP) {
        __m256i lane[HWL_VECTORS_AVX2], step[HWL_VECTORS_AVX2];
        for (uint32_t n = 0; n < HWL_VECTORS_AVX2; n++) {
            lane[n] = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(lanes + at + 8 * n)), mask);
            step[n] = _mm256_loadu_si256((const __m256i *)(steps + at + 8 * n));
        }
        const hwl_words_avx2 words = hwl_words_at_avx2(&keys, lane, step);
        store_avx2(first + at, words.first);
        if (second) {
            store_avx2(second + at, words.second);
        }
    }
}

HWL_AVX2 static void noise_first_avx2(uint32_t key, uint32_t count, const uint32_t *lanes, uint32_t lane_mask,
                                      const uint32_t *steps, float *first)
{
    noise_avx2(key, count, lanes, lane_mask, steps, first, NULL);
}

HWL_AVX2 static void noise_both_avx2(uint32_t key, uint32_t count, const uint32_t *lanes, uint32_t lane_mask,
                                     const uint32_t *steps, float *first, float *second)
{
    noise_avx2(key, count, lanes, lane_mask, steps, first, second);
}

HWL_AVX2 static void noise_line_avx2(uint32_t key, uint32_t count, uint32_t lane, uint32_t step, float *first)
{
    const hwl_keys_avx2 keys = hwl_keys_of_avx2(key);
    const __m256i iota = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (uint32_t at = 0; at < count; at += HWL_NOISE_GROUP) {
        __m256i lanes[HWL_VECTORS_AVX2], steps[HWL_VECTORS_AVX2];
        for (uint32_t n = 0; n < HWL_VECTORS_AVX2; n++) {
            lanes[n] = _mm256_add_epi32(_mm256_set1_epi32((int32_t)(lane + at + 8u * n)), iota);
            steps[n] = _mm256_set1_epi32((int32_t)step);
        }
        store_avx2(first + at, hwl_words_at_avx2(&keys, lanes, steps).first);
    }
}

#endif

void hwl_noise(uint32_t simd, uint32_t key, uint32_t count, const uint32_t *lanes, uint32_t lane_mask,
               const uint32_t *steps, float *first, float *second)
{
#if HWL_HAVE_AVX2
    if (simd == HWL_SIMD_AVX2) {
        if (second) {
            noise_both_avx2(key, count, lanes, lane_mask, steps, first, second);
        } else {
            noise_first_avx2(key, count, lanes, lane_mask, steps, first);
        }
        return;
    }
#endif
    (void)simd;
    for (uint32_t n = 0; n < count; n++) {
        HWL_SCALAR_LOOP;
        const hwl_words words = hwl_words_at(key, lanes[n] & lane_mask, steps[n]);
        first[n] = hwl_gaussian(words.word[0]);
        if (second) {
            second[n] = hwl_gaussian(words.word[1]);
        }
    }
}

void hwl_noise_line(uint32_t simd, uint32_t key, uint32_t count, uint32_t lane, uint32_t step, float *first)
{
#if HWL_HAVE_AVX2
    if (simd == HWL_SIMD_AVX2) {
        noise_line_avx2(key, count, lane, step, first);
        return;
    }
#endif
    (void)simd;
    for (uint32_t n = 0; n < count; n++) {
        HWL_SCALAR_LOOP;
        first[n] = hwl_gaussian(hwl_words_at(key, lane + n, step).word[0]);
    }
}
