"""Draws the cells of a simulated tile from a device file: device-to-device spread becomes arrays
of parameters.

The arrays are those of docs/array-model.md, section 1. Each field of a cell has its own stream of
random numbers, keyed by (seed, tile, field), so that a field added later leaves the others as they
are. The numbers are numpy's, so equal numpy versions give equal populations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.device_file import (
    DeviceFile,
    LinearStep,
    PiecewiseStep,
    SoftBounds,
    StepModel,
    TabulatedModel,
    override,
)
from hwloop.device_file.models import inverse
from hwloop.errors import ConfigurationError
from hwloop.random import host_generator
from hwloop_sim.measured import Measured
from hwloop_sim.terms import Terms, terms_of

Plane = NDArray[np.float32]
Floats = NDArray[np.float64]

SIGMAS = 4.0
"""Standard deviations of a bound or a reference that the full scale leaves room for; beyond it
they are cut."""

NOISE_SIGMAS = 5.0
"""Standard deviations of write noise that the full scale leaves room for; the array model's
Gaussian has no more."""

AGE_SECONDS = 1e5
"""Age of a cell that the full scale leaves room for. Seconds."""

TABLE_ERROR = 1e-3
"""Largest error of a table, relative to the step scale."""

MOST_KNOTS = 2**14 + 1
"""Most knots of a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The cells of a tile; all planes are float32, shape (rows, cols), in device units, and
    read-only.

    Attributes:
        up_a, up_b, down_a, down_b: step curves. Affine: the step `a + b * w` of a direction, that
            of the down direction negated, so that a step is always added. Tabulated: `a` scales
            the tables, and `up_b`, `down_b` map the state to their argument, `u = w * up_b +
            down_b`.
        bound_max, bound_min: bounds of the state.
        write_noise: standard deviation of the noise that a pulse adds to what reads see.
        reference: reference plane; 0 for a device without one.
        initial: state at the start, within the bounds.
        initial_visible: what a read sees at the start: the reference, so that the difference is 0,
            plus write noise; for a stuck cell its value.
        up_table, down_table: the curves over an argument from 0 to 1, shape (knots,); None for
            affine curves.
        additive: whether cycle-to-cycle noise is added to a step rather than multiplied with it.
        cycle_noise: its standard deviation, relative to the step.
        full_scale: a power of two above bounds, reference, write noise and terms.
        write_memory: share of the write noise that the next pulse leaves.
        terms: what changes with time, or None.
    """

    up_a: Plane
    up_b: Plane
    down_a: Plane
    down_b: Plane
    bound_max: Plane
    bound_min: Plane
    write_noise: Plane
    reference: Plane
    initial: Plane
    initial_visible: Plane
    up_table: Plane | None = None
    down_table: Plane | None = None
    additive: bool
    cycle_noise: float
    full_scale: float
    write_memory: float = 0.0
    terms: Terms | None = None

    def __post_init__(self) -> None:
        """Make the arrays read-only, since tiles may share them."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False


