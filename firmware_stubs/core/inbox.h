/* What has come in: bytes of the stream become frames, and whole frames wait here until their turn.
 *
 * Frames are checked as they arrive, so that an abort is seen while an operation executes. */
#ifndef HWL_INBOX_H
#define HWL_INBOX_H

#include "cobs.h"
#include "sizes.h"

#define HWL_INBOX_PREFIX 4u /* the length before each waiting frame */

/* A frame that is shorter than this is none; its link form is 2 bytes longer, and its waiting form 4. */
#define HWL_FRAME_LEAST 20u

/* Room for what a host may send ahead, whatever the length of its frames, and for one frame under way. */
#define HWL_INBOX_BYTES (HWL_RECEIVE_BYTES + HWL_RECEIVE_BYTES / 8u + HWL_FRAME_BYTES + HWL_INBOX_PREFIX)

typedef struct hwl_inbox {
    uint8_t bytes[HWL_INBOX_BYTES]; /* a ring: length and frame, length and frame, ..., the frame under way */
    uint32_t begin;                 /* of the oldest frame */
    uint32_t used;                  /* by whole frames and their lengths */
    uint32_t length;                /* of the frame under way */
    uint8_t lost;                   /* whether it did not fit */
    hwl_cobs_decoder decoder;
    uint32_t bad;     /* frames whose check or length is wrong */
    uint32_t dropped; /* frames that did not fit */
} hwl_inbox;

/* Takes one byte of the stream; whether it ends a frame whose check is right. Such a frame is kept or forgotten
 * before the next byte. */
int hwl_inbox_take(hwl_inbox *inbox, uint8_t byte);

/* A byte of the frame that has just ended. */
uint8_t hwl_inbox_peek(const hwl_inbox *inbox, uint32_t offset);

/* Lets the frame that has just ended wait for its turn. */
void hwl_inbox_keep(hwl_inbox *inbox);

/* Forgets the frame that has just ended. */
void hwl_inbox_forget(hwl_inbox *inbox);

/* Moves the oldest waiting frame to `frame`, of HWL_FRAME_BYTES; returns its length, 0 if none waits. */
uint32_t hwl_inbox_next(hwl_inbox *inbox, uint8_t *frame);

#endif
