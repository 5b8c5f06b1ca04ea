/* Parts that read: VMM, READ_CELLS, SNAPSHOT; and RESTORE, which writes what SNAPSHOT reads. */
#include <string.h>

#include "block.h"
#include "part.h"

#define SAMPLES_MAX (1u << 24) /* of an operation; the generator counts no further */
#define TWO_BYTES_MAX 32767u   /* largest value of two bytes */

static uint32_t code_max_of(const hwl_msg_describe_answer *tile, uint8_t kind)
{
    return kind == HWL_FORWARD    ? tile->forward_code_max
           : kind == HWL_BACKWARD ? tile->backward_code_max
                                  : tile->cells_code_max;
}

static uint8_t bytes_of_value(uint64_t largest)
{
    return largest <= TWO_BYTES_MAX ? 2 : 4;
}

static uint16_t check_plane(hwl_part *part, uint8_t plane)
{
    const int only_main = part->tile->reference == HWL_REFERENCE_NONE ||
                          part->tile->reference == HWL_REFERENCE_DIGITAL;
    if (plane > HWL_DIFFERENCE) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "no such plane");
    }
    if (plane != HWL_MAIN && only_main) {
        return hwl_refuse(part, HWL_ERROR_UNSUPPORTED, "the tile has a main plane only");
    }
    part->plane = plane;
    return HWL_ERROR_NONE;
}

/* Whether a line may be driven by a code; a chip without a configuration keeps its own limit. */
static uint16_t check_volts(hwl_chip *chip, hwl_part *part, int32_t code)
{
    hwl_msg_configure limits = chip->configuration.limits;
    if (limits.configuration == 0) {
        chip->array->limits(chip->array->context, &limits);
    }
    const double volts = code * (part->tile->dac_full_scale / part->tile->dac_code_max);
    return volts > limits.voltage_max ? hwl_refuse(part, HWL_ERROR_LIMIT, "a read above voltage_max")
                                      : (uint16_t)HWL_ERROR_NONE;
}

/* Makes room for what is read. */
static uint16_t prepare_values(hwl_part *part, uint64_t values, uint8_t value_bytes)
{
    part->values = (uint32_t)values; /* fits: the answer was measured before */
    part->value_bytes = value_bytes;
    part->value = hwl_space_take(&part->space, part->values, sizeof *part->value);
    part->saturated = hwl_space_take(&part->space, part->values, 1);
    if (!part->value || !part->saturated) {
        return hwl_too_large(part);
    }
    return HWL_ERROR_NONE;
}

/* VMM */

static uint64_t vmm_values(const hwl_message *message, const hwl_msg_describe_answer *tile, uint8_t *value_bytes)
{
    hwl_msg_vmm asked;
    memcpy(&asked, message->body, sizeof asked);
    const uint8_t kind = asked.direction ? HWL_BACKWARD : HWL_FORWARD;
    *value_bytes = bytes_of_value(code_max_of(tile, kind));
    return (uint64_t)asked.samples * (kind == HWL_FORWARD ? tile->rows : tile->cols);
}

static uint16_t vmm_prepare(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_vmm asked;
    memcpy(&asked, part->message->body, sizeof asked);
    if (asked.direction > HWL_BACKWARD || (asked.width != 1 && asked.width != 2 && asked.width != 4) ||
        asked.samples > SAMPLES_MAX || asked.sample_offset > SAMPLES_MAX - asked.samples) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "a direction, width or number of samples that cannot be");
    }
    part->kind = asked.direction;
    part->samples = asked.samples;
    part->order.first_sample = asked.sample_offset;
    const uint16_t error = check_plane(part, asked.plane);
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    const uint64_t codes = (uint64_t)asked.samples * (part->kind == HWL_FORWARD ? part->tile->cols : part->tile->rows);
    const uint8_t *packed = hwl_tail_take(&part->tail, codes, asked.width);
    if (!packed || !hwl_tail_is_whole(&part->tail)) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "not as many codes as samples and lines");
    }
    part->codes = hwl_space_take(&part->space, (size_t)codes, sizeof *part->codes);
    if (!part->codes) {
        return hwl_too_large(part);
    }
    if (!hwl_unpack_signed(packed, asked.width, (size_t)codes, (int32_t)part->tile->dac_code_max, part->codes)) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "a code above dac_code_max");
    }
    int32_t largest = 0;
    for (size_t n = 0; n < (size_t)codes; n++) {
        const int32_t code = part->codes[n] < 0 ? -part->codes[n] : part->codes[n];
        largest = code > largest ? code : largest;
    }
    if (check_volts(chip, part, largest) != HWL_ERROR_NONE) {
        return HWL_ERROR_LIMIT;
    }
    uint8_t value_bytes;
    const uint64_t values = vmm_values(part->message, part->tile, &value_bytes);
    return prepare_values(part, values, value_bytes);
}

static uint16_t vmm_run(hwl_chip *chip, hwl_part *part)
{
    chip->array->read(chip->array->context, &part->order, part->kind, part->plane, part->samples, part->codes,
                      part->value, part->saturated, &part->progress);
    return HWL_ERROR_NONE;
}