def draw(
    device: DeviceFile,
    rows: int,
    cols: int,
    *,
    seed: int,
    tile: int = 0,
    overrides: Mapping[str, str] | None = None,
) -> Population:
    """Draw the cells of a tile.

    Args:
        device: the device file.
        rows, cols: shape of the tile.
        seed: seed of the array; with `tile` it decides all numbers.
        tile: index of the tile.
        overrides: options that change the device (`hwloop.device_file.OVERRIDES`).

    Raises:
        ConfigurationError: an unknown option, a value that does not fit, curves that no table can
            hold, or a tile that the device's table of cells does not cover.
    """
    device = override(device, overrides or {})
    model = device.model
    draws = _Draws(seed, tile, (rows, cols))
    measured = Measured.of(device, tile, rows, cols)
    full_scale = _full_scale(model, measured.reach)
    up, down = _step_scales(model, draws)
    bound_max, bound_min = _bounds(model, draws)
    up, down = measured.put("step_up", up), measured.put("step_down", down)
    bound_max = measured.put("bound_max", bound_max)
    bound_min = measured.put("bound_min", bound_min)
    if isinstance(model, TabulatedModel):
        tables = _tables(model, device.name)
        up_b, down_b = model.argument(bound_max, bound_min)
    else:
        tables = None
        up_b, down_b = _slopes(model, draws, up, down, bound_max, bound_min)
    drawn_stuck = draws.uniform("corrupt") < model.corrupt_probability
    stuck = measured.put("stuck", drawn_stuck.astype(np.float64)) > 0
    curves = (up, up_b, -down, down_b)
    reference = _reference(model, draws, curves, tables, (bound_max, bound_min), stuck)
    reference = measured.put("reference", reference)
    # Slopes and arguments keep the bounds that were drawn; only where the state is clipped moves.
    bound_max, bound_min = np.minimum(bound_max, full_scale), np.maximum(bound_min, -full_scale)
    reference = np.clip(reference, -full_scale, full_scale)
    visible = measured.put("state", reference)
    if stuck.any():
        limit = math.inf if model.corrupt_range is None else model.corrupt_range
        low, high = np.maximum(bound_min, -limit), np.minimum(bound_max, limit)
        drawn = low + (high - low) * draws.uniform("corrupt_value")
        value = measured.put("state", drawn)[stuck]
        bound_max[stuck] = bound_min[stuck] = visible[stuck] = value
        for plane in (up, up_b, down, down_b):
            plane[stuck] = 0.0
    pulse_noise = np.full((rows, cols), model.write_noise * model.step)
    write_noise = np.where(stuck, 0.0, measured.put("write_noise", pulse_noise))
    # As after many pulses.
    settled = write_noise / math.sqrt(1 - model.write_noise_memory**2)
    planes = {
        "up_a": up,
        "up_b": up_b,
        "down_a": -down,
        "down_b": down_b,
        "bound_max": bound_max,
        "bound_min": bound_min,
        "write_noise": write_noise,
        "reference": reference,
        "initial": np.clip(visible, bound_min, bound_max),
        "initial_visible": visible + settled * draws.normal("initial_visible"),
    }
    return Population(
        **{name: plane.astype(np.float32) for name, plane in planes.items()},
        up_table=tables[0] if tables else None,
        down_table=tables[1] if tables else None,
        additive=model.cycle_noise_kind == "additive",
        cycle_noise=model.cycle_noise,
        full_scale=full_scale,
        write_memory=model.write_noise_memory,
        terms=terms_of(model, device.conductance),
    )


class _Draws:
    """One stream of random numbers for each field of a cell."""

    def __init__(self, seed: int, tile: int, shape: tuple[int, int]) -> None:
        self._seed = seed
        self._tile = tile
        self._shape = shape

    def normal(self, field: str) -> Floats:
        return self._generator(field).standard_normal(self._shape)

    def uniform(self, field: str) -> Floats:
        return self._generator(field).random(self._shape)

    def _generator(self, field: str) -> np.random.Generator:
        return host_generator(self._seed, f"population.{field}", self._tile)


def _step_scales(model: StepModel, draws: _Draws) -> tuple[Floats, Floats]:
    spread = model.step_spread * draws.normal("gain")
    gain = np.exp(spread) if model.step_distribution == "log_normal" else 1 + spread
    rho = model.up_down_spread * draws.normal("up_down")
    up = np.abs(model.step * (gain + min(model.up_down, 0.0) + rho))
    down = np.abs(model.step * (gain - max(model.up_down, 0.0) - rho))
    return up, down


def _bounds(model: StepModel, draws: _Draws) -> tuple[Floats, Floats]:
    bound_max = model.bound_max * (1 + model.bound_max_spread * draws.normal("bound_max"))
    bound_min = model.bound_min * (1 + model.bound_min_spread * draws.normal("bound_min"))
    if model.bound_rule == "clamped":
        bound_max, bound_min = np.maximum(bound_max, 0), np.minimum(bound_min, 0)
    else:
        bound_max, bound_min = np.abs(bound_max), -np.abs(bound_min)
    if isinstance(model, SoftBounds):
        bound_max = bound_max / np.abs(1 + model.slope_up_spread * draws.normal("slope_up"))
        bound_min = bound_min / np.abs(1 + model.slope_down_spread * draws.normal("slope_down"))
    return bound_max, bound_min


def _slopes(
    model: StepModel, draws: _Draws, up: Floats, down: Floats, bound_max: Floats, bound_min: Floats
) -> tuple[Floats, Floats]:
    """Return the slopes of both directions, that of the down direction negated."""
    if isinstance(model, SoftBounds):
        return -up * inverse(bound_max), down * inverse(bound_min)
    if not isinstance(model, LinearStep):
        return np.zeros_like(up), np.zeros_like(down)
    gamma_up = model.gamma_up + model.gamma_up_spread * draws.normal("gamma_up")
    gamma_down = model.gamma_down + model.gamma_down_spread * draws.normal("gamma_down")
    if not model.allow_increasing:
        gamma_up, gamma_down = np.abs(gamma_up), np.abs(gamma_down)
    if model.mean_bound_reference:
        bound_max = np.full_like(bound_max, model.bound_max)
        bound_min = np.full_like(bound_min, model.bound_min)
    return -gamma_up * up * inverse(bound_max), gamma_down * down * inverse(bound_min)


