"""What a fit gives: a device file where a model stands, figures with intervals, warnings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwloop import device_file
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate, FitBlock
from hwloop.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.95
"""Confidence level of intervals."""

Z = 1.959963984540054
"""Standard errors on each side of a value at that level."""


@dataclass(frozen=True)
class Fit:
    """A fit of measured data.

    Attributes:
        kind: kind of the data.
        block: parameters, figures, goodness of fit and warnings.
        model_device: the device file, or None where the data makes no whole model.
        draw: draws data, fit and residuals.
        details: what plots and further fits use, by name.
    """

    kind: str
    block: FitBlock
    model_device: DeviceFile | None = None
    draw: Callable[[], Figure] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> DeviceFile:
        """The fitted device file.

        Raises:
            ConfigurationError: data of this kind makes a part of a device file only.
        """
        if self.model_device is None:
            raise ConfigurationError(
                f"{self.kind} data alone makes no device model: {'; '.join(self.block.warnings)}",
                remedy="give the device file that this part belongs to: --base DEVICE.yaml, or "
                "fit(..., base=device)",
            )
        return self.model_device

    @property
    def parameters(self) -> Mapping[str, Estimate]:
        """Fields of the device file with their intervals, by path."""
        return self.block.parameters

    @property
    def figures(self) -> Mapping[str, Estimate]:
        """Other figures of the data with their intervals, by name."""
        return self.block.figures

    @property
    def goodness(self) -> Mapping[str, float]:
        """How well the model fits."""
        return self.block.goodness

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever uses the numbers should know."""
        return self.block.warnings

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the device file, and the table of its cells as `NAME.cells.csv` beside it.

        Raises:
            ConfigurationError: there is no whole model, or the file cannot be written.
        """
        device, table = self.device, self.device.measured_cells
        if table is not None:
            device = device.with_cells(table, f"{Path(path).stem}.cells.csv")
        device_file.save(device, path)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw data, fit and residuals into a PNG, SVG or PDF file.

        Raises:
            ConfigurationError: the file cannot be written, or there is nothing to draw.
        """
        if self.draw is None:
            raise ConfigurationError(f"fits of {self.kind} data have no picture")
        from hwloop.characterization.fits.plots import write

        write(self.draw(), Path(path))


def block(
    measurement: Measurement,
    *,
    parameters: Mapping[str, Estimate] | None = None,
    figures: Mapping[str, Estimate] | None = None,
    goodness: Mapping[str, float] | None = None,
    warnings: tuple[str, ...] = (),
) -> FitBlock:
    """Return the block of a fit of some data."""
    header = measurement.header
    source = f"{header.name} ({header.kind})"
    if header.table is not None:
        source += f", table SHA-256 {header.table.sha256}"
    return FitBlock(
        data=source,
        cells=len(measurement.cells) if "cell" in measurement.columns else 0,
        rows=measurement.rows,
        level=LEVEL,
        parameters=dict(parameters or {}),
        figures=dict(figures or {}),
        goodness=dict(goodness or {}),
        warnings=warnings,
    )


def plain(value: float, error: float | None = None, why: str = "") -> Estimate:
    """Return an estimate with a symmetric interval of `Z` standard errors, if there is one."""
    if error is None:
        return Estimate(value=float(value), why=why)
    low, high = float(value - Z * error), float(value + Z * error)
    return Estimate(value=float(value), low=low, high=high, why=why)


def unknown(
    why: str, value: float | None = None, low: float | None = None, high: float | None = None
) -> Estimate:
    """Return an estimate that the data does not decide."""
    return Estimate(value=value, low=low, high=high, identified=False, why=why)
