/* Pulse shapes and limits in force: installed as one object, refused as one, never clipped. */
#ifndef HWL_CONFIGURATION_H
#define HWL_CONFIGURATION_H

#include "array.h"
#include "sizes.h"

typedef struct hwl_configuration {
    hwl_msg_configure limits; /* `configuration` is its hash, 0 while none is installed */
    hwl_msg_shape_entry shapes[HWL_SHAPES_MAX];
} hwl_configuration;

/* Whether an array may be driven so: what forbids it, else HWL_ERROR_NONE. */
uint16_t hwl_configuration_check(const hwl_configuration *asked, const hwl_array *array, uint8_t bias);

#endif
