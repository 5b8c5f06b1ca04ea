/* Sessions: a sequence number is executed once, and its answer kept until the host has it. */
#include <string.h>

#include "crc.h"
#include "dispatch.h"

/* Answers a whole frame by an ERROR, under the frame's own epoch and number; it is not kept. */
static void answer_error(hwl_chip *chip, const hwl_frame *frame, uint8_t type, uint16_t error, uint32_t value)
{
    const uint32_t epoch = frame->header.epoch;
    hwl_writer writer;
    hwl_writer_begin(&writer, chip->answer, sizeof chip->answer);
    hwl_answer_error(&writer, type, error, value);
    const uint32_t length = hwl_writer_seal(&writer, HWL_KIND_ANSWER, epoch, frame->header.sequence,
                                            chip->epoch ? chip->next - 1u : 0u);
    hwl_chip_send(chip, chip->answer, length);
}

/* Never 0, and never one that was used lately: counted where that survives a reboot, else drawn from the nonce. */
static void new_epoch(hwl_chip *chip, uint64_t nonce)
{
    hwl_record boot = chip->journal.last[HWL_RECORD_BOOT];
    if (!hwl_journal_is_retained(&chip->journal) && chip->epoch == 0) {
        boot.part = hwl_crc32(0, (const uint8_t *)&nonce, sizeof nonce);
        boot.id = hwl_crc32(boot.part, (const uint8_t *)&nonce, sizeof nonce);
    }
    boot.part += boot.part == UINT32_MAX ? 2u : 1u;
    hwl_journal_write(&chip->journal, HWL_RECORD_BOOT, boot);
    chip->epoch = boot.part;
}

static hwl_msg_hello_answer describe(const hwl_chip *chip, uint64_t nonce)
{
    const hwl_record *intent = &chip->journal.last[HWL_RECORD_INTENT];
    const hwl_record *commit = &chip->journal.last[HWL_RECORD_COMMIT];
    hwl_msg_hello_answer answer = chip->about;
    answer.nonce = nonce;
    answer.intent_id = intent->id;
    answer.intent_part = (uint16_t)intent->part;
    answer.commit_id = commit->id;
    answer.commit_part = (uint16_t)commit->part;
    answer.commit_fired = commit->fired;
    answer.commit_verdict = (uint8_t)commit->verdict;
    answer.configuration = chip->configuration.limits.configuration;
    answer.dictionary = HWL_DICTIONARY;
    answer.epoch = chip->epoch;
    answer.boot = (uint32_t)chip->journal.last[HWL_RECORD_BOOT].id;
    answer.flags = hwl_chip_flags(chip);
    answer.frame_bytes = HWL_FRAME_BYTES;
    answer.receive_bytes = HWL_RECEIVE_BYTES;
    answer.cache_frames = HWL_CACHE_FRAMES;
    answer.cache_bytes = HWL_CACHE_BYTES;
    answer.shapes = HWL_SHAPES_MAX;
    return answer;
}

static void begin(hwl_chip *chip, uint64_t nonce)
{
    new_epoch(chip, nonce);
    chip->nonce = nonce;
    chip->next = 1;
    chip->armed = 0;
    chip->aborted.number = 0;
    hwl_cache_clear(&chip->cache, chip->next);
}

static void hello(hwl_chip *chip, const hwl_frame *frame, const hwl_message *message)
{
    hwl_msg_hello asked;
    if (message->length != sizeof asked) {
        answer_error(chip, frame, HWL_TYPE_HELLO, HWL_ERROR_LENGTH, sizeof asked);
        return;
    }
    memcpy(&asked, message->body, sizeof asked);
    if (asked.dictionary != HWL_DICTIONARY) {
        answer_error(chip, frame, HWL_TYPE_HELLO, HWL_ERROR_DICTIONARY, HWL_DICTIONARY);
        return;
    }
    if (chip->epoch == 0 || asked.nonce != chip->nonce) {
        begin(chip, asked.nonce);
    }
    const hwl_msg_hello_answer answer = describe(chip, asked.nonce);
    hwl_writer writer;
    hwl_writer_begin(&writer, chip->answer, sizeof chip->answer);
    hwl_writer_put(&writer, HWL_TYPE_HELLO_ANSWER, &answer, sizeof answer);
    const uint32_t length = hwl_writer_seal(&writer, HWL_KIND_ANSWER, 0, 0, 0);
    hwl_chip_send(chip, chip->answer, length);
}

