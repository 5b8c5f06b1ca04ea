/* A board on paper: cells that count their pulses, exact converters, and standard streams as its link.
 *
 * In place of the template's board.c it shows that the rest of the template works. A pulse on more than
 * PAPER_COMPLIANCE cells at once trips the compliance. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "board.h"

#define PAPER_COMPLIANCE 2000u

const hwl_msg_describe_answer board_tile = {
    .dac_full_scale = 1.0, .forward_full_scale = 1.0, .backward_full_scale = 1.0, .cells_full_scale = 1.0,
    .cell_siemens = 1.0, .output_noise = 0.0, .dac_code_max = 1, .forward_code_max = 1000000,
    .backward_code_max = 1000000, .cells_code_max = 100, .update_code_max = 127, .average_max = 4,
    .rows = BOARD_ROWS, .cols = BOARD_COLS, .longest_train = 63, .reference = HWL_REFERENCE_NONE,
    .encodings = HWL_ENCODING_SEEDED | HWL_ENCODING_TRAINS, .generator = "philox2x32-10",
};

const hwl_msg_hello_answer board_about = {
    .tick_picoseconds = 1000,
    .operations = HWL_OPERATION_BIT_VMM | HWL_OPERATION_BIT_READ_CELLS | HWL_OPERATION_BIT_PULSE |
                  HWL_OPERATION_BIT_OUTER_UPDATE | HWL_OPERATION_BIT_OUTER_TRAINS | HWL_OPERATION_BIT_CONFIGURE |
                  HWL_OPERATION_BIT_WAIT | HWL_OPERATION_BIT_FORM | HWL_OPERATION_BIT_SNAPSHOT |
                  HWL_OPERATION_BIT_RESTORE, /* the last four are not there, and must not be offered */
    .tiles = 1, .bias = HWL_BIAS_HALF, .chip_id = "paper-1", .name = "paper board",
};

const hwl_msg_configure board_limits = {
    .voltage_max = 3.0, .half_select_max = 1.5, .width_max_seconds = 1e-3, .compliance_max_amperes = 1e-3,
    .pulses_per_operation = 100, .dose_per_cell = HWL_NO_LIMIT, .dose_per_line = HWL_NO_LIMIT,
};

static int32_t cells[BOARD_ROWS][BOARD_COLS];
static int32_t step;

void board_start(void)
{
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
}

void board_idle(void)
{
    step = 0;
}

uint32_t board_receive(uint8_t *bytes, uint32_t capacity)
{
    const ssize_t count = read(STDIN_FILENO, bytes, capacity);
    if (count == 0) {
        exit(0);
    }
    return count < 0 ? 0u : (uint32_t)count;
}

uint32_t board_send(const uint8_t *bytes, uint32_t size)
{
    const ssize_t count = write(STDOUT_FILENO, bytes, size);
    return count < 0 ? size : (uint32_t)count;
}

void board_wait(int to_send, uint32_t milliseconds)
{
    struct pollfd file = {.fd = STDIN_FILENO, .events = POLLIN};
    (void)to_send;
    poll(&file, 1, (int)milliseconds);
}

uint32_t board_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
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
    step = (down ? shape->down_volts : shape->up_volts) < 0.0 ? -1 : 1;
}

int board_fire(const uint8_t *rows, const uint8_t *cols)
{
    uint32_t fired = 0;
    for (uint32_t row = 0; row < BOARD_ROWS; row++) {
        for (uint32_t col = 0; col < BOARD_COLS; col++) {
            if (rows[row] && cols[col]) {
                cells[row][col] += step;
                fired++;
            }
        }
    }
    return fired <= PAPER_COMPLIANCE;
}

void board_sample(uint32_t kind, uint32_t plane, const int32_t *codes, int32_t *values, uint8_t *saturated)
{
    (void)plane;
    const int forward = kind == HWL_FORWARD;
    const uint32_t driven = forward ? BOARD_COLS : BOARD_ROWS;
    const uint32_t lines = forward ? BOARD_ROWS : BOARD_COLS;
    const int32_t most = kind == HWL_CELLS ? (int32_t)board_tile.cells_code_max : 1000000;
    for (uint32_t line = 0; line < lines; line++) {
        int32_t sum = 0;
        for (uint32_t n = 0; n < driven; n++) {
            sum += codes[n] * (forward ? cells[line][n] : cells[n][line]);
        }
        saturated[line] = sum >= most || sum <= -most;
        values[line] = sum > most ? most : sum < -most ? -most : sum;
    }
}
