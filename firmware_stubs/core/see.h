/* What reads see of a tile whose cells change with time. */
#ifndef HWL_SEE_H
#define HWL_SEE_H

#include "simd.h"
#include "tile.h"

/* Notes when cells of a row were pulsed, after an operation that pulsed some. */
static inline void hwl_note_pulsed(const hwl_tile *tile, uint32_t row)
{
    const hwl_time *time = tile->time;
    if (!time) {
        return;
    }
    const size_t first = hwl_cell_index(tile, row, 0);
    for (size_t cell = first; cell < first + tile->cols; cell++) {
        if (time->counted[cell] != tile->cells[cell].pulses) {
            time->counted[cell] = tile->cells[cell].pulses;
            time->pulsed[cell] = time->now;
        }
    }
}

/* The tile as reads take it: with the cells as they are seen, once `hwl_see_plain` or `hwl_see_fast` has looked. */
static inline hwl_tile hwl_as_seen(const hwl_tile *tile)
{
    hwl_tile seen = *tile;
    if (tile->time) {
        seen.visible = tile->time->seen;
        seen.versions = tile->time->seen_versions;
        seen.time = NULL;
    }
    return seen;
}

/* Looks at the rows of a block: `rows` lists them or is NULL; works on [row_begin, row_end) of them. A row that was
 * looked at since it changed, at the same time, is left. Only for tiles with a time. */
HWL_API void hwl_see_plain(const hwl_tile *tile, const uint32_t *rows, uint32_t row_begin, uint32_t row_end);
HWL_API void hwl_see_fast(const hwl_tile *tile, uint32_t simd, const uint32_t *rows, uint32_t row_begin,
                          uint32_t row_end);

/* Keys of the numbers of the terms; none depends on an operation. */
typedef struct hwl_term_keys {
    uint32_t drift;
    uint32_t epoch;
    uint32_t path;
    uint32_t trap;
    uint32_t filled;
    uint32_t octaves[HWL_OCTAVES_MAX];
} hwl_term_keys;

hwl_term_keys hwl_keys_of_terms(const hwl_tile *tile);

/* Whether a row must be looked at; notes that it was. */
static inline int hwl_row_is_stale(const hwl_tile *tile, uint32_t row)
{
    const hwl_time *time = tile->time;
    if (time->seen_at[row] == time->now && time->seen_of[row] == tile->versions[row]) {
        return 0;
    }
    time->seen_at[row] = time->now;
    time->seen_of[row] = tile->versions[row];
    time->seen_versions[row]++;
    return 1;
}

#endif
