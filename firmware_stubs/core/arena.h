/* The memory of an emulated chip that outlives its process: cells, records, and what the chip says of itself.
 *
 * A host lays it out and fills it in (backends/hwloop_wire/arena.py); the chip moves cells and writes records. All
 * offsets count from the start of the arena. */
#ifndef HWL_ARENA_H
#define HWL_ARENA_H

#include "array.h"
#include "configuration.h"
#include "journal.h"

#define HWL_ARENA_MAGIC 0x414C5748u /* "HWLA" */
#define HWL_ARENA_LAYOUT 2u
#define HWL_ARENA_SHAPES 32u

/* The clock of a virtual chip. */
typedef struct hwl_clock {
    uint64_t now;   /* ticks since the arena was written */
    uint64_t start; /* `now` when the operation at hand began */
} hwl_clock;

typedef struct hwl_arena {
    uint32_t magic;
    uint32_t layout;
    uint32_t dictionary; /* of the messages that this header holds */
    uint32_t check;      /* CRC-32 of `tiles` and what follows, with the records of the tiles */
    hwl_record records[HWL_RECORD_SLOTS];
    hwl_clock clock;
    uint32_t tiles;
    uint32_t shapes;
    uint64_t size; /* of the arena, in bytes */
    uint64_t seed; /* of the array's random numbers */
    hwl_msg_hello_answer about;
    hwl_msg_configure limits; /* of the chip itself */
    hwl_msg_shape_entry shape[HWL_ARENA_SHAPES];
    /* followed by `tiles` times hwl_arena_tile */
} hwl_arena;

typedef struct hwl_arena_tile {
    hwl_msg_describe_answer about;
    uint64_t persistent; /* offset of f32 [rows, cols], and so on */
    uint64_t visible;
    uint64_t reference;
    uint64_t cells;    /* of hwl_cell [rows, cols] */
    uint64_t versions; /* of u32 [rows] */
    uint64_t dose;     /* of u32 [rows, cols]: pulses of each cell when the chip was armed */
    uint64_t up_table; /* of f32 [knots], 0 for affine curves */
    uint64_t down_table;
    uint64_t line_errors; /* of f32 [2, rows + cols + rows], gains and offsets of the converters; 0 for none */
    uint64_t terms;       /* of hwl_terms; 0, as what follows, where nothing changes with time */
    uint64_t pulsed;      /* of u64 [rows, cols], and so on, as in hwl_time */
    uint64_t counted;
    uint64_t seen;
    uint64_t seen_at;
    uint64_t seen_of;
    uint64_t seen_versions;
    uint64_t ahead; /* of u64 [1], what the tile's clock is ahead of the chip's */
    uint64_t read_ticks; /* chip time of one read of all lines */
    uint32_t knots;
    uint32_t additive;
    uint32_t write_noise;
    uint32_t cell_bits;
    float cycle_noise;
    float full_scale;
    float input_noise;
    float output_noise;
    float adc_range[3]; /* by hwl_read_kind */
    float write_memory;
} hwl_arena_tile;

_Static_assert(sizeof(hwl_cell) == 32, "eight words");
_Static_assert(sizeof(hwl_arena) == 2784, "arena.py has the same layout");
_Static_assert(sizeof(hwl_arena_tile) == 320, "arena.py has the same layout");
_Static_assert(sizeof(hwl_arena) % 8 == 0 && sizeof(hwl_arena_tile) % 8 == 0, "tiles follow without a gap");

/* Why an arena is none. */
enum hwl_arena_fault {
    HWL_ARENA_FINE,
    HWL_ARENA_NONE,       /* no arena at all */
    HWL_ARENA_OTHER,      /* of another layout or dictionary */
    HWL_ARENA_TOO_LARGE,  /* for the memory, or with too many tiles or shapes */
    HWL_ARENA_DAMAGED     /* its check is wrong, or an offset leads outside */
};

/* Looks at an arena in `capacity` bytes of memory. */
enum hwl_arena_fault hwl_arena_check(const void *memory, uint64_t capacity);

/* Where the records of an arena are kept. */
hwl_store hwl_arena_store(void *memory);

#endif
