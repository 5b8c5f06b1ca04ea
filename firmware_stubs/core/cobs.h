/* Consistent overhead byte stuffing (Cheshire and Baker, IEEE/ACM Trans. Netw. 7, 1999): no zeros inside a frame,
 * one behind it. */
#ifndef HWL_COBS_H
#define HWL_COBS_H

#include <stddef.h>

#include "api.h"

#define HWL_COBS_BLOCK 254u /* bytes without a zero that one code byte can announce */

/* Length of `size` bytes encoded, with the zero behind them, at most. */
#define HWL_COBS_ENCODED(size) ((size) + (size) / HWL_COBS_BLOCK + 2u)

/* What a byte of the stream adds to the frame under way. */
enum hwl_cobs_event {
    HWL_COBS_NOTHING, /* no byte */
    HWL_COBS_BYTE,    /* the byte `value` */
    HWL_COBS_END,     /* its end */
    HWL_COBS_CUT      /* its end, in the middle of a block: what was decoded is no frame */
};

typedef struct hwl_cobs_decoder {
    uint8_t left;  /* bytes that the block under way still has */
    uint8_t zero;  /* whether a zero stands between the last block and the next */
    uint8_t value; /* of HWL_COBS_BYTE */
} hwl_cobs_decoder;

/* Takes one byte of the stream; a decoder begins as all zeros. */
static inline enum hwl_cobs_event hwl_cobs_take(hwl_cobs_decoder *decoder, uint8_t byte)
{
    if (byte == 0) {
        const enum hwl_cobs_event end = decoder->left ? HWL_COBS_CUT : HWL_COBS_END;
        decoder->left = 0;
        decoder->zero = 0;
        return end;
    }
    if (decoder->left) {
        decoder->left--;
        decoder->value = byte;
        return HWL_COBS_BYTE;
    }
    const uint8_t zero = decoder->zero;
    decoder->left = (uint8_t)(byte - 1u);
    decoder->zero = byte <= HWL_COBS_BLOCK;
    decoder->value = 0;
    return zero ? HWL_COBS_BYTE : HWL_COBS_NOTHING;
}

/* Encodes `size` bytes and the zero behind them; returns the length, at most HWL_COBS_ENCODED(size). */
HWL_API size_t hwl_cobs_encode(const uint8_t *bytes, size_t size, uint8_t *encoded);

/* Decodes a stream of `size` bytes up to its first zero; returns the length, or SIZE_MAX where there is no whole
 * frame. */
HWL_API size_t hwl_cobs_decode(const uint8_t *encoded, size_t size, uint8_t *bytes);

#endif
