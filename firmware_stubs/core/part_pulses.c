/* Parts on the cells of a block: PULSE, FORM, RESET; and WAIT. */
#include <string.h>

#include "block.h"
#include "dose.h"
#include "part.h"

/* PULSE */

static uint16_t pulse_prepare(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_pulse asked;
    memcpy(&asked, part->message->body, sizeof asked);
    uint16_t error = hwl_take_shape(chip, part, asked.shape);
    if (error == HWL_ERROR_NONE && asked.width != 1 && asked.width != 2 && asked.width != 4) {
        error = hwl_refuse(part, HWL_ERROR_RANGE, "a width of counts that cannot be");
    }
    if (error == HWL_ERROR_NONE) {
        error = hwl_take_block(part, (hwl_block_fields)HWL_BLOCK_FIELDS(asked));
    }
    if (error != HWL_ERROR_NONE) {
        return error;
    }
    const size_t cells = (size_t)asked.row_count * asked.col_count;
    const uint8_t *packed = hwl_tail_take(&part->tail, cells, asked.width);
    if (!packed || !hwl_tail_is_whole(&part->tail)) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "not one count for each cell of the block");
    }
    part->counts = hwl_space_take(&part->space, cells, sizeof *part->counts);
    if (!part->counts) {
        return hwl_too_large(part);
    }
    int fine = 1;
    for (size_t n = 0; n < cells; n++) {
        int32_t count;
        fine &= hwl_unpack_signed(packed + n * asked.width, asked.width, 1, INT16_MAX, &count);
        part->counts[n] = (int16_t)count;
    }
    if (!fine) {
        return hwl_refuse(part, HWL_ERROR_RANGE, "a count above 32767");
    }
    return hwl_check_part_dose(chip, part, hwl_request_of_counts(&part->block, part->counts));
}

static uint16_t pulse_run(hwl_chip *chip, hwl_part *part)
{
    chip->array->pulse(chip->array->context, &part->order, &part->block, part->counts, &part->progress);
    return HWL_ERROR_NONE;
}

const hwl_part_kind hwl_part_pulse = {
    .least = sizeof(hwl_msg_pulse),
    .operation = HWL_OPERATION_BIT_PULSE,
    .consuming = 1,
    .prepare = pulse_prepare,
    .run = pulse_run,
};

/* FORM and RESET have the same fields. */

static uint16_t form_prepare(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_form asked;
    memcpy(&asked, part->message->body, sizeof asked);
    if (part->message->type == HWL_TYPE_FORM && !chip->configuration.limits.forming) {
        return hwl_refuse(part, HWL_ERROR_LIMIT, "forming is not allowed");
    }
    const uint16_t error = hwl_take_block(part, (hwl_block_fields)HWL_BLOCK_FIELDS(asked));
    if (error == HWL_ERROR_NONE && !hwl_tail_is_whole(&part->tail)) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "more bytes than the lists of lines");
    }
    return error;
}

static uint16_t form_run(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_form asked;
    memcpy(&asked, part->message->body, sizeof asked);
    const uint16_t error = chip->array->recipe(chip->array->context, &part->order, part->message->type, asked.recipe,
                                               &part->block, &part->progress);
    return error == HWL_ERROR_NONE ? error : hwl_refuse(part, error, "a recipe that the chip does not have");
}

const hwl_part_kind hwl_part_form = {
    .least = sizeof(hwl_msg_form),
    .operation = HWL_OPERATION_BIT_FORM,
    .consuming = 1,
    .prepare = form_prepare,
    .run = form_run,
};

_Static_assert(sizeof(hwl_msg_reset) == sizeof(hwl_msg_form), "RESET is read as FORM is");

const hwl_part_kind hwl_part_reset = {
    .least = sizeof(hwl_msg_reset),
    .operation = HWL_OPERATION_BIT_RESET,
    .consuming = 1,
    .prepare = form_prepare,
    .run = form_run,
};

/* WAIT */

static uint16_t wait_prepare(hwl_chip *chip, hwl_part *part)
{
    (void)chip;
    return hwl_tail_is_whole(&part->tail) ? (uint16_t)HWL_ERROR_NONE
                                          : hwl_refuse(part, HWL_ERROR_LENGTH, "more bytes than its fields");
}

static uint16_t wait_run(hwl_chip *chip, hwl_part *part)
{
    hwl_msg_wait asked;
    memcpy(&asked, part->message->body, sizeof asked);
    chip->array->wait(chip->array->context, asked.ticks, &part->progress);
    return HWL_ERROR_NONE;
}

const hwl_part_kind hwl_part_wait = {
    .least = sizeof(hwl_msg_wait),
    .operation = HWL_OPERATION_BIT_WAIT,
    .consuming = 1,
    .prepare = wait_prepare,
    .run = wait_run,
};
