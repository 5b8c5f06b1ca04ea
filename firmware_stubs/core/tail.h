/* The arrays behind a message's fixed fields, and the space that operations compute in. */
#ifndef HWL_TAIL_H
#define HWL_TAIL_H

#include <stddef.h>

#include "bytes.h"
#include "frame.h"

/* What of a message's body is not taken yet. */
typedef struct hwl_tail {
    const uint8_t *body;
    uint32_t at;
    uint32_t length;
    uint8_t broken; /* whether an array did not fit */
} hwl_tail;

/* Takes an array of `count` elements of `width` bytes; NULL if it is not there. */
const uint8_t *hwl_tail_take(hwl_tail *tail, uint64_t count, uint32_t width);

/* Whether every array was there, and nothing else. */
static inline int hwl_tail_is_whole(const hwl_tail *tail)
{
    return !tail->broken && tail->at == tail->length;
}

/* Signed integers of 1, 2 or 4 bytes; whether all are between -most and most. */
int hwl_unpack_signed(const uint8_t *from, uint32_t width, size_t count, int32_t most, int32_t *to);

/* Space that is given out piece by piece, and taken back as a whole. */
typedef struct hwl_space {
    uint8_t *bytes; /* at a multiple of 8 */
    size_t size;
    size_t used;
} hwl_space;

/* Room for `count` elements of `width` bytes at a multiple of 8; NULL if there is not as much. */
void *hwl_space_take(hwl_space *space, size_t count, size_t width);

#endif
