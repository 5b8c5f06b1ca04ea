/* Parts that update a whole tile: OUTER_UPDATE and OUTER_TRAINS. */
#include <string.h>

#include "dose.h"
#include "part.h"
#include "trains_fast.h"

#define SAMPLES_MAX (1u << 24) /* of an operation; the generator counts no further */

/* The whole tile as a block. */
static hwl_block every_line(const hwl_part *part)
{
    return (hwl_block){.row_count = part->tile->rows, .col_count = part->tile->cols};
}

/* Updates are executed in blocks of samples whose trains fit the space. */

static uint32_t samples_per_block(const hwl_part *part, uint32_t words)
{
    const size_t lines = (size_t)part->tile->rows + part->tile->cols;
    const size_t bytes = 2u * sizeof(uint32_t) * words * lines;
    const size_t slack = 4u * 8u; /* four arrays, each rounded up */
    const size_t left = part->space.size - part->space.used;
    return left < slack ? 0u : (uint32_t)((left - slack) / bytes);
}

typedef struct masks {
    uint32_t *x_plus;
    uint32_t *x_minus;
    uint32_t *d_plus;
    uint32_t *d_minus;
} masks;

static masks take_masks(const hwl_part *part, uint32_t samples, uint32_t words)
{
    hwl_space space = part->space; /* every block has all of it */
    const size_t x = (size_t)samples * words * part->tile->cols;
    const size_t d = (size_t)samples * words * part->tile->rows;
    masks taken;
    taken.x_plus = hwl_space_take(&space, x, sizeof(uint32_t));
    taken.x_minus = hwl_space_take(&space, x, sizeof(uint32_t));
    taken.d_plus = hwl_space_take(&space, d, sizeof(uint32_t));
    taken.d_minus = hwl_space_take(&space, d, sizeof(uint32_t));
    return taken;
}

typedef void draw_function(hwl_chip *chip, hwl_part *part, uint32_t first, uint32_t samples, uint32_t words,
                           const masks *masks);

/* Draws the trains of a block of samples, fires them, and so on to the last. */
static uint16_t run_blocks(hwl_chip *chip, hwl_part *part, uint32_t words, draw_function *draw)
{
    const uint32_t first_of_part = part->order.first_sample;
    const uint32_t most = samples_per_block(part, words > 0 ? words : 1u);
    if (most == 0) {
        return hwl_too_large(part);
    }
    for (uint32_t first = 0; first < part->samples; first += most) {
        const uint32_t samples = part->samples - first < most ? part->samples - first : most;
        const masks masks = take_masks(part, samples, words);
        part->order.first_sample = first_of_part + first;
        draw(chip, part, first, samples, words, &masks);
        const hwl_trains trains = {
            .x_plus = masks.x_plus,
            .x_minus = masks.x_minus,
            .d_plus = masks.d_plus,
            .d_minus = masks.d_minus,
            .samples = samples,
            .words = words,
        };
        chip->array->update(chip->array->context, &part->order, &trains, part->lengths + first, &part->progress);
        if (!hwl_go_on(&part->progress, 0)) {
            break;
        }
    }
    return HWL_ERROR_NONE;
}

/* OUTER_UPDATE */

static uint16_t take_samples(hwl_part *part, uint32_t samples, uint32_t offset, uint8_t encoding)
{
    if (!(part->tile->encodings & encoding)) {
        return hwl_refuse(part, HWL_ERROR_UNSUPPORTED, "an encoding that the tile does not take");
    }
    if (samples > SAMPLES_MAX || offset > SAMPLES_MAX - samples) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "a number of samples that cannot be");
    }
    part->samples = samples;
    part->order.first_sample = offset;
    return HWL_ERROR_NONE;
}

static int take_gains(hwl_part *part, int32_t **gains)
{
    const uint8_t *packed = hwl_tail_take(&part->tail, part->samples, 2);
    *gains = packed ? hwl_space_take(&part->space, part->samples, sizeof **gains) : NULL;
    for (uint32_t n = 0; *gains && n < part->samples; n++) {
        (*gains)[n] = 1 + hwl_get16(packed + 2u * n);
    }
    return *gains != NULL;
}

static uint16_t take_lengths(hwl_part *part)
{
    const uint8_t *packed = hwl_tail_take(&part->tail, part->samples, 2);
    part->lengths = packed ? hwl_space_take(&part->space, part->samples, sizeof *part->lengths) : NULL;
    if (!part->lengths) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "not one train length for each sample");
    }
    for (uint32_t n = 0; n < part->samples; n++) {
        part->lengths[n] = hwl_get16(packed + 2u * n);
        if (part->lengths[n] > part->tile->longest_train) {
            return hwl_refuse(part, HWL_ERROR_RANGE, "a train longer than longest_train");
        }
    }
    return HWL_ERROR_NONE;
}

