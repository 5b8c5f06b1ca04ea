/* Where the bits of a byte are: for gathering lanes of a vector, and for spreading them. */
#ifndef HWL_BYTE_BITS_H
#define HWL_BYTE_BITS_H

#include <stdint.h>

/* Of a nibble, out of constants that hold an entry for each nibble: how many bits are set, and which is the n-th. */
#define COUNT(nibble) (int)(0x4332322132212110u >> 4 * (nibble)&15)
#define NTH_OF(nibble, n)                                                                                            \
    (int)(((nibble) < 8 ? 0x2409080204010000u : 0xe439380e340d0c03u) >> 8 * ((nibble)&7) >> 2 * ((n)&3) & 3)

/* Of a byte: the n-th bit that is set, 0 if there are fewer, and how many are set below bit n. */
#define NTH_HIGH(byte, n) ((n) < COUNT((byte) >> 4) ? 4 + NTH_OF((byte) >> 4, n) : 0)
#define NTH(byte, n) ((n) < COUNT((byte)&15) ? NTH_OF((byte)&15, n) : NTH_HIGH(byte, (n)-COUNT((byte)&15)))
#define BELOW(byte, n) (COUNT((byte) & ((1 << (n)) - 1) & 15) + COUNT((byte) >> 4 & ((1 << (n)) - 1) >> 4))

#define EIGHT(of, byte)                                                                                              \
    {of(byte, 0), of(byte, 1), of(byte, 2), of(byte, 3), of(byte, 4), of(byte, 5), of(byte, 6), of(byte, 7)}
#define BYTES_4(of, byte) EIGHT(of, byte), EIGHT(of, (byte) + 1), EIGHT(of, (byte) + 2), EIGHT(of, (byte) + 3)
#define BYTES_16(of, byte) BYTES_4(of, byte), BYTES_4(of, (byte) + 4), BYTES_4(of, (byte) + 8), BYTES_4(of, (byte) + 12)
#define BYTES_64(of, byte)                                                                                           \
    BYTES_16(of, byte), BYTES_16(of, (byte) + 16), BYTES_16(of, (byte) + 32), BYTES_16(of, (byte) + 48)
#define BYTES_256(of) {BYTES_64(of, 0), BYTES_64(of, 64), BYTES_64(of, 128), BYTES_64(of, 192)}

static const uint8_t hwl_nth_bit[256][8] = BYTES_256(NTH);
static const uint8_t hwl_bits_below[256][8] = BYTES_256(BELOW);

#undef COUNT
#undef NTH_OF
#undef NTH_HIGH
#undef NTH
#undef BELOW
#undef EIGHT
#undef BYTES_4
#undef BYTES_16
#undef BYTES_64
#undef BYTES_256

#endif
