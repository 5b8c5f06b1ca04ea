/* Lists of hits: pulses that are known, but not yet applied. Noise is drawn for a whole list at once. */
#ifndef HWL_HITS_H
#define HWL_HITS_H

#include "noise_fast.h"
#include "tile.h"

#define HWL_HITS 1024u

/* Set in a hit's lane if its pulse is downwards; the other bits are the cell. */
#define HWL_HIT_DOWN 0x80000000u
#define HWL_HIT_CELL 0x7FFFFFFFu

/* Hits beyond the last one that may be written or looked at, but are not there. */
#define HWL_HITS_PAST 32u

/* Pulses in the order in which they are applied. */
typedef struct hwl_hits {
    uint32_t lanes[HWL_HITS + HWL_HITS_PAST];
    uint32_t steps[HWL_HITS + HWL_HITS_PAST];
    uint32_t count;
} hwl_hits;

/* Makes an empty list. */
void hwl_hits_begin(hwl_hits *hits);

/* Applies the pulses of a list, and empties it. */
void hwl_hits_apply(hwl_tile *tile, uint32_t simd, uint32_t key, hwl_hits *hits);

#endif
