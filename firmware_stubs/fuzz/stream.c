/* Fuzz target: any bytes on the link. */
#include "small_chip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    small_chip_boot();
    small_chip_feed(data, size);
    small_chip_check();
    return 0;
}
