#include "update_dense.h"

#include "avx2.h"
#include "byte_bits.h"
#include "states_avx2.h"
#include "noise_fast.h"
#include "update_fast.h"

#define BLOCK 16u
#define MOST_UNITS 32u
#define MOST_SLOTS (MOST_UNITS * HWL_SLOTS_PER_WORD)
#define MASK_BYTES 262144u /* of a chunk, so that they stay in the level-2 cache */

static uint32_t blocks_of(uint32_t cols)
{
    return (cols + BLOCK - 1u) / BLOCK;
}

/* Units of a chunk. */
static uint32_t units_of(uint32_t cols)
{
    const uint32_t fitting = MASK_BYTES / (uint32_t)sizeof(uint32_t) / HWL_SLOTS_PER_WORD / blocks_of(cols);
    return fitting < 1u ? 1u : fitting < MOST_UNITS ? fitting : MOST_UNITS;
}

size_t hwl_dense_scratch(uint32_t cols)
{
    return (size_t)blocks_of(cols) * units_of(cols) * HWL_SLOTS_PER_WORD * sizeof(uint32_t);
}

#if HWL_HAVE_AVX2

/* Columns that fire, on average, in a block of eight and a slot in which any fires: below, lists are faster. */
#define DENSE_COLUMNS 2.0f
#define LOOKED_AT 4096u /* words of the masks that tell */

int hwl_dense_pays(const hwl_tile *tile, uint32_t simd, const hwl_trains *trains)
{
    if (simd != HWL_SIMD_AVX2 || tile->knots != 0u || tile->write_memory != 0.0f) {
        return 0;
    }
    const size_t words = (size_t)trains->samples * trains->words * tile->cols;
    const size_t looked = words < LOOKED_AT ? words : LOOKED_AT;
    uint32_t fired = 0, blocks = 0;
    for (size_t n = 0; n < looked; n += 8u) {
        uint32_t any = 0;
        for (size_t m = n; m < n + 8u && m < looked; m++) {
            const uint32_t bits = trains->x_plus[m] | trains->x_minus[m];
            fired += hwl_bits_set(bits);
            any |= bits;
        }
        blocks += hwl_bits_set(any);
    }
    return (float)fired >= DENSE_COLUMNS * (float)blocks && fired > 0u;
}

/* A slot of the chunk in which a row fires. */
typedef struct firing {
    uint32_t slot; /* of the chunk */
    uint32_t flip; /* all ones in the upper half if the row's sign is negative */
    uint32_t step;
} firing;

/* Part of the row's firings in one block; its hits lie together in the list. */
typedef struct segment {
    uint32_t block;
    uint32_t begin;
    uint32_t end;
} segment;

#define SEGMENT_FIRINGS 64u
#define SEGMENT_HITS (SEGMENT_FIRINGS * BLOCK)
#define MOST_SEGMENTS 256u
#define HIT_ROOM (2u * SEGMENT_HITS + HWL_NOISE_GROUP) /* a group of eight may be stored or loaded past the last hit */

typedef struct row_work {
    hwl_tile *tile;
    const uint32_t *masks; /* [blocks, slots]: columns that fire in the lower half, negative ones in the upper */
    uint32_t slots;
    uint32_t row;
    uint32_t firing_count;
    uint32_t segment_count;
    uint32_t hit_count;
    firing firings[MOST_SLOTS];
    segment segments[MOST_SEGMENTS];
    uint32_t lanes[HIT_ROOM];
    uint32_t steps[HIT_ROOM];
    float first[HIT_ROOM];
    float second[HIT_ROOM];
} row_work;

/* Turns the masks of the columns, bits being slots, into masks of slots, bits being columns. */
HWL_AVX2 static void turn_masks(const hwl_trains *trains, uint32_t cols, hwl_chunk chunk, uint32_t *masks)
{
    const uint32_t slots = (chunk.end - chunk.begin) * HWL_SLOTS_PER_WORD;
    for (uint32_t unit = chunk.begin; unit < chunk.end; unit++) {
        for (uint32_t block = 0; block < blocks_of(cols); block++) {
            uint32_t either[BLOCK] = {0}, negative[BLOCK] = {0};
            for (uint32_t n = 0; n < BLOCK && block * BLOCK + n < cols; n++) {
                const size_t at = (size_t)unit * cols + block * BLOCK + n;
                negative[n] = trains->x_minus[at];
                either[n] = trains->x_plus[at] | negative[n];
            }
            __m256i turned[4] = {
                _mm256_loadu_si256((const __m256i *)either), _mm256_loadu_si256((const __m256i *)(either + 8)),
                _mm256_loadu_si256((const __m256i *)negative), _mm256_loadu_si256((const __m256i *)(negative + 8))};
            uint32_t *const to = masks + (size_t)block * slots + (unit - chunk.begin) * HWL_SLOTS_PER_WORD;
            for (uint32_t slot = HWL_SLOTS_PER_WORD; slot-- > 0;) {
                uint32_t bits = 0;
                for (uint32_t n = 0; n < 4; n++) {
                    bits |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(turned[n])) << 8 * n;
                    turned[n] = _mm256_slli_epi32(turned[n], 1);
                }
                to[slot] = bits;
            }
        }
    }
}

