/* What the shared library exports, and its version. */
#ifndef HWL_API_H
#define HWL_API_H

#include <stdint.h>

#if defined(__GNUC__)
#define HWL_API __attribute__((visibility("default")))
#else
#define HWL_API
#endif

/* Version of the functions and structs below; a caller that was built for another one must not call them. */
#define HWL_ABI_VERSION 1u

HWL_API uint32_t hwl_abi_version(void);

/* sizeof(hwl_tile), so that a caller that lays the struct out by itself can check its layout. */
HWL_API uint32_t hwl_tile_size(void);

/* Hash of the sources that this core was built from. */
HWL_API const char *hwl_source_hash(void);

#endif
