"""The converters at the edges of a simulated tile, and their noise."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop.random import host_generator

Bits = int
LineErrors = tuple[NDArray[np.float32], NDArray[np.float32]]


def _require(name: str, value: object, fine: bool, expected: str) -> None:
    if not fine:
        raise ConfigurationError(f"periphery: {name} = {value}: should be {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Periphery:
    """Settings of a tile's converters; each field is an option of a backend URL.

    A converter of n bits has the codes -(2**(n - 1) - 1) to 2**(n - 1) - 1. Inputs are in *full
    inputs* (1 is the largest DAC code on one line), outputs in *device units x full inputs*: one
    cell of state 1 at full input gives 1. The defaults of vector-matrix reads are aihwkit's: 7 and
    9 bits, range 12, noise 0.06 (`IOParameters`).
    """

    dac_bits: Bits = 7
    """Bits of the codes that drive the lines of a vector-matrix read, 2 to 24."""

    adc_bits: Bits = 9
    """Bits of the codes of a vector-matrix read, 2 to 24."""

    adc_range_forward: float = 12.0
    """Output at the largest code of a forward read. Device units x full inputs."""

    adc_range_backward: float = 12.0
    """Output at the largest code of a backward read. Device units x full inputs."""

    cell_adc_bits: Bits = 12
    """Bits of the codes of a cell read, 2 to 24."""

    cell_adc_range: float = 4.0
    """Output at the largest code of a cell read, which drives one full input. Device units x full
    inputs."""

    output_noise: float = 0.06
    """Standard deviation of one conversion, of cell reads too. Device units x full inputs."""

    input_noise: float = 0.0
    """Standard deviation of what a driven line carries, 0 to 1; only with `dac_bits` up to 16.
    Full inputs."""

    cell_bits: Bits = 16
    """Width of the integers that reads compute with, 16 or 24: a plane has 2**(cell_bits - 1) - 1
    levels from minus to plus the full scale of the tile."""

    gain_spread: float = 0.0
    """Line-to-line spread of the gain of the converters, 0 to 0.2: a converter sees `gain * y +
    offset`, with `gain = 1 + gain_spread * xi`, constant for life. Nothing shows it but a
    calibration. Relative."""

    offset_spread: float = 0.0
    """Line-to-line spread of the offset of the converters, 0 to 0.2. Relative to the range of the
    converter."""

    update_bits: Bits = 8
    """Bits of the codes of an outer-product update, 2 to 24."""

    longest_train: int = 255
    """Most slots of one sample of an outer-product update, 1 to 255."""

    read_seconds: float = 80e-9
    """Chip time of one read of all lines; an assumption. Seconds."""

    def __post_init__(self) -> None:
        """Refuse what the converters cannot be."""
        for name in ("dac_bits", "adc_bits", "cell_adc_bits", "update_bits"):
            _require(name, getattr(self, name), 2 <= getattr(self, name) <= 24, "2 to 24")
        _require("cell_bits", self.cell_bits, self.cell_bits in (16, 24), "16 or 24")
        _require("longest_train", self.longest_train, 1 <= self.longest_train <= 255, "1 to 255")
        for name in ("adc_range_forward", "adc_range_backward", "cell_adc_range", "read_seconds"):
            value = getattr(self, name)
            _require(name, value, 0 < value < math.inf, "a positive number")
        _require(
            "output_noise", self.output_noise, 0 <= self.output_noise < math.inf, "0 or positive"
        )
        _require("input_noise", self.input_noise, 0 <= self.input_noise <= 1, "0 to 1")
        for name in ("gain_spread", "offset_spread"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 0.2, "0 to 0.2")
        if self.input_noise:
            # 24-bit cells times noisy 16-bit codes still sum up in 64 bits over any line.
            _require("dac_bits", self.dac_bits, self.dac_bits <= 16, "2 to 16 with input noise")

    def line_errors(
        self, rows: int, cols: int, *, seed: int, tile: int
    ) -> tuple[LineErrors, LineErrors, LineErrors] | None:
        """Return what the converters of a tile do to their inputs, or None for nothing.

        Args:
            rows, cols: shape of the tile.
            seed: of the array.
            tile: index of the tile.

        Returns:
            Gains and offsets (device units x full inputs) by output line, float32: those of forward
            reads, shape (rows,), of backward reads, shape (cols,), and of cell reads, shape
            (rows,).
        """
        if not self.gain_spread and not self.offset_spread:
            return None
        edges = (rows, rows + cols)
        total = 2 * rows + cols
        gains, offsets = (
            np.split(host_generator(seed, f"periphery.{name}", tile).standard_normal(total), edges)
            for name in ("gain", "offset")
        )
        ranges = (self.adc_range_forward, self.adc_range_backward, self.cell_adc_range)
        forward, backward, cells = (
            (
                (1 + self.gain_spread * gain).astype(np.float32),
                (self.offset_spread * bound * offset).astype(np.float32),
            )
            for gain, offset, bound in zip(gains, offsets, ranges, strict=True)
        )
        return forward, backward, cells

    @property
    def average_max(self) -> int:
        """Most cell reads that are summed, so that sums fit in 32 bits."""
        return min(4096, (2**31 - 1) // code_max(self.cell_adc_bits))


def code_max(bits: Bits) -> int:
    """Return the largest code of a converter of that many bits."""
    return (1 << (bits - 1)) - 1


PERIPHERIES: dict[str, Periphery] = {
    "default": Periphery(),
    "ideal": Periphery(
        dac_bits=24,
        adc_bits=24,
        adc_range_forward=128.0,
        adc_range_backward=128.0,
        cell_adc_bits=24,
        output_noise=0.0,
        cell_bits=24,
        update_bits=24,
    ),
}
"""Settings by name, for the option `periphery`."""

FIELDS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Periphery))
"""Names of the settings, as options of a backend URL."""


def from_options(options: dict[str, str]) -> Periphery:
    """Return the settings that options ask for: a named set, and fields that differ from it.

    Args:
        options: `periphery` and fields of `Periphery`, as text.

    Raises:
        ConfigurationError: no such set, or a value that does not fit.
    """
    name = options.get("periphery", "default")
    if name not in PERIPHERIES:
        raise ConfigurationError(
            f"option periphery={name}: no such periphery",
            remedy=f"use one of {', '.join(PERIPHERIES)}",
        )
    base = PERIPHERIES[name]
    changes: dict[str, int | float] = {}
    for field, text in options.items():
        if field == "periphery":
            continue
        convert = int if isinstance(getattr(base, field), int) else float
        try:
            changes[field] = convert(text)
        except ValueError:
            what = "a whole number" if convert is int else "a number"
            raise ConfigurationError(f"option {field}={text}: should be {what}") from None
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]
