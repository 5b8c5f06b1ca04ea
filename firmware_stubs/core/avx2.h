/* Random numbers eight lanes at a time. For files that hold functions marked HWL_AVX2; empty elsewhere. */
#ifndef HWL_AVX2_H
#define HWL_AVX2_H

#include "random.h"
#include "simd.h"

#if HWL_HAVE_AVX2

#include <immintrin.h>

#define HWL_LANES_AVX2 32u
#define HWL_VECTORS_AVX2 4

/* First and second words of 32 lanes, in the order of the lanes. */
typedef struct hwl_words_avx2 {
    __m256i first[HWL_VECTORS_AVX2];
    __m256i second[HWL_VECTORS_AVX2];
} hwl_words_avx2;

HWL_AVX2 static inline __m256i hwl_odd_avx2(__m256i words)
{
    return _mm256_srli_epi64(words, 32);
}

HWL_AVX2 static inline __m256i hwl_together_avx2(__m256i even, __m256i odd)
{
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

/* The keys of the rounds of a key. */
typedef struct hwl_keys_avx2 {
    __m256i round[HWL_PHILOX_ROUNDS];
} hwl_keys_avx2;

HWL_AVX2 static inline hwl_keys_avx2 hwl_keys_of_avx2(uint32_t key)
{
    hwl_keys_avx2 keys;
    for (int round = 0; round < HWL_PHILOX_ROUNDS; round++) {
        keys.round[round] = _mm256_set1_epi32((int32_t)key);
        key += HWL_PHILOX_WEYL_0;
    }
    return keys;
}

/* `hwl_words_at` of 32 lanes. The multiplier takes the even words of a vector only, so even and odd lanes have
 * vectors of their own. Eight chains hide its latency, though not all of them fit into registers: 1.2 ns a lane
 * with eight, 1.4 with six, 1.7 with four (Zen 3, 3.2 GHz). */
HWL_AVX2 HWL_INLINE hwl_words_avx2 hwl_words_at_avx2(const hwl_keys_avx2 *keys,
                                                     const __m256i lanes[HWL_VECTORS_AVX2],
                                                     const __m256i steps[HWL_VECTORS_AVX2])
{
    const __m256i multiplier = _mm256_set1_epi64x((int64_t)HWL_PHILOX2_MULTIPLIER);
    __m256i right[2 * HWL_VECTORS_AVX2], left[2 * HWL_VECTORS_AVX2];
    for (int n = 0; n < HWL_VECTORS_AVX2; n++) {
        right[2 * n] = lanes[n];
        right[2 * n + 1] = hwl_odd_avx2(lanes[n]);
        left[2 * n] = steps[n];
        left[2 * n + 1] = hwl_odd_avx2(steps[n]);
    }
    HWL_UNROLL(10)
    for (int round = 0; round < HWL_PHILOX_ROUNDS; round++) {
        HWL_UNROLL(8)
        for (int chain = 0; chain < 2 * HWL_VECTORS_AVX2; chain++) {
            const __m256i product = _mm256_mul_epu32(right[chain], multiplier);
            right[chain] =
                _mm256_xor_si256(hwl_odd_avx2(product), _mm256_xor_si256(left[chain], keys->round[round]));
            left[chain] = product;
        }
    }
    hwl_words_avx2 words;
    for (int n = 0; n < HWL_VECTORS_AVX2; n++) {
        words.first[n] = hwl_together_avx2(right[2 * n], right[2 * n + 1]);
        words.second[n] = hwl_together_avx2(left[2 * n], left[2 * n + 1]);
    }
    return words;
}

/* `hwl_gaussian` of eight words. */
HWL_AVX2 static inline __m256 hwl_gaussian_avx2(__m256i words)
{
    const __m256i bits_of_nibble =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i dither = _mm256_set1_epi32(63);
    const __m256i binomial = _mm256_srli_epi32(words, 12);
    const __m256i low = _mm256_shuffle_epi8(bits_of_nibble, _mm256_and_si256(binomial, nibble));
    const __m256i high = _mm256_shuffle_epi8(bits_of_nibble, _mm256_and_si256(_mm256_srli_epi32(binomial, 4), nibble));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_add_epi8(low, high), _mm256_set1_epi8(64));
    const __m256i dithers = _mm256_add_epi32(_mm256_and_si256(words, dither),
                                             _mm256_and_si256(_mm256_srli_epi32(words, 6), dither));
    __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)), dithers);
    sum = _mm256_sub_epi32(sum, _mm256_set1_epi32(HWL_GAUSSIAN_MIDDLE));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(HWL_GAUSSIAN_SCALE));
}

#endif
#endif
