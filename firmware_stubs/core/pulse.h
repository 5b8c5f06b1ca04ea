/* The physics of one pulse on one cell, and explicit pulses. */
#ifndef HWL_PULSE_H
#define HWL_PULSE_H

#include "interpolate.h"
#include "tile.h"

/* The state after one pulse from the state `w`; `down` is 0 or 1, `xi` the pulse's Gaussian. */
static inline float hwl_moved(const hwl_tile *tile, const hwl_cell *cell, float w, int down, float xi)
{
    const float a = cell->curves[down][0];
    float step;
    if (tile->knots == 0u) {
        step = a + cell->curves[down][1] * w;
    } else {
        const float u = hwl_clamp(w * cell->up_b + cell->down_b, 0.0f, 1.0f);
        step = a * hwl_interpolate(down ? tile->down_table : tile->up_table, tile->knots, u);
    }
    float moved;
    if (tile->cycle_noise == 0.0f) {
        moved = w + step;
    } else if (tile->additive) {
        moved = w + (step + (tile->cycle_noise * a) * xi);
    } else {
        moved = w + step * (1.0f + tile->cycle_noise * xi);
    }
    return hwl_clamp(moved, cell->bound_min, cell->bound_max);
}

/* One pulse on a cell; the step of its random numbers says which pulse of the operation it is. */
static inline void hwl_pulse_cell(const hwl_tile *tile, size_t index, int down, uint32_t key, uint32_t step)
{
    hwl_cell *cell = &tile->cells[index];
    const hwl_words words = hwl_words_at(key, (uint32_t)index, step);
    const float before = tile->persistent[index];
    const float moved = hwl_moved(tile, cell, before, down, hwl_gaussian(words.word[0]));
    tile->persistent[index] = moved;
    if (tile->write_memory != 0.0f) {
        const float left = tile->write_memory * (tile->visible[index] - before);
        tile->visible[index] = moved + (left + cell->write_noise * hwl_gaussian(words.word[1]));
    } else if (tile->write_noise) {
        tile->visible[index] = moved + cell->write_noise * hwl_gaussian(words.word[1]);
    } else {
        tile->visible[index] = moved;
    }
    cell->pulses++;
}

/* Signed pulses on the cells of a block: `counts` is [row_count, col_count], positive is up.
 *
 * `rows` and `cols` list the lines of the block, each once, or are NULL for every line. Works on the rows
 * [row_begin, row_end) of the block. Returns the number of pulses. */
HWL_API uint64_t hwl_pulse_plain(hwl_tile *tile, uint64_t ordinal, const uint32_t *rows, const uint32_t *cols,
                                 uint32_t col_count, const int16_t *counts, uint32_t row_begin, uint32_t row_end);

#endif
