"""Random numbers: published vectors in C and numpy, and the statistics of what is made of them."""

import ctypes

import numpy as np
import pytest

from hwloop import random
from hwloop_sim import core

ONES = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)

# Random123's known-answer vectors (kat_vectors): counter, key, answer.
PHILOX2 = [
    ((0, 0), 0, (0xFF1DAE59, 0x6CD10DF2)),
    ((ONES, ONES), ONES, (0x2C3F628B, 0xAB4FD7AD)),
    (PI[:2], PI[2], (0xDD7CE038, 0xF62A4C12)),
]
PHILOX4 = [
    ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI[:4], PI[4:], (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), PHILOX2)
def test_philox2x32_known_answers(counter, key, answer):
    assert tuple(int(w) for w in random.philox2x32(key, *counter)) == answer
    words = (ctypes.c_uint32 * 2)(*counter)
    core.library().hwl_philox2x32(key, words)
    assert tuple(words) == answer


@pytest.mark.parametrize(("counter", "key", "answer"), PHILOX4)
def test_philox4x32_known_answers(counter, key, answer):
    assert tuple(int(w) for w in random.philox4x32(key, *counter)) == answer
    words, keys = (ctypes.c_uint32 * 4)(*counter), (ctypes.c_uint32 * 2)(*key)
    core.library().hwl_philox4x32(keys, words)
    assert tuple(words) == answer


def test_keys_are_the_cores():
    rng = np.random.default_rng(1)
    for _ in range(50):
        seed, ordinal = (int(n) for n in rng.integers(0, 2**64, 2, dtype=np.uint64))
        for purpose in random.Purpose:
            ours = random.operation_key(seed, ordinal, 7, purpose)
            assert ours == core.library().hwl_key(seed, ordinal, 7, purpose)


def test_gaussian_moments():
    # 2**22 numbers: bounds are 5 standard errors, 1/sqrt(n), sqrt(2/n) and sqrt(24/n).
    n = 2**22
    words, others = random.philox2x32(5, np.arange(n), 3)
    xi = random.gaussian(words).astype(float)
    eta = random.gaussian(others).astype(float)
    assert abs(xi.mean()) < 5 / n**0.5
    assert abs((xi**2).mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs((xi**3).mean()) < 5 * (15 / n) ** 0.5
    # Excess kurtosis: -2 / 20 by the binomial's share of the variance, squared, plus the dither's.
    assert abs((xi**4).mean() - (3 - 0.0938)) < 5 * (96 / n) ** 0.5
    assert abs((xi * eta).mean()) < 5 / n**0.5
    assert np.abs(xi).max() < 4.84


def test_gaussian_variance_is_exactly_one():
    # Independent parts of a word: 20 bits of weight 64, and two uniform numbers from 0 to 63.
    dither = np.add.outer(np.arange(64), np.arange(64)).ravel()
    variance = 64**2 * 20 / 4 + dither.var()
    scale = float(random.gaussian(np.uint32(1))) - float(random.gaussian(np.uint32(0)))
    assert variance == 21162.5
    assert variance * scale**2 == pytest.approx(1, abs=1e-5)


def test_train_bits_have_the_asked_probability():
    lines, length, samples = 4096, 31, 8
    codes = np.full(lines, -40, np.int32)
    gain = 30000
    fires = np.stack(
        [random.train_bits(9, codes, gain, length, sample=s, code_max=127) for s in range(samples)]
    )
    p = 40 / 127 * gain / 65536
    n = fires.size
    assert abs(fires.mean() - p) < 5 * (p * (1 - p) / n) ** 0.5
    # Neighbouring slots (which share a counter), samples and lines are independent.
    for axis in range(3):
        a, b = np.moveaxis(fires, axis, 0)[:-1], np.moveaxis(fires, axis, 0)[1:]
        assert abs((a & b).mean() - p * p) < 5 * (p * p / a.size) ** 0.5 * 1.2


def test_largest_code_at_full_gain_always_fires_and_zero_never():
    codes = np.array([127, -127, 0], np.int32)
    fires = random.train_bits(3, codes, 65536, 255, sample=0, code_max=127)
    assert fires[:, :2].all() and not fires[:, 2].any()


def test_host_generator_depends_on_everything():
    def draw(*arguments):
        return random.host_generator(*arguments).integers(0, 2**63, 4).tolist()

    assert draw(1, "chopper", 2) == draw(1, "chopper", 2)
    others = [(2, "chopper", 2), (1, "rounding", 2), (1, "chopper", 3), (1, "chopper"), (1, "c")]
    assert len({str(draw(*a)) for a in others} | {str(draw(1, "chopper", 2))}) == 6
