/* From reset to main. QEMU puts code and initial data where they belong, also at every reset. */
#include <stdint.h>

extern uint32_t bss_begin, bss_end, stack_end;

int main(void);
void on_reset(void);
void on_fault(void);
void on_tick(void);
void on_uart_receive(void);

#define COPROCESSORS (*(volatile uint32_t *)0xE000ED88u)
#define FLOATING_POINT (0xFu << 20)

void on_reset(void)
{
    for (uint32_t *word = &bss_begin; word < &bss_end; word++) {
        *word = 0;
    }
    COPROCESSORS |= FLOATING_POINT;
    __asm__ volatile("dsb\n isb" ::: "memory");
    main();
    for (;;) {
    }
}

/* A semihosting call where semihosting is switched off is a breakpoint that nobody takes: it answers -1, and the
 * program goes on behind it. Any other fault stops the machine. Words 0 and 6 of the frame are r0 and the program
 * counter. */
__attribute__((naked)) void on_fault(void)
{
    __asm__ volatile("mrs r0, msp\n"
                     "ldr r1, [r0, #24]\n"
                     "ldrh r2, [r1]\n"
                     "movw r3, #0xBEAB\n"
                     "cmp r2, r3\n"
                     "1: bne 1b\n"
                     "adds r1, #2\n"
                     "str r1, [r0, #24]\n"
                     "mov r1, #-1\n"
                     "str r1, [r0]\n"
                     "bx lr\n");
}

/* Interrupt 0 is the receiver of UART 0. */
__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))(uintptr_t)&stack_end,
    on_reset,
    on_fault, /* NMI */
    on_fault,
    on_fault,
    on_fault,
    on_fault,
    0,
    0,
    0,
    0,
    on_fault, /* SVC */
    on_fault, /* debug monitor */
    0,
    on_fault, /* PendSV */
    on_tick,
    on_uart_receive,
};
