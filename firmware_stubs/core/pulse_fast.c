#include "pulse_fast.h"

#include "hits.h"
#include "see.h"

static uint32_t pulses_of(int16_t count)
{
    return (uint32_t)(count < 0 ? -(int32_t)count : count);
}

/* Lists the pulses of one row, pulse `n` of every cell before pulse `n + 1` of any: the pulses of a cell wait for each
 * other, those of several cells do not. `pending` lists the columns of the block that are not done yet. */
static uint64_t pulse_row(hwl_tile *tile, uint32_t simd, uint32_t key, uint32_t row, const uint32_t *cols,
                          uint32_t col_count, const int16_t *counts, hwl_hits *hits, uint32_t *pending)
{
    uint32_t left = 0;
    for (uint32_t j = 0; j < col_count; j++) {
        pending[left] = j;
        left += counts[j] != 0;
    }
    uint64_t fired = 0;
    for (uint32_t n = 0; left > 0; n++) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < left; i++) {
            const uint32_t j = pending[i];
            if (hits->count == HWL_HITS) {
                hwl_hits_apply(tile, simd, key, hits);
            }
            const uint32_t cell = (uint32_t)hwl_cell_index(tile, row, hwl_line(cols, j));
            hits->lanes[hits->count] = cell | (counts[j] < 0 ? HWL_HIT_DOWN : 0u);
            hits->steps[hits->count] = n;
            hits->count++;
            pending[kept] = j;
            kept += pulses_of(counts[j]) > n + 1u;
        }
        fired += left;
        left = kept;
    }
    return fired;
}

uint64_t hwl_pulse_fast(hwl_tile *tile, uint32_t simd, uint64_t ordinal, const uint32_t *rows, const uint32_t *cols,
                        uint32_t col_count, const int16_t *counts, uint32_t row_begin, uint32_t row_end,
                        uint32_t *scratch)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, HWL_PURPOSE_PULSE);
    hwl_hits hits;
    hwl_hits_begin(&hits);
    uint64_t fired = 0;
    for (uint32_t i = row_begin; i < row_end; i++) {
        const uint32_t row = hwl_line(rows, i);
        const uint64_t pulses = pulse_row(tile, simd, key, row, cols, col_count, counts + (size_t)i * col_count,
                                          &hits, scratch);
        tile->versions[row] += pulses > 0u;
        fired += pulses;
    }
    hwl_hits_apply(tile, simd, key, &hits);
    for (uint32_t i = row_begin; i < row_end; i++) {
        hwl_note_pulsed(tile, hwl_line(rows, i));
    }
    return fired;
}