static void find_firings(row_work *work, const hwl_trains *trains, hwl_chunk chunk)
{
    work->firing_count = 0;
    for (uint32_t unit = chunk.begin; unit < chunk.end; unit++) {
        const size_t at = (size_t)unit * work->tile->rows + work->row;
        const uint32_t minus = trains->d_minus[at];
        for (uint32_t bits = trains->d_plus[at] | minus; bits; bits &= bits - 1u) {
            const uint32_t slot = hwl_lowest_bit(bits);
            work->firings[work->firing_count++] =
                (firing){(unit - chunk.begin) * HWL_SLOTS_PER_WORD + slot, minus >> slot & 1u ? 0xFFFF0000u : 0u,
                         hwl_unit_step(work->tile, trains, unit) | slot};
        }
    }
}

/* Lists the hits of a segment. */
HWL_AVX2 static void list_segment(row_work *work, segment segment)
{
    const uint32_t *const masks = work->masks + (size_t)segment.block * work->slots;
    const size_t cell = hwl_cell_index(work->tile, work->row, segment.block * BLOCK);
    const __m256i low = _mm256_set1_epi32((int32_t)(uint32_t)cell);
    const __m256i high = _mm256_set1_epi32((int32_t)((uint32_t)cell + 8u));
    uint32_t *lanes = work->lanes + work->hit_count, *steps = work->steps + work->hit_count;
    const uint32_t *const begin = lanes;
    for (uint32_t n = segment.begin; n < segment.end; n++) {
        const uint32_t bits = masks[work->firings[n].slot];
        const uint8_t halves[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        const __m256i step = _mm256_set1_epi32((int32_t)work->firings[n].step);
        _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi32(positions_avx2(hwl_nth_bit[halves[0]]), low));
        _mm256_storeu_si256((__m256i *)steps, step);
        lanes += __builtin_popcount(halves[0]);
        steps += __builtin_popcount(halves[0]);
        _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi32(positions_avx2(hwl_nth_bit[halves[1]]), high));
        _mm256_storeu_si256((__m256i *)steps, step);
        lanes += __builtin_popcount(halves[1]);
        steps += __builtin_popcount(halves[1]);
    }
    work->hit_count += (uint32_t)(lanes - begin);
    work->segments[work->segment_count++] = segment;
}