const hwl_part_kind hwl_part_vmm = {
    .least = sizeof(hwl_msg_vmm),
    .operation = HWL_OPERATION_BIT_VMM,
    .values = vmm_values,
    .prepare = vmm_prepare,
    .run = vmm_run,
};

/* READ_CELLS */

static uint64_t cells_values(const hwl_message *message, const hwl_msg_describe_answer *tile, uint8_t *value_bytes)
{
    hwl_msg_read_cells asked;
    memcpy(&asked, message->body, sizeof asked);
    *value_bytes = bytes_of_value((uint64_t)tile->cells_code_max * asked.average);
    return (uint64_t)asked.row_count * asked.col_count;
}

static uint16_t cells_prepare(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_read_cells asked;
    memcpy(&asked, part->message->body, sizeof asked);
    if (asked.average == 0 || asked.average > part->tile->average_max) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "an average of none, or above average_max");
    }
    part->average = asked.average;
    uint16_t error = check_plane(part, asked.plane);
    if (error == HWL_ERROR_NONE) {
        error = hwl_take_block(part, (hwl_block_fields)HWL_BLOCK_FIELDS(asked));
    }
    if (error == HWL_ERROR_NONE && !hwl_tail_is_whole(&part->tail)) {
        error = hwl_refuse(part, HWL_ERROR_LENGTH, "more bytes than the lists of lines");
    }
    if (error == HWL_ERROR_NONE) {
        error = check_volts(chip, part, (int32_t)part->tile->dac_code_max);
    }
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    uint8_t value_bytes;
    const uint64_t values = cells_values(part->message, part->tile, &value_bytes);
    return prepare_values(part, values, value_bytes);
}

static uint16_t cells_run(hwl_chip *chip, hwl_part *part)
{
    chip->array->read_cells(chip->array->context, &part->order, &part->block, part->plane, part->average, part->value,
                            part->saturated, &part->progress);
    return HWL_ERROR_NONE;
}

const hwl_part_kind hwl_part_read_cells = {
    .least = sizeof(hwl_msg_read_cells),
    .operation = HWL_OPERATION_BIT_READ_CELLS,
    .values = cells_values,
    .prepare = cells_prepare,
    .run = cells_run,
};

/* SNAPSHOT and RESTORE */

static uint64_t snapshot_values(const hwl_message *message, const hwl_msg_describe_answer *tile, uint8_t *value_bytes)
{
    hwl_msg_snapshot asked;
    memcpy(&asked, message->body, sizeof asked);
    *value_bytes = 4;
    return (uint64_t)tile->state_words * asked.cells;
}

/* Both have the fields of SNAPSHOT. */
static uint16_t take_cells(hwl_part *part)
{
    hwl_msg_snapshot asked;
    memcpy(&asked, part->message->body, sizeof asked);
    const uint32_t all = (uint32_t)part->tile->rows * part->tile->cols;
    if (asked.cells > all || asked.first > all - asked.cells) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "cells outside the tile");
    }
    part->first_cell = asked.first;
    part->cells = asked.cells;
    part->state = hwl_space_take(&part->space, (size_t)part->tile->state_words * asked.cells, sizeof *part->state);
    return part->state ? (uint16_t)HWL_ERROR_NONE
                       : hwl_too_large(part);
}

static uint16_t snapshot_prepare(hwl_chip *chip, hwl_part *part)
{
    (void)chip;
    if (!hwl_tail_is_whole(&part->tail)) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "more bytes than its fields");
    }
    return take_cells(part);
}

static uint16_t snapshot_run(hwl_chip *chip, hwl_part *part)
{
    chip->array->get_state(chip->array->context, part->order.tile, part->first_cell, part->cells, part->state);
    part->values = part->tile->state_words * part->cells;
    part->value_bytes = 4;
    part->value = (int32_t *)part->state;
    return HWL_ERROR_NONE;
}

const hwl_part_kind hwl_part_snapshot = {
    .least = sizeof(hwl_msg_snapshot),
    .operation = HWL_OPERATION_BIT_SNAPSHOT,
    .values = snapshot_values,
    .prepare = snapshot_prepare,
    .run = snapshot_run,
};

static uint16_t restore_prepare(hwl_chip *chip, hwl_part *part)
{
    (void)chip;
    const uint16_t error = take_cells(part);
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    const uint32_t words = part->tile->state_words * part->cells;
    const uint8_t *packed = hwl_tail_take(&part->tail, words, 4);
    if (!packed || !hwl_tail_is_whole(&part->tail)) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "not as many words as the cells have");
    }
    for (uint32_t n = 0; n < words; n++) {
        part->state[n] = hwl_get32(packed + 4u * (size_t)n);
    }
    return HWL_ERROR_NONE;
}

static uint16_t restore_run(hwl_chip *chip, hwl_part *part)
{
    const uint16_t error =
        chip->array->put_state(chip->array->context, part->order.tile, part->first_cell, part->cells, part->state);
    return error == HWL_ERROR_NONE ? error : hwl_refuse(part, error, "a state that a cell cannot have");
}

const hwl_part_kind hwl_part_restore = {
    .least = sizeof(hwl_msg_restore),
    .operation = HWL_OPERATION_BIT_RESTORE,
    .prepare = restore_prepare,
    .run = restore_run,
};
