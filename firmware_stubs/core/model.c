#include "model.h"

#include "exponent.h"
#include "read_fast.h"
#include "simd.h"
#include "update_fast.h"

static void about(void *context, hwl_msg_hello_answer *answer)
{
    const hwl_model *model = context;
    *answer = model->arena->about;
    answer->flags = HWL_FLAG_VIRTUAL;
}

static const hwl_msg_describe_answer *tile_about(void *context, uint32_t tile)
{
    return &hwl_model_record(context, tile)->about;
}

static const hwl_msg_shape_entry *shape(void *context, uint32_t number)
{
    const hwl_model *model = context;
    return number < model->arena->shapes ? &model->arena->shape[number] : NULL;
}

static void limits(void *context, hwl_msg_configure *own)
{
    *own = ((const hwl_model *)context)->arena->limits;
}

static uint64_t seed(void *context, uint32_t tile)
{
    (void)tile;
    return ((const hwl_model *)context)->arena->seed;
}

static void idle(void *context)
{
    (void)context; /* the lines of a model are idle between any two calls */
}

static void wait(void *context, uint64_t ticks, hwl_progress *progress)
{
    progress->ticks += ticks; /* its clock runs as fast as it is told to */
    ((hwl_model *)context)->clock->now += ticks;
}

static uint64_t dose(void *context, uint32_t tile, uint32_t cell)
{
    const hwl_model *model = context;
    const uint32_t *before = (const uint32_t *)(const void *)(model->memory + hwl_model_record(model, tile)->dose);
    return model->tiles[tile].cells[cell].pulses - before[cell];
}

static void begin_dose(void *context)
{
    hwl_model *model = context;
    for (uint32_t n = 0; n < model->arena->tiles; n++) {
        const hwl_tile *tile = &model->tiles[n];
        uint32_t *before = (uint32_t *)(void *)(model->memory + hwl_model_record(model, n)->dose);
        for (size_t cell = 0; cell < (size_t)tile->rows * tile->cols; cell++) {
            before[cell] = tile->cells[cell].pulses;
        }
    }
}

static uint64_t *ahead_of(hwl_model *model, uint32_t tile)
{
    return (uint64_t *)(void *)(model->memory + hwl_model_record(model, tile)->ahead);
}

static void put_halves(uint32_t *low, uint32_t *high, uint64_t value)
{
    *low = (uint32_t)value;
    *high = (uint32_t)(value >> 32);
}

static void get_state(void *context, uint32_t number, uint32_t first, uint32_t cells, uint32_t *state)
{
    hwl_model *model = context;
    const hwl_tile *tile = &model->tiles[number];
    const size_t plane = cells;
    for (size_t n = 0; n < cells; n++) {
        state[n] = hwl_bits_of(tile->persistent[first + n]);
        state[cells + n] = hwl_bits_of(tile->visible[first + n]);
        state[2u * (size_t)cells + n] = hwl_bits_of(tile->reference[first + n]);
        state[3u * (size_t)cells + n] = tile->cells[first + n].pulses;
        if (tile->time) {
            put_halves(&state[4u * plane + n], &state[5u * plane + n], tile->time->pulsed[first + n]);
            put_halves(&state[6u * plane + n], &state[7u * plane + n], model->clock->now + *ahead_of(model, number));
        }
    }
}

/* What a cell may be given: numbers, and a reference that the read grid holds. */
static int can_be(const hwl_tile *tile, float persistent, float visible, float reference)
{
    return persistent - persistent == 0.0f && visible - visible == 0.0f && reference <= tile->full_scale &&
           reference >= -tile->full_scale;
}

/* A state beyond a bound becomes the bound, as after a pulse: the host cannot know the bounds. */
static uint16_t put_state(void *context, uint32_t number, uint32_t first, uint32_t cells, const uint32_t *state)
{
    hwl_model *model = context;
    hwl_tile *tile = &model->tiles[number];
    const size_t plane = cells;
    const uint32_t *visible = state + cells;
    const uint32_t *reference = visible + cells;
    const uint32_t *pulses = reference + cells;
    for (size_t n = 0; n < cells; n++) {
        if (!can_be(tile, hwl_float_of(state[n]), hwl_float_of(visible[n]), hwl_float_of(reference[n]))) {
            return HWL_ERROR_RANGE;
        }
    }
    for (size_t n = 0; n < cells; n++) {
        const hwl_cell *cell = &tile->cells[first + n];
        tile->persistent[first + n] = hwl_clamp(hwl_float_of(state[n]), cell->bound_min, cell->bound_max);
        tile->visible[first + n] = hwl_float_of(visible[n]);
        tile->reference[first + n] = hwl_float_of(reference[n]);
        tile->cells[first + n].pulses = pulses[n];
        if (tile->time) {
            tile->time->pulsed[first + n] = state[4u * plane + n] | (uint64_t)state[5u * plane + n] << 32;
            tile->time->counted[first + n] = pulses[n];
            *ahead_of(model, number) =
                (state[6u * plane + n] | (uint64_t)state[7u * plane + n] << 32) - model->clock->now;
        }
        tile->versions[(first + n) / tile->cols]++;
    }
    return HWL_ERROR_NONE;
}

static void *at(hwl_model *model, uint64_t offset)
{
    return model->memory + offset;
}

static hwl_time time_of(hwl_model *model, const hwl_arena_tile *record)
{
    return (hwl_time){
        .terms = at(model, record->terms),
        .pulsed = at(model, record->pulsed),
        .counted = at(model, record->counted),
        .seen = at(model, record->seen),
        .seen_at = at(model, record->seen_at),
        .seen_of = at(model, record->seen_of),
        .seen_versions = at(model, record->seen_versions),
    };
}

