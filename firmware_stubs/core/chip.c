#include "chip.h"

#include <string.h>

#define BUSY_MS 50u /* between notices; the host is promised twice as many */
#define RESTING_MS 1000u
#define RECEIVE_CHUNK 1024u
#define NOTICE_BYTES 64u

static uint32_t now_of(const hwl_chip *chip)
{
    return chip->hooks.milliseconds(chip->hooks.context);
}

/* An operation is offered if the array has the function for it. */
static uint32_t offered(const hwl_array *array, uint32_t operations)
{
    uint32_t missing = 0;
    missing |= array->recipe ? 0u : (uint32_t)(HWL_OPERATION_BIT_FORM | HWL_OPERATION_BIT_RESET);
    missing |= array->wait ? 0u : (uint32_t)HWL_OPERATION_BIT_WAIT;
    missing |= array->get_state ? 0u : (uint32_t)HWL_OPERATION_BIT_SNAPSHOT;
    missing |= array->put_state ? 0u : (uint32_t)HWL_OPERATION_BIT_RESTORE;
    return operations & ~missing;
}

void hwl_chip_boot(hwl_chip *chip, const hwl_hooks *hooks, const hwl_array *array)
{
    chip->hooks = *hooks;
    chip->array = array;
    chip->work_between_looks = HWL_WORK_BETWEEN_LOOKS;
    array->idle(array->context);
    array->about(array->context, &chip->about);
    chip->about.operations = offered(array, chip->about.operations);
    const char *hash = hwl_source_hash();
    const size_t length = strlen(hash);
    memcpy(chip->about.firmware, hash, length < sizeof chip->about.firmware ? length : sizeof chip->about.firmware);
    hwl_journal_load(&chip->journal, &hooks->store);
    const hwl_record *last = &chip->journal.last[HWL_RECORD_BOOT];
    hwl_journal_write(&chip->journal, HWL_RECORD_BOOT, (hwl_record){.id = last->id + 1u, .part = last->part});
}

uint32_t hwl_chip_flags(const hwl_chip *chip)
{
    uint32_t flags = chip->about.flags;
    flags |= hwl_journal_is_retained(&chip->journal) ? (uint32_t)HWL_FLAG_RETAINED : 0u;
    flags |= chip->armed ? (uint32_t)HWL_FLAG_ARMED : 0u;
    flags |= chip->latched ? (uint32_t)HWL_FLAG_LATCHED : 0u;
    flags |= chip->configuration.limits.configuration ? (uint32_t)HWL_FLAG_CONFIGURED : 0u;
    return flags;
}

void hwl_chip_latch(hwl_chip *chip, const hwl_failure *failure)
{
    chip->array->idle(chip->array->context);
    chip->stop = 1;
    if (!chip->latched) {
        chip->latched = 1;
        chip->failure = *failure;
    }
}

void hwl_chip_send(hwl_chip *chip, const uint8_t *frame, uint32_t length)
{
    const uint32_t size = (uint32_t)hwl_cobs_encode(frame, length, chip->encoded);
    chip->sending = 1;
    for (uint32_t sent = 0; sent < size;) {
        const uint32_t more = chip->hooks.send(chip->hooks.context, chip->encoded + sent, size - sent);
        sent += more;
        if (more == 0) {
            chip->hooks.wait(chip->hooks.context, 1, BUSY_MS);
            hwl_chip_listen(chip);
        }
    }
    chip->sending = 0;
}

static void send_notice(hwl_chip *chip, uint8_t type, const void *body, uint32_t size)
{
    uint8_t bytes[NOTICE_BYTES];
    hwl_writer writer;
    hwl_writer_begin(&writer, bytes, sizeof bytes);
    hwl_writer_put(&writer, type, body, size);
    const uint32_t executed = chip->epoch ? chip->next - 1u : 0u;
    const uint32_t length = hwl_writer_seal(&writer, HWL_KIND_NOTICE, chip->epoch, 0, executed);
    hwl_chip_send(chip, bytes, length);
}

/* Frames cannot lie inside one another, so a notice waits for the answer that is being sent. */
static void send_waiting_notices(hwl_chip *chip)
{
    if (!chip->sending && chip->tripped_waits) {
        chip->tripped_waits = 0;
        send_notice(chip, HWL_TYPE_TRIPPED, &chip->tripped, sizeof chip->tripped);
    }
    if (!chip->sending && chip->aborted_waits && !chip->under_way.busy) {
        chip->aborted_waits = 0;
        send_notice(chip, HWL_TYPE_ABORTED, &chip->aborted, sizeof chip->aborted);
    }
}

