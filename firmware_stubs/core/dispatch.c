#include "dispatch.h"

#include <string.h>

#include "part.h"

void hwl_answer_error(hwl_writer *answer, uint8_t type, uint16_t error, uint32_t value)
{
    const hwl_msg_error body = {.value = value, .error = error, .type = type};
    hwl_writer_put(answer, HWL_TYPE_ERROR, &body, sizeof body);
}

/* Shortest body of each message: nothing behind a valid check is read beyond it. */
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

/* Messages without a tail have one length only. */
static int length_is_right(const hwl_message *message)
{
    const uint32_t least = least_bytes(message->type);
    if (message->length < least) {
        return 0;
    }
    if (message->type == HWL_TYPE_CONFIGURE) {
        hwl_msg_configure asked;
        memcpy(&asked, message->body, sizeof asked);
        return message->length == least + asked.shapes * (uint32_t)sizeof(hwl_msg_shape_entry);
    }
    return message->length == least;
}

static uint32_t shapes_of(const hwl_chip *chip, uint8_t table)
{
    if (table == HWL_TABLE_INSTALLED) {
        return chip->configuration.limits.shapes;
    }
    uint32_t count = 0;
    while (chip->array->shape(chip->array->context, count)) {
        count++;
    }
    return count;
}

static uint32_t shapes_asked(const hwl_chip *chip, const hwl_msg_read_configuration *asked)
{
    const uint32_t total = shapes_of(chip, asked->table);
    const uint32_t rest = asked->first < total ? total - asked->first : 0u;
    return asked->shapes < rest ? asked->shapes : rest;
}

static void describe(hwl_chip *chip, const hwl_message *message, hwl_writer *answer)
{
    hwl_msg_describe asked;
    memcpy(&asked, message->body, sizeof asked);
    if (asked.tile >= chip->about.tiles) {
        hwl_answer_error(answer, message->type, HWL_ERROR_TILE, chip->about.tiles);
        return;
    }
    hwl_writer_put(answer, HWL_TYPE_DESCRIBE_ANSWER, chip->array->tile(chip->array->context, asked.tile),
                   sizeof(hwl_msg_describe_answer));
}

static void status(hwl_chip *chip, hwl_writer *answer)
{
    hwl_msg_status_answer body = {
        .failed_id = chip->failure.id,
        .pulses = chip->counters.pulses,
        .ticks = chip->counters.ticks,
        .flags = hwl_chip_flags(chip),
        .frames_good = chip->counters.frames_good,
        .frames_bad = chip->counters.frames_bad + chip->inbox.bad + chip->inbox.dropped,
        .frames_duplicate = chip->counters.frames_duplicate,
        .frames_stale = chip->counters.frames_stale,
        .failed_part = chip->failure.part,
        .failed_error = chip->failure.error,
    };
    if (chip->failure.detail) {
        const size_t length = strlen(chip->failure.detail);
        memcpy(body.detail, chip->failure.detail, length < sizeof body.detail ? length : sizeof body.detail);
    }
    hwl_writer_put(answer, HWL_TYPE_STATUS_ANSWER, &body, sizeof body);
}

static void done(hwl_chip *chip, hwl_writer *answer)
{
    const hwl_msg_done body = {.flags = hwl_chip_flags(chip)};
    hwl_writer_put(answer, HWL_TYPE_DONE, &body, sizeof body);
}

/* All of it is checked before any of it is in force. */
static void configure(hwl_chip *chip, const hwl_message *message, hwl_writer *answer)
{
    hwl_configuration *asked = (hwl_configuration *)(void *)chip->work;
    _Static_assert(sizeof(hwl_configuration) <= HWL_WORK_BYTES, "a configuration fits the work space");
    memset(asked, 0, sizeof *asked);
    memcpy(&asked->limits, message->body, sizeof asked->limits);
    uint16_t error = HWL_ERROR_RANGE;
    if (asked->limits.shapes <= HWL_SHAPES_MAX) {
        memcpy(asked->shapes, message->body + sizeof asked->limits,
               asked->limits.shapes * sizeof *asked->shapes);
        error = hwl_configuration_check(asked, chip->array, chip->about.bias);
    }
    if (error != HWL_ERROR_NONE) {
        hwl_answer_error(answer, message->type, error, 0);
        return;
    }
    chip->configuration = *asked;
    done(chip, answer);
}

