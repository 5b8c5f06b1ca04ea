#include "part.h"

#include <string.h>

static const hwl_part_kind *kind_of(uint8_t type)
{
    static const hwl_part_kind *const kinds[] = {
        &hwl_part_vmm,  &hwl_part_read_cells, &hwl_part_pulse, &hwl_part_outer_update, &hwl_part_outer_trains,
        &hwl_part_form, &hwl_part_reset,      &hwl_part_wait,  &hwl_part_snapshot,     &hwl_part_restore,
    };
    _Static_assert(HWL_TYPE_RESTORE - HWL_TYPE_VMM + 1 == sizeof kinds / sizeof *kinds, "one for each type of part");
    return type >= HWL_TYPE_VMM && type <= HWL_TYPE_RESTORE ? kinds[type - HWL_TYPE_VMM] : NULL;
}

int hwl_is_part(uint8_t type)
{
    return kind_of(type) != NULL;
}

static const hwl_msg_describe_answer *tile_of(const hwl_chip *chip, uint32_t tile)
{
    return tile < chip->about.tiles ? chip->array->tile(chip->array->context, tile) : NULL;
}

uint32_t hwl_part_answer_bytes(const hwl_chip *chip, const hwl_message *message)
{
    const hwl_part_kind *kind = kind_of(message->type);
    uint32_t body = sizeof(hwl_msg_result);
    if (message->length >= kind->least && kind->values) {
        hwl_msg_part head;
        memcpy(&head, message->body, sizeof head);
        const hwl_msg_describe_answer *tile = tile_of(chip, head.tile);
        uint8_t value_bytes = 0;
        const uint64_t values = tile ? kind->values(message, tile, &value_bytes) : 0;
        if (values > HWL_FRAME_BYTES) {
            return UINT32_MAX;
        }
        body += (uint32_t)values * value_bytes;
        body += message->type == HWL_TYPE_SNAPSHOT ? 0u : ((uint32_t)values + 7u) / 8u;
    }
    return hwl_message_bytes(body);
}

/* What a consuming part needs beside a place in the order of ids. */
static uint16_t check_moving(hwl_chip *chip, hwl_part *part)
{
    const hwl_record *begun = &chip->journal.last[HWL_RECORD_INTENT];
    if (part->head.id < begun->id || (part->head.id == begun->id && part->head.part <= begun->part)) {
        return hwl_refuse(part, HWL_ERROR_ID, "an id that is not above the last one begun");
    }
    if (part->message->type == HWL_TYPE_WAIT) {
        return HWL_ERROR_NONE;
    }
    if (!chip->armed) {
        return hwl_refuse(part, HWL_ERROR_NOT_ARMED, "the chip is not armed");
    }
    /* All parts that move cells have it behind what all parts have. */
    uint64_t configuration;
    memcpy(&configuration, part->message->body + sizeof part->head, sizeof configuration);
    if (configuration == 0 || configuration != chip->configuration.limits.configuration) {
        return hwl_refuse(part, HWL_ERROR_CONFIGURATION, "another configuration is installed");
    }
    return HWL_ERROR_NONE;
}

static uint16_t prepare(hwl_chip *chip, const hwl_part_kind *kind, hwl_part *part)
{
    if (part->message->length < kind->least) {
        return hwl_refuse(part, HWL_ERROR_LENGTH, "a part that is too short");
    }
    if (chip->latched) {
        return HWL_ERROR_LATCHED;
    }
    if (!(chip->about.operations & kind->operation)) {
        return hwl_refuse(part, HWL_ERROR_UNSUPPORTED, "an operation that the chip does not offer");
    }
    part->tile = tile_of(chip, part->head.tile);
    if (!part->tile) {
        return hwl_refuse(part, HWL_ERROR_TILE, "no such tile");
    }
    const uint16_t error = kind->consuming ? check_moving(chip, part) : (uint16_t)HWL_ERROR_NONE;
    return error != HWL_ERROR_NONE ? error : kind->prepare(chip, part);
}

