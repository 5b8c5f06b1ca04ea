#include "trains_fast.h"

#include "avx2.h"

/* Lines that fire at all, many at a time: a line with code 0 draws nothing. */
#define GROUP 32u

typedef struct group {
    uint32_t lines[GROUP];
    uint32_t last[GROUP]; /* a line fires in a slot if its word is at most this */
} group;

#if HWL_HAVE_AVX2

/* All ones in the words above `last`, whose top bit is inverted, since the comparison is signed. */
HWL_AVX2 static inline __m256i silent_avx2(__m256i words, __m256i last, __m256i top)
{
    return _mm256_cmpgt_epi32(_mm256_xor_si256(words, top), last);
}

HWL_AVX2 static void draw_avx2(uint32_t key, const group *group, uint32_t step, uint32_t slots, uint32_t fires[GROUP])
{
    const hwl_keys_avx2 keys = hwl_keys_of_avx2(key);
    const __m256i top = _mm256_set1_epi32(INT32_MIN);
    __m256i lanes[HWL_VECTORS_AVX2], last[HWL_VECTORS_AVX2], silent[HWL_VECTORS_AVX2];
    for (int n = 0; n < HWL_VECTORS_AVX2; n++) {
        lanes[n] = _mm256_loadu_si256((const __m256i *)(group->lines + 8 * n));
        last[n] = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(group->last + 8 * n)), top);
        silent[n] = _mm256_setzero_si256();
    }
    for (uint32_t slot = 0; slot < slots; slot += 2) {
        const __m256i at = _mm256_set1_epi32((int32_t)(step + slot / 2));
        const __m256i steps[HWL_VECTORS_AVX2] = {at, at, at, at};
        const hwl_words_avx2 words = hwl_words_at_avx2(&keys, lanes, steps);
        const __m256i even = _mm256_set1_epi32((int32_t)(1u << slot));
        const __m256i odd = _mm256_set1_epi32((int32_t)(2u << slot));
        for (int n = 0; n < HWL_VECTORS_AVX2; n++) {
            const __m256i first = _mm256_and_si256(silent_avx2(words.first[n], last[n], top), even);
            const __m256i second = _mm256_and_si256(silent_avx2(words.second[n], last[n], top), odd);
            silent[n] = _mm256_or_si256(silent[n], _mm256_or_si256(first, second));
        }
    }
    for (int n = 0; n < HWL_VECTORS_AVX2; n++) {
        _mm256_storeu_si256((__m256i *)(fires + 8 * n), _mm256_andnot_si256(silent[n], _mm256_set1_epi32(-1)));
    }
}

#endif

/* Bits of up to 32 slots of the lines of a group, the first slot being `2 * step`; bits above are arbitrary. */
static void draw(uint32_t simd, uint32_t key, const group *group, uint32_t step, uint32_t slots,
                 uint32_t fires[GROUP])
{
#if HWL_HAVE_AVX2
    if (simd == HWL_SIMD_AVX2) {
        draw_avx2(key, group, step, slots, fires);
        return;
    }
#endif
    (void)simd;
    for (uint32_t n = 0; n < GROUP; n++) {
        fires[n] = 0;
        for (uint32_t slot = 0; slot < slots; slot += 2) {
            const hwl_words words = hwl_words_at(key, group->lines[n], step + slot / 2);
            fires[n] |= (uint32_t)(words.word[0] <= group->last[n]) << slot;
            fires[n] |= (uint32_t)(words.word[1] <= group->last[n]) << (slot + 1);
        }
    }
}

void hwl_draw_trains_fast(const hwl_tile *tile, uint32_t simd, uint64_t ordinal, uint32_t purpose, uint32_t lines,
                          const int32_t *codes, const int32_t *lengths, const int32_t *gains, uint32_t words,
                          uint32_t *plus, uint32_t *minus, uint32_t sample_begin, uint32_t sample_end)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, purpose);
    for (uint32_t sample = sample_begin; sample < sample_end; sample++) {
        const uint32_t length = (uint32_t)lengths[sample];
        const uint32_t step = (tile->first_sample + sample) << 8;
        const int32_t *const row = codes + (size_t)sample * lines;
        const size_t base = (size_t)sample * words * lines;
        for (size_t n = base; n < base + (size_t)words * lines; n++) {
            plus[n] = 0;
            minus[n] = 0;
        }
        uint32_t line = 0;
        while (line < lines) {
            group active = {{0}, {0}};
            uint32_t count = 0;
            for (; line < lines && count < GROUP; line++) {
                if (row[line] != 0) {
                    active.lines[count] = line;
                    const uint64_t threshold = hwl_threshold(row[line], gains[sample], tile->update_code_max);
                    active.last[count] = (uint32_t)(threshold - 1u);
                    count++;
                }
            }
            for (uint32_t word = 0; count > 0 && word * HWL_SLOTS_PER_WORD < length; word++) {
                const uint32_t left = length - word * HWL_SLOTS_PER_WORD;
                const uint32_t slots = left < HWL_SLOTS_PER_WORD ? left : HWL_SLOTS_PER_WORD;
                const uint32_t within = 0xFFFFFFFFu >> (HWL_SLOTS_PER_WORD - slots);
                uint32_t fires[GROUP];
                draw(simd, key, &active, step | word * HWL_SLOTS_PER_WORD / 2u, slots, fires);
                for (uint32_t n = 0; n < count; n++) {
                    const size_t at = base + (size_t)word * lines + active.lines[n];
                    uint32_t *const side = row[active.lines[n]] > 0 ? plus : minus;
                    side[at] = fires[n] & within;
                }
            }
        }
    }
}
