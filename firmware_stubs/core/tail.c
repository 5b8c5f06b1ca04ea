#include "tail.h"

const uint8_t *hwl_tail_take(hwl_tail *tail, uint64_t count, uint32_t width)
{
    const uint32_t at = (tail->at + width - 1u) / width * width;
    if (tail->broken || count > UINT32_MAX || at > tail->length || count * width > tail->length - at) {
        tail->broken = 1;
        return NULL;
    }
    tail->at = at + (uint32_t)count * width;
    return tail->body + at;
}

int hwl_unpack_signed(const uint8_t *from, uint32_t width, size_t count, int32_t most, int32_t *to)
{
    int fine = 1;
    for (size_t n = 0; n < count; n++) {
        int32_t value;
        if (width == 1) {
            value = (int8_t)from[n];
        } else if (width == 2) {
            value = (int16_t)hwl_get16(from + 2u * n);
        } else {
            value = (int32_t)hwl_get32(from + 4u * n);
        }
        fine &= value <= most && value >= -most;
        to[n] = value;
    }
    return fine;
}

void *hwl_space_take(hwl_space *space, size_t count, size_t width)
{
    const size_t left = space->size - space->used;
    if (count > left / width) {
        return NULL;
    }
    const size_t bytes = (count * width + 7u) / 8u * 8u;
    if (bytes > left) {
        return NULL;
    }
    void *taken = space->bytes + space->used;
    space->used += bytes;
    return taken;
}
