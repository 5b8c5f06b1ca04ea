/* Operations of the array model: in pieces between which somebody looks for an abort.
 *
 * Cells are independent, so that any order over cells gives the bits of the order of time. */
#include "model.h"
#include "pulse.h"
#include "pulse_fast.h"
#include "read_fast.h"
#include "see.h"
#include "update.h"
#include "update_fast.h"

/* Pulses of a piece, as a multiple of the work between two looks. */
#define PULSES_OF_PIECE 8u

/* Products of a piece of a read: a millisecond or less. */
#define PRODUCTS_OF_PIECE 1048576u

/* So many products are worth one pulse. */
#define PRODUCTS_PER_PULSE 128u

/* Looking at a row is worth so many pulses per cell. */
#define PULSES_PER_LOOK 16u

/* The tile as the functions of the model see a part of an operation. All parts are at the time at which the operation
 * began. */
static hwl_tile tile_for(hwl_model *model, const hwl_order *order)
{
    hwl_clock *clock = model->clock;
    if (order->part == 0u) {
        clock->start = clock->now;
    }
    hwl_tile tile = model->tiles[order->tile];
    tile.first_sample = order->first_sample;
    if (tile.time) {
        const uint64_t ahead_at = hwl_model_record(model, order->tile)->ahead;
        const uint64_t *ahead = (const uint64_t *)(const void *)(model->memory + ahead_at);
        tile.time->now = clock->start + *ahead;
    }
    return tile;
}

/* Lets the chip's clock run for a part. */
static void take_ticks(hwl_model *model, hwl_progress *progress, uint64_t ticks)
{
    progress->ticks += ticks;
    model->clock->now += ticks;
}

/* Looks at rows of a tile, which `rows` lists or which are all, as far as somebody has to. Returns the tile as it is
 * seen. */
static hwl_tile look(hwl_model *model, const hwl_tile *tile, const uint32_t *rows, uint32_t count,
                     hwl_progress *progress)
{
    for (uint32_t row = 0; tile->time && row < count; row++) {
        if (model->scratch) {
            hwl_see_fast(tile, model->simd, rows, row, row + 1u);
        } else {
            hwl_see_plain(tile, rows, row, row + 1u);
        }
        if (!hwl_go_on(progress, tile->cols * PULSES_PER_LOOK)) {
            break;
        }
    }
    return hwl_as_seen(tile);
}

static uint32_t magnitude(int16_t count)
{
    const int32_t wide = count;
    return (uint32_t)(wide < 0 ? -wide : wide);
}

/* Row by row, the cells of a row together, up pulses before down pulses. */
static uint64_t row_ticks(const hwl_model *model, const hwl_order *order, const int16_t *counts, uint32_t cols)
{
    int32_t highest = 0;
    int32_t lowest = 0;
    for (uint32_t col = 0; col < cols; col++) {
        highest = counts[col] > highest ? counts[col] : highest;
        lowest = counts[col] < lowest ? counts[col] : lowest;
    }
    const uint64_t tick = model->arena->about.tick_picoseconds;
    return (uint64_t)highest * hwl_width_ticks(order->shape->up_seconds, tick) +
           (uint64_t)-lowest * hwl_width_ticks(order->shape->down_seconds, tick);
}

/* Cells of a row from `begin` that are pulsed before somebody looks: at least one, and as many as the work allows. */
static uint32_t cells_of_piece(const int16_t *counts, uint32_t begin, uint32_t cols, const hwl_progress *progress)
{
    uint32_t pulses = 0;
    uint32_t end = begin;
    while (end < cols && (end == begin || pulses < progress->work_between_looks)) {
        pulses += magnitude(counts[end]);
        end++;
    }
    return end - begin;
}

void hwl_model_pulse(void *context, const hwl_order *order, const hwl_block *block, const int16_t *counts,
                     hwl_progress *progress)
{
    hwl_model *model = context;
    hwl_tile tile = tile_for(model, order);
    for (uint32_t i = 0; i < block->row_count; i++) {
        const int16_t *row = counts + (size_t)i * block->col_count;
        take_ticks(model, progress, row_ticks(model, order, row, block->col_count));
        for (uint32_t j = 0; j < block->col_count;) {
            const uint32_t cells = cells_of_piece(row, j, block->col_count, progress);
            const uint64_t fired =
                model->scratch
                    ? hwl_pulse_fast(&tile, model->simd, order->ordinal, &block->rows[i], &block->cols[j], cells,
                                     &row[j], 0, 1, model->scratch)
                    : hwl_pulse_plain(&tile, order->ordinal, &block->rows[i], &block->cols[j], cells, &row[j], 0, 1);
            progress->fired += fired;
            j += cells;
            if (!hwl_go_on(progress, (uint32_t)fired)) {
                return;
            }
        }
    }
}