static void bind_line_errors(hwl_model *model, const hwl_arena_tile *record, hwl_tile *tile)
{
    const float *gains = at(model, record->line_errors);
    const float *offsets = gains + (2u * (size_t)tile->rows + tile->cols);
    const uint32_t lines[3] = {tile->rows, tile->cols, tile->rows};
    for (uint32_t kind = 0; kind < 3u; kind++) {
        tile->line_gains[kind] = gains;
        tile->line_offsets[kind] = offsets;
        gains += lines[kind];
        offsets += lines[kind];
    }
}

static hwl_tile tile_of(hwl_model *model, uint32_t number)
{
    const hwl_arena_tile *record = hwl_model_record(model, number);
    const hwl_msg_describe_answer *known = &record->about;
    hwl_tile tile = {
        .persistent = at(model, record->persistent),
        .visible = at(model, record->visible),
        .reference = at(model, record->reference),
        .cells = at(model, record->cells),
        .versions = at(model, record->versions),
        .up_table = record->knots ? at(model, record->up_table) : NULL,
        .down_table = record->knots ? at(model, record->down_table) : NULL,
        .seed = model->arena->seed,
        .index = number,
        .rows = known->rows,
        .cols = known->cols,
        .knots = record->knots,
        .additive = record->additive,
        .write_noise = record->write_noise,
        .cell_bits = record->cell_bits,
        .cycle_noise = record->cycle_noise,
        .full_scale = record->full_scale,
        .input_noise = record->input_noise,
        .output_noise = record->output_noise,
        .dac_code_max = (int32_t)known->dac_code_max,
        .update_code_max = (int32_t)known->update_code_max,
        .adc = {{(int32_t)known->forward_code_max, record->adc_range[HWL_FORWARD]},
                {(int32_t)known->backward_code_max, record->adc_range[HWL_BACKWARD]},
                {(int32_t)known->cells_code_max, record->adc_range[HWL_CELLS]}},
        .write_memory = record->write_memory,
    };
    if (record->line_errors) {
        bind_line_errors(model, record, &tile);
    }
    if (record->terms) {
        model->times[number] = time_of(model, record);
        tile.time = &model->times[number];
    }
    return tile;
}

#define CACHE_LINE 64u

static uint64_t aligned(uint64_t size)
{
    return (size + CACHE_LINE - 1u) / CACHE_LINE * CACHE_LINE;
}

/* Scratch that any operation on a tile needs. */
static uint64_t scratch_of(const hwl_tile *tile)
{
    const uint64_t pulse = tile->cols * sizeof(uint32_t);
    const uint64_t update = hwl_update_scratch(tile->cols);
    const uint64_t read = hwl_read_scratch(tile);
    const uint64_t most = pulse > update ? pulse : update;
    return aligned(most > read ? most : read);
}

static uint64_t room_of(hwl_model *model)
{
    uint64_t scratch = 0;
    uint64_t grids = 0;
    for (uint32_t n = 0; n < model->arena->tiles; n++) {
        const hwl_tile *tile = &model->tiles[n];
        scratch = scratch_of(tile) > scratch ? scratch_of(tile) : scratch;
        grids += HWL_MODEL_PLANES * (aligned(hwl_grid_size(tile)) + aligned(tile->rows * sizeof(uint32_t)));
    }
    return CACHE_LINE + scratch + grids; /* the line is for aligning the room */
}

/* Gives out the room: grids of every tile and plane, and what is left as scratch. */
static void furnish(hwl_model *model, void *room)
{
    uint8_t *at = (uint8_t *)room + (CACHE_LINE - (uintptr_t)room % CACHE_LINE) % CACHE_LINE;
    for (uint32_t n = 0; n < model->arena->tiles; n++) {
        const hwl_tile *tile = &model->tiles[n];
        for (uint32_t plane = 0; plane < HWL_MODEL_PLANES; plane++) {
            model->grids[n][plane].values = at;
            at += aligned(hwl_grid_size(tile));
            model->grids[n][plane].seen = (uint32_t *)(void *)at;
            at += aligned(tile->rows * sizeof(uint32_t));
        }
    }
    model->simd = hwl_simd_best();
    model->scratch = at;
}

static void bind_tiles(hwl_model *model, void *memory)
{
    model->memory = memory;
    model->arena = memory;
    model->clock = &((hwl_arena *)memory)->clock;
    for (uint32_t n = 0; n < model->arena->tiles; n++) {
        model->tiles[n] = tile_of(model, n);
    }
}

uint64_t hwl_model_room(void *memory)
{
    hwl_model model;
    bind_tiles(&model, memory);
    return room_of(&model);
}

void hwl_model_bind(hwl_model *model, void *memory, void *room, uint64_t room_bytes, hwl_array *array)
{
    bind_tiles(model, memory);
    model->scratch = NULL;
    if (room_of(model) <= room_bytes) {
        furnish(model, room);
    }
    *array = (hwl_array){
        .context = model,
        .about = about,
        .tile = tile_about,
        .shape = shape,
        .limits = limits,
        .seed = seed,
        .pulse = hwl_model_pulse,
        .update = hwl_model_update,
        .read = hwl_model_read,
        .read_cells = hwl_model_read_cells,
        .idle = idle,
        .wait = wait,
        .dose = dose,
        .begin_dose = begin_dose,
        .get_state = get_state,
        .put_state = put_state,
    };
}
