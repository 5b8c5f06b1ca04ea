/* Explicit pulses; the same bits as `hwl_pulse_plain`. */
#ifndef HWL_PULSE_FAST_H
#define HWL_PULSE_FAST_H

#include "simd.h"
#include "tile.h"

/* As `hwl_pulse_plain`; `scratch` holds `col_count` words. */
HWL_API uint64_t hwl_pulse_fast(hwl_tile *tile, uint32_t simd, uint64_t ordinal, const uint32_t *rows,
                                const uint32_t *cols, uint32_t col_count, const int16_t *counts, uint32_t row_begin,
                                uint32_t row_end, uint32_t *scratch);

#endif
