/* What `hwloop-chip --self-test` computes: every kind of operation on one tile, without a link. */
#include "self_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pulse.h"
#include "pulse_fast.h"
#include "read_fast.h"
#include "trains_fast.h"
#include "update.h"
#include "update_fast.h"

enum { ROWS = 20, COLS = 37, SAMPLES = 4, WORDS = 2, CELLS = ROWS * COLS, SCRATCH_BYTES = 1 << 20 };

/* The arena of the self-test's tile. */
static float persistent[CELLS], visible[CELLS], reference[CELLS];
static hwl_cell cells[CELLS];
static uint32_t versions[ROWS];
static uint32_t x_plus[SAMPLES * WORDS * COLS], x_minus[SAMPLES * WORDS * COLS];
static uint32_t d_plus[SAMPLES * WORDS * ROWS], d_minus[SAMPLES * WORDS * ROWS];

/* Of the fast forms. */
static _Alignas(64) unsigned char scratch[SCRATCH_BYTES];
static _Alignas(64) int16_t grid_values[ROWS * 48];
static uint32_t grid_seen[ROWS];

/* What computes: the plain form, or the fast form with an instruction set. */
typedef struct form {
    int fast;
    uint32_t simd;
} form;

static int known_answers(void)
{
    static const uint32_t pi[6] = {0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u, 0xA4093822u, 0x299F31D0u};
    static const uint32_t answer_2[2] = {0xDD7CE038u, 0xF62A4C12u};
    static const uint32_t answer_4[4] = {0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u};
    uint32_t counter[4] = {pi[0], pi[1], pi[2], pi[3]};
    hwl_philox4x32(&pi[4], counter);
    int wrong = memcmp(counter, answer_4, sizeof answer_4) != 0;
    counter[0] = pi[0];
    counter[1] = pi[1];
    hwl_philox2x32(pi[2], counter);
    return wrong | (memcmp(counter, answer_2, sizeof answer_2) != 0);
}

static hwl_tile fresh_tile(void)
{
    hwl_tile tile = {.persistent = persistent, .visible = visible, .reference = reference, .cells = cells,
                     .versions = versions, .seed = 1, .rows = ROWS, .cols = COLS, .additive = 1, .write_noise = 1,
                     .cell_bits = 16, .cycle_noise = 0.3f, .full_scale = 2.0f, .output_noise = 0.06f,
                     .input_noise = 0.01f, .dac_code_max = 63, .update_code_max = 127,
                     .adc = {{255, 12.0f}, {255, 12.0f}, {2047, 4.0f}}};
    for (int i = 0; i < CELLS; i++) {
        const float spread = 1.0f + (float)(i % 17) / 64.0f;
        cells[i] = (hwl_cell){.up_a = 0.01f * spread, .up_b = -0.01f, .down_a = -0.01f, .down_b = -0.01f * spread,
                              .bound_max = spread, .bound_min = -1.0f, .write_noise = 0.01f};
        persistent[i] = visible[i] = 0.0f;
        reference[i] = (float)(i % 13) / 64.0f;
    }
    for (int row = 0; row < ROWS; row++) {
        versions[row]++;
    }
    return tile;
}

