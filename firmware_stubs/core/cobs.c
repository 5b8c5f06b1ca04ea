#include "cobs.h"

size_t hwl_cobs_encode(const uint8_t *bytes, size_t size, uint8_t *encoded)
{
    size_t code_at = 0;
    size_t length = 1;
    uint8_t code = 1;
    for (size_t n = 0; n < size; n++) {
        if (bytes[n] != 0) {
            encoded[length++] = bytes[n];
            code++;
        }
        if (bytes[n] == 0 || (code > HWL_COBS_BLOCK && n + 1 < size)) {
            encoded[code_at] = code;
            code_at = length++;
            code = 1;
        }
    }
    encoded[code_at] = code;
    encoded[length++] = 0;
    return length;
}

size_t hwl_cobs_decode(const uint8_t *encoded, size_t size, uint8_t *bytes)
{
    hwl_cobs_decoder decoder = {0};
    size_t length = 0;
    for (size_t n = 0; n < size; n++) {
        switch (hwl_cobs_take(&decoder, encoded[n])) {
        case HWL_COBS_NOTHING:
            break;
        case HWL_COBS_BYTE:
            bytes[length++] = decoder.value;
            break;
        case HWL_COBS_END:
            return length;
        case HWL_COBS_CUT:
        default:
            return SIZE_MAX;
        }
    }
    return SIZE_MAX;
}
