/* Frames in memory: the messages of one that has come in, and the making of one that goes out. */
#ifndef HWL_FRAME_H
#define HWL_FRAME_H

#include "messages.h"
#include "sizes.h"

#define HWL_FRAME_HEADER ((uint32_t)sizeof(hwl_msg_frame_header))
#define HWL_MESSAGE_HEADER ((uint32_t)sizeof(hwl_msg_message_header))
#define HWL_FRAME_CHECK 4u

typedef struct hwl_message {
    uint8_t type;
    uint32_t length;
    const uint8_t *body;
} hwl_message;

typedef struct hwl_frame {
    hwl_msg_frame_header header;
    const uint8_t *bytes;
    uint32_t end; /* of the messages */
} hwl_frame;

/* Bytes that a message with a body of `length` bytes takes in a frame. */
static inline uint32_t hwl_message_bytes(uint32_t length)
{
    return HWL_MESSAGE_HEADER + (length + HWL_MESSAGE_ALIGNMENT - 1u) / HWL_MESSAGE_ALIGNMENT * HWL_MESSAGE_ALIGNMENT;
}

/* Reads the header of `length` bytes whose check is right, at least the shortest frame. */
void hwl_frame_open(hwl_frame *frame, const uint8_t *bytes, uint32_t length);

/* Whether the messages fill the frame and are as many as its header says. */
int hwl_frame_is_whole(const hwl_frame *frame);

/* Takes the message at `*at`, HWL_FRAME_HEADER for the first, and moves `*at` behind it; 0 at the end, and where a
 * message does not fit its frame. */
int hwl_frame_next(const hwl_frame *frame, uint32_t *at, hwl_message *message);

/* A frame under construction. */
typedef struct hwl_writer {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t length;
    uint16_t messages;
} hwl_writer;

void hwl_writer_begin(hwl_writer *writer, uint8_t *bytes, uint32_t capacity);

/* Adds a message; returns its body, all zeros, or NULL if the frame has no room for it. */
uint8_t *hwl_writer_add(hwl_writer *writer, uint8_t type, uint32_t length);

/* Adds a message with that body, unless the frame has no room for it. */
void hwl_writer_put(hwl_writer *writer, uint8_t type, const void *body, uint32_t length);

/* Writes header and check around the messages; returns the length of the frame. */
uint32_t hwl_writer_seal(hwl_writer *writer, uint8_t kind, uint32_t epoch, uint32_t sequence, uint32_t acknowledged);

#endif
