"""Counter-based random numbers: those of virtual arrays, and the host's own.

A virtual array draws with Philox4x32-10 (keys) and Philox2x32-10 (words) of Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3" (SC 2011); `docs/array-model.md`, section 2, gives the
layout. Here they are in numpy, for hosts that predict an array's numbers and as the oracle of the C
core. What the host draws for itself (chopper flips, rounding of codes, populations) comes from
`host_generator`. Nothing here keeps a state.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint32]

GENERATOR = "philox2x32-10"
"""Name of the generator of seeded updates, as capabilities give it."""

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_PHILOX2_MULTIPLIER = np.uint64(0xD256D193)
_PHILOX4_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10


class Purpose(IntEnum):
    """What numbers are drawn for."""

    PULSE = 1
    X_TRAINS = 2
    D_TRAINS = 3
    OUTPUT_FORWARD = 4
    OUTPUT_BACKWARD = 5
    INPUT_FORWARD = 6
    INPUT_BACKWARD = 7
    CELL_READ = 8
    DRIFT = 9
    EPOCH = 10
    RELAXATION = 11
    READ_NOISE = 12
    TRAP = 13
    TRAP_FILLED = 14


def _wide(values: ArrayLike) -> NDArray[np.uint64]:
    return np.asarray(values).astype(np.uint64) & _LOW


def philox2x32(key: int, counter_0: ArrayLike, counter_1: ArrayLike) -> tuple[Words, Words]:
    """Return both words of Philox2x32-10.

    Args:
        key: 32-bit key.
        counter_0, counter_1: 32-bit words of the counters, of any shapes that broadcast.
    """
    right, left = np.broadcast_arrays(_wide(counter_0), _wide(counter_1))
    for i in range(_ROUNDS):
        round_key = np.uint64((key + i * _WEYL[0]) & 0xFFFFFFFF)
        product = right * _PHILOX2_MULTIPLIER
        right, left = (product >> _HALF) ^ round_key ^ left, product & _LOW
    return right.astype(np.uint32), left.astype(np.uint32)


def philox4x32(
    key: tuple[int, int],
    counter_0: ArrayLike,
    counter_1: ArrayLike,
    counter_2: ArrayLike,
    counter_3: ArrayLike,
) -> tuple[Words, Words, Words, Words]:
    """Return the four words of Philox4x32-10.

    Args:
        key: two 32-bit words.
        counter_0, counter_1, counter_2, counter_3: 32-bit words of the counters, of any shapes
            that broadcast.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(
        _wide(counter_0), _wide(counter_1), _wide(counter_2), _wide(counter_3)
    )
    for i in range(_ROUNDS):
        key_0 = np.uint64((key[0] + i * _WEYL[0]) & 0xFFFFFFFF)
        key_1 = np.uint64((key[1] + i * _WEYL[1]) & 0xFFFFFFFF)
        product_0, product_1 = c0 * _PHILOX4_MULTIPLIERS[0], c2 * _PHILOX4_MULTIPLIERS[1]
        c0, c1 = (product_1 >> _HALF) ^ c1 ^ key_0, product_1 & _LOW
        c2, c3 = (product_0 >> _HALF) ^ c3 ^ key_1, product_0 & _LOW
    return c0.astype(np.uint32), c1.astype(np.uint32), c2.astype(np.uint32), c3.astype(np.uint32)


def operation_key(seed: int, ordinal: int, tile: int, purpose: Purpose) -> int:
    """Return the 32-bit key of an operation's numbers.

    Args:
        seed: 64-bit seed of the array.
        ordinal: noise ordinal of the operation, 64 bits.
        tile: index of the tile.
        purpose: what the numbers are for.
    """
    halves = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)
    words = philox4x32(halves, ordinal & 0xFFFFFFFF, ordinal >> 32 & 0xFFFFFFFF, tile, int(purpose))
    return int(words[0])


def gaussian(words: ArrayLike) -> NDArray[np.float32]:
    """Return a Gaussian of mean 0 and variance 1 for each word.

    A binomial of 20 bits plus a triangular dither: excess kurtosis -0.09, magnitudes below 4.84.
    """
    u = np.asarray(words, dtype=np.uint32)
    dither = (u & np.uint32(63)) + (u >> np.uint32(6) & np.uint32(63))
    z = 64 * np.bitwise_count(u >> np.uint32(12)).astype(np.int32) + dither.astype(np.int32) - 703
    xi: NDArray[np.float32] = z.astype(np.float32) * np.float32(0.00687408913)
    return xi


def train_bits(
    key: int, codes: NDArray[np.integer[Any]], gain: int, length: int, *, sample: int, code_max: int
) -> NDArray[np.bool_]:
    """Return in which slots the lines of one side of an outer-product update fire.

    Args:
        key: `operation_key` of `Purpose.X_TRAINS` or `Purpose.D_TRAINS`.
        codes: signed codes, shape (lines,).
        gain: 1 to 65536.
        length: slots of the sample.
        sample: index of the sample in its operation.
        code_max: largest code; at gain 65536 it fires in every slot.

    Returns:
        Shape (length, lines).
    """
    slots = np.arange(length)[:, None]
    lines = np.arange(len(codes))[None, :]
    first, second = philox2x32(key, lines, sample << 8 | slots >> 1)
    words = np.where(slots & 1, second, first).astype(np.uint64)
    magnitudes = np.abs(codes.astype(np.int64)).astype(np.uint64)
    thresholds = (magnitudes * np.uint64(gain * 65536) + np.uint64(code_max - 1)) // np.uint64(
        code_max
    )
    fires: NDArray[np.bool_] = words < thresholds
    return fires


def host_generator(seed: int, purpose: str, *ordinals: int) -> np.random.Generator:
    """Return the host's generator for one purpose and place in a run, from nothing but both.

    Args:
        seed: seed of the run or array.
        purpose: what the numbers are for, such as `"chopper"`.
        ordinals: where in the run they are drawn, such as a step and a layer.
    """
    text = "/".join([str(seed), purpose, *map(str, ordinals)])
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))
