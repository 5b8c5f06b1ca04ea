/* Trains drawn many lines at a time; the same bits as `hwl_draw_trains_plain`. */
#ifndef HWL_TRAINS_FAST_H
#define HWL_TRAINS_FAST_H

#include "simd.h"
#include "trains.h"

/* As `hwl_draw_trains_plain`. */
HWL_API void hwl_draw_trains_fast(const hwl_tile *tile, uint32_t simd, uint64_t ordinal, uint32_t purpose,
                                  uint32_t lines, const int32_t *codes, const int32_t *lengths, const int32_t *gains,
                                  uint32_t words, uint32_t *plus, uint32_t *minus, uint32_t sample_begin,
                                  uint32_t sample_end);

#endif
