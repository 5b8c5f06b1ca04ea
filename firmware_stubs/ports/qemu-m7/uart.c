/* UART 0 of the board, an Arm CMSDK APB UART. */
#include "machine.h"

typedef struct cmsdk_uart {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t control;
    volatile uint32_t interrupt;
    volatile uint32_t divider;
} cmsdk_uart;

#define UART ((cmsdk_uart *)0x40004000u)
#define SENDER_FULL 1u
#define RECEIVER_FULL 2u
#define SENDER_ON 1u
#define RECEIVER_ON 2u
#define RECEIVER_INTERRUPT 8u
#define RECEIVER_PENDING 2u
#define BAUD 921600u

#define INTERRUPT_SET_ENABLE (*(volatile uint32_t *)0xE000E100u)

#define RING 65536u /* a power of two; the interrupt fills it, the program empties it */

void on_uart_receive(void);

static uint8_t ring[RING];
static volatile uint32_t filled;
static volatile uint32_t emptied;

void on_uart_receive(void)
{
    UART->interrupt = RECEIVER_PENDING;
    while (UART->state & RECEIVER_FULL) {
        const uint8_t byte = (uint8_t)UART->data;
        if (filled - emptied < RING) { /* else it is lost, and the frame's check will say so */
            ring[filled % RING] = byte;
            filled = filled + 1u;
        }
    }
}

void uart_start(void)
{
    UART->divider = MACHINE_HERTZ / BAUD;
    UART->control = SENDER_ON | RECEIVER_ON | RECEIVER_INTERRUPT;
    INTERRUPT_SET_ENABLE = 1u;
}

/* Between the look and the sleep no byte may slip in: a pending interrupt ends the sleep also while they are off. */
void uart_sleep(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
    if (emptied == filled) {
        __asm__ volatile("wfi" ::: "memory");
    }
    __asm__ volatile("cpsie i" ::: "memory");
}

uint32_t uart_receive(uint8_t *bytes, uint32_t capacity)
{
    uint32_t count = 0;
    while (count < capacity && emptied != filled) {
        bytes[count++] = ring[emptied % RING];
        emptied = emptied + 1u;
    }
    return count;
}

uint32_t uart_send(const uint8_t *bytes, uint32_t size)
{
    uint32_t count = 0;
    while (count < size && !(UART->state & SENDER_FULL)) {
        UART->data = bytes[count++];
    }
    return count;
}
