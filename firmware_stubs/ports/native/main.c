/* The chip as a native process. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pulse.h"
#include "read.h"
#include "update.h"

enum { ROWS = 20, COLS = 37, SAMPLES = 4, WORDS = 2, CELLS = ROWS * COLS };

/* The arena of the self-test's tile. */
static float persistent[CELLS], visible[CELLS], reference[CELLS];
static hwl_cell cells[CELLS];
static uint32_t versions[ROWS];
static uint32_t x_plus[SAMPLES * WORDS * COLS], x_minus[SAMPLES * WORDS * COLS];
static uint32_t d_plus[SAMPLES * WORDS * ROWS], d_minus[SAMPLES * WORDS * ROWS];

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

/* Runs every kind of operation, and returns a digest of what came of it. */
static uint64_t exercise(void)
{
    hwl_tile tile = fresh_tile();
    static int32_t x_codes[SAMPLES * COLS], d_codes[SAMPLES * ROWS];
    static int16_t counts[CELLS];
    static int32_t carried[SAMPLES * COLS], values[CELLS];
    static uint8_t saturated[CELLS];
    const int32_t lengths[SAMPLES] = {31, 64, 0, 5};
    const int32_t gains[SAMPLES] = {65536, 40000, 65536, 1000};
    for (int i = 0; i < SAMPLES * COLS; i++) {
        x_codes[i] = i * 37 % 255 - 127;
    }
    for (int i = 0; i < SAMPLES * ROWS; i++) {
        d_codes[i] = i * 91 % 255 - 127;
    }
    for (int i = 0; i < CELLS; i++) {
        counts[i] = (int16_t)(i % 7 - 3);
    }
    hwl_draw_trains_plain(&tile, 1, HWL_PURPOSE_X_TRAINS, COLS, x_codes, lengths, gains, WORDS, x_plus, x_minus, 0,
                          SAMPLES);
    hwl_draw_trains_plain(&tile, 1, HWL_PURPOSE_D_TRAINS, ROWS, d_codes, lengths, gains, WORDS, d_plus, d_minus, 0,
                          SAMPLES);
    const hwl_trains trains = {x_plus, x_minus, d_plus, d_minus, SAMPLES, WORDS};
    uint64_t fired = hwl_update_plain(&tile, 1, &trains, 0, ROWS);
    fired += hwl_pulse_plain(&tile, 2, NULL, NULL, COLS, counts, 0, ROWS);
    uint64_t digest = digest_of(UINT64_C(14695981039346656037), &fired, sizeof fired);
    digest = digest_of(digest, persistent, sizeof persistent);
    digest = digest_of(digest, visible, sizeof visible);

    for (int i = 0; i < SAMPLES * COLS; i++) {
        x_codes[i] /= 4;
    }
    hwl_drive(&tile, HWL_FORWARD, 3, SAMPLES, x_codes, carried);
    hwl_read_plain(&tile, HWL_FORWARD, HWL_DIFFERENCE, 3, SAMPLES, carried, 0, ROWS, values, saturated);
    digest = digest_of(digest, values, SAMPLES * ROWS * sizeof *values);
    hwl_read_cells_plain(&tile, HWL_MAIN, 4, 3, NULL, NULL, COLS, 0, ROWS, values, saturated);
    digest = digest_of(digest, values, sizeof values);
    return digest_of(digest, saturated, sizeof saturated);
}

static int self_test(void)
{
    if (known_answers()) {
        fprintf(stderr, "self-test: the random numbers are not those of Philox\n");
        return 1;
    }
    printf("self-test: digest %016" PRIx64 "\n", exercise());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("hwloop-chip %s abi %u tile %u\n", hwl_source_hash(), hwl_abi_version(), hwl_tile_size());
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--self-test") == 0) {
        return self_test();
    }
    fprintf(stderr, "usage: hwloop-chip --version | --self-test\n");
    return 2;
}
