/* From messages to what they ask for. */
#ifndef HWL_DISPATCH_H
#define HWL_DISPATCH_H

#include "chip.h"

/* Bytes that the answer to a message takes in its frame, at most; UINT32_MAX if it cannot be. */
uint32_t hwl_answer_bytes(const hwl_chip *chip, const hwl_message *message);

/* Does what a message asks for, and adds its answer. */
void hwl_dispatch(hwl_chip *chip, const hwl_message *message, hwl_writer *answer);

/* Adds an ERROR. */
void hwl_answer_error(hwl_writer *answer, uint8_t type, uint16_t error, uint32_t value);

#endif