/* Applies the hits of a segment to its sixteen cells. Returns how many. */
HWL_AVX2 HWL_INLINE uint32_t apply_cells(const row_work *work, enum cycle_noise noise, int write_noise,
                                         segment segment, uint32_t hit, hwl_cell *cells, float *w, float *visible)
{
    const uint32_t *const masks = work->masks + (size_t)segment.block * work->slots;
    const __m256i low_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i high_bits = _mm256_slli_epi32(low_bits, 8);
    const __m256 scale = _mm256_set1_ps(work->tile->cycle_noise);
    const float *first = work->first + hit, *second = work->second + hit;
    const float *const begin = first;
    states low, high;
    load_states(&low, cells, w);
    load_states(&high, cells + 8, w + 8);
    for (uint32_t n = segment.begin; n < segment.end; n++) {
        const uint32_t bits = masks[work->firings[n].slot];
        const __m256i hits = _mm256_set1_epi32((int32_t)bits);
        const __m256i downs = _mm256_set1_epi32((int32_t)((bits ^ work->firings[n].flip) >> 16));
        const uint8_t halves[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        pulse_states(&low, noise, write_noise, scale, chosen(hits, low_bits), chosen(downs, low_bits), first, second,
                     halves[0]);
        first += __builtin_popcount(halves[0]);
        second += __builtin_popcount(halves[0]);
        pulse_states(&high, noise, write_noise, scale, chosen(hits, high_bits), chosen(downs, high_bits), first,
                     second, halves[1]);
        first += __builtin_popcount(halves[1]);
        second += __builtin_popcount(halves[1]);
    }
    store_states(&low, write_noise, cells, w, visible);
    store_states(&high, write_noise, cells + 8, w + 8, visible + 8);
    return (uint32_t)(first - begin);
}

/* Applies the hits of a segment, by way of copies if the row ends within the block. */
HWL_AVX2 HWL_INLINE uint32_t apply_segment(const row_work *work, enum cycle_noise noise, int write_noise,
                                           segment segment, uint32_t hit)
{
    const hwl_tile *const tile = work->tile;
    const uint32_t col = segment.block * BLOCK;
    const uint32_t width = tile->cols - col < BLOCK ? tile->cols - col : BLOCK;
    const size_t cell = hwl_cell_index(tile, work->row, col);
    if (width == BLOCK) {
        return apply_cells(work, noise, write_noise, segment, hit, tile->cells + cell, tile->persistent + cell,
                           tile->visible + cell);
    }
    hwl_cell cells[BLOCK] = {{.pulses = 0}};
    float w[BLOCK] = {0}, visible[BLOCK] = {0};
    for (uint32_t n = 0; n < width; n++) {
        cells[n] = tile->cells[cell + n];
        w[n] = tile->persistent[cell + n];
        visible[n] = tile->visible[cell + n];
    }
    const uint32_t applied = apply_cells(work, noise, write_noise, segment, hit, cells, w, visible);
    for (uint32_t n = 0; n < width; n++) {
        tile->cells[cell + n].pulses = cells[n].pulses;
        tile->persistent[cell + n] = w[n];
        tile->visible[cell + n] = visible[n];
    }
    return applied;
}

HWL_AVX2 HWL_INLINE void apply_segments(const row_work *work, enum cycle_noise noise, int write_noise)
{
    uint32_t hit = 0;
    for (uint32_t n = 0; n < work->segment_count; n++) {
        hit += apply_segment(work, noise, write_noise, work->segments[n], hit);
    }
}

/* Draws the noise of the hits that are listed, and applies them. */
HWL_AVX2 static void apply_hits(row_work *work, uint32_t key)
{
    const hwl_tile *const tile = work->tile;
    const int write_noise = tile->write_noise != 0u;
    const enum cycle_noise noise = tile->cycle_noise == 0.0f ? NO_NOISE : tile->additive ? ADDITIVE : MULTIPLICATIVE;
    if (noise != NO_NOISE || write_noise) {
        hwl_noise(HWL_SIMD_AVX2, key, work->hit_count, work->lanes, 0xFFFFFFFFu, work->steps, work->first,
                  write_noise ? work->second : NULL);
    }
    if (noise == NO_NOISE) {
        write_noise ? apply_segments(work, NO_NOISE, 1) : apply_segments(work, NO_NOISE, 0);
    } else if (noise == ADDITIVE) {
        write_noise ? apply_segments(work, ADDITIVE, 1) : apply_segments(work, ADDITIVE, 0);
    } else {
        write_noise ? apply_segments(work, MULTIPLICATIVE, 1) : apply_segments(work, MULTIPLICATIVE, 0);
    }
    work->segment_count = 0;
    work->hit_count = 0;
}

static uint64_t update_row(row_work *work, uint32_t key)
{
    uint64_t fired = 0;
    for (uint32_t block = 0; block < blocks_of(work->tile->cols); block++) {
        for (uint32_t begin = 0; begin < work->firing_count; begin += SEGMENT_FIRINGS) {
            const uint32_t left = work->firing_count - begin;
            const uint32_t end = begin + (left < SEGMENT_FIRINGS ? left : SEGMENT_FIRINGS);
            list_segment(work, (segment){block, begin, end});
            if (work->hit_count >= SEGMENT_HITS || work->segment_count == MOST_SEGMENTS) {
                fired += work->hit_count;
                apply_hits(work, key);
            }
        }
    }
    fired += work->hit_count;
    apply_hits(work, key);
    return fired;
}

uint64_t hwl_update_dense(hwl_tile *tile, uint32_t key, const hwl_trains *trains, uint32_t row_begin,
                          uint32_t row_end, void *scratch)
{
    const uint32_t units = trains->samples * trains->words;
    row_work work;
    work.tile = tile;
    work.masks = scratch;
    work.segment_count = 0;
    work.hit_count = 0;
    uint64_t fired = 0;
    for (uint32_t unit = 0; unit < units; unit += units_of(tile->cols)) {
        const uint32_t left = units - unit;
        const hwl_chunk chunk = {unit, unit + (left < units_of(tile->cols) ? left : units_of(tile->cols))};
        turn_masks(trains, tile->cols, chunk, scratch);
        work.slots = (chunk.end - chunk.begin) * HWL_SLOTS_PER_WORD;
        for (work.row = row_begin; work.row < row_end; work.row++) {
            find_firings(&work, trains, chunk);
            const uint64_t pulses = update_row(&work, key);
            tile->versions[work.row] += pulses > 0u;
            fired += pulses;
        }
    }
    return fired;
}

#endif
