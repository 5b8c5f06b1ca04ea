/* Looking at cells many at a time: term by term, with the noise of all cells of a block drawn together. */
#include "noise_fast.h"
#include "see.h"
#include "term.h"

#define BLOCK 256u
#define DRAWS 1024u
#define MOST_DRAWS_OF_A_CELL 33u /* an age of 64 bits is below 65 octaves, and a draw gives two */

/* Cells of a row that lie together. */
typedef struct block {
    const hwl_tile *tile;
    const hwl_term_keys *keys;
    uint32_t simd;
    uint32_t first;
    uint32_t count;
    float u[BLOCK];
    float v[BLOCK];
    float age[BLOCK];
    uint64_t own_time[BLOCK];
    float xi[BLOCK + HWL_NOISE_GROUP];
} block;

static void begin(block *block)
{
    const hwl_tile *tile = block->tile;
    for (uint32_t n = 0; n < block->count; n++) {
        const size_t cell = block->first + n;
        block->v[n] = tile->visible[cell];
        block->u[n] = hwl_level_argument(tile->time->terms, tile->visible[cell]);
        block->age[n] = hwl_age(tile->time, cell);
        block->own_time[n] = hwl_own_time(tile->time, cell);
    }
}

static void drift(block *block)
{
    const hwl_tile *tile = block->tile;
    hwl_noise_line(block->simd, block->keys->drift, block->count, block->first, 0, block->xi);
    for (uint32_t n = 0; n < block->count; n++) {
        if (hwl_moves(&tile->cells[block->first + n])) {
            block->v[n] = hwl_drifted(tile->time->terms, block->v[n], block->u[n], block->age[n], block->xi[n]);
        }
    }
}

/* The draws of the paths of some cells of a block. */
typedef struct draws {
    uint32_t count;
    uint32_t lanes[DRAWS + HWL_NOISE_GROUP];
    uint32_t steps[DRAWS + HWL_NOISE_GROUP];
    float even[DRAWS + HWL_NOISE_GROUP];
    float odd[DRAWS + HWL_NOISE_GROUP];
} draws;

/* Relaxes the cells [begin, end) of a block, whose draws are listed. */
static void relax(block *block, draws *draws, const float *octaves, uint32_t begin, uint32_t end)
{
    const hwl_tile *tile = block->tile;
    hwl_noise(block->simd, block->keys->path, draws->count, draws->lanes, 0xFFFFFFFFu, draws->steps, draws->even,
              draws->odd);
    uint32_t draw = 0;
    for (uint32_t n = begin; n < end; n++) {
        if (!hwl_moves(&tile->cells[block->first + n])) {
            continue;
        }
        const uint32_t whole = (uint32_t)octaves[n];
        const float last = hwl_root(octaves[n] - (float)whole);
        float path = 0.0f;
        for (uint32_t step = 0; step <= whole; step++) {
            const float xi = step % 2u ? draws->odd[draw + step / 2u] : draws->even[draw + step / 2u];
            path = path + (step < whole ? xi : last * xi);
        }
        draw += whole / 2u + 1u;
        block->v[n] = hwl_relaxed(tile->time->terms, block->v[n], block->u[n], octaves[n], path);
    }
    draws->count = 0;
}

static void relaxation(block *block)
{
    const hwl_tile *tile = block->tile;
    float octaves[BLOCK];
    draws draws;
    draws.count = 0;
    uint32_t relaxed = 0;
    for (uint32_t n = 0; n < block->count; n++) {
        const hwl_cell *cell = &tile->cells[block->first + n];
        octaves[n] = hwl_relaxation_octaves(tile->time->terms, block->age[n]);
        if (!hwl_moves(cell)) {
            continue;
        }
        if (draws.count + MOST_DRAWS_OF_A_CELL > DRAWS) {
            relax(block, &draws, octaves, relaxed, n);
            relaxed = n;
        }
        const hwl_words base = hwl_words_at(block->keys->epoch, block->first + n, cell->pulses);
        for (uint32_t draw = 0; draw <= (uint32_t)octaves[n] / 2u; draw++) {
            draws.lanes[draws.count] = base.word[0];
            draws.steps[draws.count] = base.word[1] + draw;
            draws.count++;
        }
    }
    relax(block, &draws, octaves, relaxed, block->count);
}

static void noise(block *block)
{
    const hwl_terms *terms = block->tile->time->terms;
    uint32_t lanes[BLOCK + HWL_NOISE_GROUP], steps[BLOCK + HWL_NOISE_GROUP];
    float sums[BLOCK];
    for (uint32_t n = 0; n < block->count; n++) {
        lanes[n] = block->first + n;
        sums[n] = 0.0f;
    }
    for (uint32_t octave = 0; octave < terms->noise_octaves; octave++) {
        for (uint32_t n = 0; n < block->count; n++) {
            steps[n] = hwl_octave_block(block->own_time[n], terms->noise_shift + octave);
        }
        hwl_noise(block->simd, block->keys->octaves[octave], block->count, lanes, 0xFFFFFFFFu, steps, block->xi, NULL);
        for (uint32_t n = 0; n < block->count; n++) {
            sums[n] = sums[n] + terms->noise_weights[octave] * block->xi[n];
        }
    }
    for (uint32_t n = 0; n < block->count; n++) {
        block->v[n] = hwl_noisy(terms, block->v[n], block->u[n], sums[n]);
    }
}

static void traps(block *block)
{
    for (uint32_t n = 0; n < block->count; n++) {
        block->v[n] = hwl_trapped(block->tile->time->terms, block->v[n], block->u[n], block->own_time[n],
                                  block->first + n, block->keys->trap, block->keys->filled);
    }
}

static void see_block(block *block)
{
    const hwl_terms *terms = block->tile->time->terms;
    begin(block);
    if (terms->drift_rate > 0.0f) {
        drift(block);
    }
    if (terms->relaxation_rate > 0.0f) {
        relaxation(block);
    }
    if (terms->noise_octaves > 0u) {
        noise(block);
    }
    if (terms->trap_octaves > 0u) {
        traps(block);
    }
    for (uint32_t n = 0; n < block->count; n++) {
        block->tile->time->seen[block->first + n] = block->v[n];
    }
}

void hwl_see_fast(const hwl_tile *tile, uint32_t simd, const uint32_t *rows, uint32_t row_begin, uint32_t row_end)
{
    const hwl_term_keys keys = hwl_keys_of_terms(tile);
    block block;
    block.tile = tile;
    block.simd = simd;
    block.keys = &keys;
    for (uint32_t i = row_begin; i < row_end; i++) {
        const uint32_t row = hwl_line(rows, i);
        if (!hwl_row_is_stale(tile, row)) {
            continue;
        }
        for (uint32_t col = 0; col < tile->cols; col += BLOCK) {
            block.first = (uint32_t)hwl_cell_index(tile, row, col);
            block.count = tile->cols - col < BLOCK ? tile->cols - col : BLOCK;
            see_block(&block);
        }
    }
}
