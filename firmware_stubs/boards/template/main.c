/* The chip on the board. */
#include "board.h"
#include "board_array.h"
#include "chip.h"

static hwl_chip chip;

static uint32_t receive(void *context, uint8_t *bytes, uint32_t capacity)
{
    (void)context;
    return board_receive(bytes, capacity);
}

static uint32_t send(void *context, const uint8_t *bytes, uint32_t size)
{
    (void)context;
    return board_send(bytes, size);
}

static void wait(void *context, int to_send, uint32_t milliseconds)
{
    (void)context;
    board_wait(to_send, milliseconds);
}

static uint32_t milliseconds(void *context)
{
    (void)context;
    return board_milliseconds();
}

static void write_record(void *context, uint32_t slot, const hwl_record *record)
{
    (void)context;
    board_write_record(slot, record);
}

static void read_record(void *context, uint32_t slot, hwl_record *record)
{
    (void)context;
    board_read_record(slot, record);
}

int main(void)
{
    const hwl_hooks hooks = {
        .receive = receive,
        .send = send,
        .wait = wait,
        .milliseconds = milliseconds,
        .store = {.write = BOARD_RETAINS ? write_record : 0, .read = read_record},
    };
    board_start();
    hwl_chip_boot(&chip, &hooks, &board_array);
    for (;;) {
        board_wait(0, hwl_chip_poll(&chip));
    }
}
