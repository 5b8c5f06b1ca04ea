/* Little-endian numbers in byte buffers, at any alignment. */
#ifndef HWL_BYTES_H
#define HWL_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint16_t hwl_get16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t hwl_get32(const uint8_t *from)
{
    return (uint32_t)hwl_get16(from) | (uint32_t)hwl_get16(from + 2) << 16;
}

static inline uint64_t hwl_get64(const uint8_t *from)
{
    return (uint64_t)hwl_get32(from) | (uint64_t)hwl_get32(from + 4) << 32;
}

static inline void hwl_put16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void hwl_put32(uint8_t *to, uint32_t value)
{
    hwl_put16(to, (uint16_t)value);
    hwl_put16(to + 2, (uint16_t)(value >> 16));
}

static inline void hwl_put64(uint8_t *to, uint64_t value)
{
    hwl_put32(to, (uint32_t)value);
    hwl_put32(to + 4, (uint32_t)(value >> 32));
}

#endif
