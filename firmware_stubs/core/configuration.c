#include "configuration.h"

#include <string.h>

static int is_number(double value)
{
    return value - value == 0.0; /* neither NaN nor an infinity */
}

static double magnitude(double value)
{
    return value < 0.0 ? -value : value;
}

/* Whether a value keeps a limit; a limit that is not set is NaN. */
static int within(double value, double limit)
{
    return limit != limit || value <= limit;
}

/* Whether a value can be a limit: a number above 0, or NaN for none. */
static int is_limit(double value)
{
    return value != value || (is_number(value) && value > 0.0);
}

/* Whether a limit is no looser than the chip's own. */
static int no_looser(double asked, double own)
{
    return own != own || asked <= own;
}

/* Share of a pulse's voltage at a cell of which one line is selected. */
static double half_select_share(uint8_t bias)
{
    return bias == HWL_BIAS_HALF ? 0.5 : bias == HWL_BIAS_THIRD ? 1.0 / 3.0 : 0.0;
}

static uint16_t check_polarity(const hwl_msg_configure *limits, uint8_t bias, double volts, double seconds,
                               double amperes)
{
    const int no_compliance = amperes != amperes;
    const int is_compliance = is_number(amperes) && amperes > 0.0;
    if (!is_number(volts) || !is_number(seconds) || seconds <= 0.0 || !(no_compliance || is_compliance)) {
        return HWL_ERROR_RANGE;
    }
    const int fine = within(magnitude(volts), limits->voltage_max) &&
                     within(magnitude(volts) * half_select_share(bias), limits->half_select_max) &&
                     within(seconds, limits->width_max_seconds) &&
                     (no_compliance || within(amperes, limits->compliance_max_amperes));
    return fine ? HWL_ERROR_NONE : HWL_ERROR_LIMIT;
}

/* A chip that has pulse shapes of its own takes no others: its cells are not known to respond to them. */
static int is_offered(const hwl_msg_shape_entry *shape, const hwl_array *array)
{
    const hwl_msg_shape_entry *own = array->shape(array->context, 0);
    if (own == NULL) {
        return 1;
    }
    for (uint32_t n = 0; own != NULL; own = array->shape(array->context, ++n)) {
        if (memcmp(own, shape, sizeof *own) == 0) {
            return 1;
        }
    }
    return 0;
}

uint16_t hwl_configuration_check(const hwl_configuration *asked, const hwl_array *array, uint8_t bias)
{
    const hwl_msg_configure *limits = &asked->limits;
    hwl_msg_configure own = {0};
    array->limits(array->context, &own);
    if (limits->configuration == 0 || !is_limit(limits->voltage_max) || !is_limit(limits->half_select_max) ||
        !is_limit(limits->width_max_seconds) || !is_limit(limits->compliance_max_amperes) || limits->forming > 1) {
        return HWL_ERROR_RANGE;
    }
    if (!no_looser(limits->voltage_max, own.voltage_max) ||
        !no_looser(limits->half_select_max, own.half_select_max) ||
        !no_looser(limits->width_max_seconds, own.width_max_seconds) ||
        !no_looser(limits->compliance_max_amperes, own.compliance_max_amperes) ||
        limits->pulses_per_operation > own.pulses_per_operation || limits->dose_per_cell > own.dose_per_cell ||
        limits->dose_per_line > own.dose_per_line || limits->forming > own.forming) {
        return HWL_ERROR_LIMIT;
    }
    if (array->dose == NULL && (limits->dose_per_cell != HWL_NO_LIMIT || limits->dose_per_line != HWL_NO_LIMIT)) {
        return HWL_ERROR_UNSUPPORTED;
    }
    for (uint32_t n = 0; n < limits->shapes; n++) {
        const hwl_msg_shape_entry *shape = &asked->shapes[n];
        uint16_t error = check_polarity(limits, bias, shape->up_volts, shape->up_seconds, shape->up_amperes);
        if (error == HWL_ERROR_NONE) {
            error = check_polarity(limits, bias, shape->down_volts, shape->down_seconds, shape->down_amperes);
        }
        if (error == HWL_ERROR_NONE && !is_offered(shape, array)) {
            error = HWL_ERROR_SHAPE;
        }
        if (error != HWL_ERROR_NONE) {
            return error;
        }
    }
    return HWL_ERROR_NONE;
}
