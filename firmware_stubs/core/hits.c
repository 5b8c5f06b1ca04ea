#include "hits.h"

#include "pulse.h"

/* Hits whose cells are on their way while one is applied: a list jumps about in a row that is seldom in the cache. */
#define PREFETCHED 24u

void hwl_hits_begin(hwl_hits *hits)
{
    hits->count = 0;
    for (uint32_t n = 0; n < HWL_HITS + HWL_HITS_PAST; n++) {
        hits->lanes[n] = 0; /* what is prefetched past the last hit is a cell, too */
    }
}

/* None, one that a pulse makes anew, or one of which the next pulse leaves some. */
enum write_noise { NONE, FRESH, KEPT };

/* The same for each combination of what a tile may have, so that nothing is decided hit by hit. */
HWL_INLINE void apply(const hwl_tile *tile, const hwl_hits *hits, int noise, enum write_noise write_noise, const float *first,
                      const float *second)
{
    const hwl_tile model = *tile; /* a copy, which no store below can change */
    const uint32_t count = hits->count;
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t index = hits->lanes[n] & HWL_HIT_CELL;
        hwl_prefetch(&model.cells[hits->lanes[n + PREFETCHED] & HWL_HIT_CELL]);
        hwl_cell *const cell = &model.cells[index];
        const int down = hits->lanes[n] >> 31 != 0u;
        const float before = model.persistent[index];
        const float moved = hwl_moved(&model, cell, before, down, noise ? first[n] : 0.0f);
        model.persistent[index] = moved;
        if (write_noise == KEPT) {
            const float left = model.write_memory * (model.visible[index] - before);
            model.visible[index] = moved + (left + cell->write_noise * second[n]);
        } else {
            model.visible[index] = write_noise == FRESH ? moved + cell->write_noise * second[n] : moved;
        }
        cell->pulses++;
    }
}

HWL_INLINE void apply_curves(const hwl_tile *tile, const hwl_hits *hits, enum write_noise write_noise, const float *first,
                             const float *second)
{
    hwl_tile model = *tile;
    if (tile->cycle_noise == 0.0f) {
        model.cycle_noise = 0.0f;
        apply(&model, hits, 0, write_noise, first, second);
    } else if (tile->additive) {
        model.additive = 1;
        apply(&model, hits, 1, write_noise, first, second);
    } else {
        model.additive = 0;
        apply(&model, hits, 1, write_noise, first, second);
    }
}

HWL_INLINE void apply_tables(const hwl_tile *tile, const hwl_hits *hits, enum write_noise write_noise, const float *first,
                             const float *second)
{
    if (tile->knots == 0u) {
        hwl_tile model = *tile;
        model.knots = 0u;
        apply_curves(&model, hits, write_noise, first, second);
    } else {
        apply_curves(tile, hits, write_noise, first, second);
    }
}

void hwl_hits_apply(hwl_tile *tile, uint32_t simd, uint32_t key, hwl_hits *hits)
{
    float first[HWL_HITS + HWL_NOISE_GROUP], second[HWL_HITS + HWL_NOISE_GROUP];
    const int write_noise = tile->write_noise != 0u || tile->write_memory != 0.0f;
    if (tile->cycle_noise != 0.0f || write_noise) {
        hwl_noise(simd, key, hits->count, hits->lanes, HWL_HIT_CELL, hits->steps, first, write_noise ? second : NULL);
    }
    if (tile->write_memory != 0.0f) {
        apply_tables(tile, hits, KEPT, first, second);
    } else if (write_noise) {
        apply_tables(tile, hits, FRESH, first, second);
    } else {
        apply_tables(tile, hits, NONE, first, second);
    }
    hits->count = 0;
}
