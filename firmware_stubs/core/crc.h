/* CRC-32 of zlib and Ethernet: polynomial 0xEDB88320, reflected. */
#ifndef HWL_CRC_H
#define HWL_CRC_H

#include <stddef.h>

#include "api.h"

/* CRC of `size` bytes that follow bytes whose CRC is `crc`, 0 for none. */
HWL_API uint32_t hwl_crc32(uint32_t crc, const uint8_t *bytes, size_t size);

#endif
