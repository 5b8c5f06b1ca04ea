#include "inbox.h"

#include <string.h>

#include "bytes.h"
#include "crc.h"

static uint32_t wrapped(uint32_t offset)
{
    return offset >= HWL_INBOX_BYTES ? offset - HWL_INBOX_BYTES : offset;
}

/* Where the frame under way begins, behind room for its length. */
static uint32_t under_way(const hwl_inbox *inbox)
{
    return wrapped(wrapped(inbox->begin + inbox->used) + HWL_INBOX_PREFIX);
}

static void append(hwl_inbox *inbox, uint8_t byte)
{
    if (inbox->length == HWL_FRAME_BYTES ||
        inbox->used + HWL_INBOX_PREFIX + inbox->length == HWL_INBOX_BYTES) {
        inbox->lost = 1;
        return;
    }
    inbox->bytes[wrapped(under_way(inbox) + inbox->length)] = byte;
    inbox->length++;
}

/* Copies `size` bytes from `offset` of the ring. */
static void copy_out(const hwl_inbox *inbox, uint32_t offset, uint32_t size, uint8_t *to)
{
    const uint32_t straight = HWL_INBOX_BYTES - offset < size ? HWL_INBOX_BYTES - offset : size;
    memcpy(to, inbox->bytes + offset, straight);
    memcpy(to + straight, inbox->bytes, size - straight);
}

static int check_is_right(const hwl_inbox *inbox)
{
    const uint32_t begin = under_way(inbox);
    const uint32_t size = inbox->length - 4u;
    const uint32_t straight = HWL_INBOX_BYTES - begin < size ? HWL_INBOX_BYTES - begin : size;
    uint32_t crc = hwl_crc32(0, inbox->bytes + begin, straight);
    crc = hwl_crc32(crc, inbox->bytes, size - straight);
    uint8_t check[4];
    copy_out(inbox, wrapped(begin + size), 4, check);
    return crc == hwl_get32(check);
}

void hwl_inbox_forget(hwl_inbox *inbox)
{
    inbox->length = 0;
    inbox->lost = 0;
}

/* The end of a frame, or of what looked like one. */
static int ends(hwl_inbox *inbox, int cut)
{
    if (inbox->lost) {
        inbox->dropped++;
    } else if (cut || (inbox->length > 0 && (inbox->length < HWL_FRAME_LEAST || !check_is_right(inbox)))) {
        inbox->bad++;
    } else if (inbox->length > 0) {
        return 1;
    }
    hwl_inbox_forget(inbox);
    return 0;
}

int hwl_inbox_take(hwl_inbox *inbox, uint8_t byte)
{
    switch (hwl_cobs_take(&inbox->decoder, byte)) {
    case HWL_COBS_BYTE:
        append(inbox, inbox->decoder.value);
        return 0;
    case HWL_COBS_END:
        return ends(inbox, 0);
    case HWL_COBS_CUT:
        return ends(inbox, 1);
    case HWL_COBS_NOTHING:
    default:
        return 0;
    }
}

uint8_t hwl_inbox_peek(const hwl_inbox *inbox, uint32_t offset)
{
    return inbox->bytes[wrapped(under_way(inbox) + offset)];
}

void hwl_inbox_keep(hwl_inbox *inbox)
{
    uint8_t prefix[HWL_INBOX_PREFIX];
    hwl_put32(prefix, inbox->length);
    for (uint32_t n = 0; n < HWL_INBOX_PREFIX; n++) {
        inbox->bytes[wrapped(wrapped(inbox->begin + inbox->used) + n)] = prefix[n];
    }
    inbox->used += HWL_INBOX_PREFIX + inbox->length;
    hwl_inbox_forget(inbox);
}

uint32_t hwl_inbox_next(hwl_inbox *inbox, uint8_t *frame)
{
    if (inbox->used == 0) {
        return 0;
    }
    uint8_t prefix[HWL_INBOX_PREFIX];
    copy_out(inbox, inbox->begin, HWL_INBOX_PREFIX, prefix);
    const uint32_t length = hwl_get32(prefix);
    copy_out(inbox, wrapped(inbox->begin + HWL_INBOX_PREFIX), length, frame);
    inbox->begin = wrapped(inbox->begin + HWL_INBOX_PREFIX + length);
    inbox->used -= HWL_INBOX_PREFIX + length;
    return length;
}
