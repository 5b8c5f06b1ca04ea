/* Counter-based random numbers: Philox of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 *
 * Philox4x32-10 derives the 32-bit key of an operation and purpose, Philox2x32-10 gives its words. */
#ifndef HWL_RANDOM_H
#define HWL_RANDOM_H

#include "api.h"

enum hwl_purpose {
    HWL_PURPOSE_PULSE = 1,
    HWL_PURPOSE_X_TRAINS = 2,
    HWL_PURPOSE_D_TRAINS = 3,
    HWL_PURPOSE_OUTPUT_FORWARD = 4,
    HWL_PURPOSE_OUTPUT_BACKWARD = 5,
    HWL_PURPOSE_INPUT_FORWARD = 6,
    HWL_PURPOSE_INPUT_BACKWARD = 7,
    HWL_PURPOSE_CELL_READ = 8,
    HWL_PURPOSE_DRIFT = 9,
    HWL_PURPOSE_EPOCH = 10,
    HWL_PURPOSE_RELAXATION = 11,
    HWL_PURPOSE_READ_NOISE = 12,
    HWL_PURPOSE_TRAP = 13,
    HWL_PURPOSE_TRAP_FILLED = 14
};

#define HWL_PHILOX2_MULTIPLIER 0xD256D193u
#define HWL_PHILOX4_MULTIPLIER_0 0xD2511F53u
#define HWL_PHILOX4_MULTIPLIER_1 0xCD9E8D57u
#define HWL_PHILOX_WEYL_0 0x9E3779B9u
#define HWL_PHILOX_WEYL_1 0xBB67AE85u
#define HWL_PHILOX_ROUNDS 10

typedef struct hwl_words {
    uint32_t word[2];
} hwl_words;

/* Both words of a key at (lane, step). */
static inline hwl_words hwl_words_at(uint32_t key, uint32_t lane, uint32_t step)
{
    /* Two variables, not an array: gcc would keep an array in a vector register, at half the speed. */
    uint32_t right = lane;
    uint32_t left = step;
    for (int round = 0; round < HWL_PHILOX_ROUNDS; round++) {
        const uint64_t product = (uint64_t)right * HWL_PHILOX2_MULTIPLIER;
        right = (uint32_t)(product >> 32) ^ key ^ left;
        left = (uint32_t)product;
        key += HWL_PHILOX_WEYL_0;
    }
    const hwl_words words = {{right, left}};
    return words;
}

static inline uint32_t hwl_bits_set(uint32_t word)
{
    word -= (word >> 1) & 0x55555555u;
    word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
    word = (word + (word >> 4)) & 0x0F0F0F0Fu;
    word += word >> 8;
    word += word >> 16;
    return word & 0x3Fu;
}

/* 1 / sqrt(21162.5): a binomial of 20 bits in steps of 64 (variance 64^2 * 5) and two uniform dithers of 6 bits
 * (variance (64^2 - 1) / 12 each). */
#define HWL_GAUSSIAN_SCALE 0.00687408913f
#define HWL_GAUSSIAN_MIDDLE 703

/* Gaussian of mean 0 and variance 1. */
static inline float hwl_gaussian(uint32_t word)
{
    const uint32_t sum = 64u * hwl_bits_set(word >> 12) + (word & 63u) + ((word >> 6) & 63u);
    return (float)((int32_t)sum - HWL_GAUSSIAN_MIDDLE) * HWL_GAUSSIAN_SCALE;
}

/* Philox4x32-10 of a counter of four words, in place. */
HWL_API void hwl_philox4x32(const uint32_t key[2], uint32_t counter[4]);

/* Philox2x32-10 of a counter of two words, in place. */
HWL_API void hwl_philox2x32(uint32_t key, uint32_t counter[2]);

/* Key of an operation's numbers. */
HWL_API uint32_t hwl_key(uint64_t seed, uint64_t ordinal, uint32_t tile, uint32_t purpose);

#endif
