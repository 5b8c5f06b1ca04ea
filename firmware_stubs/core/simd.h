/* Instruction sets of the fast forms. Every set gives the same bits; a caller may ask for any that the machine has. */
#ifndef HWL_SIMD_H
#define HWL_SIMD_H

#include "api.h"

enum hwl_simd { HWL_SIMD_NONE = 0, HWL_SIMD_AVX2 = 1 };

/* The widest set that this machine has. */
HWL_API uint32_t hwl_simd_best(void);

/* HWL_AVX2 marks functions that are compiled for AVX2 whatever the flags; only call them where `hwl_simd_best` says
 * so. FMA is left out: it would round once where the specification rounds twice. */
#if defined(__x86_64__) && defined(__GNUC__)
#define HWL_HAVE_AVX2 1
#define HWL_AVX2 __attribute__((target("avx2,popcnt")))
#else
#define HWL_HAVE_AVX2 0
#endif

/* Asks for memory that is needed soon. */
static inline void hwl_prefetch(const void *memory)
{
#if defined(__GNUC__)
    __builtin_prefetch(memory, 1);
#else
    (void)memory;
#endif
}

/* Loops over a few registers. */
#if defined(__clang__)
#define HWL_UNROLL(times) _Pragma("unroll")
#elif defined(__GNUC__)
#define HWL_PRAGMA(text) _Pragma(#text)
#define HWL_UNROLL(times) HWL_PRAGMA(GCC unroll times)
#else
#define HWL_UNROLL(times)
#endif

/* Keeps a loop scalar: gcc vectorises wide products for SSE2 at a third of the speed of scalar code. */
#if defined(__GNUC__)
#define HWL_SCALAR_LOOP __asm__ volatile("")
#else
#define HWL_SCALAR_LOOP (void)0
#endif

/* For functions whose arguments are constants where they are called. */
#if defined(__GNUC__)
#define HWL_INLINE static inline __attribute__((always_inline))
#else
#define HWL_INLINE static inline
#endif

#endif