/* Runs it between its two records. */
static uint16_t run_recorded(hwl_chip *chip, const hwl_part_kind *kind, hwl_part *part, uint8_t *verdict)
{
    const hwl_record record = {.id = part->head.id, .part = part->head.part};
    if (kind->consuming) {
        hwl_journal_write(&chip->journal, HWL_RECORD_INTENT, record);
        hwl_chip_at(chip, HWL_POINT_AFTER_INTENT);
    }
    uint16_t error = kind->run(chip, part);
    if (error == HWL_ERROR_NONE) {
        error = part->progress.error != HWL_ERROR_NONE ? part->progress.error
                : part->progress.stopped                  ? chip->failure.error
                                                          : error;
    }
    if (error != HWL_ERROR_NONE) {
        *verdict = part->progress.fired > 0 ? HWL_VERDICT_PARTIAL : HWL_VERDICT_NOT_APPLIED;
    }
    if (kind->consuming) {
        hwl_record ended = record;
        ended.verdict = *verdict;
        ended.fired = part->progress.fired;
        hwl_chip_at(chip, HWL_POINT_BEFORE_COMMIT);
        hwl_journal_write(&chip->journal, HWL_RECORD_COMMIT, ended);
        hwl_chip_at(chip, HWL_POINT_AFTER_COMMIT);
    }
    return error;
}

static void put_values(const hwl_part *part, uint8_t *to)
{
    for (uint32_t n = 0; n < part->values; n++) {
        if (part->value_bytes == 2) {
            hwl_put16(to + 2u * n, (uint16_t)part->value[n]);
        } else {
            hwl_put32(to + 4u * n, (uint32_t)part->value[n]);
        }
    }
    uint8_t *flags = to + (size_t)part->values * part->value_bytes;
    for (uint32_t n = 0; part->saturated && n < part->values; n++) {
        flags[n / 8u] = (uint8_t)(flags[n / 8u] | (part->saturated[n] ? 1u : 0u) << n % 8u);
    }
}

static void answer_result(hwl_part *part, uint8_t verdict, uint16_t error, hwl_writer *answer)
{
    if (verdict == HWL_VERDICT_NOT_APPLIED) {
        part->values = 0;
    }
    const uint32_t flag_bytes = part->saturated ? (part->values + 7u) / 8u : 0u;
    const hwl_msg_result head = {
        .id = part->head.id,
        .fired = part->progress.fired,
        .ticks = part->progress.ticks,
        .values = part->values,
        .part = part->head.part,
        .error = error,
        .verdict = verdict,
        .value_bytes = part->values ? part->value_bytes : (uint8_t)0,
    };
    uint8_t *body = hwl_writer_add(answer, HWL_TYPE_RESULT,
                                   (uint32_t)sizeof head + part->values * part->value_bytes + flag_bytes);
    if (body) {
        memcpy(body, &head, sizeof head);
        put_values(part, body + sizeof head);
    }
}

void hwl_execute_part(hwl_chip *chip, const hwl_message *message, hwl_writer *answer)
{
    const hwl_part_kind *kind = kind_of(message->type);
    hwl_part part = {
        .message = message,
        .tail = {.body = message->body, .at = kind->least, .length = message->length},
        .space = {.bytes = chip->work, .size = sizeof chip->work},
        .progress = {.look = hwl_chip_look, .chip = chip, .work_between_looks = chip->work_between_looks},
    };
    memcpy(&part.head, message->body, message->length < sizeof part.head ? message->length : sizeof part.head);
    part.order = (hwl_order){.tile = part.head.tile, .ordinal = part.head.ordinal, .part = part.head.part};

    chip->under_way = (hwl_under_way){1, part.head.id, part.head.part, chip->hooks.milliseconds(chip->hooks.context)};
    chip->stop = 0;
    uint8_t verdict = HWL_VERDICT_APPLIED;
    uint16_t error = prepare(chip, kind, &part);
    if (error != HWL_ERROR_NONE) {
        verdict = HWL_VERDICT_NOT_APPLIED;
    } else {
        error = run_recorded(chip, kind, &part, &verdict);
    }
    if (error != HWL_ERROR_NONE && error != HWL_ERROR_LATCHED) {
        const hwl_failure failure = {part.head.id, part.head.part, error, part.detail};
        hwl_chip_latch(chip, &failure);
    }
    if (chip->aborted_waits && chip->aborted.id == part.head.id && chip->aborted.part == part.head.part) {
        chip->aborted.fired = part.progress.fired;
    }
    chip->under_way.busy = 0;
    chip->counters.pulses += part.progress.fired;
    chip->counters.ticks += part.progress.ticks;
    answer_result(&part, verdict, error, answer);
}
