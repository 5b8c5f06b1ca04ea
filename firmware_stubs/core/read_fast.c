#include "read_fast.h"

#include "convert_fast.h"
#include "noise_fast.h"
#include "sums.h"

#define WIDE_SAMPLES 32u
#define MOST_OUTPUTS 1536u /* of a block: samples x lines */
#define MOST_SUMS 2560u    /* the same with the samples past the last one */
#define ALIGNMENT 64u

/* What a block works on; the codes of its samples follow. */
typedef struct work {
    float sums[MOST_SUMS];
    float xi[MOST_OUTPUTS + HWL_NOISE_GROUP];
    uint32_t lanes[MOST_OUTPUTS + HWL_NOISE_GROUP];
    uint32_t steps[MOST_OUTPUTS + HWL_NOISE_GROUP];
    uint32_t counts[HWL_BLOCK_SAMPLES];
} work;

static size_t aligned(size_t size)
{
    return (size + ALIGNMENT - 1u) / ALIGNMENT * ALIGNMENT;
}

static size_t narrow_stride(uint32_t driven)
{
    return hwl_grid_stride(driven);
}

static size_t narrow_codes(uint32_t driven)
{
    return aligned((HWL_BLOCK_SAMPLES + HWL_SAMPLES_PAST) * narrow_stride(driven) * sizeof(int16_t));
}

static size_t narrow_panel(uint32_t driven)
{
    return (size_t)hwl_step_count(HWL_BACKWARD, driven) * 2u * HWL_GRID_LINES * sizeof(int16_t);
}

/* A backward read has the most steps; a group has three samples or more, or is the only one. */
static size_t narrow_steps(uint32_t driven)
{
    return aligned((size_t)HWL_BLOCK_SAMPLES / 3u * hwl_step_count(HWL_BACKWARD, driven) * sizeof(uint16_t));
}

static size_t wide_codes(uint32_t driven)
{
    return WIDE_SAMPLES * narrow_stride(driven) * sizeof(int64_t);
}

size_t hwl_read_scratch(const hwl_tile *tile)
{
    const uint32_t driven = tile->rows > tile->cols ? tile->rows : tile->cols;
    const size_t narrow = narrow_codes(driven) + narrow_steps(driven) + narrow_panel(driven);
    const size_t wide = wide_codes(driven) + HWL_WIDE_LINES * narrow_stride(driven) * sizeof(int64_t);
    return aligned(sizeof(work)) + (narrow > wide ? narrow : wide);
}

/* Whether 16-bit products and 32-bit sums hold what these samples give. */
static int fits_narrow(const hwl_tile *tile, uint32_t plane, uint32_t samples, uint32_t driven, const int32_t *codes)
{
    const int64_t grid_max = (int64_t)hwl_grid_max(tile) * (plane == HWL_DIFFERENCE ? 2 : 1);
    if (tile->cell_bits != 16u) {
        return 0;
    }
    for (uint32_t sample = 0; sample < samples; sample++) {
        uint32_t all = 0;
        int64_t sum = 0;
        for (uint32_t n = 0; n < driven; n++) {
            const int32_t code = codes[(size_t)sample * driven + n];
            const uint32_t magnitude = code < 0 ? 0u - (uint32_t)code : (uint32_t)code;
            all |= magnitude;
            sum += magnitude;
        }
        if (all > INT16_MAX || sum * grid_max > INT32_MAX) {
            return 0;
        }
    }
    return 1;
}

/* Lists the steps in which a sample of the group has a code other than 0. Returns how many. */
static uint32_t list_steps(const hwl_narrow *narrow, uint32_t step_count, uint32_t width, uint32_t group,
                           uint16_t *steps)
{
    const int16_t *const codes = narrow->codes + (size_t)group * narrow->group * narrow->stride;
    uint32_t count = 0;
    for (uint32_t step = 0; step < step_count; step++) {
        int any = 0;
        for (uint32_t sample = 0; sample < narrow->group; sample++) {
            for (uint32_t n = 0; n < width; n++) {
                any |= codes[sample * narrow->stride + step * width + n];
            }
        }
        steps[count] = (uint16_t)step;
        count += any != 0;
    }
    return count;
}

static hwl_narrow narrow_of(const hwl_block *block, const int32_t *codes, work *work)
{
    char *const memory = (char *)work + aligned(sizeof *work);
    const uint32_t driven = block->driven;
    hwl_narrow narrow = {.codes = (int16_t *)(void *)memory,
                         .stride = narrow_stride(driven),
                         .steps = (uint16_t *)(void *)(memory + narrow_codes(driven)),
                         .counts = work->counts,
                         .group = hwl_group_samples(block->kind, block->samples),
                         .panel = (int16_t *)(void *)(memory + narrow_codes(driven) + narrow_steps(driven))};
    const uint32_t groups = (block->samples + narrow.group - 1u) / narrow.group;
    for (uint32_t sample = 0; sample < groups * narrow.group; sample++) {
        int16_t *const to = narrow.codes + sample * narrow.stride;
        const uint32_t count = sample < block->samples ? driven : 0u;
        for (uint32_t n = 0; n < count; n++) {
            to[n] = (int16_t)codes[(size_t)sample * driven + n];
        }
        for (size_t n = count; n < narrow.stride; n++) {
            to[n] = 0;
        }
    }
    const uint32_t step_count = hwl_step_count(block->kind, driven);
    for (uint32_t group = 0; group < groups; group++) {
        uint16_t *const steps = narrow.steps + (size_t)group * step_count;
        /* Constant widths, for the compiler. */
        narrow.counts[group] = block->kind == HWL_FORWARD
                                   ? list_steps(&narrow, step_count, HWL_FORWARD_STEP, group, steps)
                                   : list_steps(&narrow, step_count, HWL_BACKWARD_STEP, group, steps);
    }
    return narrow;
}

