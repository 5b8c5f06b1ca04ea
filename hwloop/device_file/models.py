"""The families of step curves: what one pulse does to a cell, and how cells differ from each other.

A state `w` is in device units (`DeviceFile.conductance` maps them to siemens). An up pulse adds
`a_up * f_up(w)`, a down pulse takes `a_down * f_down(w)` away; then `w` is cut to the cell's
bounds. The family gives the curves `f`, the common fields give everything else. `xi` is a fresh
standard normal number.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hwloop.device_file.base import Frozen as Frozen
from hwloop.device_file.base import Noise, Spread, Units
from hwloop.device_file.dynamics import Drift, ReadNoise, Relaxation, Telegraph

Floats = NDArray[np.float64]


class Reference(Frozen):
    """Reference plane: a fixed value per cell that a difference read takes away.

    `r = w* + mean + std * xi` with the symmetry point `w*`, or 0 in its place. Device units.
    """

    mean: Units = 0.0
    """Mean offset, the skew of the symmetry point. Device units. aihwkit: `reference_mean`."""

    std: Spread = 0.0
    """Cell-to-cell standard deviation of the offset. Device units. aihwkit: `reference_std`."""

    subtract_symmetry_point: bool = False
    """Whether `r` holds the cell's symmetry point `w*`, where up and down steps are equal, as if
    zero-shifting had been perfect. aihwkit: `subtract_symmetry_point`."""


class StepModel(Frozen):
    """Fields common to all families.

    Construction of a cell, `xi` drawn once per cell and field:

    - `gain = 1 + step_spread * xi`, or `exp(step_spread * xi)` if log-normal;
    - `rho = up_down_spread * xi`, one for both directions;
    - `a_up = |step * (gain + min(up_down, 0) + rho)|`, `a_down = |step * (gain - max(up_down, 0)
      - rho)|`;
    - bounds `bound_max * (1 + bound_max_spread * xi)` and likewise the lower one, each kept on
      its side of 0.
    """

    step: float = Field(gt=0, le=100)
    """Step scale `a` of a cell with gain 1. Device units per pulse. aihwkit: `dw_min`; papers:
    delta."""

    step_spread: Spread = 0.0
    """Cell-to-cell spread of the gain. Relative to `step`. aihwkit: `dw_min_dtod`."""

    step_distribution: Literal["normal", "log_normal"] = "normal"
    """Distribution of the gain. aihwkit: `dw_min_dtod_log_normal`."""

    up_down: float = Field(default=0.0, ge=-1, le=1)
    """Imbalance: positive shrinks the down step by this fraction, negative the up step. aihwkit:
    `up_down`."""

    up_down_spread: Spread = 0.0
    """Cell-to-cell spread of the imbalance, which acts on both directions with opposite signs.
    Relative to `step`. aihwkit: `up_down_dtod`; Rasch 2024: sigma_pm."""

    bound_max: float = Field(ge=0, le=100)
    """Mean upper bound of the state. Device units. aihwkit: `w_max`."""

    bound_min: float = Field(ge=-100, le=0)
    """Mean lower bound of the state. Device units. aihwkit: `w_min`."""

    bound_max_spread: Spread = 0.0
    """Cell-to-cell spread of the upper bound. Relative to `bound_max`. aihwkit: `w_max_dtod`."""

    bound_min_spread: Spread = 0.0
    """Cell-to-cell spread of the lower bound. Relative to `bound_min`. aihwkit: `w_min_dtod`."""

    bound_rule: Literal["folded", "clamped"] = "folded"
    """What becomes of a bound drawn on the wrong side of 0: its magnitude is kept (`folded`, as
    aihwkit does), or it is set to 0 (`clamped`, as Rasch 2024 does)."""

    cycle_noise: Noise = 0.0
    """Cycle-to-cycle noise `s` of one pulse. Relative to the step. aihwkit: `dw_min_std`."""

    cycle_noise_kind: Literal["multiplicative", "additive"] = "multiplicative"
    """Whether a pulse moves by `a * f(w) * (1 + s * xi)`, or by `a * (f(w) + s * xi)`. aihwkit:
    `mult_noise`."""

    write_noise: Noise = 0.0
    """What a read sees after a pulse is `w + write_noise * step * xi`; `w` itself is kept. In
    units of `step`. aihwkit: `write_noise_std`."""

    write_noise_memory: float = Field(default=0.0, ge=0, lt=1)
    """Share `rho` of the write noise that the next pulse leaves: the noise after a pulse is `rho`
    times that before it plus a fresh one, so that it correlates by `rho**n` over `n` pulses, and
    its standard deviation is that of the fresh one divided by `sqrt(1 - rho**2)`."""

    corrupt_probability: float = Field(default=0.0, ge=0, le=1)
    """Share of cells that are stuck. aihwkit: `corrupt_devices_prob`."""

    corrupt_range: float | None = Field(default=None, gt=0)
    """Stuck cells are uniform between their bounds, cut to this magnitude; None does not cut.
    Device units. aihwkit: `corrupt_devices_range`."""

    reference: Reference | None = None
    """Reference plane, or None if the cells have none."""

    relaxation: Relaxation | None = None
    """Change after a pulse that grows with the logarithm of time, or None."""

    drift: Drift | None = None
    """Power law of the conductance after a pulse, or None."""

    read_noise: ReadNoise | None = None
    """Low-frequency noise of reads, or None."""

    telegraph: Telegraph | None = None
    """Random telegraph noise of reads, or None."""

    @model_validator(mode="after")
    def _range_is_open(self) -> StepModel:
        if self.bound_max - self.bound_min < 1e-6:
            raise ValueError("bound_max should be above bound_min by at least 1e-6")
        if (
            self.reference
            and self.reference.subtract_symmetry_point
            and not self.has_symmetry_point
        ):
            raise ValueError(
                "reference.subtract_symmetry_point should be false: steps that are the same in "
                "every state have no symmetry point"
            )
        return self

    @property
    def has_symmetry_point(self) -> bool:
        """Whether the curves depend on the state, so that up and down steps can meet."""
        return True

    @abstractmethod
    def curves(self, w: Floats) -> tuple[Floats, Floats]:
        """Return `f_up(w)` and `f_down(w)` of a cell with the mean bounds; both are magnitudes."""

    @property
    def granularity(self) -> float:
        """Mean |step| at w = 0 over both directions, in device units: the delta of the papers.

        It is that of a cell with gain 1 (the median cell if the gain is log-normal) and counts
        the imbalance: `step / 2 * ((1 + min(up_down, 0)) * f_up(0) + (1 - max(up_down, 0)) *
        f_down(0))`. aihwkit takes `dw_min` for most families, and for exponential steps averages
        the down step with itself.
        """
        up, down = (float(f[0]) for f in self.curves(np.zeros(1)))
        return self.step / 2 * ((1 + min(self.up_down, 0)) * up + (1 - max(self.up_down, 0)) * down)

    @property
    def states(self) -> float:
        """Number of states, `(bound_max - bound_min) / granularity`."""
        return (self.bound_max - self.bound_min) / self.granularity


class ConstantStep(StepModel):
    """Constant steps: `f_up = f_down = 1`. aihwkit: `ConstantStepDevice`."""

    kind: Literal["constant_step"] = "constant_step"

    @property
    def has_symmetry_point(self) -> bool:
        """False: the steps are the same in every state."""
        return False

    def curves(self, w: Floats) -> tuple[Floats, Floats]:
        """Return ones."""
        return np.ones_like(w), np.ones_like(w)


class LinearStep(StepModel):
    """Steps that change linearly with the state. aihwkit: `LinearStepDevice`.

    `f_up = 1 - G_up * w / ref_max`, `f_down = 1 - G_down * w / ref_min`.
    """

    kind: Literal["linear_step"] = "linear_step"

    gamma_up: Units = 0.0
    """Share of the up step that is lost at the reference bound, mean of `G_up`. aihwkit:
    `gamma_up`."""

    gamma_down: Units = 0.0
    """Share of the down step that is lost at the reference bound, mean of `G_down`. aihwkit:
    `gamma_down`."""

    gamma_up_spread: Spread = 0.0
    """Cell-to-cell spread: `G_up = |gamma_up + gamma_up_spread * xi|`. Absolute. aihwkit:
    `gamma_up_dtod`."""

    gamma_down_spread: Spread = 0.0
    """Cell-to-cell spread: `G_down = |gamma_down + gamma_down_spread * xi|`. Absolute. aihwkit:
    `gamma_down_dtod`."""

    allow_increasing: bool = False
    """Whether `G` keeps a negative sign, so that steps may grow towards the bound. aihwkit:
    `allow_increasing`."""

    mean_bound_reference: bool = True
    """Whether `ref_max` and `ref_min` are the mean bounds, or the cell's own. aihwkit:
    `mean_bound_reference`."""

    @property
    def has_symmetry_point(self) -> bool:
        """Whether any slope is not 0."""
        slopes = (self.gamma_up, self.gamma_down, self.gamma_up_spread, self.gamma_down_spread)
        return any(slopes)

    def curves(self, w: Floats) -> tuple[Floats, Floats]:
        """Return straight lines through 1 at w = 0."""
        gamma_up, gamma_down = self.gamma_up, self.gamma_down
        if not self.allow_increasing:
            gamma_up, gamma_down = abs(gamma_up), abs(gamma_down)
        up, down = inverse(np.array([self.bound_max, self.bound_min]))
        return 1 - gamma_up * up * w, 1 - gamma_down * down * w


class SoftBounds(StepModel):
    """Steps that fade linearly to nothing at the cell's own bounds.

    `f_up = 1 - w / b_max`, `f_down = 1 - w / b_min`; a bound at 0 has no slope. aihwkit:
    `SoftBoundsDevice`, and with a reference plane `SoftBoundsReferenceDevice`.
    """

    kind: Literal["soft_bounds"] = "soft_bounds"

    slope_up_spread: Spread = 0.0
    """Cell-to-cell spread of the slope of the up steps, which moves the bound: `b_max / |1 +
    slope_up_spread * xi|`. Relative. aihwkit: `slope_up_dtod`."""

    slope_down_spread: Spread = 0.0
    """Cell-to-cell spread of the slope of the down steps, which moves the bound:
    `b_min / |1 + slope_down_spread * xi|`. Relative. aihwkit: `slope_down_dtod`."""

    def curves(self, w: Floats) -> tuple[Floats, Floats]:
        """Return straight lines that reach 0 at the mean bounds; a bound at 0 has no slope."""
        up, down = inverse(np.array([self.bound_max, self.bound_min]))
        return 1 - up * w, 1 - down * w


class TabulatedModel(StepModel):
    """Base of the families whose curves become tables, one pair for all cells of a tile.

    The argument `u` of the tables is in [0, 1].
    """

    @model_validator(mode="after")
    def _moves_at_zero(self) -> TabulatedModel:
        if not self.granularity > 0:
            raise ValueError("the curves should give a step at w = 0")
        return self

    @abstractmethod
    def table_curves(self, u: Floats) -> tuple[Floats, Floats]:
        """Return `f_up` and `f_down` over the argument; both are magnitudes."""

    @abstractmethod
    def argument(self, bound_max: Floats, bound_min: Floats) -> tuple[Floats, Floats]:
        """Return per cell the scale and offset of the argument, `u = w * scale + offset`."""

    def curves(self, w: Floats) -> tuple[Floats, Floats]:
        """Return the curves of a cell with the mean bounds."""
        scale, offset = self.argument(np.array([self.bound_max]), np.array([self.bound_min]))
        return self.table_curves(np.clip(w * scale + offset, 0, 1))


class ExponentialStep(TabulatedModel):
    """Steps that change exponentially with the state.

    `f_up = max(1 - A_up * exp(gamma_up * z), 0)`, `f_down = max(1 - A_down * exp(-gamma_down * z),
    0)` with `z = 2 * a * w / (b_max - b_min) + b`. aihwkit: `ExpStepDevice` without noise that
    depends on the state (`dw_min_std_add`, `dw_min_std_slope`).
    """

    kind: Literal["exponential_step"] = "exponential_step"

    A_up: float = Field(ge=-1e6, le=1e6)
    """Factor of the up curve. aihwkit: `A_up`."""

    A_down: float = Field(ge=-1e6, le=1e6)
    """Factor of the down curve. aihwkit: `A_down`."""

    gamma_up: float = Field(ge=-1e3, le=1e3)
    """Exponent of the up curve. aihwkit: `gamma_up`."""

    gamma_down: float = Field(ge=-1e3, le=1e3)
    """Exponent of the down curve. aihwkit: `gamma_down`."""

    a: Units
    """Slope of `z`. aihwkit: `a`."""

    b: Units = 0.0
    """Offset of `z`. aihwkit: `b`."""

    def table_curves(self, u: Floats) -> tuple[Floats, Floats]:
        """Return the curves over `u = w / (b_max - b_min) / 2 + 1 / 2`."""
        z = self.a * (4 * u - 2) + self.b
        # Beyond exp(60) no step is left to tell apart from none or from the whole range.
        up = np.maximum(1 - self.A_up * np.exp(np.minimum(self.gamma_up * z, 60)), 0)
        down = np.maximum(1 - self.A_down * np.exp(np.minimum(-self.gamma_down * z, 60)), 0)
        return up, down

    def argument(self, bound_max: Floats, bound_min: Floats) -> tuple[Floats, Floats]:
        """Return `1 / (2 * (b_max - b_min))` and 1/2: `u` is in [0, 1] for any bounds."""
        scale = 0.5 * inverse(bound_max - bound_min)
        return scale, np.full_like(scale, 0.5)


class PowerStep(TabulatedModel):
    """Steps that follow a power of the distance to the bound.

    `f_up = (1 - u)**gamma_up`, `f_down = u**gamma_down` with `u = (w - b_min) / (b_max - b_min)`.
    One table serves all cells of a tile, so the exponents have no spread; below 1 the curve is too
    steep at its bound for a table. aihwkit: `PowStepDevice`.
    """

    kind: Literal["power_step"] = "power_step"

    gamma_up: float = Field(ge=1, le=100)
    """Exponent of the up curve. aihwkit: `pow_gamma * (1 + min(pow_up_down, 0))`."""

    gamma_down: float = Field(ge=1, le=100)
    """Exponent of the down curve. aihwkit: `pow_gamma * (1 - max(pow_up_down, 0))`."""

    def table_curves(self, u: Floats) -> tuple[Floats, Floats]:
        """Return the powers."""
        return (1 - u) ** self.gamma_up, u**self.gamma_down

    def argument(self, bound_max: Floats, bound_min: Floats) -> tuple[Floats, Floats]:
        """Return the map of the cell's range to [0, 1]."""
        scale = inverse(bound_max - bound_min)
        return scale, -bound_min * scale


