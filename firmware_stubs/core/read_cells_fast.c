#include "convert_fast.h"
#include "noise_fast.h"
#include "read_fast.h"

#define BATCH 512u

/* Cells that are read together, each `average` times; their answers lie together, too. */
typedef struct batch {
    uint32_t count;
    uint32_t lanes[BATCH];
    float sums[BATCH]; /* on the read grid */
    float gains[BATCH]; /* of the converters, if the tile's have any */
    float offsets[BATCH];
    int32_t *values;
    uint8_t *saturated;
} batch;

/* Adds up `repeats` conversions of each of a batch's cells. */
static void add_up(const batch *batch, uint32_t repeats, const int32_t *codes, const uint8_t *flags)
{
    const uint32_t count = batch->count;
    for (uint32_t repeat = 0; repeat < repeats; repeat++) {
        for (uint32_t n = 0; n < count; n++) {
            batch->values[n] += codes[repeat * count + n];
            batch->saturated[n] |= flags[repeat * count + n];
        }
    }
}

/* Reads a batch, as many repeats at once as there is room for. */
static void read_batch(const hwl_tile *tile, uint32_t simd, uint32_t key, uint32_t average, const batch *batch)
{
    uint32_t lanes[BATCH + HWL_NOISE_GROUP], steps[BATCH + HWL_NOISE_GROUP];
    float sums[BATCH], xi[BATCH + HWL_NOISE_GROUP], gains[BATCH], offsets[BATCH];
    int32_t codes[BATCH];
    uint8_t flags[BATCH];
    const float lsb = tile->full_scale / (float)(1 << (tile->cell_bits - 2u));
    const int noise = tile->output_noise > 0.0f;
    const int errors = tile->line_gains[HWL_CELLS] != NULL;
    const hwl_inputs inputs = {
        .sums = sums,
        .xi = noise ? xi : NULL,
        .gains = errors ? gains : NULL,
        .offsets = errors ? offsets : NULL,
        .lsb = lsb,
        .noise = tile->output_noise,
    };
    const uint32_t count = batch->count, most = BATCH / count;
    for (uint32_t n = 0; n < count; n++) {
        batch->values[n] = 0;
        batch->saturated[n] = 0;
    }
    for (uint32_t done = 0; done < average;) {
        const uint32_t repeats = average - done < most ? average - done : most;
        for (uint32_t repeat = 0; repeat < repeats; repeat++) {
            for (uint32_t n = 0; n < count; n++) {
                lanes[repeat * count + n] = batch->lanes[n];
                steps[repeat * count + n] = done + repeat;
                sums[repeat * count + n] = batch->sums[n];
            }
            for (uint32_t n = 0; errors && n < count; n++) {
                gains[repeat * count + n] = batch->gains[n];
                offsets[repeat * count + n] = batch->offsets[n];
            }
        }
        if (noise) {
            hwl_noise(simd, key, repeats * count, lanes, 0xFFFFFFFFu, steps, xi, NULL);
        }
        hwl_convert_fast(simd, &tile->adc[HWL_CELLS], repeats * count, &inputs, codes, flags);
        add_up(batch, repeats, codes, flags);
        done += repeats;
    }
}

/* Takes up to `most` cells of a row of the block, from column `j` on. Returns how many. */
static uint32_t take_cells(const hwl_tile *tile, uint32_t plane, uint32_t row, const uint32_t *cols, uint32_t j,
                           uint32_t most, batch *batch)
{
    const float scale = hwl_grid_scale(tile);
    const int32_t grid_max = hwl_grid_max(tile);
    const float *const seen = plane == HWL_REFERENCE ? tile->reference : tile->visible;
    const uint32_t room = BATCH - batch->count;
    const uint32_t taken = most < room ? most : room;
    uint32_t *const lanes = batch->lanes + batch->count;
    float *const sums = batch->sums + batch->count;
    for (uint32_t n = 0; n < taken; n++) {
        const size_t cell = hwl_cell_index(tile, row, hwl_line(cols, j + n));
        int32_t value = hwl_quantise(seen[cell], scale, grid_max);
        if (plane == HWL_DIFFERENCE) {
            value -= hwl_quantise(tile->reference[cell], scale, grid_max);
        }
        lanes[n] = (uint32_t)cell;
        sums[n] = (float)value;
    }
    for (uint32_t n = 0; tile->line_gains[HWL_CELLS] && n < taken; n++) {
        batch->gains[batch->count + n] = tile->line_gains[HWL_CELLS][row];
        batch->offsets[batch->count + n] = tile->line_offsets[HWL_CELLS][row];
    }
    batch->count += taken;
    return taken;
}

void hwl_read_cells_fast(const hwl_tile *tile, uint32_t simd, uint32_t plane, uint64_t ordinal, uint32_t average,
                         const uint32_t *rows, const uint32_t *cols, uint32_t col_count, uint32_t row_begin,
                         uint32_t row_end, int32_t *values, uint8_t *saturated)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, HWL_PURPOSE_CELL_READ);
    batch batch;
    batch.count = 0;
    batch.values = values + (size_t)row_begin * col_count;
    batch.saturated = saturated + (size_t)row_begin * col_count;
    for (uint32_t i = row_begin; i < row_end; i++) {
        for (uint32_t j = 0; j < col_count;) {
            j += take_cells(tile, plane, hwl_line(rows, i), cols, j, col_count - j, &batch);
            if (batch.count == BATCH) {
                read_batch(tile, simd, key, average, &batch);
                batch.values += BATCH;
                batch.saturated += BATCH;
                batch.count = 0;
            }
        }
    }
    if (batch.count > 0u) {
        read_batch(tile, simd, key, average, &batch);
    }
}
