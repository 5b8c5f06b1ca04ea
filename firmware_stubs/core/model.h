/* The array model as an array: what makes an emulated chip out of the protocol. */
#ifndef HWL_MODEL_H
#define HWL_MODEL_H

#include "arena.h"
#include "grid.h"

#define HWL_MODEL_PLANES 3u

/* The model on the cells of an arena. */
typedef struct hwl_model {
    uint8_t *memory; /* the arena */
    const hwl_arena *arena;
    hwl_clock *clock;
    hwl_tile tiles[HWL_TILES_MAX];
    hwl_time times[HWL_TILES_MAX]; /* of the tiles that have one */
    uint32_t simd;
    void *scratch; /* of one operation; NULL where the plain forms compute */
    hwl_grid grids[HWL_TILES_MAX][HWL_MODEL_PLANES];
} hwl_model;

/* Bytes of memory with which the model of an arena that was checked computes by its fast forms. */
uint64_t hwl_model_room(void *arena);

/* Binds the model to an arena that was checked, and the array to the model. `room` is all zeros; the fast forms need
 * hwl_model_room bytes of it, the plain ones none. */
void hwl_model_bind(hwl_model *model, void *arena, void *room, uint64_t room_bytes, hwl_array *array);

/* The operations of the array; the context is the model. */
void hwl_model_pulse(void *model, const hwl_order *order, const hwl_block *block, const int16_t *counts,
                     hwl_progress *progress);
void hwl_model_update(void *model, const hwl_order *order, const hwl_trains *trains, const int32_t *lengths,
                      hwl_progress *progress);
void hwl_model_read(void *model, const hwl_order *order, uint32_t kind, uint32_t plane, uint32_t samples,
                    int32_t *codes, int32_t *values, uint8_t *saturated, hwl_progress *progress);
void hwl_model_read_cells(void *model, const hwl_order *order, const hwl_block *block, uint32_t plane,
                          uint32_t average, int32_t *values, uint8_t *saturated, hwl_progress *progress);

static inline const hwl_arena_tile *hwl_model_record(const hwl_model *model, uint32_t tile)
{
    return (const hwl_arena_tile *)(model->arena + 1) + tile;
}

#endif
