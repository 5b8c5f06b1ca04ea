/* A chip small enough to boot for every input: one tile, short buffers, a link that is an array of bytes. */
#ifndef HWL_FUZZ_SMALL_CHIP_H
#define HWL_FUZZ_SMALL_CHIP_H

#include "chip.h"
#include "model.h"

enum { SMALL_ROWS = 3, SMALL_COLS = 4, SMALL_CELLS = SMALL_ROWS * SMALL_COLS };

/* Boots the chip on a fresh arena. */
void small_chip_boot(void);

/* Gives the chip bytes of its link, and lets it do what they ask for. */
void small_chip_feed(const uint8_t *bytes, size_t size);

/* The chip itself. */
hwl_chip *small_chip(void);

/* Stops the program if the chip is not what it must be after anything. */
void small_chip_check(void);

#endif
