"""Pulse planning: from the vectors of an outer-product update to codes, train lengths and gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop.operations import GAIN_ONE, IntArray, code_dtype

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int32]

_DITHER = np.float32(2**-16)
# float32 has no digits left for a dither in larger codes; they are rounded to the nearest.
_DITHERED_MAX = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class PlannedUpdate:
    """An outer-product update as the converters take it; fields as in `operations.OuterUpdate`.

    Attributes:
        x_codes: shape (samples, columns).
        d_codes: shape (samples, rows).
        lengths: slots per sample, int32, shape (samples,).
        gains: gain of both sides, int32, shape (samples,).
    """

    x_codes: IntArray
    d_codes: IntArray
    lengths: Ints
    gains: Ints


def peaks(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest magnitude of each vector, float64, shape (samples,)."""
    largest: NDArray[np.float32] = np.maximum(
        vectors.max(axis=1, initial=0), -vectors.min(axis=1, initial=0)
    )
    if not np.isfinite(largest).all():
        raise ConfigurationError(
            "an update holds NaN or infinite values",
            remedy="look for a training that has diverged: lower the learning rate",
        )
    return largest.astype(np.float64)


def plan_update(
    x: NDArray[np.float32],
    d: NDArray[np.float32],
    x_peaks: Floats,
    d_peaks: Floats,
    pulses: Floats,
    *,
    l_max: int,
    code_max: int,
    generator: np.random.Generator,
) -> PlannedUpdate:
    """Plan updates by `pulses / (x_peak d_peak) * d x^T` expected pulses per sample.

    The largest cross-point of a sample expects k = `pulses`. The train is as short as possible,
    BL = min(ceil(k), l_max), and both sides fire with the same largest probability sqrt(k / BL)
    (balanced update management; Gokmen, Onen and Haensch 2017; aihwkit's `update_management` and
    `update_bl_management`). If k > l_max, the largest entries of d are cut to the l_max / k part of
    its peak, so that l_max pulses are expected at most and smaller entries keep their expectation.
    The probability scale goes to the gains and codes use their whole range, so that small errors
    keep their resolution; codes are rounded stochastically, so that expectations are exact.

    Args:
        x: float32, shape (samples, columns).
        d: float32, shape (samples, rows).
        x_peaks, d_peaks: `peaks` of both, shape (samples,).
        pulses: expected pulses at the largest cross-point, shape (samples,).
        l_max: longest train.
        code_max: largest update code of the tile.
        generator: source of the rounding.
    """
    active = (x_peaks > 0) & (d_peaks > 0) & (pulses > 0)
    k = np.where(active, pulses, 0.0)
    lengths = np.minimum(np.ceil(k), l_max)
    power = np.minimum(k, l_max) / np.maximum(lengths, 1)
    gains = np.maximum(np.rint(GAIN_ONE * np.sqrt(power)), 1)
    x_scale = code_max / np.where(active, x_peaks, 1)
    d_scale = code_max * np.maximum(k / l_max, 1) / np.where(active, d_peaks, 1)
    return PlannedUpdate(
        _encode(x, x_scale, code_max, generator),
        _encode(d, d_scale, code_max, generator),
        lengths.astype(np.int32),
        gains.astype(np.int32),
    )


def _encode(
    vectors: NDArray[np.float32], scale: Floats, code_max: int, generator: np.random.Generator
) -> IntArray:
    """Round scaled vectors stochastically to codes, and cut them."""
    codes = vectors * scale.astype(np.float32)[:, None]
    if code_max > _DITHERED_MAX:
        np.rint(codes, out=codes)
    else:
        # Raw words are several times faster than the generator's own distributions.
        words = generator.bit_generator.random_raw(-(-codes.size // 4)).view(np.uint16)
        dither = np.multiply(words[: codes.size], _DITHER, dtype=np.float32)
        codes += dither.reshape(codes.shape)
        np.floor(codes, out=codes)
    # The sum may round up to code_max + 1 in float32.
    limit = np.float32(code_max)
    np.minimum(codes, limit, out=codes)
    np.maximum(codes, -limit, out=codes)
    return codes.astype(code_dtype(code_max))
