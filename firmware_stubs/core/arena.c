#include "arena.h"

#include "crc.h"

static uint32_t check_of(const hwl_arena *arena)
{
    const size_t begin = offsetof(hwl_arena, tiles);
    const size_t end = sizeof *arena + arena->tiles * sizeof(hwl_arena_tile);
    return hwl_crc32(0, (const uint8_t *)arena + begin, end - begin);
}

static int lies_inside(const hwl_arena *arena, uint64_t offset, uint64_t count, uint64_t width)
{
    const uint64_t begin = sizeof *arena + arena->tiles * sizeof(hwl_arena_tile);
    return offset % 8 == 0 && offset >= begin && offset <= arena->size && count <= (arena->size - offset) / width;
}

static int is_code_max(uint32_t value)
{
    return value > 0 && value < 1u << 24;
}

static int levels_are_fine(const hwl_levels *levels)
{
    return levels->knots >= 2u && levels->knots <= HWL_LEVELS_MAX;
}

static int band_is_fine(uint32_t octaves, uint32_t shift)
{
    return octaves <= HWL_OCTAVES_MAX && shift <= 64u - octaves;
}

static int terms_are_fine(const hwl_terms *terms)
{
    return levels_are_fine(&terms->drift_exponent) && levels_are_fine(&terms->relaxation_mean) &&
           levels_are_fine(&terms->relaxation_std) && levels_are_fine(&terms->noise_std) &&
           levels_are_fine(&terms->trap_height) && band_is_fine(terms->noise_octaves, terms->noise_shift) &&
           band_is_fine(terms->trap_octaves, terms->trap_shift);
}

static int time_is_fine(const hwl_arena *arena, const hwl_arena_tile *tile, uint64_t cells)
{
    const uint64_t rows = tile->about.rows;
    if (tile->terms == 0) {
        return tile->about.state_words == 4u;
    }
    return tile->about.state_words == 8u && lies_inside(arena, tile->terms, 1, sizeof(hwl_terms)) &&
           lies_inside(arena, tile->pulsed, cells, sizeof(uint64_t)) &&
           lies_inside(arena, tile->counted, cells, sizeof(uint32_t)) &&
           lies_inside(arena, tile->seen, cells, sizeof(float)) &&
           lies_inside(arena, tile->seen_at, rows, sizeof(uint64_t)) &&
           lies_inside(arena, tile->seen_of, rows, sizeof(uint32_t)) &&
           lies_inside(arena, tile->seen_versions, rows, sizeof(uint32_t)) &&
           lies_inside(arena, tile->ahead, 1, sizeof(uint64_t)) &&
           terms_are_fine((const hwl_terms *)(const void *)((const uint8_t *)arena + tile->terms));
}

static int tile_is_fine(const hwl_arena *arena, const hwl_arena_tile *tile)
{
    const hwl_msg_describe_answer *about = &tile->about;
    const uint64_t cells = (uint64_t)about->rows * about->cols;
    const int tabulated = tile->knots > 0;
    return cells > 0 && lies_inside(arena, tile->persistent, cells, sizeof(float)) &&
           lies_inside(arena, tile->visible, cells, sizeof(float)) &&
           lies_inside(arena, tile->reference, cells, sizeof(float)) &&
           lies_inside(arena, tile->cells, cells, sizeof(hwl_cell)) &&
           lies_inside(arena, tile->versions, about->rows, sizeof(uint32_t)) &&
           lies_inside(arena, tile->dose, cells, sizeof(uint32_t)) && tile->knots != 1 &&
           (!tabulated || (lies_inside(arena, tile->up_table, tile->knots, sizeof(float)) &&
                           lies_inside(arena, tile->down_table, tile->knots, sizeof(float)))) &&
           (tile->line_errors == 0 ||
            lies_inside(arena, tile->line_errors, 2u * (2u * (uint64_t)about->rows + about->cols), sizeof(float))) &&
           time_is_fine(arena, tile, cells) &&
           (tile->cell_bits == 16 || tile->cell_bits == 24) && about->longest_train < 256 &&
           is_code_max(about->dac_code_max) && is_code_max(about->update_code_max) &&
           is_code_max(about->forward_code_max) && is_code_max(about->backward_code_max) &&
           is_code_max(about->cells_code_max) && about->average_max > 0 &&
           about->average_max <= INT32_MAX / about->cells_code_max;
}

enum hwl_arena_fault hwl_arena_check(const void *memory, uint64_t capacity)
{
    const hwl_arena *arena = memory;
    if (capacity < sizeof *arena || arena->magic != HWL_ARENA_MAGIC) {
        return HWL_ARENA_NONE;
    }
    if (arena->layout != HWL_ARENA_LAYOUT || arena->dictionary != HWL_DICTIONARY) {
        return HWL_ARENA_OTHER;
    }
    if (arena->size > capacity || arena->tiles > HWL_TILES_MAX || arena->shapes > HWL_ARENA_SHAPES ||
        arena->size < sizeof *arena + arena->tiles * sizeof(hwl_arena_tile)) {
        return HWL_ARENA_TOO_LARGE;
    }
    if (arena->check != check_of(arena) || arena->about.tiles != arena->tiles) {
        return HWL_ARENA_DAMAGED;
    }
    const hwl_arena_tile *tiles = (const hwl_arena_tile *)(arena + 1);
    for (uint32_t n = 0; n < arena->tiles; n++) {
        if (!tile_is_fine(arena, &tiles[n])) {
            return HWL_ARENA_DAMAGED;
        }
    }
    return HWL_ARENA_FINE;
}

/* The compiler may not move what follows in front of it, nor what went before behind it. */
static void in_order(void)
{
#if defined(__GNUC__)
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

static void write_record(void *memory, uint32_t slot, const hwl_record *record)
{
    hwl_arena *arena = memory;
    in_order();
    arena->records[slot] = *record;
    in_order();
}

static void read_record(void *memory, uint32_t slot, hwl_record *record)
{
    *record = ((const hwl_arena *)memory)->records[slot];
}

hwl_store hwl_arena_store(void *memory)
{
    return (hwl_store){memory, write_record, read_record};
}