class PiecewiseStep(TabulatedModel):
    """Steps given at equally spaced nodes from the cell's lower to its upper bound.

    The form of a measured curve; linear between the nodes. aihwkit: `PiecewiseStepDevice`.
    """

    kind: Literal["piecewise_step"] = "piecewise_step"

    up: tuple[Annotated[float, Field(ge=0, le=1e6)], ...] = Field(min_length=2, max_length=1025)
    """`f_up` at the nodes. In units of `step`. aihwkit: `piecewise_up`."""

    down: tuple[Annotated[float, Field(ge=0, le=1e6)], ...] = Field(min_length=2, max_length=1025)
    """`f_down` at the nodes, as magnitudes. In units of `step`. aihwkit: `piecewise_down`."""

    @model_validator(mode="after")
    def _same_nodes(self) -> PiecewiseStep:
        if len(self.up) != len(self.down):
            raise ValueError("up and down should have the same number of nodes")
        return self

    def table_curves(self, u: Floats) -> tuple[Floats, Floats]:
        """Return the curves by linear interpolation."""
        nodes = np.linspace(0, 1, len(self.up))
        return np.interp(u, nodes, self.up), np.interp(u, nodes, self.down)

    def argument(self, bound_max: Floats, bound_min: Floats) -> tuple[Floats, Floats]:
        """Return the map of the cell's range to [0, 1]."""
        scale = inverse(bound_max - bound_min)
        return scale, -bound_min * scale


def inverse(width: Floats) -> Floats:
    """Return `1 / width`, and 0 where the width is so small that there is no range to speak of."""
    return np.divide(1.0, width, out=np.zeros_like(width), where=np.abs(width) > 1e-12)


Model = Annotated[
    ConstantStep | LinearStep | SoftBounds | ExponentialStep | PowerStep | PiecewiseStep,
    Field(discriminator="kind"),
]
"""Any family, told by its `kind`."""
