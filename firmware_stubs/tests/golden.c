/* Reads frames as lines of hexadecimal digits, takes each apart, puts it together again, and prints
 *
 *     KIND EPOCH SEQUENCE ACKNOWLEDGED TYPE:LENGTH:LEAST ... | FRAME | STREAM
 *
 * with the frame that the messages make, and what travels of it on a byte stream. */
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "cobs.h"
#include "crc.h"
#include "frame.h"

static uint32_t least_bytes(uint8_t type)
{
    switch (type) {
#define LEAST(NAME, name, bytes) \
    case HWL_TYPE_##NAME:        \
        return bytes;
        HWL_MESSAGES(LEAST)
#undef LEAST
    default:
        return UINT32_MAX;
    }
}

static uint32_t read_hex(const char *line, uint8_t *bytes)
{
    uint32_t length = 0;
    unsigned value;
    while (sscanf(line + 2u * length, "%2x", &value) == 1) {
        bytes[length++] = (uint8_t)value;
    }
    return length;
}

static void print_hex(const uint8_t *bytes, size_t length)
{
    for (size_t n = 0; n < length; n++) {
        printf("%02x", bytes[n]);
    }
}

static int take_apart(const uint8_t *bytes, uint32_t length)
{
    static _Alignas(8) uint8_t again[HWL_FRAME_BYTES];
    static uint8_t stream[HWL_COBS_ENCODED(HWL_FRAME_BYTES)];
    hwl_frame frame;
    if (length < HWL_FRAME_HEADER + HWL_FRAME_CHECK ||
        hwl_crc32(0, bytes, length - HWL_FRAME_CHECK) != hwl_get32(bytes + length - HWL_FRAME_CHECK)) {
        return 0;
    }
    hwl_frame_open(&frame, bytes, length);
    if (!hwl_frame_is_whole(&frame)) {
        return 0;
    }
    const hwl_msg_frame_header *header = &frame.header;
    printf("%u %u %u %u", header->kind, (unsigned)header->epoch, (unsigned)header->sequence,
           (unsigned)header->acknowledged);
    hwl_writer writer;
    hwl_writer_begin(&writer, again, sizeof again);
    uint32_t at = HWL_FRAME_HEADER;
    hwl_message message;
    while (hwl_frame_next(&frame, &at, &message)) {
        printf(" %u:%u:%u", message.type, (unsigned)message.length, (unsigned)least_bytes(message.type));
        hwl_writer_put(&writer, message.type, message.body, message.length);
    }
    const uint32_t sealed =
        hwl_writer_seal(&writer, header->kind, header->epoch, header->sequence, header->acknowledged);
    printf(" | ");
    print_hex(again, sealed);
    printf(" | ");
    print_hex(stream, hwl_cobs_encode(again, sealed, stream));
    printf("\n");
    return 1;
}

int main(void)
{
    static char line[2 * HWL_FRAME_BYTES + 2];
    static _Alignas(8) uint8_t bytes[HWL_FRAME_BYTES];
    while (fgets(line, sizeof line, stdin)) {
        if (!take_apart(bytes, read_hex(line, bytes))) {
            fprintf(stderr, "not a frame: %s", line);
            return 1;
        }
    }
    return 0;
}
