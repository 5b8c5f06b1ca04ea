/* Reads: integers on a fixed-point grid, so that sums are exact in any order. */
#ifndef HWL_READ_H
#define HWL_READ_H

#include "tile.h"

/* `value` rounded to an integer, halves away from zero; |value| below 2^62. */
static inline int64_t hwl_round(float value)
{
    return (int64_t)(value + (value < 0.0f ? -0.5f : 0.5f));
}

/* Largest value of the read grid of one plane. */
static inline int32_t hwl_grid_max(const hwl_tile *tile)
{
    return (1 << (tile->cell_bits - 2u)) - 1;
}

static inline float hwl_grid_scale(const hwl_tile *tile)
{
    return (float)(1 << (tile->cell_bits - 2u)) / tile->full_scale;
}

/* A state on the read grid. */
static inline int32_t hwl_quantise(float w, float scale, int32_t grid_max)
{
    const float limit = (float)(grid_max + 1);
    const float value = hwl_clamp(w * scale, -limit, limit);
    const int32_t rounded = (int32_t)(value + (value < 0.0f ? -0.5f : 0.5f));
    return rounded > grid_max ? grid_max : rounded < -grid_max ? -grid_max : rounded;
}

/* A cell on the read grid of a plane. */
static inline int32_t hwl_read_grid(const hwl_tile *tile, uint32_t plane, size_t cell)
{
    const float scale = hwl_grid_scale(tile);
    const int32_t grid_max = hwl_grid_max(tile);
    int32_t value = 0;
    if (plane != HWL_REFERENCE) {
        value = hwl_quantise(tile->visible[cell], scale, grid_max);
    }
    if (plane == HWL_REFERENCE) {
        value = hwl_quantise(tile->reference[cell], scale, grid_max);
    }
    if (plane == HWL_DIFFERENCE) {
        value -= hwl_quantise(tile->reference[cell], scale, grid_max);
    }
    return value;
}

/* What a converter makes of a value: the code, and whether it is at its bound. */
static inline int32_t hwl_convert(const hwl_adc *adc, float y, uint8_t *saturated)
{
    const float value = y * ((float)adc->code_max / adc->range);
    const float limit = (float)(adc->code_max + 1);
    const float clamped = hwl_clamp(value, -limit, limit);
    const int32_t code = (int32_t)(clamped + (clamped < 0.0f ? -0.5f : 0.5f));
    *saturated = value >= (float)adc->code_max || value <= -(float)adc->code_max;
    return code > adc->code_max ? adc->code_max : code < -adc->code_max ? -adc->code_max : code;
}

/* What the converter of an output line makes of its input. */
static inline float hwl_as_converted(const hwl_tile *tile, uint32_t kind, uint32_t line, float y)
{
    if (!tile->line_gains[kind]) {
        return y;
    }
    return y * tile->line_gains[kind][line] + tile->line_offsets[kind][line];
}

#define HWL_INPUT_STEPS 64 /* a line with input noise carries 1/64 of a code */

/* Device units x full input of one unit of a sum of grid values and carried codes. */
static inline float hwl_sum_lsb(const hwl_tile *tile)
{
    const float lsb = (tile->full_scale / (float)(1 << (tile->cell_bits - 2u))) / (float)tile->dac_code_max;
    return tile->input_noise > 0.0f ? lsb / (float)HWL_INPUT_STEPS : lsb;
}

/* What the driven lines carry: codes and their noise, [samples, lines], in 1/64 of a code if the tile has input
 * noise, else the codes themselves. */
HWL_API void hwl_drive(const hwl_tile *tile, uint32_t kind, uint64_t ordinal, uint32_t samples, const int32_t *codes,
                       int32_t *carried);

/* Vector-matrix reads of the output lines [line_begin, line_end).
 *
 * kind is HWL_FORWARD (columns driven) or HWL_BACKWARD; carried [samples, driven lines] is what `hwl_drive` made;
 * values and saturated [samples, output lines]. */
HWL_API void hwl_read_plain(const hwl_tile *tile, uint32_t kind, uint32_t plane, uint64_t ordinal, uint32_t samples,
                            const int32_t *carried, uint32_t line_begin, uint32_t line_end, int32_t *values,
                            uint8_t *saturated);

/* Sums of `average` reads of each cell of a block.
 *
 * `rows` and `cols` list the lines of the block or are NULL; values and saturated [row_count, col_count]. Works on
 * the rows [row_begin, row_end) of the block. */
HWL_API void hwl_read_cells_plain(const hwl_tile *tile, uint32_t plane, uint64_t ordinal, uint32_t average,
                                  const uint32_t *rows, const uint32_t *cols, uint32_t col_count, uint32_t row_begin,
                                  uint32_t row_end, int32_t *values, uint8_t *saturated);

#endif