static uint16_t take_codes(hwl_part *part, uint32_t lines, uint8_t width, int32_t **codes)
{
    const uint64_t count = (uint64_t)part->samples * lines;
    const uint8_t *packed = hwl_tail_take(&part->tail, count, width);
    if (!packed) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "not as many codes as samples and lines");
    }
    *codes = hwl_space_take(&part->space, (size_t)count, sizeof **codes);
    if (!*codes) {
        return hwl_too_large(part);
    }
    if (!hwl_unpack_signed(packed, width, (size_t)count, (int32_t)part->tile->update_code_max, *codes)) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "a code above update_code_max");
    }
    return HWL_ERROR_NONE;
}

static uint16_t update_prepare(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_outer_update asked;
    memcpy(&asked, part->message->body, sizeof asked);
    uint16_t error = hwl_take_shape(chip, part, asked.shape);
    if (error == HWL_ERROR_NONE) {
        error = take_samples(part, asked.samples, asked.sample_offset, HWL_ENCODING_SEEDED);
    }
    if (error == HWL_ERROR_NONE && asked.width != 1 && asked.width != 2 && asked.width != 4) {
        error = hwl_refuse(part, HWL_ERROR_RANGE, "a width of codes that cannot be");
    }
    if (error == HWL_ERROR_NONE && (!take_gains(part, &part->x_gains) || !take_gains(part, &part->d_gains))) {
        error = hwl_refuse(part, HWL_ERROR_LENGTH, "not two gains for each sample");
    }
    if (error == HWL_ERROR_NONE) {
        error = take_lengths(part);
    }
    if (error == HWL_ERROR_NONE) {
        error = take_codes(part, part->tile->cols, asked.width, &part->codes);
    }
    if (error == HWL_ERROR_NONE) {
        error = take_codes(part, part->tile->rows, asked.width, &part->d_codes);
    }
    if (error == HWL_ERROR_NONE && !hwl_tail_is_whole(&part->tail)) {
        error = hwl_refuse(part, HWL_ERROR_LENGTH, "more bytes than codes");
    }
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    const hwl_block tile = every_line(part);
    return hwl_check_part_dose(chip, part,
                               hwl_request_of_codes(&tile, part->samples, part->codes, part->d_codes, part->lengths));
}

static void draw_update(hwl_chip *chip, hwl_part *part, uint32_t first, uint32_t samples, uint32_t words,
                        const masks *masks)
{
    const uint32_t rows = part->tile->rows;
    const uint32_t cols = part->tile->cols;
    const hwl_tile generator = {
        .seed = chip->array->seed(chip->array->context, part->order.tile),
        .index = part->order.tile,
        .update_code_max = (int32_t)part->tile->update_code_max,
        .first_sample = part->order.first_sample,
    };
    hwl_draw_trains_fast(&generator, hwl_simd_best(), part->order.ordinal, HWL_PURPOSE_X_TRAINS, cols,
                          part->codes + (size_t)first * cols, part->lengths + first, part->x_gains + first, words,
                          masks->x_plus, masks->x_minus, 0, samples);
    hwl_draw_trains_fast(&generator, hwl_simd_best(), part->order.ordinal, HWL_PURPOSE_D_TRAINS, rows,
                          part->d_codes + (size_t)first * rows, part->lengths + first, part->d_gains + first, words,
                          masks->d_plus, masks->d_minus, 0, samples);
}

static uint16_t update_run(hwl_chip *chip, hwl_part *part)
{
    int32_t longest = 0;
    for (uint32_t n = 0; n < part->samples; n++) {
        longest = part->lengths[n] > longest ? part->lengths[n] : longest;
    }
    const uint32_t words = ((uint32_t)longest + HWL_SLOTS_PER_WORD - 1u) / HWL_SLOTS_PER_WORD;
    return run_blocks(chip, part, words, draw_update);
}

const hwl_part_kind hwl_part_outer_update = {
    .least = sizeof(hwl_msg_outer_update),
    .operation = HWL_OPERATION_BIT_OUTER_UPDATE,
    .consuming = 1,
    .prepare = update_prepare,
    .run = update_run,
};

/* OUTER_TRAINS: bits of lines, eight to a byte, for every slot of every sample. */

