#include "block.h"

#include <string.h>

static int each_is_there_once(hwl_part *part, const uint32_t *lines, uint32_t count, uint32_t of)
{
    hwl_space space = part->space; /* what is taken here is given back */
    const size_t bytes = (of + 7u) / 8u;
    uint8_t *seen = hwl_space_take(&space, bytes, 1);
    if (!seen) {
        return 0;
    }
    memset(seen, 0, bytes);
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t line = lines[n];
        const uint32_t bit = 1u << line % 8u;
        if (line >= of || (seen[line / 8u] & bit)) {
            return 0;
        }
        seen[line / 8u] = (uint8_t)(seen[line / 8u] | bit);
    }
    return 1;
}

/* The lines of one side: listed, or `count` of them from `first`. */
static uint16_t take_lines(hwl_part *part, int listed, uint32_t first, uint32_t count, uint32_t of,
                           const uint32_t **lines)
{
    uint32_t *taken = hwl_space_take(&part->space, count, sizeof *taken);
    const uint8_t *list = listed ? hwl_tail_take(&part->tail, count, 2) : NULL;
    if (!taken || (listed && !list)) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "a list of lines that is too short");
    }
    for (uint32_t n = 0; n < count; n++) {
        taken[n] = listed ? hwl_get16(list + 2u * n) : first + n;
    }
    if (!each_is_there_once(part, taken, count, of)) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "a line outside the tile, or twice in a list");
    }
    *lines = taken;
    return HWL_ERROR_NONE;
}

uint16_t hwl_take_block(hwl_part *part, hwl_block_fields fields)
{
    part->block.row_count = fields.row_count;
    part->block.col_count = fields.col_count;
    if (fields.listed & ~(HWL_LISTED_ROWS | HWL_LISTED_COLS)) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "`listed` has bits without a meaning");
    }
    const uint16_t error = take_lines(part, fields.listed & HWL_LISTED_ROWS, fields.row_first, fields.row_count,
                                      part->tile->rows, &part->block.rows);
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    return take_lines(part, fields.listed & HWL_LISTED_COLS, fields.col_first, fields.col_count, part->tile->cols,
                      &part->block.cols);
}
