/* The board as an array of the protocol. */
#ifndef BOARD_ARRAY_H
#define BOARD_ARRAY_H

#include "array.h"

extern const hwl_array board_array;

#endif
