/* A tile of a crossbar array: geometry, cells, converters. The caller owns every array.
 *
 * Values are in device units. Arrays are row-major, cell = row * cols + col. docs/array-model.md is the
 * specification of what the functions of this directory do with a tile. */
#ifndef HWL_TILE_H
#define HWL_TILE_H

#include <stddef.h>

#include "api.h"
#include "random.h"
#include "terms.h"

/* Parameters of one cell; the table of section 1 of the specification. */
typedef struct hwl_cell {
    union {
        struct {
            float up_a;
            float up_b;
            float down_a;
            float down_b;
        };
        float curves[2][2]; /* [down, (a, b)]: a direction that is an index costs no branch */
    };
    float bound_max;
    float bound_min;
    float write_noise;
    uint32_t pulses;
} hwl_cell;

typedef struct hwl_adc {
    int32_t code_max;
    float range; /* input at code_max, device units x full input */
} hwl_adc;

enum hwl_read_kind { HWL_FORWARD = 0, HWL_BACKWARD = 1, HWL_CELLS = 2 };
enum hwl_plane { HWL_MAIN = 0, HWL_REFERENCE = 1, HWL_DIFFERENCE = 2 };

typedef struct hwl_tile {
    float *persistent; /* [rows, cols], what pulses act on */
    float *visible;    /* [rows, cols], what a read sees */
    float *reference;  /* [rows, cols] */
    hwl_cell *cells;   /* [rows, cols] */
    uint32_t *versions; /* [rows], counts the changes of a row; read grids are refreshed by it */
    const float *up_table;   /* [knots], NULL for affine curves */
    const float *down_table; /* [knots] */
    uint64_t seed;
    uint32_t index; /* of the tile on its chip */
    uint32_t rows;
    uint32_t cols;
    uint32_t knots;       /* of the tables; 0 for affine curves, else at least 2 */
    uint32_t additive;    /* whether cycle-to-cycle noise is additive, else multiplicative */
    uint32_t write_noise; /* whether any cell has write noise */
    uint32_t cell_bits;   /* 16 or 24 */
    uint32_t first_sample; /* number, in its operation, of the first sample at hand; 0 unless it is cut into parts */
    float cycle_noise;
    float full_scale; /* power of two above the bounds */
    float input_noise;  /* full inputs */
    float output_noise; /* device units x full input */
    int32_t dac_code_max;
    int32_t update_code_max;
    hwl_adc adc[3]; /* by hwl_read_kind */
    float write_memory; /* share of the write noise that a pulse leaves; 0 makes it anew at each pulse */
    const float *line_gains[3];   /* by hwl_read_kind, [output lines]: what each converter makes of its input; */
    const float *line_offsets[3]; /* NULL for what it should. Cell reads use the converter of their row */
    hwl_time *time; /* NULL where nothing changes with time */
} hwl_tile;

static inline size_t hwl_cell_index(const hwl_tile *tile, uint32_t row, uint32_t col)
{
    return (size_t)row * tile->cols + col;
}

static inline uint32_t hwl_tile_key(const hwl_tile *tile, uint64_t ordinal, uint32_t purpose)
{
    return hwl_key(tile->seed, ordinal, tile->index, purpose);
}

static inline float hwl_clamp(float value, float low, float high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

/* Line `n` of a block whose lines are listed; without a list the block is the whole axis. */
static inline uint32_t hwl_line(const uint32_t *lines, uint32_t n)
{
    return lines ? lines[n] : n;
}

#endif
