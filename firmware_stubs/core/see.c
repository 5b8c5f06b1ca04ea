#include "see.h"

#include "term.h"

hwl_term_keys hwl_keys_of_terms(const hwl_tile *tile)
{
    const hwl_terms *terms = tile->time->terms;
    hwl_term_keys keys = {
        .drift = hwl_tile_key(tile, 0, HWL_PURPOSE_DRIFT),
        .epoch = hwl_tile_key(tile, 0, HWL_PURPOSE_EPOCH),
        .path = hwl_tile_key(tile, 0, HWL_PURPOSE_RELAXATION),
        .trap = hwl_tile_key(tile, 0, HWL_PURPOSE_TRAP),
        .filled = hwl_tile_key(tile, 0, HWL_PURPOSE_TRAP_FILLED),
    };
    for (uint32_t octave = 0; octave < terms->noise_octaves; octave++) {
        keys.octaves[octave] = hwl_tile_key(tile, octave, HWL_PURPOSE_READ_NOISE);
    }
    return keys;
}

static float path_of(const hwl_term_keys *keys, uint32_t cell, uint32_t pulses, float octaves)
{
    const hwl_words base = hwl_words_at(keys->epoch, cell, pulses);
    const uint32_t whole = (uint32_t)octaves;
    const float last = hwl_root(octaves - (float)whole);
    float path = 0.0f;
    for (uint32_t n = 0; n <= whole; n++) {
        const float xi = hwl_gaussian(hwl_words_at(keys->path, base.word[0], base.word[1] + n / 2u).word[n % 2u]);
        path = path + (n < whole ? xi : last * xi);
    }
    return path;
}

static float noise_of(const hwl_terms *terms, const hwl_term_keys *keys, uint32_t cell, uint64_t own_time)
{
    float sum = 0.0f;
    for (uint32_t octave = 0; octave < terms->noise_octaves; octave++) {
        const uint32_t block = hwl_octave_block(own_time, terms->noise_shift + octave);
        sum = sum + terms->noise_weights[octave] *
                        hwl_gaussian(hwl_words_at(keys->octaves[octave], cell, block).word[0]);
    }
    return sum;
}

static float seen_of(const hwl_tile *tile, const hwl_term_keys *keys, size_t cell)
{
    const hwl_time *time = tile->time;
    const hwl_terms *terms = time->terms;
    const float u = hwl_level_argument(terms, tile->visible[cell]);
    float v = tile->visible[cell];
    if (hwl_moves(&tile->cells[cell])) {
        const float age = hwl_age(time, cell);
        if (terms->drift_rate > 0.0f) {
            const float xi = hwl_gaussian(hwl_words_at(keys->drift, (uint32_t)cell, 0).word[0]);
            v = hwl_drifted(terms, v, u, age, xi);
        }
        if (terms->relaxation_rate > 0.0f) {
            const float octaves = hwl_relaxation_octaves(terms, age);
            const float path = path_of(keys, (uint32_t)cell, tile->cells[cell].pulses, octaves);
            v = hwl_relaxed(terms, v, u, octaves, path);
        }
    }
    const uint64_t own_time = hwl_own_time(time, cell);
    if (terms->noise_octaves > 0u) {
        v = hwl_noisy(terms, v, u, noise_of(terms, keys, (uint32_t)cell, own_time));
    }
    if (terms->trap_octaves > 0u) {
        v = hwl_trapped(terms, v, u, own_time, (uint32_t)cell, keys->trap, keys->filled);
    }
    return v;
}

void hwl_see_plain(const hwl_tile *tile, const uint32_t *rows, uint32_t row_begin, uint32_t row_end)
{
    const hwl_term_keys keys = hwl_keys_of_terms(tile);
    for (uint32_t i = row_begin; i < row_end; i++) {
        const uint32_t row = hwl_line(rows, i);
        if (!hwl_row_is_stale(tile, row)) {
            continue;
        }
        const size_t first = hwl_cell_index(tile, row, 0);
        for (size_t cell = first; cell < first + tile->cols; cell++) {
            tile->time->seen[cell] = seen_of(tile, &keys, cell);
        }
    }
}
