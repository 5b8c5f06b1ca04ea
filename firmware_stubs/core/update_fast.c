#include "update_fast.h"

#include "hits.h"
#include "see.h"
#include "update_dense.h"

/* Columns that fire, listed slot by slot: of slot `s` of the chunk's unit `u` the entries from starts[32 u + s] to
 * starts[32 u + s + 1]. An entry is a column, and HWL_HIT_DOWN if the sign of its code is negative. */
#define CHUNK_UNITS 32u
#define CHUNK_SLOTS (CHUNK_UNITS * HWL_SLOTS_PER_WORD)
#define SPARE_ENTRIES 32768u

typedef struct columns {
    uint32_t starts[CHUNK_SLOTS + 1];
    uint32_t entries[];
} columns;

static size_t entry_room(uint32_t cols)
{
    return (size_t)HWL_SLOTS_PER_WORD * cols + SPARE_ENTRIES; /* one unit always fits */
}

size_t hwl_update_scratch(uint32_t cols)
{
    const size_t lists = sizeof(columns) + (entry_room(cols) + HWL_HITS_PAST) * sizeof(uint32_t);
    const size_t dense = hwl_dense_scratch(cols);
    return lists > dense ? lists : dense;
}

/* Lists the columns of as many units from `begin` as there is room for. */
static hwl_chunk list_columns(const hwl_trains *trains, uint32_t cols, uint32_t begin, columns *list)
{
    const uint32_t units = trains->samples * trains->words;
    const size_t room = entry_room(cols);
    hwl_chunk chunk = {begin, begin};
    uint32_t filled = 0;
    while (chunk.end < units && chunk.end - begin < CHUNK_UNITS) {
        const uint32_t *const plus = trains->x_plus + (size_t)chunk.end * cols;
        const uint32_t *const minus = trains->x_minus + (size_t)chunk.end * cols;
        uint32_t counts[HWL_SLOTS_PER_WORD] = {0};
        for (uint32_t col = 0; col < cols; col++) {
            for (uint32_t bits = plus[col] | minus[col]; bits; bits &= bits - 1u) {
                counts[hwl_lowest_bit(bits)]++;
            }
        }
        uint32_t *const starts = list->starts + (chunk.end - begin) * HWL_SLOTS_PER_WORD;
        uint32_t next = filled;
        for (uint32_t slot = 0; slot < HWL_SLOTS_PER_WORD; slot++) {
            starts[slot] = next;
            next += counts[slot];
            counts[slot] = starts[slot];
        }
        starts[HWL_SLOTS_PER_WORD] = next;
        if (next > room) {
            break;
        }
        for (uint32_t col = 0; col < cols; col++) {
            for (uint32_t bits = plus[col] | minus[col]; bits; bits &= bits - 1u) {
                const uint32_t slot = hwl_lowest_bit(bits);
                list->entries[counts[slot]++] = col | (minus[col] >> slot & 1u ? HWL_HIT_DOWN : 0u);
            }
        }
        filled = next;
        chunk.end++;
    }
    return chunk;
}

/* Writes `count` hits, and perhaps a few more behind them. */
HWL_INLINE void write_hits(uint32_t *lanes, uint32_t *steps, const uint32_t *entries, uint32_t count, uint32_t base,
                           uint32_t flip, uint32_t step)
{
    for (uint32_t n = 0; n < count; n += 8u) {
        for (uint32_t m = n; m < n + 8u; m++) {
            lanes[m] = (entries[m] + base) ^ flip;
            steps[m] = step;
        }
    }
}

/* A row and what is listed for it. */
typedef struct row_work {
    hwl_tile *tile;
    uint32_t simd;
    uint32_t key;
    uint32_t row;
    hwl_hits *hits;
} row_work;

/* Adds the hits of one slot. Inverted by `flip`, the top bit of an entry says whether the pulse is downwards. */
HWL_INLINE void add_hits(const row_work *work, const uint32_t *entries, uint32_t count, uint32_t flip, uint32_t step)
{
    hwl_hits *const hits = work->hits;
    while (count > 0) {
        if (hits->count == HWL_HITS) {
            hwl_hits_apply(work->tile, work->simd, work->key, hits);
        }
        const uint32_t room = HWL_HITS - hits->count;
        const uint32_t added = count < room ? count : room;
        write_hits(hits->lanes + hits->count, hits->steps + hits->count, entries, added, work->row * work->tile->cols,
                   flip, step);
        hits->count += added;
        entries += added;
        count -= added;
    }
}

/* Applies a chunk to one row. Returns the number of pulses. */
static uint32_t update_row(const row_work *work, const hwl_trains *trains, hwl_chunk chunk, const columns *list)
{
    uint32_t fired = 0;
    for (uint32_t unit = chunk.begin; unit < chunk.end; unit++) {
        const size_t at = (size_t)unit * work->tile->rows + work->row;
        const uint32_t minus = trains->d_minus[at];
        const uint32_t *const starts = list->starts + (unit - chunk.begin) * HWL_SLOTS_PER_WORD;
        for (uint32_t bits = trains->d_plus[at] | minus; bits; bits &= bits - 1u) {
            const uint32_t slot = hwl_lowest_bit(bits);
            const uint32_t count = starts[slot + 1] - starts[slot];
            add_hits(work, list->entries + starts[slot], count, minus >> slot << 31,
                     hwl_unit_step(work->tile, trains, unit) | slot);
            fired += count;
        }
    }
    return fired;
}

/* With lists of hits. */
static uint64_t update_sparse(hwl_tile *tile, uint32_t simd, uint32_t key, const hwl_trains *trains,
                              uint32_t row_begin, uint32_t row_end, columns *list)
{
    hwl_hits hits;
    hwl_hits_begin(&hits);
    row_work work = {tile, simd, key, 0, &hits};
    uint64_t fired = 0;
    const uint32_t units = trains->samples * trains->words;
    for (uint32_t unit = 0; unit < units;) {
        const hwl_chunk chunk = list_columns(trains, tile->cols, unit, list);
        for (uint32_t row = row_begin; row < row_end; row++) {
            work.row = row;
            const uint32_t pulses = update_row(&work, trains, chunk, list);
            tile->versions[row] += pulses > 0u;
            fired += pulses;
        }
        unit = chunk.end;
    }
    hwl_hits_apply(tile, simd, key, &hits);
    return fired;
}

static uint64_t update(hwl_tile *tile, uint32_t simd, uint32_t key, const hwl_trains *trains, uint32_t row_begin,
                       uint32_t row_end, void *scratch)
{
#if HWL_HAVE_AVX2
    if (hwl_dense_pays(tile, simd, trains)) {
        return hwl_update_dense(tile, key, trains, row_begin, row_end, scratch);
    }
#endif
    return update_sparse(tile, simd, key, trains, row_begin, row_end, scratch);
}

uint64_t hwl_update_fast(hwl_tile *tile, uint32_t simd, uint64_t ordinal, const hwl_trains *trains,
                         uint32_t row_begin, uint32_t row_end, void *scratch)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, HWL_PURPOSE_PULSE);
    const uint64_t fired = update(tile, simd, key, trains, row_begin, row_end, scratch);
    for (uint32_t row = row_begin; row < row_end; row++) {
        hwl_note_pulsed(tile, row);
    }
    return fired;
}