static hwl_failure failure_of(const hwl_chip *chip, uint16_t error, const char *detail)
{
    const hwl_under_way *under_way = &chip->under_way;
    return (hwl_failure){under_way->busy ? under_way->id : 0u, under_way->busy ? under_way->part : (uint16_t)0,
                         error, detail};
}

/* The lines are idled before anything else. An abort that has come before, of the same session and number, is only
 * answered again: it may have been sent twice, and CLEAR may lie between. */
static void abort_now(hwl_chip *chip, uint32_t epoch, uint32_t number)
{
    const int again = chip->aborted.number == number && chip->abort_epoch == epoch && number != 0;
    if (!again) {
        const hwl_failure failure = failure_of(chip, HWL_ERROR_ABORTED, "an abort");
        hwl_chip_latch(chip, &failure);
        chip->aborted = (hwl_msg_aborted){.id = failure.id, .part = failure.part, .number = number};
        chip->abort_epoch = epoch;
    }
    chip->aborted_waits = 1;
}

static void take_frame(hwl_chip *chip)
{
    uint8_t bytes[sizeof(hwl_msg_frame_header)];
    for (uint32_t n = 0; n < sizeof bytes; n++) {
        bytes[n] = hwl_inbox_peek(&chip->inbox, n);
    }
    hwl_msg_frame_header header;
    memcpy(&header, bytes, sizeof header);
    chip->counters.frames_good++;
    if (header.epoch == chip->epoch) {
        chip->last_valid = now_of(chip);
    }
    if (header.kind == HWL_KIND_ABORT && header.version == HWL_PROTOCOL_VERSION) {
        abort_now(chip, header.epoch, header.sequence);
    }
    if (header.kind == HWL_KIND_REQUEST) {
        hwl_inbox_keep(&chip->inbox);
    } else {
        hwl_inbox_forget(&chip->inbox);
    }
}

/* Milliseconds until the dead man's time is over; it trips where they are. */
static uint32_t watch_deadman(hwl_chip *chip)
{
    if (!chip->armed || chip->under_way.busy) {
        return RESTING_MS;
    }
    const uint32_t silence = now_of(chip) - chip->last_valid;
    if (silence < chip->deadman_ms) {
        return chip->deadman_ms - silence;
    }
    const hwl_failure failure = failure_of(chip, HWL_ERROR_DEADMAN, "the host was silent for too long");
    hwl_chip_latch(chip, &failure);
    chip->armed = 0;
    chip->tripped = (hwl_msg_tripped){HWL_ERROR_DEADMAN};
    chip->tripped_waits = 1;
    return RESTING_MS;
}

void hwl_chip_listen(hwl_chip *chip)
{
    uint8_t bytes[RECEIVE_CHUNK];
    uint32_t count;
    do {
        count = chip->hooks.receive(chip->hooks.context, bytes, sizeof bytes);
        for (uint32_t n = 0; n < count; n++) {
            if (hwl_inbox_take(&chip->inbox, bytes[n])) {
                take_frame(chip);
            }
        }
    } while (count == sizeof bytes);
    watch_deadman(chip);
}

int hwl_chip_look(void *context)
{
    hwl_chip *chip = context;
    hwl_chip_at(chip, HWL_POINT_MID_PULSES);
    hwl_chip_listen(chip);
    hwl_under_way *under_way = &chip->under_way;
    if (under_way->busy && now_of(chip) - under_way->last_notice >= BUSY_MS) {
        under_way->last_notice = now_of(chip);
        const hwl_msg_busy busy = {.id = under_way->id, .part = under_way->part};
        send_notice(chip, HWL_TYPE_BUSY, &busy, sizeof busy);
    }
    return !chip->stop;
}

uint32_t hwl_chip_poll(hwl_chip *chip)
{
    hwl_chip_listen(chip);
    send_waiting_notices(chip);
    uint32_t length;
    while ((length = hwl_inbox_next(&chip->inbox, chip->request)) > 0) {
        hwl_session_request(chip, length);
        chip->last_valid = now_of(chip);
        hwl_chip_listen(chip);
        send_waiting_notices(chip);
    }
    const uint32_t until_tripped = watch_deadman(chip);
    send_waiting_notices(chip);
    return until_tripped < RESTING_MS ? until_tripped : RESTING_MS;
}
