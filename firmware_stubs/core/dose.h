/* The limits on numbers of pulses: per part, and per cell and line since the chip was armed. */
#ifndef HWL_DOSE_H
#define HWL_DOSE_H

#include "part.h"

/* What a part gives to the cell at row `i` and column `j` of its block, at most. */
typedef struct hwl_request {
    uint64_t (*pulses)(const struct hwl_request *request, uint32_t i, uint32_t j);
    uint64_t most; /* no cell gets more */
    const hwl_block *block;

    /* Of explicit pulses: [row_count, col_count]. */
    const int16_t *counts;

    /* Of updates by codes: [samples, rows or columns]. A line with a code may fire in every slot. */
    const int32_t *x_codes;
    const int32_t *d_codes;
    const int32_t *lengths;
    uint32_t samples;

    /* Of updates by trains: one bit per line, in bytes, for every slot of every sample. */
    const uint8_t *x_plus;
    const uint8_t *x_minus;
    const uint8_t *d_plus;
    const uint8_t *d_minus;
    uint32_t slots; /* of all samples */
} hwl_request;

hwl_request hwl_request_of_counts(const hwl_block *block, const int16_t *counts);
hwl_request hwl_request_of_codes(const hwl_block *tile, uint32_t samples, const int32_t *x_codes,
                                 const int32_t *d_codes, const int32_t *lengths);
hwl_request hwl_request_of_trains(const hwl_block *tile, uint32_t slots, const uint8_t *x_plus,
                                  const uint8_t *x_minus, const uint8_t *d_plus, const uint8_t *d_minus);

/* What the limits in force have against it: a text that names the limit, or NULL. */
const char *hwl_dose_fault(const hwl_msg_configure *limits, const hwl_array *array, uint32_t tile,
                           const hwl_request *request);

/* Refuses a part that is being prepared if the limits forbid it. */
uint16_t hwl_check_part_dose(hwl_chip *chip, hwl_part *part, hwl_request request);

#endif
