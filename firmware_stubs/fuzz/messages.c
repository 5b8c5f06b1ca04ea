/* Fuzz target: any messages, in frames whose check, session and sequence number are right.
 *
 * The input is a list of messages: a byte of type, a byte of flags, two bytes of length, and that many bytes of body.
 * A part is made likely to be executed: it names the installed configuration, and an id above the last one. */
#include <string.h>

#include "bytes.h"
#include "cobs.h"
#include "small_chip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEEP_ID = 1, KEEP_CONFIGURATION = 2, KEEP_TILE = 4, AS_ABORT = 8, WITHOUT_ACKNOWLEDGEMENT = 16, TWICE = 32 };

static uint8_t frame[HWL_FRAME_BYTES];
static uint8_t stream[2 * HWL_COBS_ENCODED(HWL_FRAME_BYTES)];

static void send_frame(hwl_writer *writer, uint8_t kind, uint32_t epoch, uint32_t sequence, uint32_t received, int twice)
{
    const uint32_t length = hwl_writer_seal(writer, kind, epoch, sequence, received);
    size_t size = hwl_cobs_encode(frame, length, stream);
    if (twice) {
        memcpy(stream + size, stream, size);
        size *= 2;
    }
    small_chip_feed(stream, size);
}

static void begin_session(void)
{
    hwl_chip *chip = small_chip();
    const hwl_msg_hello hello = {.nonce = 1, .dictionary = HWL_DICTIONARY};
    hwl_writer writer;
    hwl_writer_begin(&writer, frame, sizeof frame);
    hwl_writer_put(&writer, HWL_TYPE_HELLO, &hello, sizeof hello);
    send_frame(&writer, HWL_KIND_REQUEST, 0, 0, 0, 0);

    struct {
        hwl_msg_configure head;
        hwl_msg_shape_entry shape;
    } configure = {.shape = *chip->array->shape(chip->array->context, 0)};
    chip->array->limits(chip->array->context, &configure.head);
    configure.head.configuration = 1;
    configure.head.shapes = 1;
    hwl_msg_arm arm = {.deadman_ms = 1000, .armed = 1};
    memcpy(arm.chip_id, chip->about.chip_id, sizeof arm.chip_id);
    hwl_writer_begin(&writer, frame, sizeof frame);
    hwl_writer_put(&writer, HWL_TYPE_CONFIGURE, &configure, sizeof configure);
    hwl_writer_put(&writer, HWL_TYPE_ARM, &arm, sizeof arm);
    send_frame(&writer, HWL_KIND_REQUEST, chip->epoch, chip->next, 0, 0);
}

/* Overwrites what would only ever be refused. */
static void mend(uint8_t type, uint8_t flags, uint8_t *body, uint32_t length)
{
    const hwl_chip *chip = small_chip();
    if (type < HWL_TYPE_VMM || type > HWL_TYPE_RESTORE || length < sizeof(hwl_msg_part)) {
        return;
    }
    if (!(flags & KEEP_ID)) {
        hwl_put64(body, chip->journal.last[HWL_RECORD_INTENT].id + 1u);
    }
    if (!(flags & KEEP_TILE)) {
        hwl_put16(body + offsetof(hwl_msg_part, tile), 0);
    }
    if (!(flags & KEEP_CONFIGURATION) && type >= HWL_TYPE_PULSE && type <= HWL_TYPE_OUTER_TRAINS &&
        length >= sizeof(hwl_msg_part) + 8u) {
        hwl_put64(body + sizeof(hwl_msg_part), chip->configuration.limits.configuration);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    small_chip_boot();
    begin_session();
    const hwl_chip *chip = small_chip();
    while (size >= 4) {
        const uint8_t type = data[0];
        const uint8_t flags = data[1];
        uint32_t length = hwl_get16(data + 2);
        length = length > size - 4u ? (uint32_t)size - 4u : length;
        hwl_writer writer;
        hwl_writer_begin(&writer, frame, sizeof frame);
        if (!(flags & AS_ABORT)) {
            uint8_t *body = hwl_writer_add(&writer, type, length);
            if (body) {
                memcpy(body, data + 4, length);
                mend(type, flags, body, length);
            }
        }
        send_frame(&writer, flags & AS_ABORT ? HWL_KIND_ABORT : HWL_KIND_REQUEST, chip->epoch, chip->next,
                   flags & WITHOUT_ACKNOWLEDGEMENT ? 0u : chip->next - 1u, flags & TWICE);
        data += 4u + length;
        size -= 4u + length;
    }
    small_chip_check();
    return 0;
}
