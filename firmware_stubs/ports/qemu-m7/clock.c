#include "machine.h"

#define TICK_MS 10u

typedef struct systick {
    volatile uint32_t control;
    volatile uint32_t reload;
    volatile uint32_t value;
} systick;

#define SYSTICK ((systick *)0xE000E010u)
#define ENABLE 1u
#define INTERRUPT 2u
#define CORE_CLOCK 4u

void on_tick(void);

static volatile uint32_t ticks;

void on_tick(void)
{
    ticks = ticks + 1u;
}

void machine_start_clock(void)
{
    SYSTICK->reload = MACHINE_HERTZ / 1000u * TICK_MS - 1u;
    SYSTICK->value = 0;
    SYSTICK->control = ENABLE | INTERRUPT | CORE_CLOCK;
}

uint32_t machine_milliseconds(void)
{
    return ticks * TICK_MS;
}