static hwl_wide wide_of(const hwl_block *block, const int32_t *codes, work *work)
{
    char *const memory = (char *)work + aligned(sizeof *work);
    hwl_wide wide = {.codes = (int64_t *)(void *)memory,
                     .stride = narrow_stride(block->driven),
                     .panel = (int64_t *)(void *)(memory + wide_codes(block->driven))};
    for (uint32_t sample = 0; sample < block->samples; sample++) {
        for (size_t n = 0; n < wide.stride; n++) {
            wide.codes[sample * wide.stride + n] = n < block->driven ? codes[(size_t)sample * block->driven + n] : 0;
        }
    }
    return wide;
}

/* Output lines of a block, so that its grid values and its sums stay in the caches. */
static uint32_t lines_of(uint32_t samples)
{
    const uint32_t lines = 1024u / samples / HWL_GRID_LINES * HWL_GRID_LINES;
    return lines < HWL_GRID_LINES ? HWL_GRID_LINES : lines < HWL_BLOCK_LINES ? lines : HWL_BLOCK_LINES;
}

/* Noise and conversion of the sums of a block, whose first sample is `first`. */
static void convert_block(const hwl_block *block, uint32_t simd, uint32_t key, uint32_t first, uint32_t lines,
                          int32_t *values, uint8_t *saturated, work *work)
{
    const hwl_tile *const tile = block->tile;
    const float lsb = hwl_sum_lsb(tile);
    const uint32_t count = block->end - block->begin;
    const float *const gains = tile->line_gains[block->kind];
    const float *const offsets = tile->line_offsets[block->kind];
    const int noise = tile->output_noise > 0.0f;
    if (noise) {
        for (uint32_t sample = 0; sample < block->samples; sample++) {
            for (uint32_t n = 0; n < block->lines; n++) {
                work->lanes[sample * block->lines + n] = block->begin + n;
                work->steps[sample * block->lines + n] = tile->first_sample + first + sample;
            }
        }
        hwl_noise(simd, key, block->samples * block->lines, work->lanes, 0xFFFFFFFFu, work->steps, work->xi, NULL);
    }
    for (uint32_t sample = 0; sample < block->samples; sample++) {
        const size_t at = (size_t)(first + sample) * lines + block->begin;
        const size_t from = (size_t)sample * block->lines;
        const hwl_inputs inputs = {
            .sums = block->sums + from,
            .xi = noise ? work->xi + from : NULL,
            .gains = gains ? gains + block->begin : NULL,
            .offsets = gains ? offsets + block->begin : NULL,
            .lsb = lsb,
            .noise = tile->output_noise,
        };
        hwl_convert_fast(simd, &tile->adc[block->kind], count, &inputs, values + at, saturated + at);
    }
}

void hwl_read_fast(const hwl_tile *tile, uint32_t simd, const hwl_grid *grid, uint32_t kind, uint32_t plane,
                   uint64_t ordinal, uint32_t samples, const int32_t *carried, uint32_t line_begin, uint32_t line_end,
                   int32_t *values, uint8_t *saturated, void *scratch)
{
    const int forward = kind == HWL_FORWARD;
    const uint32_t driven = forward ? tile->cols : tile->rows;
    const uint32_t lines = forward ? tile->rows : tile->cols;
    const uint32_t purpose = forward ? HWL_PURPOSE_OUTPUT_FORWARD : HWL_PURPOSE_OUTPUT_BACKWARD;
    const uint32_t key = hwl_tile_key(tile, ordinal, purpose);
    work *const work = scratch;
    uint32_t taken = 0;
    for (uint32_t sample = 0; sample < samples; sample += taken) {
        const int32_t *const codes = carried + (size_t)sample * driven;
        taken = samples - sample < HWL_BLOCK_SAMPLES ? samples - sample : HWL_BLOCK_SAMPLES;
        const int narrow_fits = fits_narrow(tile, plane, taken, driven, codes);
        if (!narrow_fits && taken > WIDE_SAMPLES) {
            taken = WIDE_SAMPLES;
        }
        hwl_block block = {.tile = tile, .grid = grid, .kind = kind, .driven = driven, .samples = taken,
                           .lines = lines_of(taken), .sums = work->sums};
        hwl_narrow narrow;
        hwl_wide wide;
        if (narrow_fits) {
            narrow = narrow_of(&block, codes, work);
        } else {
            wide = wide_of(&block, codes, work);
        }
        for (block.begin = line_begin; block.begin < line_end; block.begin = block.end) {
            block.end = line_end - block.begin < block.lines ? line_end : block.begin + block.lines;
            if (narrow_fits) {
                hwl_sums_narrow(simd, &block, &narrow);
            } else {
                hwl_sums_wide(simd, &block, &wide);
            }
            convert_block(&block, simd, key, sample, lines, values, saturated, work);
        }
    }
}
