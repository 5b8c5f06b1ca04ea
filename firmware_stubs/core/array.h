/* The seam between the protocol and an array: the functions that a board fills in.
 *
 * Everything that comes through here is checked: tiles, lines, codes and counts are in range, the chip is armed where
 * pulses are given, pulse shapes and doses are within the limits in force. Numbers are those of the converters;
 * boards turn codes into volts by what they say of themselves in `hwl_msg_describe_answer`. */
#ifndef HWL_ARRAY_H
#define HWL_ARRAY_H

#include "messages.h"
#include "trains.h"

/* How an operation is going. Between pulses an array calls `hwl_go_on`, and stops where that says no. */
typedef struct hwl_progress {
    uint64_t fired; /* pulses given so far, all cells together */
    uint64_t ticks; /* chip time that it took so far */
    uint16_t error; /* set by an array that cannot go on: HWL_ERROR_COMPLIANCE or HWL_ERROR_FAILED */
    uint16_t stopped; /* whether it was told to stop */
    uint32_t work; /* pulses since somebody looked for an abort */
    uint32_t work_between_looks;
    int (*look)(void *chip);
    void *chip;
} hwl_progress;

/* Whether to go on, after so many pulses or what takes as long. */
static inline int hwl_go_on(hwl_progress *progress, uint32_t work)
{
    progress->work += work;
    if (progress->work >= progress->work_between_looks) {
        progress->work = 0;
        progress->stopped |= (uint16_t)!progress->look(progress->chip);
    }
    return progress->error == HWL_ERROR_NONE && !progress->stopped;
}

/* What all operations have. */
typedef struct hwl_order {
    uint32_t tile;
    uint64_t ordinal;                 /* keys the noise of a virtual array */
    uint32_t part;                    /* number of this part of the operation */
    uint32_t first_sample;            /* of the operation, that this part holds */
    const hwl_msg_shape_entry *shape; /* of the pulses, NULL for reads */
} hwl_order;

/* Lines of a tile, by number, each once. */
typedef struct hwl_block {
    const uint32_t *rows;
    const uint32_t *cols;
    uint32_t row_count;
    uint32_t col_count;
} hwl_block;

typedef struct hwl_array {
    void *context;

    /* Fills in what HELLO says of the chip: chip_id, name, device, tick_picoseconds, operations, tiles, bias, and the
     * flag HWL_FLAG_VIRTUAL; the rest is zero and is filled in later. */
    void (*about)(void *context, hwl_msg_hello_answer *about);

    /* A tile, from 0. */
    const hwl_msg_describe_answer *(*tile)(void *context, uint32_t tile);

    /* The chip's own pulse shape of that number, NULL behind the last; and its limits. A chip without shapes of its
     * own takes any within the limits. */
    const hwl_msg_shape_entry *(*shape)(void *context, uint32_t shape);
    void (*limits)(void *context, hwl_msg_configure *limits);

    /* Seed of the tile's generator, for pulse trains that are drawn from codes. */
    uint64_t (*seed)(void *context, uint32_t tile);

    /* Signed pulses on the cells of a block: `counts` [row_count, col_count], positive raises the conductance. */
    void (*pulse)(void *context, const hwl_order *order, const hwl_block *block, const int16_t *counts,
                  hwl_progress *progress);

    /* Outer-product updates: for each sample, slot by slot, a pulse where a row and a column fire. `lengths` [samples]
     * are the slots that this part gives each sample, also those in which nothing fires. */
    void (*update)(void *context, const hwl_order *order, const hwl_trains *trains, const int32_t *lengths,
                   hwl_progress *progress);

    /* Vector-matrix reads. `codes` [samples, driven lines] may be overwritten; `values` and `saturated`
     * [samples, output lines]. */
    void (*read)(void *context, const hwl_order *order, uint32_t kind, uint32_t plane, uint32_t samples,
                 int32_t *codes, int32_t *values, uint8_t *saturated, hwl_progress *progress);

    /* Sums of `average` reads of each cell; `values` and `saturated` [row_count, col_count]. */
    void (*read_cells)(void *context, const hwl_order *order, const hwl_block *block, uint32_t plane,
                       uint32_t average, int32_t *values, uint8_t *saturated, hwl_progress *progress);

    /* Brings every line to its idle state, at once, whatever was going on. */
    void (*idle)(void *context);

    /* The rest may be NULL. */

    /* Forming and resetting by a recipe of the chip; an error other than HWL_ERROR_NONE refuses the recipe. */
    uint16_t (*recipe)(void *context, const hwl_order *order, uint8_t type, const char name[16],
                       const hwl_block *block, hwl_progress *progress);

    /* Lets the chip's clock run. */
    void (*wait)(void *context, uint64_t ticks, hwl_progress *progress);

    /* Pulses that a cell has had since `begin_dose`. Without them no limit on doses can be installed. */
    uint64_t (*dose)(void *context, uint32_t tile, uint32_t cell);
    void (*begin_dose)(void *context);

    /* The whole state of cells of a virtual array: the tile's `state_words` per cell and `cells` words apart, as in
     * SNAPSHOT. `put_state` answers an error and moves nothing if a value cannot be. */
    void (*get_state)(void *context, uint32_t tile, uint32_t first, uint32_t cells, uint32_t *state);
    uint16_t (*put_state)(void *context, uint32_t tile, uint32_t first, uint32_t cells, const uint32_t *state);
} hwl_array;

/* Ticks of a pulse of that width. */
uint64_t hwl_width_ticks(double seconds, uint64_t tick_picoseconds);

#endif
