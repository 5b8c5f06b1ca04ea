/* The board: every function and number here is yours to write. As it stands it compiles, and drives nothing. */
#include "board.h"

const hwl_msg_describe_answer board_tile = {
    .dac_full_scale = 0.2,       /* volts */
    .forward_full_scale = 50e-6, /* amperes at the largest code */
    .backward_full_scale = 50e-6,
    .cells_full_scale = 10e-6,
    .cell_siemens = 50e-6, /* of one device unit of the device file */
    .middle_siemens = 0.0, /* of a cell whose main plane reads 0 */
    .output_noise = __builtin_nan(""),
    .dac_code_max = 127,
    .forward_code_max = 2047,
    .backward_code_max = 2047,
    .cells_code_max = 2047,
    .update_code_max = 127,
    .average_max = 256,
    .rows = BOARD_ROWS,
    .cols = BOARD_COLS,
    .longest_train = 63,
    .reference = HWL_REFERENCE_NONE,
    .encodings = HWL_ENCODING_SEEDED | HWL_ENCODING_TRAINS, /* array.c draws the trains of both */
    .generator = "philox2x32-10",
};

const hwl_msg_hello_answer board_about = {
    .tick_picoseconds = 1000,
    .operations = HWL_OPERATION_BIT_VMM | HWL_OPERATION_BIT_READ_CELLS | HWL_OPERATION_BIT_PULSE |
                  HWL_OPERATION_BIT_OUTER_UPDATE | HWL_OPERATION_BIT_OUTER_TRAINS | HWL_OPERATION_BIT_CONFIGURE,
    .tiles = 1,
    .bias = HWL_BIAS_HALF,
    .chip_id = "template-0", /* what a user types to arm it: name one chip, not one kind of chip */
    .name = "board template",
    .device = "",
};

const hwl_msg_configure board_limits = {
    .voltage_max = 3.0,
    .half_select_max = 1.5,
    .width_max_seconds = 1e-3,
    .compliance_max_amperes = 1e-3,
    .pulses_per_operation = 10000,
    .dose_per_cell = HWL_NO_LIMIT,
    .dose_per_line = HWL_NO_LIMIT,
    .forming = 0,
};

void board_start(void)
{
    board_idle();
}

void board_idle(void)
{
}

uint32_t board_receive(uint8_t *bytes, uint32_t capacity)
{
    (void)bytes;
    (void)capacity;
    return 0;
}

uint32_t board_send(const uint8_t *bytes, uint32_t size)
{
    (void)bytes;
    return size;
}

void board_wait(int to_send, uint32_t milliseconds)
{
    (void)to_send;
    (void)milliseconds;
}

uint32_t board_milliseconds(void)
{
    return 0;
}

void board_write_record(uint32_t slot, const hwl_record *record)
{
    (void)slot;
    (void)record;
}

void board_read_record(uint32_t slot, hwl_record *record)
{
    (void)slot;
    *record = (hwl_record){0};
}

void board_set_pulse(const hwl_msg_shape_entry *shape, int down)
{
    (void)shape;
    (void)down;
}

int board_fire(const uint8_t *rows, const uint8_t *cols)
{
    (void)rows;
    (void)cols;
    return 1;
}

void board_sample(uint32_t kind, uint32_t plane, const int32_t *codes, int32_t *values, uint8_t *saturated)
{
    (void)codes;
    (void)plane;
    const uint32_t lines = kind == HWL_FORWARD ? BOARD_ROWS : BOARD_COLS;
    for (uint32_t line = 0; line < lines; line++) {
        values[line] = 0;
        saturated[line] = 0;
    }
}
