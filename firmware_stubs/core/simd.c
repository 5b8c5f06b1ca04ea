#include "simd.h"

uint32_t hwl_simd_best(void)
{
#if HWL_HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        return HWL_SIMD_AVX2;
    }
#endif
    return HWL_SIMD_NONE;
}