static int is_hello(const hwl_frame *frame, hwl_message *first)
{
    uint32_t at = HWL_FRAME_HEADER;
    return frame->header.messages == 1 && hwl_frame_next(frame, &at, first) && first->type == HWL_TYPE_HELLO;
}

/* A request that was executed before. */
static void repeat(hwl_chip *chip, uint32_t sequence)
{
    chip->counters.frames_duplicate++;
    const uint32_t length = hwl_cache_find(&chip->cache, sequence, chip->answer);
    if (length > 0) {
        hwl_chip_send(chip, chip->answer, length);
    }
}

/* Length of the answer frame, at most; UINT32_MAX if no frame holds it. */
static uint32_t answer_length(const hwl_chip *chip, const hwl_frame *frame)
{
    uint32_t length = HWL_FRAME_HEADER + HWL_FRAME_CHECK;
    uint32_t at = HWL_FRAME_HEADER;
    hwl_message message;
    while (hwl_frame_next(frame, &at, &message)) {
        const uint32_t more = hwl_answer_bytes(chip, &message);
        if (more > HWL_FRAME_BYTES - length) {
            return UINT32_MAX;
        }
        length += more;
    }
    return length;
}

static void execute(hwl_chip *chip, const hwl_frame *frame)
{
    hwl_writer writer;
    hwl_writer_begin(&writer, chip->answer, sizeof chip->answer);
    uint32_t at = HWL_FRAME_HEADER;
    hwl_message message;
    while (hwl_frame_next(frame, &at, &message)) {
        hwl_dispatch(chip, &message, &writer);
    }
    chip->array->idle(chip->array->context);
    const uint32_t sequence = chip->next;
    const uint32_t length = hwl_writer_seal(&writer, HWL_KIND_ANSWER, chip->epoch, sequence, sequence);
    hwl_cache_keep(&chip->cache, chip->answer, length);
    chip->next++;
    hwl_chip_at(chip, HWL_POINT_BEFORE_ANSWER);
    hwl_chip_send(chip, chip->answer, length);
    if (chip->leaving) {
        chip->leaving = 0;
        chip->epoch = 0;
    }
}

void hwl_session_request(hwl_chip *chip, uint32_t length)
{
    hwl_frame frame;
    hwl_frame_open(&frame, chip->request, length);
    hwl_message first;
    if (frame.header.version != HWL_PROTOCOL_VERSION) {
        answer_error(chip, &frame, 0, HWL_ERROR_VERSION, HWL_PROTOCOL_VERSION);
    } else if (!hwl_frame_is_whole(&frame)) {
        chip->counters.frames_bad++;
    } else if (is_hello(&frame, &first)) {
        hello(chip, &frame, &first);
    } else if (chip->epoch == 0 || frame.header.epoch != chip->epoch) {
        chip->counters.frames_stale++;
        answer_error(chip, &frame, 0, HWL_ERROR_EPOCH, chip->epoch);
    } else {
        const uint32_t sequence = frame.header.sequence;
        const uint32_t received = frame.header.acknowledged;
        hwl_cache_drop(&chip->cache, received < chip->next ? received : chip->next - 1u);
        const uint32_t answer = sequence == chip->next ? answer_length(chip, &frame) : 0;
        if (sequence < chip->next) {
            repeat(chip, sequence);
        } else if (sequence > chip->next) {
            chip->counters.frames_stale++;
            answer_error(chip, &frame, 0, HWL_ERROR_SEQUENCE, chip->next);
        } else if (answer > HWL_FRAME_BYTES) {
            answer_error(chip, &frame, 0, HWL_ERROR_LENGTH, HWL_FRAME_BYTES);
        } else if (!hwl_cache_has_room(&chip->cache, answer)) {
            answer_error(chip, &frame, 0, HWL_ERROR_WINDOW, HWL_CACHE_BYTES);
        } else {
            execute(chip, &frame);
        }
    }
}
