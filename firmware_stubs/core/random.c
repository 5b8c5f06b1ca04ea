#include "random.h"

void hwl_philox4x32(const uint32_t key[2], uint32_t counter[4])
{
    uint32_t key_0 = key[0];
    uint32_t key_1 = key[1];
    for (int round = 0; round < HWL_PHILOX_ROUNDS; round++) {
        const uint64_t product_0 = (uint64_t)counter[0] * HWL_PHILOX4_MULTIPLIER_0;
        const uint64_t product_1 = (uint64_t)counter[2] * HWL_PHILOX4_MULTIPLIER_1;
        counter[0] = (uint32_t)(product_1 >> 32) ^ counter[1] ^ key_0;
        counter[2] = (uint32_t)(product_0 >> 32) ^ counter[3] ^ key_1;
        counter[1] = (uint32_t)product_1;
        counter[3] = (uint32_t)product_0;
        key_0 += HWL_PHILOX_WEYL_0;
        key_1 += HWL_PHILOX_WEYL_1;
    }
}

void hwl_philox2x32(uint32_t key, uint32_t counter[2])
{
    const hwl_words words = hwl_words_at(key, counter[0], counter[1]);
    counter[0] = words.word[0];
    counter[1] = words.word[1];
}

uint32_t hwl_key(uint64_t seed, uint64_t ordinal, uint32_t tile, uint32_t purpose)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t counter[4] = {(uint32_t)ordinal, (uint32_t)(ordinal >> 32), tile, purpose};
    hwl_philox4x32(key, counter);
    return counter[0];
}
