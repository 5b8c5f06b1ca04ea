#include "sums.h"

#include "avx2.h"

/* Copies the grid values of up to sixteen output lines, one after the other; zeros behind the last driven line. */
static void fill_panel(const hwl_block *block, const hwl_wide *wide, uint32_t begin, uint32_t end)
{
    const hwl_tile *const tile = block->tile;
    const size_t stride = hwl_grid_stride(tile->cols);
    const int forward = block->kind == HWL_FORWARD;
    const size_t line_step = forward ? stride : 1u, driven_step = forward ? 1u : stride;
    for (uint32_t line = begin; line < end; line++) {
        int64_t *const to = wide->panel + (line - begin) * wide->stride;
        const size_t from = line * line_step;
        if (tile->cell_bits == 16u) {
            const int16_t *const values = (const int16_t *)block->grid->values + from;
            for (uint32_t n = 0; n < block->driven; n++) {
                to[n] = values[n * driven_step];
            }
        } else {
            const int32_t *const values = (const int32_t *)block->grid->values + from;
            for (uint32_t n = 0; n < block->driven; n++) {
                to[n] = values[n * driven_step];
            }
        }
        for (size_t n = block->driven; n < wide->stride; n++) {
            to[n] = 0;
        }
    }
}

#if HWL_HAVE_AVX2

#define LINES 4u

HWL_AVX2 static inline __m256i load_avx2(const int64_t *values)
{
    return _mm256_loadu_si256((const __m256i *)values);
}

/* Sums of four lines of the panel and one sample; codes and values have 32 bits, their products 64. */
HWL_AVX2 static void sum_lines_avx2(const int64_t *panel, const int64_t *codes, size_t stride, float sums[LINES])
{
    __m256i sum[LINES];
    for (uint32_t n = 0; n < LINES; n++) {
        sum[n] = _mm256_setzero_si256();
    }
    for (size_t at = 0; at < stride; at += 4u) {
        const __m256i code = load_avx2(codes + at);
        for (uint32_t n = 0; n < LINES; n++) {
            sum[n] = _mm256_add_epi64(sum[n], _mm256_mul_epi32(load_avx2(panel + n * stride + at), code));
        }
    }
    for (uint32_t n = 0; n < LINES; n++) {
        int64_t parts[4];
        _mm256_storeu_si256((__m256i *)parts, sum[n]);
        sums[n] = (float)(parts[0] + parts[1] + parts[2] + parts[3]);
    }
}

#endif

static void sum_line(const int64_t *panel, const int64_t *codes, size_t stride, float *to)
{
    int64_t sum = 0;
    for (size_t n = 0; n < stride; n++) {
        HWL_SCALAR_LOOP;
        sum += panel[n] * codes[n];
    }
    *to = (float)sum;
}

void hwl_sums_wide(uint32_t simd, const hwl_block *block, const hwl_wide *wide)
{
    for (uint32_t begin = block->begin; begin < block->end; begin += HWL_WIDE_LINES) {
        const uint32_t end = block->end - begin < HWL_WIDE_LINES ? block->end : begin + HWL_WIDE_LINES;
        fill_panel(block, wide, begin, end);
        for (uint32_t sample = 0; sample < block->samples; sample++) {
            const int64_t *const codes = wide->codes + sample * wide->stride;
            float *const sums = block->sums + (size_t)sample * block->lines + begin - block->begin;
            uint32_t line = 0;
#if HWL_HAVE_AVX2
            for (; simd == HWL_SIMD_AVX2 && line + LINES <= end - begin; line += LINES) {
                sum_lines_avx2(wide->panel + line * wide->stride, codes, wide->stride, sums + line);
            }
#endif
            (void)simd;
            for (; line < end - begin; line++) {
                sum_line(wide->panel + line * wide->stride, codes, wide->stride, sums + line);
            }
        }
    }
}