static uint16_t take_trains(hwl_part *part)
{
    for (uint32_t n = 0; n < 4; n++) {
        const uint32_t lines = n < 2 ? part->tile->cols : part->tile->rows;
        part->trains[n] = hwl_tail_take(&part->tail, (uint64_t)part->samples * part->slots * ((lines + 7u) / 8u), 1);
        if (!part->trains[n]) {
            return hwl_refuse(part, HWL_ERROR_LENGTH, "not as many bits as samples, slots and lines");
        }
        for (size_t byte = 0; n % 2 == 1 && byte < (size_t)part->samples * part->slots * ((lines + 7u) / 8u); byte++) {
            if (part->trains[n - 1][byte] & part->trains[n][byte]) {
                return hwl_refuse(part, HWL_ERROR_RANGE, "a line that fires upwards and downwards at once");
            }
        }
    }
    return HWL_ERROR_NONE;
}

static uint16_t trains_prepare(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_outer_trains asked;
    memcpy(&asked, part->message->body, sizeof asked);
    uint16_t error = hwl_take_shape(chip, part, asked.shape);
    if (error == HWL_ERROR_NONE) {
        error = take_samples(part, asked.samples, asked.sample_offset, HWL_ENCODING_TRAINS);
    }
    if (error == HWL_ERROR_NONE && (uint32_t)asked.slot_offset + asked.slots > part->tile->longest_train) {
        error = hwl_refuse(part, HWL_ERROR_RANGE, "a train longer than longest_train");
    }
    part->slots = asked.slots;
    part->slot_offset = asked.slot_offset;
    if (error == HWL_ERROR_NONE) {
        error = take_trains(part);
    }
    if (error == HWL_ERROR_NONE && !hwl_tail_is_whole(&part->tail)) {
        error = hwl_refuse(part, HWL_ERROR_LENGTH, "more bytes than trains");
    }
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    part->lengths = hwl_space_take(&part->space, part->samples, sizeof *part->lengths);
    if (!part->lengths) {
        return hwl_too_large(part);
    }
    for (uint32_t n = 0; n < part->samples; n++) {
        part->lengths[n] = (int32_t)part->slots;
    }
    const hwl_block tile = every_line(part);
    return hwl_check_part_dose(chip, part,
                               hwl_request_of_trains(&tile, part->samples * part->slots, part->trains[0],
                                                     part->trains[1], part->trains[2], part->trains[3]));
}

/* Bits of lines and slots, as they travel, become masks of slots: one word per line and 32 slots. */
static void unpack_trains(const hwl_part *part, const uint8_t *bits, uint32_t lines, uint32_t first, uint32_t samples,
                          uint32_t words, uint32_t *masks)
{
    const size_t row_bytes = (lines + 7u) / 8u;
    memset(masks, 0, (size_t)samples * words * lines * sizeof *masks);
    for (uint32_t sample = 0; sample < samples; sample++) {
        for (uint32_t n = 0; n < part->slots; n++) {
            const uint32_t slot = part->slot_offset + n;
            const uint8_t *row = bits + ((size_t)(first + sample) * part->slots + n) * row_bytes;
            uint32_t *word = masks + ((size_t)sample * words + slot / HWL_SLOTS_PER_WORD) * lines;
            for (uint32_t line = 0; line < lines; line++) {
                word[line] |= ((uint32_t)row[line / 8u] >> line % 8u & 1u) << slot % HWL_SLOTS_PER_WORD;
            }
        }
    }
}

static void draw_trains(hwl_chip *chip, hwl_part *part, uint32_t first, uint32_t samples, uint32_t words,
                        const masks *masks)
{
    (void)chip;
    unpack_trains(part, part->trains[0], part->tile->cols, first, samples, words, masks->x_plus);
    unpack_trains(part, part->trains[1], part->tile->cols, first, samples, words, masks->x_minus);
    unpack_trains(part, part->trains[2], part->tile->rows, first, samples, words, masks->d_plus);
    unpack_trains(part, part->trains[3], part->tile->rows, first, samples, words, masks->d_minus);
}

static uint16_t trains_run(hwl_chip *chip, hwl_part *part)
{
    const uint32_t words = (part->slot_offset + part->slots + HWL_SLOTS_PER_WORD - 1u) / HWL_SLOTS_PER_WORD;
    return run_blocks(chip, part, words, draw_trains);
}

const hwl_part_kind hwl_part_outer_trains = {
    .least = sizeof(hwl_msg_outer_trains),
    .operation = HWL_OPERATION_BIT_OUTER_TRAINS,
    .consuming = 1,
    .prepare = trains_prepare,
    .run = trains_run,
};