/* Rows of the next piece: more after one that gave few pulses, fewer after one that gave many. */
static uint32_t rows_of_piece(uint32_t rows, uint64_t fired, const hwl_progress *progress)
{
    const uint64_t wanted = (uint64_t)progress->work_between_looks * PULSES_OF_PIECE;
    if (fired < wanted / 4u) {
        return rows * 4u;
    }
    return fired > wanted && rows > 1u ? rows / 2u : rows;
}

void hwl_model_update(void *context, const hwl_order *order, const hwl_trains *trains, const int32_t *lengths,
                      hwl_progress *progress)
{
    hwl_model *model = context;
    hwl_tile tile = tile_for(model, order);
    const uint64_t tick = model->arena->about.tick_picoseconds;
    const uint64_t slot_ticks = hwl_width_ticks(order->shape->up_seconds, tick) +
                                hwl_width_ticks(order->shape->down_seconds, tick);
    for (uint32_t sample = 0; sample < trains->samples; sample++) {
        take_ticks(model, progress, (uint64_t)lengths[sample] * slot_ticks);
    }
    uint32_t rows = 1;
    for (uint32_t row = 0; row < tile.rows;) {
        const uint32_t end = rows < tile.rows - row ? row + rows : tile.rows;
        const uint64_t fired =
            model->scratch
                ? hwl_update_fast(&tile, model->simd, order->ordinal, trains, row, end, model->scratch)
                : hwl_update_plain(&tile, order->ordinal, trains, row, end);
        progress->fired += fired;
        rows = rows_of_piece(rows, fired, progress);
        row = end;
        if (!hwl_go_on(progress, (uint32_t)fired)) {
            return;
        }
    }
}

/* Output lines of a piece: whole groups of the grid, where that is not too much. */
static uint32_t lines_of_piece(uint32_t samples, uint32_t driven)
{
    const uint64_t products = (uint64_t)samples * driven;
    const uint64_t groups = products > 0 ? PRODUCTS_OF_PIECE / products / HWL_GRID_LINES : 1u;
    return groups > 0 ? (uint32_t)groups * HWL_GRID_LINES : HWL_GRID_LINES;
}

void hwl_model_read(void *context, const hwl_order *order, uint32_t kind, uint32_t plane, uint32_t samples,
                    int32_t *codes, int32_t *values, uint8_t *saturated, hwl_progress *progress)
{
    hwl_model *model = context;
    const hwl_tile kept = tile_for(model, order);
    const hwl_tile tile = look(model, &kept, NULL, kept.rows, progress);
    const uint32_t lines = kind == HWL_FORWARD ? tile.rows : tile.cols;
    const uint32_t driven = kind == HWL_FORWARD ? tile.cols : tile.rows;
    hwl_drive(&tile, kind, order->ordinal, samples, codes, codes);
    take_ticks(model, progress, samples * hwl_model_record(model, order->tile)->read_ticks);
    hwl_grid *grid = &model->grids[order->tile][plane];
    if (model->scratch) {
        hwl_grid_refresh(&tile, model->simd, plane, grid, 0, tile.rows);
    }
    const uint32_t piece = lines_of_piece(samples, driven);
    for (uint32_t line = 0; line < lines;) {
        const uint32_t end = piece < lines - line ? line + piece : lines;
        if (model->scratch) {
            hwl_read_fast(&tile, model->simd, grid, kind, plane, order->ordinal, samples, codes, line, end, values,
                          saturated, model->scratch);
        } else {
            hwl_read_plain(&tile, kind, plane, order->ordinal, samples, codes, line, end, values, saturated);
        }
        const uint64_t products = (uint64_t)samples * driven * (end - line);
        line = end;
        if (!hwl_go_on(progress, (uint32_t)(products / PRODUCTS_PER_PULSE))) {
            return;
        }
    }
}

void hwl_model_read_cells(void *context, const hwl_order *order, const hwl_block *block, uint32_t plane,
                          uint32_t average, int32_t *values, uint8_t *saturated, hwl_progress *progress)
{
    hwl_model *model = context;
    const hwl_tile kept = tile_for(model, order);
    const hwl_tile tile = look(model, &kept, block->rows, block->row_count, progress);
    /* One line at a time, all of its cells together, along the shorter side of the block. */
    const uint32_t lines = block->row_count < block->col_count ? block->row_count : block->col_count;
    take_ticks(model, progress, (uint64_t)lines * average * hwl_model_record(model, order->tile)->read_ticks);
    for (uint32_t i = 0; i < block->row_count; i++) {
        if (model->scratch) {
            hwl_read_cells_fast(&tile, model->simd, plane, order->ordinal, average, block->rows, block->cols,
                                block->col_count, i, i + 1u, values, saturated);
        } else {
            hwl_read_cells_plain(&tile, plane, order->ordinal, average, block->rows, block->cols, block->col_count, i,
                                 i + 1u, values, saturated);
        }
        if (!hwl_go_on(progress, block->col_count * average)) {
            return;
        }
    }
}
