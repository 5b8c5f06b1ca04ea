#include "update.h"

#include "pulse.h"
#include "see.h"

uint64_t hwl_update_plain(hwl_tile *tile, uint64_t ordinal, const hwl_trains *trains, uint32_t row_begin,
                          uint32_t row_end)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, HWL_PURPOSE_PULSE);
    const uint32_t cols = tile->cols;
    uint64_t fired = 0;
    for (uint32_t sample = 0; sample < trains->samples; sample++) {
        for (uint32_t slot = 0; slot < trains->words * HWL_SLOTS_PER_WORD; slot++) {
            const size_t word = (size_t)sample * trains->words + slot / HWL_SLOTS_PER_WORD;
            const uint32_t bit = slot % HWL_SLOTS_PER_WORD;
            for (uint32_t row = row_begin; row < row_end; row++) {
                const uint32_t d_plus = trains->d_plus[word * tile->rows + row] >> bit & 1u;
                const uint32_t d_minus = trains->d_minus[word * tile->rows + row] >> bit & 1u;
                if (!(d_plus | d_minus)) {
                    continue;
                }
                for (uint32_t col = 0; col < cols; col++) {
                    const uint32_t x_plus = trains->x_plus[word * cols + col] >> bit & 1u;
                    const uint32_t x_minus = trains->x_minus[word * cols + col] >> bit & 1u;
                    if (x_plus | x_minus) {
                        hwl_pulse_cell(tile, hwl_cell_index(tile, row, col), d_plus != x_plus, key,
                                       (tile->first_sample + sample) << 8 | slot);
                        fired++;
                    }
                }
            }
        }
    }
    for (uint32_t row = row_begin; row < row_end; row++) {
        tile->versions[row]++;
        hwl_note_pulsed(tile, row);
    }
    return fired;
}
