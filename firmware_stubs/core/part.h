/* Parts of operations: what each asks for, whether it may be, and what came of it. */
#ifndef HWL_PART_H
#define HWL_PART_H

#include "chip.h"
#include "tail.h"

/* A part that is being looked at or executed. */
typedef struct hwl_part {
    hwl_msg_part head;
    const hwl_message *message;
    const hwl_msg_describe_answer *tile;
    hwl_tail tail;
    hwl_space space;
    hwl_order order;
    hwl_block block;
    hwl_progress progress;
    const char *detail; /* of an error, for people */

    /* What it asks for, unpacked. */
    uint32_t samples;
    uint8_t kind;  /* of a read: enum hwl_read_kind */
    uint8_t plane; /* of a read */
    uint32_t average;
    int16_t *counts;
    int32_t *codes; /* of the driven lines, or of the columns */
    int32_t *d_codes;
    int32_t *x_gains;
    int32_t *d_gains;
    int32_t *lengths;
    const uint8_t *trains[4]; /* x plus, x minus, d plus, d minus */
    uint32_t slots;
    uint32_t slot_offset;
    const char *recipe;
    uint64_t ticks;
    uint32_t first_cell;
    uint32_t cells;
    uint32_t *state;

    /* What was read: `values` numbers of `value_bytes` bytes. */
    uint32_t values;
    uint8_t value_bytes;
    int32_t *value;
    uint8_t *saturated; /* NULL without flags */
} hwl_part;

/* How a kind of part is executed. */
typedef struct hwl_part_kind {
    uint32_t least;     /* bytes of its fixed fields */
    uint32_t operation; /* its bit in HELLO */
    uint8_t consuming;
    /* Number and width of the values it answers, from the fixed fields alone; NULL for none. */
    uint64_t (*values)(const hwl_message *message, const hwl_msg_describe_answer *tile, uint8_t *value_bytes);
    /* Unpacks it, and finds what forbids it: an error, nothing having happened. */
    uint16_t (*prepare)(hwl_chip *chip, hwl_part *part);
    /* Does it; an error means that nothing was done. */
    uint16_t (*run)(hwl_chip *chip, hwl_part *part);
} hwl_part_kind;

extern const hwl_part_kind hwl_part_vmm, hwl_part_read_cells, hwl_part_pulse, hwl_part_outer_update,
    hwl_part_outer_trains, hwl_part_form, hwl_part_reset, hwl_part_wait, hwl_part_snapshot, hwl_part_restore;

int hwl_is_part(uint8_t type);

/* Bytes that the answer takes in its frame, at most; UINT32_MAX if no frame holds it. */
uint32_t hwl_part_answer_bytes(const hwl_chip *chip, const hwl_message *message);

/* Executes a part, and adds its RESULT. */
void hwl_execute_part(hwl_chip *chip, const hwl_message *message, hwl_writer *answer);

/* Says why, for people, and returns the error. */
static inline uint16_t hwl_refuse(hwl_part *part, uint16_t error, const char *detail)
{
    part->detail = detail;
    return error;
}

static inline uint16_t hwl_too_large(hwl_part *part)
{
    return hwl_refuse(part, HWL_ERROR_UNSUPPORTED, "a part that is too large for the chip");
}

/* Finds the pulse shape of a number. */
static inline uint16_t hwl_take_shape(const hwl_chip *chip, hwl_part *part, uint16_t shape)
{
    if (shape >= chip->configuration.limits.shapes) {
        return hwl_refuse(part, HWL_ERROR_SHAPE, "no pulse shape of that number is installed");
    }
    part->order.shape = &chip->configuration.shapes[shape];
    return HWL_ERROR_NONE;
}

#endif