static void read_configuration(hwl_chip *chip, const hwl_message *message, hwl_writer *answer)
{
    hwl_msg_read_configuration asked;
    memcpy(&asked, message->body, sizeof asked);
    if (asked.table != HWL_TABLE_OFFERED && asked.table != HWL_TABLE_INSTALLED) {
        hwl_answer_error(answer, message->type, HWL_ERROR_RANGE, 0);
        return;
    }
    hwl_msg_configure limits = chip->configuration.limits;
    if (asked.table == HWL_TABLE_OFFERED) {
        chip->array->limits(chip->array->context, &limits);
        limits.configuration = 0;
    }
    const uint32_t count = shapes_asked(chip, &asked);
    const uint32_t entry = sizeof(hwl_msg_shape_entry);
    uint8_t *body = hwl_writer_add(answer, HWL_TYPE_READ_CONFIGURATION_ANSWER,
                                   (uint32_t)sizeof(hwl_msg_read_configuration_answer) + count * entry);
    if (body == NULL) {
        return;
    }
    const hwl_msg_read_configuration_answer head = {
        .configuration = limits.configuration,
        .voltage_max = limits.voltage_max,
        .half_select_max = limits.half_select_max,
        .width_max_seconds = limits.width_max_seconds,
        .compliance_max_amperes = limits.compliance_max_amperes,
        .pulses_per_operation = limits.pulses_per_operation,
        .dose_per_cell = limits.dose_per_cell,
        .dose_per_line = limits.dose_per_line,
        .shapes = (uint16_t)count,
        .forming = limits.forming,
        .total = (uint16_t)shapes_of(chip, asked.table),
    };
    memcpy(body, &head, sizeof head);
    for (uint32_t n = 0; n < count; n++) {
        const hwl_msg_shape_entry *shape = asked.table == HWL_TABLE_OFFERED
                                               ? chip->array->shape(chip->array->context, asked.first + n)
                                               : &chip->configuration.shapes[asked.first + n];
        memcpy(body + sizeof head + n * entry, shape, entry);
    }
}

static void arm(hwl_chip *chip, const hwl_message *message, hwl_writer *answer)
{
    hwl_msg_arm asked;
    memcpy(&asked, message->body, sizeof asked);
    uint16_t error = HWL_ERROR_NONE;
    if (memcmp(asked.chip_id, chip->about.chip_id, sizeof asked.chip_id) != 0) {
        error = HWL_ERROR_CHIP;
    } else if (asked.armed > 1 || (asked.armed && asked.deadman_ms == 0)) {
        error = HWL_ERROR_RANGE;
    }
    if (error != HWL_ERROR_NONE) {
        hwl_answer_error(answer, message->type, error, 0);
        return;
    }
    if (asked.armed && !chip->armed && chip->array->begin_dose) {
        chip->array->begin_dose(chip->array->context);
    }
    chip->armed = asked.armed;
    chip->deadman_ms = asked.deadman_ms;
    done(chip, answer);
}

static void clear(hwl_chip *chip)
{
    chip->latched = 0;
    chip->failure = (hwl_failure){0};
}

uint32_t hwl_answer_bytes(const hwl_chip *chip, const hwl_message *message)
{
    if (hwl_is_part(message->type)) {
        return hwl_part_answer_bytes(chip, message);
    }
    uint32_t body = sizeof(hwl_msg_error);
    if (message->type == HWL_TYPE_DESCRIBE) {
        body = sizeof(hwl_msg_describe_answer);
    } else if (message->type == HWL_TYPE_STATUS) {
        body = sizeof(hwl_msg_status_answer);
    } else if (message->type == HWL_TYPE_READ_CONFIGURATION && length_is_right(message)) {
        hwl_msg_read_configuration asked;
        memcpy(&asked, message->body, sizeof asked);
        body = (uint32_t)sizeof(hwl_msg_read_configuration_answer) +
               shapes_asked(chip, &asked) * (uint32_t)sizeof(hwl_msg_shape_entry);
    }
    return hwl_message_bytes(body);
}

void hwl_dispatch(hwl_chip *chip, const hwl_message *message, hwl_writer *answer)
{
    if (hwl_is_part(message->type)) {
        hwl_execute_part(chip, message, answer);
        return;
    }
    const int known = message->type >= HWL_TYPE_DESCRIBE && message->type <= HWL_TYPE_BYE;
    if (!known || !length_is_right(message)) {
        const hwl_failure failure = {.error = known ? HWL_ERROR_LENGTH : HWL_ERROR_TYPE,
                                     .detail = known ? "a message of wrong length" : "a message of unknown type"};
        hwl_chip_latch(chip, &failure);
        hwl_answer_error(answer, message->type, failure.error, 0);
        return;
    }
    if (chip->latched && (message->type == HWL_TYPE_CONFIGURE || message->type == HWL_TYPE_ARM)) {
        hwl_answer_error(answer, message->type, HWL_ERROR_LATCHED, 0);
        return;
    }
    switch (message->type) {
    case HWL_TYPE_DESCRIBE:
        describe(chip, message, answer);
        break;
    case HWL_TYPE_STATUS:
        status(chip, answer);
        break;
    case HWL_TYPE_CONFIGURE:
        configure(chip, message, answer);
        break;
    case HWL_TYPE_READ_CONFIGURATION:
        read_configuration(chip, message, answer);
        break;
    case HWL_TYPE_ARM:
        arm(chip, message, answer);
        break;
    case HWL_TYPE_CLEAR:
        clear(chip);
        done(chip, answer);
        break;
    case HWL_TYPE_BYE:
        chip->armed = 0;
        chip->leaving = 1;
        done(chip, answer);
        break;
    case HWL_TYPE_IDLE:
    default:
        done(chip, answer); /* the lines are idled behind every frame */
        break;
    }
}
