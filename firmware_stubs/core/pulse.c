#include "pulse.h"

#include "see.h"

uint64_t hwl_pulse_plain(hwl_tile *tile, uint64_t ordinal, const uint32_t *rows, const uint32_t *cols,
                         uint32_t col_count, const int16_t *counts, uint32_t row_begin, uint32_t row_end)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, HWL_PURPOSE_PULSE);
    uint64_t fired = 0;
    for (uint32_t i = row_begin; i < row_end; i++) {
        const uint32_t row = hwl_line(rows, i);
        for (uint32_t j = 0; j < col_count; j++) {
            const int32_t count = counts[(size_t)i * col_count + j];
            const uint32_t pulses = (uint32_t)(count < 0 ? -count : count);
            const size_t cell = hwl_cell_index(tile, row, hwl_line(cols, j));
            for (uint32_t n = 0; n < pulses; n++) {
                hwl_pulse_cell(tile, cell, count < 0, key, n);
            }
            fired += pulses;
        }
        tile->versions[row]++;
        hwl_note_pulsed(tile, row);
    }
    return fired;
}
