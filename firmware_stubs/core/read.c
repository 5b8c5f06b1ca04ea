#include "read.h"

void hwl_drive(const hwl_tile *tile, uint32_t kind, uint64_t ordinal, uint32_t samples, const int32_t *codes,
               int32_t *carried)
{
    const uint32_t lines = kind == HWL_FORWARD ? tile->cols : tile->rows;
    if (!(tile->input_noise > 0.0f)) {
        for (size_t n = 0; n < (size_t)samples * lines; n++) {
            carried[n] = codes[n];
        }
        return;
    }
    const uint32_t purpose = kind == HWL_FORWARD ? HWL_PURPOSE_INPUT_FORWARD : HWL_PURPOSE_INPUT_BACKWARD;
    const uint32_t key = hwl_tile_key(tile, ordinal, purpose);
    const float noise = tile->input_noise * (float)tile->dac_code_max * (float)HWL_INPUT_STEPS;
    for (uint32_t sample = 0; sample < samples; sample++) {
        for (uint32_t line = 0; line < lines; line++) {
            const size_t n = (size_t)sample * lines + line;
            int64_t value = 0;
            if (codes[n] != 0) {
                const float xi = hwl_gaussian(hwl_words_at(key, line, tile->first_sample + sample).word[0]);
                value = (int64_t)codes[n] * HWL_INPUT_STEPS + hwl_round(noise * xi);
            }
            carried[n] = (int32_t)value;
        }
    }
}

void hwl_read_plain(const hwl_tile *tile, uint32_t kind, uint32_t plane, uint64_t ordinal, uint32_t samples,
                    const int32_t *carried, uint32_t line_begin, uint32_t line_end, int32_t *values,
                    uint8_t *saturated)
{
    const int forward = kind == HWL_FORWARD;
    const uint32_t driven = forward ? tile->cols : tile->rows;
    const uint32_t lines = forward ? tile->rows : tile->cols;
    const uint32_t purpose = forward ? HWL_PURPOSE_OUTPUT_FORWARD : HWL_PURPOSE_OUTPUT_BACKWARD;
    const uint32_t key = hwl_tile_key(tile, ordinal, purpose);
    const float lsb = hwl_sum_lsb(tile);
    for (uint32_t sample = 0; sample < samples; sample++) {
        for (uint32_t line = line_begin; line < line_end; line++) {
            int64_t sum = 0;
            for (uint32_t n = 0; n < driven; n++) {
                const size_t cell = forward ? hwl_cell_index(tile, line, n) : hwl_cell_index(tile, n, line);
                sum += (int64_t)hwl_read_grid(tile, plane, cell) * carried[(size_t)sample * driven + n];
            }
            float y = (float)sum * lsb;
            if (tile->output_noise > 0.0f) {
                const uint32_t step = tile->first_sample + sample;
                y = y + tile->output_noise * hwl_gaussian(hwl_words_at(key, line, step).word[0]);
            }
            y = hwl_as_converted(tile, kind, line, y);
            const size_t out = (size_t)sample * lines + line;
            values[out] = hwl_convert(&tile->adc[kind], y, &saturated[out]);
        }
    }
}

void hwl_read_cells_plain(const hwl_tile *tile, uint32_t plane, uint64_t ordinal, uint32_t average,
                          const uint32_t *rows, const uint32_t *cols, uint32_t col_count, uint32_t row_begin,
                          uint32_t row_end, int32_t *values, uint8_t *saturated)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, HWL_PURPOSE_CELL_READ);
    const float lsb = tile->full_scale / (float)(1 << (tile->cell_bits - 2u));
    for (uint32_t i = row_begin; i < row_end; i++) {
        for (uint32_t j = 0; j < col_count; j++) {
            const uint32_t row = hwl_line(rows, i);
            const size_t cell = hwl_cell_index(tile, row, hwl_line(cols, j));
            const float exact = (float)hwl_read_grid(tile, plane, cell) * lsb;
            int32_t sum = 0;
            uint8_t any = 0;
            for (uint32_t n = 0; n < average; n++) {
                float y = exact;
                if (tile->output_noise > 0.0f) {
                    y = y + tile->output_noise * hwl_gaussian(hwl_words_at(key, (uint32_t)cell, n).word[0]);
                }
                y = hwl_as_converted(tile, HWL_CELLS, row, y);
                uint8_t one;
                sum += hwl_convert(&tile->adc[HWL_CELLS], y, &one);
                any |= one;
            }
            const size_t out = (size_t)i * col_count + j;
            values[out] = sum;
            saturated[out] = any;
        }
    }
}