def _reference(
    model: StepModel,
    draws: _Draws,
    curves: tuple[Floats, Floats, Floats, Floats],
    tables: tuple[Plane, Plane] | None,
    bounds: tuple[Floats, Floats],
    stuck: NDArray[np.bool_],
) -> Floats:
    if model.reference is None:
        return np.zeros_like(bounds[0])
    plane = model.reference.mean + model.reference.std * draws.normal("reference")
    if model.reference.subtract_symmetry_point:
        if tables is None:
            point = _affine_symmetry_point(*curves)
        else:
            point = _table_symmetry_point(*curves, tables)
        # A stuck cell has no symmetry point.
        plane += np.where(stuck, 0.0, np.clip(point, bounds[1], bounds[0]))
    return plane


def _affine_symmetry_point(up_a: Floats, up_b: Floats, down_a: Floats, down_b: Floats) -> Floats:
    return -(up_a + down_a) * inverse(up_b + down_b)


def _table_symmetry_point(
    up_a: Floats, up_b: Floats, down_a: Floats, down_b: Floats, tables: tuple[Plane, Plane]
) -> Floats:
    """Return where `up_a * T_up(u) = -down_a * T_down(u)`, as a state."""
    angle = np.arctan2(tables[0], tables[1]).astype(np.float64)  # of f_up against f_down
    if np.any(np.diff(angle) > 0):
        raise ConfigurationError(
            "model.reference.subtract_symmetry_point: the curves have more than one symmetry point",
            remedy="set it to false and give reference.mean",
        )
    knots = np.linspace(0, 1, len(angle))
    u = np.interp(np.arctan2(-down_a, up_a), angle[::-1], knots[::-1])
    return (u - down_b) * inverse(up_b)


def _tables(model: TabulatedModel, name: str) -> tuple[Plane, Plane]:
    """Return both curves at equally spaced knots, enough that linear interpolation errs by less
    than `TABLE_ERROR`.

    The number of sections is doubled until the largest error at eight points within each section
    is small enough. A piecewise curve has its own nodes, at which it is exact.
    """
    sections = len(model.up) - 1 if isinstance(model, PiecewiseStep) else 64
    while sections < MOST_KNOTS:
        knots = np.linspace(0, 1, sections + 1)
        fine = np.linspace(0, 1, 8 * sections + 1)
        tables = [curve.astype(np.float32) for curve in model.table_curves(knots)]
        errors = [
            np.abs(np.interp(fine, knots, table) - exact).max()
            for table, exact in zip(tables, model.table_curves(fine), strict=True)
        ]
        if max(errors) < TABLE_ERROR:
            return tables[0], tables[1]
        sections *= 2
    raise ConfigurationError(
        f"device {name}: model: the curves are too steep for a table of {MOST_KNOTS} knots",
        remedy="lower the exponents",
    )


def _full_scale(model: StepModel, reach_of_table: float) -> float:
    """Return the smallest power of two above what bounds, reference and write noise reach at
    `SIGMAS`.

    It depends on the device alone, so all tiles of a device read alike.
    """
    sides = [
        (model.bound_max, model.bound_max_spread, getattr(model, "slope_up_spread", 0.0)),
        (-model.bound_min, model.bound_min_spread, getattr(model, "slope_down_spread", 0.0)),
    ]
    # A slope of nearly 0 would put the bound nowhere near the states that are used.
    bound = max(
        size * (1 + SIGMAS * spread) / max(1 - SIGMAS * slope_spread, 0.25)
        for size, spread, slope_spread in sides
    )
    reach = max(bound, reach_of_table) + _reach_of_noise(model)
    if model.reference is not None:
        centre = (
            max(size for size, _, _ in sides) if model.reference.subtract_symmetry_point else 0.0
        )
        offset = abs(model.reference.mean) + SIGMAS * model.reference.std
        reach = max(reach, centre + offset)
    return math.ldexp(1.0, math.frexp(reach)[1])


def _reach_of_noise(model: StepModel) -> float:
    """Return how far write noise and the terms carry a read at `NOISE_SIGMAS`."""
    memory = math.sqrt(1 - model.write_noise_memory**2)
    reach = NOISE_SIGMAS * model.write_noise * model.step / memory
    if model.relaxation is not None:
        octaves = math.log2(1 + AGE_SECONDS / model.relaxation.onset_seconds)
        spread = NOISE_SIGMAS * max(model.relaxation.std) * math.sqrt(octaves)
        reach += max(map(abs, model.relaxation.mean)) * octaves + spread
    if model.read_noise is not None:
        reach += NOISE_SIGMAS * max(model.read_noise.std)
    if model.telegraph is not None:
        telegraph = model.telegraph
        reach += max(map(abs, telegraph.height)) * (1 + SIGMAS * telegraph.height_spread)
    return reach
