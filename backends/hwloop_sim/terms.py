"""Terms of a tile that depend on the chip's clock, as plain numbers in ticks and device units.

`hwl_terms` of `firmware_stubs/core/terms.h`; docs/array-model.md, section 5, says what is done with
them.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from hwloop.device_file import Conductance, StepModel
from hwloop.device_file.dynamics import MOST_LEVELS, MOST_OCTAVES, ReadNoise, Telegraph

TICK_SECONDS = 1e-9
"""One tick of a virtual array's clock. Seconds."""

Curve = tuple[float, ...]

_OFF = (0.0, 0.0)
_WORDS = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Numbers of all terms; those of a term that is off are 0.

    A level curve is a table of 2 to 33 values at equally spaced values of the argument `u = (w -
    level_low) * level_scale`, cut to 0 to 1.

    Attributes:
        level_low: state at `u = 0`. level_scale: argument per device unit.
        drift_rate: inverse of the onset of the drift, per tick; 0 without drift.
        drift_spread: cell-to-cell spread of the exponent, relative.
        drift_zero: state of conductance 0.
        relaxation_rate: inverse of the onset of the relaxation, per tick; 0 without relaxation.
        noise_shift: the first octave is constant for `2**noise_shift` ticks.
        noise_weights: factor of each octave; none without low-frequency noise.
        trap_octaves: octaves that traps are in; 0 without traps.
        trap_shift: the fastest traps decide anew after `2**trap_shift` ticks.
        trap_last: a cell whose word is at most this has a trap.
        trap_filled: a trap whose word is below this is filled.
        trap_spread: cell-to-cell spread of the height, relative.
        trap_mean: share of the time in which a trap is filled.
        drift_exponent, relaxation_mean, relaxation_std, noise_std, trap_height: level curves.
    """

    level_low: float
    level_scale: float
    drift_rate: float = 0.0
    drift_spread: float = 0.0
    drift_zero: float = 0.0
    relaxation_rate: float = 0.0
    noise_shift: int = 0
    noise_weights: tuple[float, ...] = ()
    trap_octaves: int = 0
    trap_shift: int = 0
    trap_last: int = 0
    trap_filled: int = 0
    trap_spread: float = 0.0
    trap_mean: float = 0.0
    drift_exponent: Curve = _OFF
    relaxation_mean: Curve = _OFF
    relaxation_std: Curve = _OFF
    noise_std: Curve = _OFF
    trap_height: Curve = _OFF

    def pack(self) -> bytes:
        """Return the bytes of `hwl_terms`."""
        numbers = struct.pack(
            "<6f6I2f",
            self.level_low,
            self.level_scale,
            self.drift_rate,
            self.drift_spread,
            self.drift_zero,
            self.relaxation_rate,
            len(self.noise_weights),
            self.noise_shift,
            self.trap_octaves,
            self.trap_shift,
            self.trap_last,
            self.trap_filled,
            self.trap_spread,
            self.trap_mean,
        )
        weights = np.zeros(MOST_OCTAVES, "<f4")
        weights[: len(self.noise_weights)] = self.noise_weights
        curves = (
            self.drift_exponent,
            self.relaxation_mean,
            self.relaxation_std,
            self.noise_std,
            self.trap_height,
        )
        return numbers + weights.tobytes() + b"".join(_packed(curve) for curve in curves)


def terms_of(model: StepModel, conductance: Conductance) -> Terms | None:
    """Return the terms of a device, or None if nothing of it changes with time."""
    numbers: dict[str, object] = {}
    if model.drift is not None:
        numbers |= {
            "drift_rate": TICK_SECONDS / model.drift.onset_seconds,
            "drift_spread": model.drift.exponent_spread,
            "drift_zero": -conductance.middle_siemens / conductance.half_range_siemens,
            "drift_exponent": _curve(model.drift.exponent),
        }
    if model.relaxation is not None:
        numbers |= {
            "relaxation_rate": TICK_SECONDS / model.relaxation.onset_seconds,
            "relaxation_mean": _curve(model.relaxation.mean),
            "relaxation_std": _curve(model.relaxation.std),
        }
    if model.read_noise is not None:
        numbers |= _noise(model.read_noise)
    if model.telegraph is not None and model.telegraph.share > 0:
        numbers |= _traps(model.telegraph)
    if not numbers:
        return None
    scale = 1 / (model.bound_max - model.bound_min)
    return Terms(level_low=model.bound_min, level_scale=scale, **numbers)  # type: ignore[arg-type]


def _noise(noise: ReadNoise) -> dict[str, object]:
    powers = 2.0 ** (np.arange(noise.octaves) * (noise.slope - 1))
    weights = np.sqrt(powers / powers.sum())
    return {
        "noise_shift": _shift(noise.shortest_seconds),
        "noise_weights": tuple(float(w) for w in weights.astype(np.float32)),
        "noise_std": _curve(noise.std),
    }


def _traps(telegraph: Telegraph) -> dict[str, object]:
    return {
        "trap_octaves": telegraph.octaves,
        "trap_shift": _shift(telegraph.shortest_seconds),
        "trap_last": max(round(telegraph.share * _WORDS), 1) - 1,
        "trap_filled": min(round(telegraph.filled * _WORDS), _WORDS - 1),
        "trap_spread": telegraph.height_spread,
        "trap_mean": telegraph.filled,
        "trap_height": _curve(telegraph.height),
    }


def _shift(seconds: float) -> int:
    """Return the power of two of ticks that is nearest to a time."""
    return max(0, round(math.log2(seconds / TICK_SECONDS)))


def _curve(levels: Curve) -> Curve:
    return levels if len(levels) > 1 else levels * 2


def _packed(curve: Curve) -> bytes:
    assert 2 <= len(curve) <= MOST_LEVELS
    values = np.zeros(MOST_LEVELS, "<f4")
    values[: len(curve)] = curve
    return struct.pack("<I", len(curve)) + values.tobytes()
