/* What a laboratory fills in for its own board: one tile behind drivers and converters. docs/boards.md is the guide.
 *
 * array.c makes the array of the protocol out of these functions; main.c runs the chip. */
#ifndef BOARD_H
#define BOARD_H

#include "array.h"
#include "journal.h"

#define BOARD_ROWS 64u
#define BOARD_COLS 64u

/* What DESCRIBE answers, and what HELLO says that does not change. */
extern const hwl_msg_describe_answer board_tile;
extern const hwl_msg_hello_answer board_about;

/* Limits of the array itself; a configuration that is looser is refused. */
extern const hwl_msg_configure board_limits;

/* Once, after reset: clocks, pins, converters. Ends with every line idle. */
void board_start(void);

/* Every line to its idle state, at once, whatever was going on. */
void board_idle(void);

/* The link: never wait in the first two. `board_wait` sleeps until a byte has come or one can be sent. */
uint32_t board_receive(uint8_t *bytes, uint32_t capacity);
uint32_t board_send(const uint8_t *bytes, uint32_t size);
void board_wait(int to_send, uint32_t milliseconds);

/* A clock that never stops. */
uint32_t board_milliseconds(void);

/* Memory for HWL_RECORD_SLOTS records that survives a reset and a loss of power: FRAM, or battery-backed RAM. Flash wears
 * out, since there are two records for each part. A write returns once the record is safe. */
#define BOARD_RETAINS 0
void board_write_record(uint32_t slot, const hwl_record *record);
void board_read_record(uint32_t slot, hwl_record *record);

/* Sets amplitude, width and compliance of the pulses that follow; `down` for negative ones. */
void board_set_pulse(const hwl_msg_shape_entry *shape, int down);

/* One pulse on every cell whose row and whose column are selected; all others see at most what the bias scheme allows.
 * `rows` and `cols` have a byte for each line. Answers whether all went well; where it did not, the pulse counts as
 * given, and nothing follows. */
int board_fire(const uint8_t *rows, const uint8_t *cols);

/* Drives the columns (HWL_FORWARD) or the rows (HWL_BACKWARD, and HWL_CELLS with the converter of cell reads) by DAC
 * codes, and samples the lines of the other side: codes, and whether each was at its bound. */
void board_sample(uint32_t kind, uint32_t plane, const int32_t *codes, int32_t *values, uint8_t *saturated);

#endif
