#include "trains.h"

void hwl_draw_trains_plain(const hwl_tile *tile, uint64_t ordinal, uint32_t purpose, uint32_t lines,
                           const int32_t *codes, const int32_t *lengths, const int32_t *gains, uint32_t words,
                           uint32_t *plus, uint32_t *minus, uint32_t sample_begin, uint32_t sample_end)
{
    const uint32_t key = hwl_tile_key(tile, ordinal, purpose);
    for (uint32_t sample = sample_begin; sample < sample_end; sample++) {
        const uint32_t length = (uint32_t)lengths[sample];
        const size_t base = (size_t)sample * words * lines;
        for (uint32_t line = 0; line < lines; line++) {
            const int32_t code = codes[(size_t)sample * lines + line];
            const uint64_t threshold = hwl_threshold(code, gains[sample], tile->update_code_max);
            for (uint32_t word = 0; word < words; word++) {
                uint32_t fires = 0;
                for (uint32_t bit = 0; bit < HWL_SLOTS_PER_WORD; bit++) {
                    const uint32_t slot = word * HWL_SLOTS_PER_WORD + bit;
                    if (code != 0 && slot < length) {
                        const hwl_words drawn = hwl_words_at(key, line, (tile->first_sample + sample) << 8 | slot >> 1);
                        fires |= (uint32_t)(drawn.word[slot & 1u] < threshold) << bit;
                    }
                }
                plus[base + (size_t)word * lines + line] = code > 0 ? fires : 0u;
                minus[base + (size_t)word * lines + line] = code < 0 ? fires : 0u;
            }
        }
    }
}

void hwl_pack_trains(uint32_t lines, uint32_t samples, uint32_t slots, const int8_t *trains, uint32_t words,
                     uint32_t *plus, uint32_t *minus)
{
    for (size_t n = 0; n < (size_t)samples * words * lines; n++) {
        plus[n] = 0;
        minus[n] = 0;
    }
    for (uint32_t sample = 0; sample < samples; sample++) {
        for (uint32_t slot = 0; slot < slots; slot++) {
            const uint32_t bit = slot % HWL_SLOTS_PER_WORD;
            const size_t base = ((size_t)sample * words + slot / HWL_SLOTS_PER_WORD) * lines;
            const int8_t *row = trains + ((size_t)sample * slots + slot) * lines;
            for (uint32_t line = 0; line < lines; line++) {
                plus[base + line] |= (uint32_t)(row[line] > 0) << bit;
                minus[base + line] |= (uint32_t)(row[line] < 0) << bit;
            }
        }
    }
}
