#include "sums.h"

#include "avx2.h"

#define FORWARD_GROUP 3u
#define BACKWARD_GROUP 6u
#define ROWS 4u /* of a forward read, whose sums are in registers together */

uint32_t hwl_group_samples(uint32_t kind, uint32_t samples)
{
    return samples == 1u ? 1u : kind == HWL_FORWARD ? FORWARD_GROUP : BACKWARD_GROUP;
}

static const int16_t *row_of(const hwl_block *block, uint32_t row)
{
    return (const int16_t *)block->grid->values + row * hwl_grid_stride(block->tile->cols);
}

#if HWL_HAVE_AVX2

HWL_AVX2 static inline __m256i load_avx2(const int16_t *values)
{
    return _mm256_loadu_si256((const __m256i *)values);
}

/* The four sums of vectors, in order. */
HWL_AVX2 static inline __m128i sums_of(const __m256i vectors[ROWS])
{
    const __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(vectors[0], vectors[1]),
                                            _mm256_hadd_epi32(vectors[2], vectors[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

/* Sums of four rows and a group of samples. */
HWL_AVX2 HWL_INLINE void forward_group(const int16_t *const rows[ROWS], const int16_t *codes, size_t stride,
                                       const uint16_t *steps, uint32_t count, uint32_t samples, float *sums,
                                       uint32_t lines)
{
    __m256i sum[FORWARD_GROUP][ROWS];
    HWL_UNROLL(3)
    for (uint32_t s = 0; s < samples; s++) {
        HWL_UNROLL(4)
        for (uint32_t r = 0; r < ROWS; r++) {
            sum[s][r] = _mm256_setzero_si256();
        }
    }
    for (uint32_t n = 0; n < count; n++) {
        const size_t at = (size_t)steps[n] * HWL_FORWARD_STEP;
        __m256i code[FORWARD_GROUP];
        HWL_UNROLL(3)
        for (uint32_t s = 0; s < samples; s++) {
            code[s] = load_avx2(codes + s * stride + at);
        }
        HWL_UNROLL(4)
        for (uint32_t r = 0; r < ROWS; r++) {
            const __m256i values = load_avx2(rows[r] + at);
            HWL_UNROLL(3)
            for (uint32_t s = 0; s < samples; s++) {
                sum[s][r] = _mm256_add_epi32(sum[s][r], _mm256_madd_epi16(values, code[s]));
            }
        }
    }
    HWL_UNROLL(3)
    for (uint32_t s = 0; s < samples; s++) {
        _mm_storeu_ps(sums + s * lines, _mm_cvtepi32_ps(sums_of(sum[s])));
    }
}

HWL_AVX2 static void forward_avx2(const hwl_block *block, const hwl_narrow *narrow)
{
    const uint32_t steps = hwl_step_count(HWL_FORWARD, block->driven);
    for (uint32_t sample = 0, g = 0; sample < block->samples; sample += narrow->group, g++) {
        const int16_t *const codes = narrow->codes + sample * narrow->stride;
        const uint16_t *const listed = narrow->steps + (size_t)g * steps;
        for (uint32_t line = 0; line < block->end - block->begin; line += ROWS) {
            const int16_t *rows[ROWS];
            for (uint32_t r = 0; r < ROWS; r++) {
                const uint32_t row = block->begin + line + r;
                rows[r] = row_of(block, row < block->end ? row : block->end - 1u);
            }
            float *const sums = block->sums + (size_t)sample * block->lines + line;
            if (narrow->group == 1u) {
                forward_group(rows, codes, narrow->stride, listed, narrow->counts[g], 1, sums, block->lines);
            } else {
                forward_group(rows, codes, narrow->stride, listed, narrow->counts[g], FORWARD_GROUP, sums,
                              block->lines);
            }
        }
    }
}

/* Sums of sixteen columns and a group of samples. */
HWL_AVX2 static void backward_group(const int16_t *panel, const int16_t *codes, size_t stride,
                                    const uint16_t *steps, uint32_t count, float *sums, uint32_t lines)
{
    __m256i sum[BACKWARD_GROUP][2];
    HWL_UNROLL(6)
    for (uint32_t s = 0; s < BACKWARD_GROUP; s++) {
        sum[s][0] = sum[s][1] = _mm256_setzero_si256();
    }
    for (uint32_t n = 0; n < count; n++) {
        const __m256i low = load_avx2(panel + (size_t)steps[n] * 32u);
        const __m256i high = load_avx2(panel + (size_t)steps[n] * 32u + 16u);
        HWL_UNROLL(6)
        for (uint32_t s = 0; s < BACKWARD_GROUP; s++) {
            int32_t pair;
            __builtin_memcpy(&pair, codes + s * stride + (size_t)steps[n] * HWL_BACKWARD_STEP, sizeof pair);
            const __m256i code = _mm256_set1_epi32(pair);
            sum[s][0] = _mm256_add_epi32(sum[s][0], _mm256_madd_epi16(low, code));
            sum[s][1] = _mm256_add_epi32(sum[s][1], _mm256_madd_epi16(high, code));
        }
    }
    HWL_UNROLL(6)
    for (uint32_t s = 0; s < BACKWARD_GROUP; s++) {
        _mm256_storeu_ps(sums + s * lines, _mm256_cvtepi32_ps(sum[s][0]));
        _mm256_storeu_ps(sums + s * lines + 8u, _mm256_cvtepi32_ps(sum[s][1]));
    }
}

/* Interleaves two rows each of the columns [col, col + 16). */
HWL_AVX2 static void pack_panel(const hwl_block *block, const hwl_narrow *narrow, uint32_t col)
{
    const uint32_t whole = block->driven / HWL_BACKWARD_STEP;
    const size_t stride = hwl_grid_stride(block->tile->cols);
    const int16_t *from = row_of(block, 0) + col;
    int16_t *to = narrow->panel;
    for (uint32_t step = 0; step < whole; step++, from += 2u * stride, to += 32u) {
        const __m256i even = load_avx2(from), odd = load_avx2(from + stride);
        const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
        _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256((__m256i *)(to + 16u), _mm256_permute2x128_si256(low, high, 0x31));
    }
    if (block->driven % HWL_BACKWARD_STEP != 0u) {
        for (uint32_t n = 0; n < 16u; n++) {
            to[2 * n] = from[n];
            to[2 * n + 1] = 0;
        }
    }
}

#define SINGLE_COLUMNS 64u /* of a backward read of one sample, whose sums are in registers together */

/* Adds two rows times their codes to the sums of 64 columns, or of the first `width` of them. */
HWL_AVX2 HWL_INLINE void add_rows(__m256i sum[8], const int16_t *even, const int16_t *odd, __m256i code,
                                  uint32_t width)
{
    HWL_UNROLL(4)
    for (uint32_t n = 0; n < SINGLE_COLUMNS / 16u; n++) {
        if (16u * n < width) {
            const __m256i upper = load_avx2(even + 16u * n), lower = load_avx2(odd + 16u * n);
            sum[2 * n] = _mm256_add_epi32(sum[2 * n], _mm256_madd_epi16(_mm256_unpacklo_epi16(upper, lower), code));
            sum[2 * n + 1] =
                _mm256_add_epi32(sum[2 * n + 1], _mm256_madd_epi16(_mm256_unpackhi_epi16(upper, lower), code));
        }
    }
}

/* Sums of one sample, straight from the grid: a panel would be used once. */
HWL_AVX2 static void backward_single(const hwl_block *block, const hwl_narrow *narrow)
{
    const size_t stride = hwl_grid_stride(block->tile->cols);
    for (uint32_t line = 0; line < block->end - block->begin; line += SINGLE_COLUMNS) {
        const uint32_t padded = (uint32_t)stride - block->begin - line;
        const uint32_t width = padded < SINGLE_COLUMNS ? padded : SINGLE_COLUMNS;
        __m256i sum[8];
        for (uint32_t n = 0; n < 8u; n++) {
            sum[n] = _mm256_setzero_si256();
        }
        for (uint32_t n = 0; n < narrow->counts[0]; n++) {
            const uint32_t row = narrow->steps[n] * HWL_BACKWARD_STEP;
            const int16_t *const even = row_of(block, row) + block->begin + line;
            const int16_t *const odd = row + 1u < block->driven ? even + stride : even; /* times 0 */
            int32_t pair;
            __builtin_memcpy(&pair, narrow->codes + row, sizeof pair);
            if (width == SINGLE_COLUMNS) {
                add_rows(sum, even, odd, _mm256_set1_epi32(pair), SINGLE_COLUMNS);
            } else {
                add_rows(sum, even, odd, _mm256_set1_epi32(pair), width);
            }
        }
        for (uint32_t n = 0; 16u * n < width; n++) {
            float *const to = block->sums + line + 16u * n;
            const __m256i low = _mm256_permute2x128_si256(sum[2 * n], sum[2 * n + 1], 0x20);
            const __m256i high = _mm256_permute2x128_si256(sum[2 * n], sum[2 * n + 1], 0x31);
            _mm256_storeu_ps(to, _mm256_cvtepi32_ps(low));
            _mm256_storeu_ps(to + 8u, _mm256_cvtepi32_ps(high));
        }
    }
}

HWL_AVX2 static void backward_avx2(const hwl_block *block, const hwl_narrow *narrow)
{
    const uint32_t steps = hwl_step_count(HWL_BACKWARD, block->driven);
    if (block->samples == 1u) {
        backward_single(block, narrow);
        return;
    }
    for (uint32_t line = 0; line < block->end - block->begin; line += 16u) {
        pack_panel(block, narrow, block->begin + line);
        for (uint32_t sample = 0, g = 0; sample < block->samples; sample += narrow->group, g++) {
            const int16_t *const codes = narrow->codes + sample * narrow->stride;
            const uint16_t *const listed = narrow->steps + (size_t)g * steps;
            float *const sums = block->sums + (size_t)sample * block->lines + line;
            backward_group(narrow->panel, codes, narrow->stride, listed, narrow->counts[g], sums, block->lines);
        }
    }
}

#endif

static void forward(const hwl_block *block, const hwl_narrow *narrow)
{
    for (uint32_t line = block->begin; line < block->end; line++) {
        const int16_t *const row = row_of(block, line);
        for (uint32_t sample = 0; sample < block->samples; sample++) {
            const int16_t *const codes = narrow->codes + sample * narrow->stride;
            int32_t sum = 0;
            for (uint32_t n = 0; n < block->driven; n++) {
                sum += row[n] * codes[n];
            }
            block->sums[(size_t)sample * block->lines + line - block->begin] = (float)sum;
        }
    }
}

static void backward(const hwl_block *block, const hwl_narrow *narrow)
{
    const uint32_t lines = block->end - block->begin;
    for (uint32_t sample = 0; sample < block->samples; sample++) {
        const int16_t *const codes = narrow->codes + sample * narrow->stride;
        int32_t sums[HWL_BLOCK_LINES] = {0};
        for (uint32_t row = 0; row < block->driven; row++) {
            const int16_t *const values = row_of(block, row) + block->begin;
            const int16_t code = codes[row];
            for (uint32_t n = 0; code != 0 && n < lines; n++) {
                sums[n] += values[n] * code;
            }
        }
        for (uint32_t n = 0; n < lines; n++) {
            block->sums[(size_t)sample * block->lines + n] = (float)sums[n];
        }
    }
}

void hwl_sums_narrow(uint32_t simd, const hwl_block *block, const hwl_narrow *narrow)
{
#if HWL_HAVE_AVX2
    if (simd == HWL_SIMD_AVX2) {
        block->kind == HWL_FORWARD ? forward_avx2(block, narrow) : backward_avx2(block, narrow);
        return;
    }
#endif
    (void)simd;
    block->kind == HWL_FORWARD ? forward(block, narrow) : backward(block, narrow);
}
