/* The board as an array of the protocol: operations become selections, pulses and samples. Boards differ in what they
 * can do at once; this one fires a row at a time for explicit pulses, and a slot at a time for updates. */
#include "board_array.h"

#include <string.h>

#include "board.h"

static uint8_t rows[BOARD_ROWS];
static uint8_t cols[BOARD_COLS];

static void about(void *context, hwl_msg_hello_answer *answer)
{
    (void)context;
    *answer = board_about;
}

static const hwl_msg_describe_answer *tile(void *context, uint32_t number)
{
    (void)context;
    (void)number;
    return &board_tile;
}

static const hwl_msg_shape_entry *shape(void *context, uint32_t number)
{
    (void)context;
    (void)number;
    return NULL; /* any shape within the limits */
}

static void limits(void *context, hwl_msg_configure *own)
{
    (void)context;
    *own = board_limits;
}

static uint64_t seed(void *context, uint32_t number)
{
    (void)context;
    return number;
}

static void idle(void *context)
{
    (void)context;
    board_idle();
}

/* Fires what is selected, and counts; whether to go on. */
static int fire(hwl_progress *progress, const hwl_order *order, int down)
{
    uint32_t row_count = 0;
    uint32_t col_count = 0;
    for (uint32_t row = 0; row < BOARD_ROWS; row++) {
        row_count += rows[row];
    }
    for (uint32_t col = 0; col < BOARD_COLS; col++) {
        col_count += cols[col];
    }
    if (row_count == 0 || col_count == 0) {
        return 1;
    }
    const double seconds = down ? order->shape->down_seconds : order->shape->up_seconds;
    board_set_pulse(order->shape, down);
    const int went_well = board_fire(rows, cols);
    progress->fired += (uint64_t)row_count * col_count;
    progress->ticks += hwl_width_ticks(seconds, board_about.tick_picoseconds);
    if (!went_well) {
        progress->error = HWL_ERROR_COMPLIANCE;
    }
    /* A pulse takes longer than a look: each is worth one. */
    return hwl_go_on(progress, progress->work_between_looks);
}

/* Columns of the row that still have a pulse of this direction to get, after `given` of them. */
static int select_cols(const hwl_block *block, const int16_t *counts, int32_t given, int down)
{
    int any = 0;
    memset(cols, 0, sizeof cols);
    for (uint32_t j = 0; j < block->col_count; j++) {
        const int32_t count = down ? -counts[j] : counts[j];
        cols[block->cols[j]] = count > given;
        any |= count > given;
    }
    return any;
}

static void pulse(void *context, const hwl_order *order, const hwl_block *block, const int16_t *counts,
                  hwl_progress *progress)
{
    (void)context;
    for (uint32_t i = 0; i < block->row_count; i++) {
        memset(rows, 0, sizeof rows);
        rows[block->rows[i]] = 1;
        for (int down = 0; down < 2; down++) {
            const int16_t *row = counts + (size_t)i * block->col_count;
            for (int32_t given = 0; select_cols(block, row, given, down); given++) {
                if (!fire(progress, order, down)) {
                    return;
                }
            }
        }
    }
}

/* Selects the lines of one side that fire in a slot. */
static void select_slot(const uint32_t *masks, uint32_t lines, uint32_t slot, uint8_t *selected)
{
    for (uint32_t line = 0; line < lines; line++) {
        selected[line] = masks[line] >> slot % HWL_SLOTS_PER_WORD & 1u;
    }
}

/* Four selections make a slot: rows and columns of equal signs are pulsed up, those of unequal signs down. */
static int fire_slot(const hwl_order *order, const hwl_trains *trains, uint32_t sample, uint32_t slot,
                     hwl_progress *progress)
{
    const size_t word = (size_t)sample * trains->words + slot / HWL_SLOTS_PER_WORD;
    for (int quadrant = 0; quadrant < 4; quadrant++) {
        const uint32_t *d = quadrant & 1 ? trains->d_minus : trains->d_plus;
        const uint32_t *x = quadrant & 2 ? trains->x_minus : trains->x_plus;
        select_slot(d + word * BOARD_ROWS, BOARD_ROWS, slot, rows);
        select_slot(x + word * BOARD_COLS, BOARD_COLS, slot, cols);
        if (!fire(progress, order, quadrant == 1 || quadrant == 2)) {
            return 0;
        }
    }
    return 1;
}

static void update(void *context, const hwl_order *order, const hwl_trains *trains, const int32_t *lengths,
                   hwl_progress *progress)
{
    (void)context;
    (void)lengths; /* a slot in which nothing fires takes no time here */
    for (uint32_t sample = 0; sample < trains->samples; sample++) {
        for (uint32_t slot = 0; slot < trains->words * HWL_SLOTS_PER_WORD; slot++) {
            if (!fire_slot(order, trains, sample, slot, progress)) {
                return;
            }
        }
    }
}

static void read(void *context, const hwl_order *order, uint32_t kind, uint32_t plane, uint32_t samples,
                 int32_t *codes, int32_t *values, uint8_t *saturated, hwl_progress *progress)
{
    (void)context;
    (void)order;
    const uint32_t driven = kind == HWL_FORWARD ? BOARD_COLS : BOARD_ROWS;
    const uint32_t lines = kind == HWL_FORWARD ? BOARD_ROWS : BOARD_COLS;
    for (size_t sample = 0; sample < samples; sample++) {
        board_sample(kind, plane, codes + sample * driven, values + sample * lines, saturated + sample * lines);
        if (!hwl_go_on(progress, driven * lines)) {
            return;
        }
    }
}

/* Row by row: the row is driven with the largest code, and its columns are sampled together. */
static void read_cells(void *context, const hwl_order *order, const hwl_block *block, uint32_t plane, uint32_t average,
                       int32_t *values, uint8_t *saturated, hwl_progress *progress)
{
    (void)context;
    (void)order;
    static int32_t codes[BOARD_ROWS];
    static int32_t sampled[BOARD_COLS];
    static uint8_t at_bound[BOARD_COLS];
    for (uint32_t i = 0; i < block->row_count; i++) {
        int32_t *const sums = values + (size_t)i * block->col_count;
        uint8_t *const any = saturated + (size_t)i * block->col_count;
        memset(codes, 0, sizeof codes);
        memset(sums, 0, block->col_count * sizeof *sums);
        memset(any, 0, block->col_count);
        codes[block->rows[i]] = (int32_t)board_tile.dac_code_max;
        for (uint32_t n = 0; n < average; n++) {
            board_sample(HWL_CELLS, plane, codes, sampled, at_bound);
            for (uint32_t j = 0; j < block->col_count; j++) {
                sums[j] += sampled[block->cols[j]];
                any[j] |= at_bound[block->cols[j]];
            }
            if (!hwl_go_on(progress, BOARD_COLS)) {
                return;
            }
        }
    }
}

const hwl_array board_array = {
    .about = about,
    .tile = tile,
    .shape = shape,
    .limits = limits,
    .seed = seed,
    .pulse = pulse,
    .update = update,
    .read = read,
    .read_cells = read_cells,
    .idle = idle,
};
