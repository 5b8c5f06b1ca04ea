/* The emulated board: QEMU's mps2-an500, a Cortex-M7 at 25 MHz. */
#ifndef HWL_QEMU_MACHINE_H
#define HWL_QEMU_MACHINE_H

#include <stdint.h>

#define MACHINE_HERTZ 25000000u
#define MACHINE_ARENA ((void *)0x60000000u) /* the board's PSRAM, which a file on the host backs */
#define MACHINE_ARENA_BYTES 0x01000000u

/* Milliseconds since boot, of a timer that also runs while the core waits. */
uint32_t machine_milliseconds(void);
void machine_start_clock(void);

/* The UART, by interrupts: bytes that came in wait in a ring. */
void uart_start(void);

/* Sleeps until a byte or a tick of the clock comes, not at all if a byte waits. */
void uart_sleep(void);
uint32_t uart_receive(uint8_t *bytes, uint32_t capacity);
uint32_t uart_send(const uint8_t *bytes, uint32_t size);

/* Semihosting: calls that the emulator itself answers. Every one fails where it is switched off. */

/* Opens the host's file that the emulator was started with (arg=PATH); a handle, or -1. */
int semihosting_open_argument(void);

/* Waits for bytes; returns how many came, 0 at the end of the file. */
uint32_t semihosting_read(int handle, uint8_t *bytes, uint32_t capacity);
void semihosting_write(int handle, const uint8_t *bytes, uint32_t size);

/* Host nanoseconds since the start, 0 where there is no semihosting. */
uint64_t semihosting_nanoseconds(void);

/* Shows a line on the host's console, and ends the emulator; returns where there is no semihosting. */
void semihosting_fail(const char *line);

#endif
