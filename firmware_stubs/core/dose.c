#include "dose.h"

static uint64_t pulses_of_counts(const hwl_request *request, uint32_t i, uint32_t j)
{
    const int32_t count = request->counts[(size_t)i * request->block->col_count + j];
    return (uint64_t)(count < 0 ? -count : count);
}

static uint64_t pulses_of_codes(const hwl_request *request, uint32_t i, uint32_t j)
{
    uint64_t pulses = 0;
    for (size_t sample = 0; sample < request->samples; sample++) {
        if (request->d_codes[sample * request->block->row_count + i] != 0 &&
            request->x_codes[sample * request->block->col_count + j] != 0) {
            pulses += (uint64_t)request->lengths[sample];
        }
    }
    return pulses;
}

static uint64_t pulses_of_trains(const hwl_request *request, uint32_t i, uint32_t j)
{
    const size_t x_bytes = (request->block->col_count + 7u) / 8u;
    const size_t d_bytes = (request->block->row_count + 7u) / 8u;
    uint64_t pulses = 0;
    for (size_t slot = 0; slot < request->slots; slot++) {
        const size_t x = slot * x_bytes + j / 8u;
        const size_t d = slot * d_bytes + i / 8u;
        const uint32_t col_fires = (uint32_t)(request->x_plus[x] | request->x_minus[x]) >> (j % 8u) & 1u;
        const uint32_t row_fires = (uint32_t)(request->d_plus[d] | request->d_minus[d]) >> (i % 8u) & 1u;
        pulses += col_fires & row_fires;
    }
    return pulses;
}

hwl_request hwl_request_of_counts(const hwl_block *block, const int16_t *counts)
{
    return (hwl_request){.pulses = pulses_of_counts, .most = INT16_MAX + 1u, .block = block, .counts = counts};
}

hwl_request hwl_request_of_codes(const hwl_block *tile, uint32_t samples, const int32_t *x_codes,
                                 const int32_t *d_codes, const int32_t *lengths)
{
    uint64_t most = 0;
    for (uint32_t sample = 0; sample < samples; sample++) {
        most += (uint64_t)lengths[sample];
    }
    return (hwl_request){.pulses = pulses_of_codes,
                         .most = most,
                         .block = tile,
                         .x_codes = x_codes,
                         .d_codes = d_codes,
                         .lengths = lengths,
                         .samples = samples};
}

hwl_request hwl_request_of_trains(const hwl_block *tile, uint32_t slots, const uint8_t *x_plus,
                                  const uint8_t *x_minus, const uint8_t *d_plus, const uint8_t *d_minus)
{
    return (hwl_request){.pulses = pulses_of_trains,
                         .most = slots,
                         .block = tile,
                         .x_plus = x_plus,
                         .x_minus = x_minus,
                         .d_plus = d_plus,
                         .d_minus = d_minus,
                         .slots = slots};
}

static uint32_t line_at(const uint32_t *lines, uint32_t n)
{
    return lines ? lines[n] : n;
}

static uint64_t dose_of(const hwl_array *array, uint32_t tile, uint32_t row, uint32_t col)
{
    const uint32_t cols = array->tile(array->context, tile)->cols;
    return array->dose(array->context, tile, row * cols + col);
}

static const char *cell_fault(const hwl_msg_configure *limits, const hwl_array *array, uint32_t tile,
                              const hwl_request *request)
{
    const hwl_block *block = request->block;
    for (uint32_t i = 0; i < block->row_count; i++) {
        for (uint32_t j = 0; j < block->col_count; j++) {
            const uint64_t pulses = request->pulses(request, i, j);
            if (pulses > limits->pulses_per_operation) {
                return "more pulses on a cell than pulses_per_operation";
            }
            if (limits->dose_per_cell != HWL_NO_LIMIT && pulses > 0 &&
                dose_of(array, tile, line_at(block->rows, i), line_at(block->cols, j)) + pulses >
                    limits->dose_per_cell) {
                return "more pulses on a cell than dose_per_cell";
            }
        }
    }
    return NULL;
}

static int rows_are_within(uint64_t limit, const hwl_array *array, uint32_t tile, const hwl_request *request)
{
    const uint32_t cols = array->tile(array->context, tile)->cols;
    for (uint32_t i = 0; i < request->block->row_count; i++) {
        uint64_t more = 0;
        for (uint32_t j = 0; j < request->block->col_count; j++) {
            more += request->pulses(request, i, j);
        }
        uint64_t dose = more;
        for (uint32_t col = 0; col < cols; col++) {
            dose += dose_of(array, tile, line_at(request->block->rows, i), col);
        }
        if (more > 0 && dose > limit) {
            return 0;
        }
    }
    return 1;
}

static int cols_are_within(uint64_t limit, const hwl_array *array, uint32_t tile, const hwl_request *request)
{
    const uint32_t rows = array->tile(array->context, tile)->rows;
    for (uint32_t j = 0; j < request->block->col_count; j++) {
        uint64_t more = 0;
        for (uint32_t i = 0; i < request->block->row_count; i++) {
            more += request->pulses(request, i, j);
        }
        uint64_t dose = more;
        for (uint32_t row = 0; row < rows; row++) {
            dose += dose_of(array, tile, row, line_at(request->block->cols, j));
        }
        if (more > 0 && dose > limit) {
            return 0;
        }
    }
    return 1;
}

const char *hwl_dose_fault(const hwl_msg_configure *limits, const hwl_array *array, uint32_t tile,
                           const hwl_request *request)
{
    const int per_cell = request->most > limits->pulses_per_operation || limits->dose_per_cell != HWL_NO_LIMIT;
    const uint64_t per_line = limits->dose_per_line;
    const char *fault = per_cell ? cell_fault(limits, array, tile, request) : NULL;
    if (fault == NULL && per_line != HWL_NO_LIMIT &&
        !(rows_are_within(per_line, array, tile, request) && cols_are_within(per_line, array, tile, request))) {
        fault = "more pulses on a line than dose_per_line";
    }
    return fault;
}

uint16_t hwl_check_part_dose(hwl_chip *chip, hwl_part *part, hwl_request request)
{
    const char *fault = hwl_dose_fault(&chip->configuration.limits, chip->array, part->order.tile, &request);
    return fault == NULL ? (uint16_t)HWL_ERROR_NONE : hwl_refuse(part, HWL_ERROR_LIMIT, fault);
}
