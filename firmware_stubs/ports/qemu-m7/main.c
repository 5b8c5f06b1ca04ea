/* The chip on an emulated Cortex-M7: its link is the UART, or a host's pseudo-terminal by semihosting.
 *
 * Semihosting is some 30 times faster, but a read stops the whole machine until bytes come: neither an abort nor a
 * silent host is seen while it lasts. */
#include "chip.h"
#include "machine.h"
#include "model.h"

#define CHUNK 4096u

/* What a 512x512 tile computes with; larger ones compute by the plain forms. */
#define ROOM_BYTES (2000u * 1024u)

typedef struct port {
    int handle; /* of semihosting, -1 for the UART */
    uint8_t bytes[CHUNK];
    uint32_t begin; /* of those bytes that semihosting read and the chip has not taken */
    uint32_t end;
} port;

static port line;
static hwl_chip chip;
static hwl_model model;
static hwl_array array;
static uint8_t room[ROOM_BYTES];

static uint32_t receive(void *context, uint8_t *bytes, uint32_t capacity)
{
    port *link = context;
    if (link->handle < 0) {
        return uart_receive(bytes, capacity);
    }
    uint32_t count = 0;
    while (count < capacity && link->begin < link->end) {
        bytes[count++] = link->bytes[link->begin++];
    }
    return count;
}

static uint32_t send(void *context, const uint8_t *bytes, uint32_t size)
{
    const port *link = context;
    if (link->handle < 0) {
        return uart_send(bytes, size);
    }
    semihosting_write(link->handle, bytes, size);
    return size;
}

static void wait(void *context, int to_send, uint32_t milliseconds)
{
    port *link = context;
    if (link->handle < 0) {
        if (!to_send && milliseconds > 0) {
            uart_sleep();
        }
        return;
    }
    link->begin = 0;
    link->end = semihosting_read(link->handle, link->bytes, sizeof link->bytes);
}

static uint32_t milliseconds(void *context)
{
    const port *link = context;
    return link->handle < 0 ? machine_milliseconds() : (uint32_t)(semihosting_nanoseconds() / 1000000u);
}

int main(void)
{
    if (hwl_arena_check(MACHINE_ARENA, MACHINE_ARENA_BYTES) != HWL_ARENA_FINE) {
        semihosting_fail("hwloop-chip: the memory holds no arena of this chip\n");
        for (;;) {
        }
    }
    line.handle = semihosting_open_argument();
    if (line.handle < 0) {
        machine_start_clock();
        uart_start();
    }
    const hwl_hooks hooks = {
        .context = &line,
        .receive = receive,
        .send = send,
        .wait = wait,
        .milliseconds = milliseconds,
        .store = hwl_arena_store(MACHINE_ARENA),
    };
    hwl_model_bind(&model, MACHINE_ARENA, room, sizeof room, &array);
    hwl_chip_boot(&chip, &hooks, &array);
    for (;;) {
        wait(&line, 0, hwl_chip_poll(&chip));
    }
}
