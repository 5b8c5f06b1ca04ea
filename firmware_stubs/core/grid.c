#include "grid.h"

#include "avx2.h"

size_t hwl_grid_size(const hwl_tile *tile)
{
    return tile->rows * hwl_grid_stride(tile->cols) * (tile->cell_bits == 16u ? sizeof(int16_t) : sizeof(int32_t));
}

/* Value of one cell. */
HWL_INLINE int32_t value_of(float seen, float subtracted, uint32_t plane, float scale, int32_t grid_max)
{
    const int32_t value = hwl_quantise(seen, scale, grid_max);
    return plane == HWL_DIFFERENCE ? value - hwl_quantise(subtracted, scale, grid_max) : value;
}

#if HWL_HAVE_AVX2

/* `hwl_quantise` of eight values. Where the bound of the grid applies, it does so before rounding as well as after. */
HWL_AVX2 static inline __m256i quantise_avx2(const float *values, __m256 scale, __m256 grid_max)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256 value = _mm256_mul_ps(_mm256_loadu_ps(values), scale);
    const __m256 clamped = _mm256_min_ps(grid_max, _mm256_max_ps(_mm256_xor_ps(grid_max, sign), value));
    const __m256 half = _mm256_or_ps(_mm256_and_ps(clamped, sign), _mm256_set1_ps(0.5f));
    return _mm256_cvttps_epi32(_mm256_add_ps(clamped, half));
}

HWL_AVX2 HWL_INLINE __m256i values_of_avx2(const float *seen, const float *subtracted, uint32_t plane, __m256 scale,
                                           __m256 grid_max)
{
    const __m256i value = quantise_avx2(seen, scale, grid_max);
    return plane == HWL_DIFFERENCE ? _mm256_sub_epi32(value, quantise_avx2(subtracted, scale, grid_max)) : value;
}

/* Values of whole groups of sixteen cells in 16 bits. Returns how many cells that were. */
HWL_AVX2 HWL_INLINE uint32_t narrow_row_avx2(const float *seen, const float *subtracted, uint32_t plane, float scale,
                                             int32_t grid_max, uint32_t cols, int16_t *values)
{
    const __m256 scales = _mm256_set1_ps(scale), bound = _mm256_set1_ps((float)grid_max);
    uint32_t col = 0;
    for (; col + 16u <= cols; col += 16u) {
        const __m256i low = values_of_avx2(seen + col, subtracted + col, plane, scales, bound);
        const __m256i high = values_of_avx2(seen + col + 8u, subtracted + col + 8u, plane, scales, bound);
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
        _mm256_storeu_si256((__m256i *)(values + col), packed);
    }
    return col;
}

/* The same in 32 bits, and groups of eight. */
HWL_AVX2 static uint32_t wide_row_avx2(const float *seen, const float *subtracted, uint32_t plane, float scale,
                                       int32_t grid_max, uint32_t cols, int32_t *values)
{
    const __m256 scales = _mm256_set1_ps(scale), bound = _mm256_set1_ps((float)grid_max);
    uint32_t col = 0;
    for (; col + 8u <= cols; col += 8u) {
        _mm256_storeu_si256((__m256i *)(values + col),
                            values_of_avx2(seen + col, subtracted + col, plane, scales, bound));
    }
    return col;
}

HWL_AVX2 static uint32_t narrow_either_avx2(const float *seen, const float *subtracted, uint32_t plane, float scale,
                                            int32_t grid_max, uint32_t cols, int16_t *values)
{
    return plane == HWL_DIFFERENCE
               ? narrow_row_avx2(seen, subtracted, HWL_DIFFERENCE, scale, grid_max, cols, values)
               : narrow_row_avx2(seen, subtracted, HWL_MAIN, scale, grid_max, cols, values);
}

#endif

static void refresh_row(const hwl_tile *tile, uint32_t simd, uint32_t plane, const hwl_grid *grid, uint32_t row)
{
    const float scale = hwl_grid_scale(tile);
    const int32_t grid_max = hwl_grid_max(tile);
    const size_t first = hwl_cell_index(tile, row, 0);
    const float *const subtracted = tile->reference + first;
    const float *const seen = plane == HWL_REFERENCE ? subtracted : tile->visible + first;
    const size_t at = row * hwl_grid_stride(tile->cols);
    int16_t *const narrow = tile->cell_bits == 16u ? (int16_t *)grid->values + at : NULL;
    int32_t *const wide = tile->cell_bits == 16u ? NULL : (int32_t *)grid->values + at;
    uint32_t col = 0;
#if HWL_HAVE_AVX2
    if (simd == HWL_SIMD_AVX2) {
        col = narrow ? narrow_either_avx2(seen, subtracted, plane, scale, grid_max, tile->cols, narrow)
                     : wide_row_avx2(seen, subtracted, plane, scale, grid_max, tile->cols, wide);
    }
#endif
    (void)simd;
    for (; col < tile->cols; col++) {
        const int32_t value = value_of(seen[col], subtracted[col], plane, scale, grid_max);
        if (narrow) {
            narrow[col] = (int16_t)value;
        } else {
            wide[col] = value;
        }
    }
}

void hwl_grid_refresh(const hwl_tile *tile, uint32_t simd, uint32_t plane, hwl_grid *grid, uint32_t row_begin,
                      uint32_t row_end)
{
    for (uint32_t row = row_begin; row < row_end; row++) {
        if (grid->seen[row] != tile->versions[row]) {
            refresh_row(tile, simd, plane, grid, row);
            grid->seen[row] = tile->versions[row];
        }
    }
}
