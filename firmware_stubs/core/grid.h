/* Read grids of whole planes, kept between reads and refreshed row by row as the rows change. */
#ifndef HWL_GRID_H
#define HWL_GRID_H

#include "read.h"
#include "simd.h"

#define HWL_GRID_LINES 16u /* rows of a grid are padded with zeros to a multiple of this */

/* A plane on the read grid. The caller owns the memory; zeros are a grid that no row is known of. */
typedef struct hwl_grid {
    void *values;   /* [rows, stride], int16_t if the tile's cell_bits are 16, else int32_t */
    uint32_t *seen; /* [rows], versions of the rows that the values belong to */
} hwl_grid;

/* Values from one row to the next. */
static inline size_t hwl_grid_stride(uint32_t cols)
{
    return ((size_t)cols + HWL_GRID_LINES - 1u) / HWL_GRID_LINES * HWL_GRID_LINES;
}

/* Bytes of a grid's values; 32 more make room for aligning them. */
HWL_API size_t hwl_grid_size(const hwl_tile *tile);

/* Brings the rows [row_begin, row_end) of a plane's grid up to date. */
HWL_API void hwl_grid_refresh(const hwl_tile *tile, uint32_t simd, uint32_t plane, hwl_grid *grid, uint32_t row_begin,
                              uint32_t row_end);

#endif
