/* Lines of a block, as parts name them. */
#ifndef HWL_BLOCK_H
#define HWL_BLOCK_H

#include "part.h"

/* The fields of parts on a block. */
typedef struct hwl_block_fields {
    uint16_t row_first;
    uint16_t row_count;
    uint16_t col_first;
    uint16_t col_count;
    uint8_t listed;
} hwl_block_fields;

#define HWL_BLOCK_FIELDS(m) {(m).row_first, (m).row_count, (m).col_first, (m).col_count, (m).listed}

/* Unpacks the lines of a block from the tail; a line outside the tile or named twice is refused. */
uint16_t hwl_take_block(hwl_part *part, hwl_block_fields fields);

#endif
