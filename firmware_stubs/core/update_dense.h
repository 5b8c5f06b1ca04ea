/* Outer-product updates in which many of the columns fire: blocks of sixteen cells, their states in registers. */
#ifndef HWL_UPDATE_DENSE_H
#define HWL_UPDATE_DENSE_H

#include "trains.h"

/* Bytes of scratch, for `hwl_update_scratch`. */
size_t hwl_dense_scratch(uint32_t cols);

/* Whether `hwl_update_dense` can do an update and is the faster form. */
int hwl_dense_pays(const hwl_tile *tile, uint32_t simd, const hwl_trains *trains);

/* As `hwl_update_fast`. */
uint64_t hwl_update_dense(hwl_tile *tile, uint32_t key, const hwl_trains *trains, uint32_t row_begin,
                          uint32_t row_end, void *scratch);

#endif
