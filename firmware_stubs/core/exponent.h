/* Powers of two, their logarithms, and square roots: the same bits on every machine, without libm. */
#ifndef HWL_EXPONENT_H
#define HWL_EXPONENT_H

#include <stdint.h>
#include <string.h>

static inline uint32_t hwl_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float hwl_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Logarithm to the base 2 of a finite value of at least 1; off by less than 4e-7 besides its rounding. Exact at powers
 * of two. */
static inline float hwl_log2(float value)
{
    const uint32_t bits = hwl_bits_of(value);
    const float whole = (float)((int32_t)(bits >> 23) - 127);
    const float m = hwl_float_of((bits & 0x007FFFFFu) | 0x3F800000u) - 1.0f;
    float s = -0.0152090555f;
    s = s * m + 0.0633257255f;
    s = s * m + -0.129703671f;
    s = s * m + 0.195436344f;
    s = s * m + -0.277887791f;
    s = s * m + 0.442666441f;
    return whole + (m + (m * (1.0f - m)) * s);
}

/* Two to the power of a value that is cut to [-100, 100]; off by less than 2e-7 of it. */
static inline float hwl_exp2(float value)
{
    const float cut = value < -100.0f ? -100.0f : value > 100.0f ? 100.0f : value;
    int32_t whole = (int32_t)cut;
    whole -= (float)whole > cut;
    const float f = cut - (float)whole;
    float s = -0.000218922811f;
    s = s * f + -0.00145775522f;
    s = s * f + -0.0111415992f;
    s = s * f + -0.0666228756f;
    s = s * f + -0.306852996f;
    const float power = 1.0f + (f + (f * (1.0f - f)) * s);
    return hwl_float_of((uint32_t)(whole + 127) << 23) * power;
}

/* Square root of a finite value; 0 below 0. Three of Newton's steps from half the exponent, off by less than 2e-7 of
 * it. */
static inline float hwl_root(float value)
{
    if (!(value > 0.0f)) {
        return 0.0f;
    }
    float root = hwl_float_of((hwl_bits_of(value) >> 1) + 0x1FC00000u);
    root = 0.5f * (root + value / root);
    root = 0.5f * (root + value / root);
    root = 0.5f * (root + value / root);
    return root;
}

#endif
