#include "api.h"
#include "tile.h"

#ifndef HWL_SOURCE_HASH
#define HWL_SOURCE_HASH "unknown"
#endif

uint32_t hwl_abi_version(void)
{
    return HWL_ABI_VERSION;
}

uint32_t hwl_tile_size(void)
{
    return (uint32_t)sizeof(hwl_tile);
}

const char *hwl_source_hash(void)
{
    return HWL_SOURCE_HASH;
}
