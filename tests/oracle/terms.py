"""Section 5 of docs/array-model.md in plain numpy float32: what reads see of cells at a time."""

import numpy as np

from hwloop.random import Purpose, gaussian, operation_key, philox2x32

F = np.float32
LOG2 = (-0.0152090555, 0.0633257255, -0.129703671, 0.195436344, -0.277887791, 0.442666441)
EXP2 = (-0.000218922811, -0.00145775522, -0.0111415992, -0.0666228756, -0.306852996)


def log2(x):
    """Logarithm of values of at least 1."""
    bits = x.view(np.uint32)
    whole = ((bits >> np.uint32(23)).astype(np.int32) - 127).astype(F)
    m = (bits & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)).view(F) - F(1)
    return whole + (m + m * (F(1) - m) * horner(LOG2, m))


def exp2(y):
    cut = np.clip(y, F(-100), F(100))
    whole = np.floor(cut)
    f = cut - whole
    power = F(1) + (f + f * (F(1) - f) * horner(EXP2, f))
    return ((whole.astype(np.int32) + 127).astype(np.uint32) << np.uint32(23)).view(F) * power


def root(x):
    """Square root of values from 0 on, by three of Newton's steps."""
    guess = ((x.view(np.uint32) >> np.uint32(1)) + np.uint32(0x1FC00000)).view(F)
    for _ in range(3):
        guess = F(0.5) * (guess + x / guess)
    return np.where(x > 0, guess, F(0))


def horner(coefficients, x):
    s = np.full_like(x, F(coefficients[0]))
    for c in coefficients[1:]:
        s = s * x + F(c)
    return s


def level(curve, u):
    table = np.array(curve, F)
    position = u * F(len(table) - 1)
    k = np.minimum(np.trunc(position).astype(int), len(table) - 2)
    return table[k] + (position - k.astype(F)) * (table[k + 1] - table[k])


def seen(oracle):
    """What reads see of the main plane of an `ArrayModel` at its time `now`."""
    terms, w = oracle.population.terms, oracle.visible
    cells = np.arange(w.size).reshape(w.shape)
    u = np.clip((w - F(terms.level_low)) * F(terms.level_scale), F(0), F(1))
    moves = oracle.population.bound_max > oracle.population.bound_min

    def key(purpose, octave=0):
        return operation_key(oracle.seed, octave, oracle.index, purpose)

    v = w
    now = np.uint64(oracle.now)
    age = np.where(now > oracle.pulsed, now - oracle.pulsed, np.uint64(0)).astype(F)
    if terms.drift_rate > 0:
        octaves = log2(F(1) + age * F(terms.drift_rate))
        xi = gaussian(philox2x32(key(Purpose.DRIFT), cells, 0)[0])
        exponent = level(terms.drift_exponent, u) * (F(1) + F(terms.drift_spread) * xi)
        zero = F(terms.drift_zero)
        v = np.where(moves, (v - zero) * exp2(-(exponent * octaves)) + zero, v)
    if terms.relaxation_rate > 0:
        octaves = log2(F(1) + age * F(terms.relaxation_rate))
        path = relaxation_path(key, cells, oracle.pulses, octaves)
        mean, std = level(terms.relaxation_mean, u), level(terms.relaxation_std, u)
        v = np.where(moves, v + (mean * octaves + std * path), v)

    with np.errstate(over="ignore"):
        own_time = now + (cells.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    if terms.noise_weights:
        total = np.zeros_like(v)
        for octave, weight in enumerate(terms.noise_weights):
            block = own_time >> np.uint64(terms.noise_shift + octave)
            words = philox2x32(key(Purpose.READ_NOISE, octave), cells, block)
            total = total + F(weight) * gaussian(words[0])
        v = v + level(terms.noise_std, u) * total
    if terms.trap_octaves:
        v = v + trap_steps(terms, key, cells, own_time, u)
    assert v.dtype == F
    return v


def relaxation_path(key, cells, pulses, octaves):
    """Sum of one Gaussian per octave of time, the last one in part."""
    lane, step = philox2x32(key(Purpose.EPOCH), cells, pulses)
    whole = np.trunc(octaves).astype(int)
    last = root(octaves - whole.astype(F))
    path = np.zeros_like(octaves)
    for n in range(int(whole.max()) + 1):
        with np.errstate(over="ignore"):
            words = philox2x32(key(Purpose.RELAXATION), lane, step + np.uint32(n // 2))
        xi = gaussian(words[n % 2])
        part = np.where(n < whole, xi, last * xi)
        path = np.where(n <= whole, path + part, path)
    return path


def trap_steps(terms, key, cells, own_time, u):
    present, size = philox2x32(key(Purpose.TRAP), cells, 0)
    slowness = philox2x32(key(Purpose.TRAP), cells, 1)[0].astype(np.uint64)
    octave = slowness * np.uint64(terms.trap_octaves) >> np.uint64(32)
    block = own_time >> (np.uint64(terms.trap_shift) + octave)
    word = philox2x32(key(Purpose.TRAP_FILLED), cells, block)[0]
    filled = np.where(word < terms.trap_filled, F(1), F(0))
    height = level(terms.trap_height, u) * (F(1) + F(terms.trap_spread) * gaussian(size))
    return np.where(present <= terms.trap_last, height * (filled - F(terms.trap_mean)), F(0))
