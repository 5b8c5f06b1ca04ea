#include "frame.h"

#include <string.h>

#include "bytes.h"
#include "crc.h"

void hwl_frame_open(hwl_frame *frame, const uint8_t *bytes, uint32_t length)
{
    memcpy(&frame->header, bytes, sizeof frame->header);
    frame->bytes = bytes;
    frame->end = length - HWL_FRAME_CHECK;
}

int hwl_frame_next(const hwl_frame *frame, uint32_t *at, hwl_message *message)
{
    if (frame->end - *at < HWL_MESSAGE_HEADER) {
        return 0;
    }
    hwl_msg_message_header header;
    memcpy(&header, frame->bytes + *at, sizeof header);
    /* Compared without adding to the length, which may be anything. */
    if (header.length > frame->end - *at - HWL_MESSAGE_HEADER ||
        hwl_message_bytes(header.length) > frame->end - *at) {
        return 0;
    }
    *message = (hwl_message){header.type, header.length, frame->bytes + *at + HWL_MESSAGE_HEADER};
    *at += hwl_message_bytes(header.length);
    return 1;
}

int hwl_frame_is_whole(const hwl_frame *frame)
{
    uint32_t at = HWL_FRAME_HEADER;
    uint32_t count = 0;
    hwl_message message;
    while (hwl_frame_next(frame, &at, &message)) {
        count++;
    }
    return at == frame->end && count == frame->header.messages;
}

void hwl_writer_begin(hwl_writer *writer, uint8_t *bytes, uint32_t capacity)
{
    *writer = (hwl_writer){bytes, capacity, HWL_FRAME_HEADER, 0};
}

uint8_t *hwl_writer_add(hwl_writer *writer, uint8_t type, uint32_t length)
{
    const uint32_t room = writer->capacity - HWL_FRAME_CHECK - writer->length;
    if (length > room || hwl_message_bytes(length) > room) {
        return NULL;
    }
    uint8_t *message = writer->bytes + writer->length;
    memset(message, 0, hwl_message_bytes(length));
    const hwl_msg_message_header header = {.type = type, .length = length};
    memcpy(message, &header, sizeof header);
    writer->length += hwl_message_bytes(length);
    writer->messages++;
    return message + HWL_MESSAGE_HEADER;
}

void hwl_writer_put(hwl_writer *writer, uint8_t type, const void *body, uint32_t length)
{
    uint8_t *to = hwl_writer_add(writer, type, length);
    if (to) {
        memcpy(to, body, length);
    }
}

uint32_t hwl_writer_seal(hwl_writer *writer, uint8_t kind, uint32_t epoch, uint32_t sequence, uint32_t acknowledged)
{
    const hwl_msg_frame_header header = {
        .kind = kind,
        .version = HWL_PROTOCOL_VERSION,
        .messages = writer->messages,
        .epoch = epoch,
        .sequence = sequence,
        .acknowledged = acknowledged,
    };
    memcpy(writer->bytes, &header, sizeof header);
    hwl_put32(writer->bytes + writer->length, hwl_crc32(0, writer->bytes, writer->length));
    return writer->length + HWL_FRAME_CHECK;
}
