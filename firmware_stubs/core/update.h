/* Outer-product updates: a cell gets one pulse in every slot in which its row and its column fire. */
#ifndef HWL_UPDATE_H
#define HWL_UPDATE_H

#include "trains.h"

/* Applies trains to the rows [row_begin, row_end). Returns the number of pulses. */
HWL_API uint64_t hwl_update_plain(hwl_tile *tile, uint64_t ordinal, const hwl_trains *trains, uint32_t row_begin,
                                  uint32_t row_end);

#endif
