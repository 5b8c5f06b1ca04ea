#include "small_chip.h"

#include <stdlib.h>
#include <string.h>

#include "crc.h"

static struct {
    hwl_arena head;
    hwl_arena_tile tile;
    float persistent[SMALL_CELLS];
    float visible[SMALL_CELLS];
    float reference[SMALL_CELLS];
    hwl_cell cells[SMALL_CELLS];
    uint32_t versions[SMALL_ROWS + 1]; /* to a multiple of 8 bytes */
    uint32_t dose[SMALL_CELLS];
} arena;

static hwl_chip chip;
static hwl_model model;
static hwl_array array;
static _Alignas(64) uint8_t room[262144];

static const uint8_t *input;
static size_t input_left;
static uint32_t clock_ms;
static uint32_t calls;

static uint32_t receive(void *context, uint8_t *bytes, uint32_t capacity)
{
    (void)context;
    const uint32_t count = input_left < capacity ? (uint32_t)input_left : capacity;
    if (count > 0) {
        memcpy(bytes, input, count);
    }
    input += count;
    input_left -= count;
    return count;
}

/* Takes less and less of what it is given, and now and then nothing. */
static uint32_t send(void *context, const uint8_t *bytes, uint32_t size)
{
    (void)context;
    (void)bytes;
    calls++;
    return calls % 3u == 0 ? 0u : (size + 1u) / 2u;
}

static void wait(void *context, int to_send, uint32_t milliseconds)
{
    (void)context;
    (void)to_send;
    clock_ms += milliseconds;
}

static uint32_t milliseconds(void *context)
{
    (void)context;
    return clock_ms;
}

static uint64_t offset_of(const void *member)
{
    return (uint64_t)((const uint8_t *)member - (const uint8_t *)&arena);
}

static void write_arena(void)
{
    memset(&arena, 0, sizeof arena);
    arena.head = (hwl_arena){.magic = HWL_ARENA_MAGIC,
                             .layout = HWL_ARENA_LAYOUT,
                             .dictionary = HWL_DICTIONARY,
                             .tiles = 1,
                             .shapes = 1,
                             .size = sizeof arena,
                             .seed = 1};
    arena.head.about = (hwl_msg_hello_answer){
        .tick_picoseconds = 1000, .operations = 0x7FFu & ~(uint32_t)(HWL_OPERATION_BIT_FORM | HWL_OPERATION_BIT_RESET),
        .tiles = 1, .chip_id = "small"};
    const double none = __builtin_nan("");
    arena.head.limits = (hwl_msg_configure){.voltage_max = 2.0,
                                            .half_select_max = none,
                                            .width_max_seconds = none,
                                            .compliance_max_amperes = none,
                                            .pulses_per_operation = HWL_NO_LIMIT,
                                            .dose_per_cell = HWL_NO_LIMIT,
                                            .dose_per_line = HWL_NO_LIMIT};
    arena.head.shape[0] = (hwl_msg_shape_entry){1.0, 1e-6, none, -1.0, 1e-6, none, "set"};
    arena.tile = (hwl_arena_tile){
        .persistent = offset_of(arena.persistent),
        .visible = offset_of(arena.visible),
        .reference = offset_of(arena.reference),
        .cells = offset_of(arena.cells),
        .versions = offset_of(arena.versions),
        .dose = offset_of(arena.dose),
        .read_ticks = 80,
        .write_noise = 1,
        .cell_bits = 16,
        .cycle_noise = 0.3f,
        .full_scale = 2.0f,
        .input_noise = 0.01f,
        .output_noise = 0.06f,
        .adc_range = {12.0f, 12.0f, 4.0f},
    };
    arena.tile.about = (hwl_msg_describe_answer){.dac_code_max = 63,
                                                 .forward_code_max = 255,
                                                 .backward_code_max = 255,
                                                 .cells_code_max = 2047,
                                                 .update_code_max = 127,
                                                 .average_max = 64,
                                                 .rows = SMALL_ROWS,
                                                 .cols = SMALL_COLS,
                                                 .longest_train = 255,
                                                 .reference = HWL_REFERENCE_CELL,
                                                 .encodings = HWL_ENCODING_SEEDED | HWL_ENCODING_TRAINS,
                                                 .state_words = 4};
    for (uint32_t n = 0; n < SMALL_CELLS; n++) {
        arena.cells[n] = (hwl_cell){.up_a = 0.1f, .up_b = -0.1f, .down_a = -0.1f, .down_b = -0.1f,
                                    .bound_max = 1.0f, .bound_min = -1.0f, .write_noise = 0.01f};
    }
    const size_t begin = offsetof(hwl_arena, tiles);
    arena.head.check =
        hwl_crc32(0, (const uint8_t *)&arena + begin, sizeof(hwl_arena) - begin + sizeof(hwl_arena_tile));
}

void small_chip_boot(void)
{
    write_arena();
    if (hwl_arena_check(&arena, sizeof arena) != HWL_ARENA_FINE || hwl_model_room(&arena) > sizeof room) {
        abort();
    }
    const hwl_hooks hooks = {.receive = receive,
                             .send = send,
                             .wait = wait,
                             .milliseconds = milliseconds,
                             .store = hwl_arena_store(&arena)};
    clock_ms = 0;
    calls = 0;
    input_left = 0;
    memset(&chip, 0, sizeof chip);
    memset(room, 0, sizeof room);
    hwl_model_bind(&model, &arena, room, sizeof room, &array);
    hwl_chip_boot(&chip, &hooks, &array);
}

void small_chip_feed(const uint8_t *bytes, size_t size)
{
    input = bytes;
    input_left = size;
    while (input_left > 0) {
        hwl_chip_poll(&chip);
    }
    hwl_chip_poll(&chip);
}

hwl_chip *small_chip(void)
{
    return &chip;
}

void small_chip_check(void)
{
    uint64_t pulses = 0;
    for (uint32_t n = 0; n < SMALL_CELLS; n++) {
        const float state = arena.persistent[n];
        if (!(state >= arena.cells[n].bound_min && state <= arena.cells[n].bound_max)) {
            abort();
        }
        pulses += arena.cells[n].pulses;
    }
    const int moved = pulses > 0 && chip.counters.pulses > 0;
    if (moved && chip.journal.last[HWL_RECORD_INTENT].number == 0) {
        abort(); /* pulses without a record */
    }
    if (chip.journal.last[HWL_RECORD_INTENT].number != chip.journal.last[HWL_RECORD_COMMIT].number) {
        abort(); /* a part that began and did not end */
    }
    if (chip.cache.used > HWL_CACHE_BYTES || chip.inbox.used > HWL_INBOX_BYTES) {
        abort();
    }
}
