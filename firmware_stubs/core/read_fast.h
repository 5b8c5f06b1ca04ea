/* Reads from grids that are kept; the same bits as `hwl_read_plain` and `hwl_read_cells_plain`. */
#ifndef HWL_READ_FAST_H
#define HWL_READ_FAST_H

#include "grid.h"

/* Bytes of scratch that one thread's reads of a tile need. */
HWL_API size_t hwl_read_scratch(const hwl_tile *tile);

/* As `hwl_read_plain`, from the plane's grid, which is up to date; `scratch` is aligned to 64 bytes. */
HWL_API void hwl_read_fast(const hwl_tile *tile, uint32_t simd, const hwl_grid *grid, uint32_t kind, uint32_t plane,
                           uint64_t ordinal, uint32_t samples, const int32_t *carried, uint32_t line_begin,
                           uint32_t line_end, int32_t *values, uint8_t *saturated, void *scratch);

/* As `hwl_read_cells_plain`. */
HWL_API void hwl_read_cells_fast(const hwl_tile *tile, uint32_t simd, uint32_t plane, uint64_t ordinal,
                                 uint32_t average, const uint32_t *rows, const uint32_t *cols, uint32_t col_count,
                                 uint32_t row_begin, uint32_t row_end, int32_t *values, uint8_t *saturated);

#endif