/* FNV-1a, over the bytes of `values` in the order of this machine. */
static uint64_t digest_of(uint64_t digest, const void *values, size_t size)
{
    const unsigned char *bytes = values;
    for (size_t i = 0; i < size; i++) {
        digest = (digest ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return digest;
}

static void draw_trains(form form, const hwl_tile *tile, uint32_t purpose, uint32_t lines, const int32_t *codes,
                        uint32_t *plus, uint32_t *minus)
{
    static const int32_t lengths[SAMPLES] = {31, 64, 0, 5};
    static const int32_t gains[SAMPLES] = {65536, 40000, 65536, 1000};
    if (form.fast) {
        hwl_draw_trains_fast(tile, form.simd, 1, purpose, lines, codes, lengths, gains, WORDS, plus, minus, 0, SAMPLES);
    } else {
        hwl_draw_trains_plain(tile, 1, purpose, lines, codes, lengths, gains, WORDS, plus, minus, 0, SAMPLES);
    }
}

static uint64_t update(form form, hwl_tile *tile)
{
    const hwl_trains trains = {x_plus, x_minus, d_plus, d_minus, SAMPLES, WORDS};
    return form.fast ? hwl_update_fast(tile, form.simd, 1, &trains, 0, ROWS, scratch)
                     : hwl_update_plain(tile, 1, &trains, 0, ROWS);
}

static uint64_t pulse(form form, hwl_tile *tile, const int16_t *counts)
{
    return form.fast ? hwl_pulse_fast(tile, form.simd, 2, NULL, NULL, COLS, counts, 0, ROWS, (uint32_t *)scratch)
                     : hwl_pulse_plain(tile, 2, NULL, NULL, COLS, counts, 0, ROWS);
}

static void read_lines(form form, const hwl_tile *tile, uint32_t kind, const int32_t *carried, int32_t *values,
                       uint8_t *saturated)
{
    const uint32_t lines = kind == HWL_FORWARD ? ROWS : COLS;
    if (form.fast) {
        hwl_grid grid = {grid_values, grid_seen};
        hwl_grid_refresh(tile, form.simd, HWL_DIFFERENCE, &grid, 0, ROWS);
        hwl_read_fast(tile, form.simd, &grid, kind, HWL_DIFFERENCE, 3, SAMPLES, carried, 0, lines, values, saturated,
                      scratch);
    } else {
        hwl_read_plain(tile, kind, HWL_DIFFERENCE, 3, SAMPLES, carried, 0, lines, values, saturated);
    }
}

static void read_cells(form form, const hwl_tile *tile, int32_t *values, uint8_t *saturated)
{
    if (form.fast) {
        hwl_read_cells_fast(tile, form.simd, HWL_MAIN, 4, 3, NULL, NULL, COLS, 0, ROWS, values, saturated);
    } else {
        hwl_read_cells_plain(tile, HWL_MAIN, 4, 3, NULL, NULL, COLS, 0, ROWS, values, saturated);
    }
}

/* Runs every kind of operation, and returns a digest of what came of it. */
static uint64_t exercise(form form)
{
    hwl_tile tile = fresh_tile();
    static int32_t x_codes[SAMPLES * COLS], d_codes[SAMPLES * ROWS];
    static int16_t counts[CELLS];
    static int32_t carried[SAMPLES * COLS], values[CELLS];
    static uint8_t saturated[CELLS];
    for (int i = 0; i < SAMPLES * COLS; i++) {
        x_codes[i] = i * 37 % 255 - 127;
    }
    for (int i = 0; i < SAMPLES * ROWS; i++) {
        d_codes[i] = i * 91 % 255 - 127;
    }
    for (int i = 0; i < CELLS; i++) {
        counts[i] = (int16_t)(i % 7 - 3);
    }
    draw_trains(form, &tile, HWL_PURPOSE_X_TRAINS, COLS, x_codes, x_plus, x_minus);
    draw_trains(form, &tile, HWL_PURPOSE_D_TRAINS, ROWS, d_codes, d_plus, d_minus);
    const uint64_t fired = update(form, &tile) + pulse(form, &tile, counts);
    uint64_t digest = digest_of(UINT64_C(14695981039346656037), &fired, sizeof fired);
    digest = digest_of(digest, persistent, sizeof persistent);
    digest = digest_of(digest, visible, sizeof visible);

    for (int i = 0; i < SAMPLES * COLS; i++) {
        x_codes[i] /= 4;
    }
    for (int i = 0; i < SAMPLES * ROWS; i++) {
        d_codes[i] /= 4;
    }
    hwl_drive(&tile, HWL_FORWARD, 3, SAMPLES, x_codes, carried);
    read_lines(form, &tile, HWL_FORWARD, carried, values, saturated);
    digest = digest_of(digest, values, SAMPLES * ROWS * sizeof *values);
    tile.input_noise = 0.0f; /* now codes and sums are narrow */
    read_lines(form, &tile, HWL_FORWARD, x_codes, values, saturated);
    digest = digest_of(digest, values, SAMPLES * ROWS * sizeof *values);
    read_lines(form, &tile, HWL_BACKWARD, d_codes, values, saturated);
    digest = digest_of(digest, values, SAMPLES * COLS * sizeof *values);
    read_cells(form, &tile, values, saturated);
    digest = digest_of(digest, values, sizeof values);
    return digest_of(digest, saturated, sizeof saturated);
}

int self_test(void)
{
    if (known_answers()) {
        fprintf(stderr, "self-test: the random numbers are not those of Philox\n");
        return 1;
    }
    const hwl_tile tile = fresh_tile();
    if (hwl_update_scratch(COLS) > SCRATCH_BYTES || hwl_read_scratch(&tile) > SCRATCH_BYTES ||
        hwl_grid_size(&tile) > sizeof grid_values) {
        fprintf(stderr, "self-test: the fast forms need more scratch\n");
        return 1;
    }
    const uint64_t digest = exercise((form){0, 0});
    for (uint32_t simd = 0; simd <= hwl_simd_best(); simd++) {
        if (exercise((form){1, simd}) != digest) {
            fprintf(stderr, "self-test: the fast form with instruction set %" PRIu32 " differs\n", simd);
            return 1;
        }
    }
    printf("self-test: digest %016" PRIx64 "\n", digest);
    return 0;
}
