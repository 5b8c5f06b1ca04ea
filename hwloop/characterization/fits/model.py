"""From the fitted distributions to the fields of a device file, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.cells import CYCLE_LIMITS, CellFits
from hwloop.characterization.fits.curves import (
    BOUND_MAX,
    BOUND_MIN,
    SIZE,
    SKEW,
    SLOPE_UP,
    PiecewiseCurve,
)
from hwloop.characterization.fits.population import FEWEST_CELLS, LEAST_SPREAD, Population, names
from hwloop.characterization.fits.result import Z, unknown
from hwloop.device_file import (
    ConstantStep,
    Estimate,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    SoftBounds,
    StepModel,
)

Floats = NDArray[np.float64]
Values = Mapping[str, float]

WIDEST = 1.0
"""Half-width of an interval, relative to its value, above which a value is not identified."""


@dataclass(frozen=True)
class Field:
    """A field of the model as a function of what was fitted.

    Attributes:
        of: gives the value.
        positive: whether its interval is symmetric on a logarithmic scale.
    """

    of: Callable[[Values], float]
    positive: bool = False


def few_cells(cells: CellFits) -> Population:
    """Return the mean of a few cells in place of distributions; all spreads are 0."""
    own, count = cells.own.shape[1], len(cells.own)
    precision = np.broadcast_to(cells.prior.precision, cells.own.shape)
    posterior = cells.own_information + precision[:, :, None] * np.eye(own)
    within = np.linalg.inv(posterior).mean(0) / count
    between = np.cov(cells.own.T) / count if count > 2 else np.zeros((own, own))
    covariance = np.maximum(np.diag(within), np.diag(between))
    mean = cells.own.mean(0)

    def transformed(own_values: Floats) -> Floats:
        size, skew = math.exp(own_values[SIZE]), own_values[SKEW]
        step = size + abs(skew)
        found = [math.log(step), 0.0, float(np.clip(2 * skew / step, -1, 1)), 0.0]
        found += [math.log(max(own_values[BOUND_MAX], 1e-6)), 0.0]
        found += [math.log(max(-own_values[BOUND_MIN], 1e-6)), 0.0]
        for k in range(SLOPE_UP, own):
            found += [float(own_values[k]), 0.0]
        return np.array(found)

    values = transformed(mean)
    jacobian = np.zeros((len(values), own))
    for k in range(own):
        h = np.zeros(own)
        h[k] = 1e-5 * cells.scale[k]
        jacobian[:, k] = (transformed(mean + h) - transformed(mean - h)) / (2 * h[k])
    values[1::2] = -np.inf
    return Population(
        names(own), values, jacobian @ np.diag(covariance) @ jacobian.T, False, float("nan")
    )


def fitted_model(
    cells: CellFits,
    population: Population,
    *,
    read_variance: float | None,
    read_variance_error: float = 0.0,
    corrupt: float = 0.0,
    shared_inflation: float = 1.0,
) -> tuple[StepModel, dict[str, Estimate]]:
    """Return the model, and its fields with their intervals by the names of the fields.

    Args:
        cells: the cells' parameters and the shared ones.
        population: the distributions.
        read_variance: variance of the read noise alone, device units squared; None if not known.
        read_variance_error: its standard error.
        corrupt: share of stuck cells.
        shared_inflation: factor on the variance of the shared parameters.
    """
    vector = np.concatenate([population.values, cells.shared])
    count, own_names = len(population.values), population.names
    covariance = np.zeros((len(vector), len(vector)))
    covariance[:count, :count] = population.covariance
    covariance[count:, count:] = shared_inflation * cells.shared_covariance
    shared_names = (*cells.noise.names, *cells.family.shape)
    fields = _fields(cells, population, read_variance or 0.0)

    def values(vector: Floats) -> dict[str, float]:
        found = {}
        for name, value in zip((*own_names, *shared_names), vector, strict=True):
            log = name.startswith("log ") and name not in cells.family.shape
            found[name.removeprefix("log ") if log else name] = math.exp(value) if log else value
        return found

    centre = {name: field.of(values(vector)) for name, field in fields.items()}
    errors = {}
    for name, field in fields.items():
        gradient = np.zeros(len(vector))
        for k in range(len(vector)):
            if not np.isfinite(vector[k]) or covariance[k, k] == 0:
                continue
            h = np.zeros(len(vector))
            h[k] = 1e-4
            up, down = field.of(values(vector + h)), field.of(values(vector - h))
            gradient[k] = (up - down) / 2e-4
        variance = float(gradient @ covariance @ gradient)
        if name == "write_noise" and read_variance_error and centre[name] > 0:
            step = centre["step"]
            variance += (read_variance_error / (2 * step**2 * centre[name])) ** 2
        errors[name] = math.sqrt(max(variance, 0.0))
    estimates = {
        name: _estimate(name, centre[name], errors[name], fields[name], cells, read_variance)
        for name in fields
    }
    return _model(cells, centre, population, corrupt), estimates


def _fields(cells: CellFits, population: Population, read_variance: float) -> dict[str, Field]:
    spread = len(cells.own) >= FEWEST_CELLS
    found: dict[str, Field] = {"step": Field(lambda v: v["step"], True)}
    if spread:
        found["step_spread"] = Field(lambda v: v["step_spread"], True)
    found["up_down"] = Field(lambda v: float(np.clip(v["up_down"], -1, 1)))
    if spread:
        found["up_down_spread"] = Field(lambda v: v["up_down_spread"], True)
    for side in ("bound_max", "bound_min"):
        sign = 1.0 if side == "bound_max" else -1.0
        found[side] = Field(lambda v, s=side, sign=sign: sign * v[s], True)  # type: ignore[misc]
        if spread:
            found[f"{side}_spread"] = Field(lambda v, s=side: v[f"{s}_spread"], True)  # type: ignore[misc]
    found["cycle_noise"] = Field(lambda v: v["cycle_noise"], True)
    if cells.noise.memory:
        found["write_noise"] = Field(
            lambda v: math.sqrt(v["memory_variance"] * (1 - _memory(v) ** 2)) / v["step"], True
        )
        found["write_noise_memory"] = Field(_memory)
    else:
        found["write_noise"] = Field(
            lambda v: math.sqrt(max(v["read_variance"] - read_variance, 0.0)) / v["step"], True
        )
    if cells.family.kind == "linear_step":
        # The bounds are but the states that slopes are quoted at, so their errors do not enter.
        high, low = population["bound_max"], population["bound_min"]
        found["gamma_up"] = Field(lambda v: v["slope_up"] * high)
        found["gamma_down"] = Field(lambda v: -v["slope_down"] * low)
        if spread:
            found["gamma_up_spread"] = Field(lambda v: v["slope_up_spread"] * high, True)
            found["gamma_down_spread"] = Field(lambda v: v["slope_down_spread"] * low, True)
    elif cells.family.kind == "power_step":
        for side in ("up", "down"):
            found[f"gamma_{side}"] = Field(
                lambda v, s=side: 1 + math.exp(min(v[f"log(gamma_{s} - 1)"], 4.0)),  # type: ignore[misc]
                True,
            )
    elif cells.family.kind == "exponential_step":
        for name in ("A_up", "A_down", "gamma_up", "gamma_down"):
            found[name] = Field(
                lambda v, n=name: math.exp(float(np.clip(v[f"log {n}"], -12, 4))),  # type: ignore[misc]
                True,
            )
    return found


def _memory(values: Values) -> float:
    return math.exp(-math.exp(values["log(-log memory)"]))


def _estimate(
    name: str,
    value: float,
    error: float,
    field: Field,
    cells: CellFits,
    read_variance: float | None,
) -> Estimate:
    relative = error / abs(value) if value else math.inf
    if field.positive and value != 0:
        ends = sorted(value * math.exp(sign * min(Z * relative, 50.0)) for sign in (-1, 1))
        low, high = ends[0], ends[1]
    else:
        low, high = value - Z * error, value + Z * error
    if name == "cycle_noise" and (relative > 0.5 or cells.shared[0] < CYCLE_LIMITS[0] + 0.5):
        return unknown(
            "the states show no noise that accumulates, beside that of the reads",
            value,
            high=high if math.isfinite(high) and relative < 5 else None,
        )
    if name == "write_noise" and not cells.noise.memory:
        return _write_noise(value, low, high, relative, read_variance)
    if name.endswith("_spread") and (value < LEAST_SPREAD or relative > 0.5):
        return unknown("the cells do not differ by more than their errors", value, high=high)
    table = cells.family.kind == "piecewise_step" and len(cells.own) < FEWEST_CELLS
    if name in ("bound_max", "bound_min") and table:
        return unknown("the table ends where the states that were seen end", value)
    if field.positive and not Z * relative < WIDEST:
        return unknown("the data leaves it open by more than its own size", value)
    if not field.positive and not Z * error < 1.0:
        return unknown("the data leaves it open", value)
    return Estimate(value=value, low=low, high=high)


def _write_noise(
    value: float, low: float, high: float, relative: float, read_variance: float | None
) -> Estimate:
    if read_variance is None:
        return unknown(
            "the noise of the reads was not given: the value holds write noise and read noise "
            "together",
            value,
            low,
            high,
        )
    if value == 0 or Z * relative > WIDEST:
        return unknown("not told apart from the noise of the reads", value)
    return Estimate(value=value, low=low, high=high)


def _model(
    cells: CellFits, values: dict[str, float], population: Population, corrupt: float
) -> StepModel:
    content: dict[str, object] = {
        name: value for name, value in values.items() if not name.startswith(("A_", "gamma_"))
    }
    for name in ("step_spread", "up_down_spread", "bound_max_spread", "bound_min_spread"):
        content[name] = min(values.get(name, 0.0), 10.0)
    content["step_distribution"] = "log_normal" if population.log_normal else "normal"
    content["cycle_noise_kind"] = "additive" if cells.noise.additive else "multiplicative"
    content["corrupt_probability"] = corrupt
    family = cells.family
    rest = {n: v for n, v in values.items() if n.startswith(("A_", "gamma_"))}
    if family.kind == "linear_step":
        return LinearStep.model_validate({**content, **rest, "allow_increasing": True})
    if family.kind == "power_step":
        return PowerStep.model_validate({**content, **rest})
    if family.kind == "exponential_step":
        return ExponentialStep.model_validate({**content, **rest, "a": 0.5})
    if isinstance(family, PiecewiseCurve):
        up, down = family.tables(cells.shared[cells.noise.count :])
        return PiecewiseStep.model_validate(
            {**content, "up": tuple(up.tolist()), "down": tuple(down.tolist())}
        )
    if family.kind == "constant_step":
        return ConstantStep.model_validate(content)
    return SoftBounds.model_validate(content)


def symmetry_interval(
    model: StepModel, estimates: Mapping[str, Estimate], *, draws: int = 400, seed: int = 1
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the intervals of the symmetry point and of the step there; None without a point.

    Curves are drawn from the intervals of their fields, taken as independent.
    """
    random = np.random.default_rng(seed)
    states, steps = [], []
    for _ in range(draws):
        changes: dict[str, float] = {}
        for name in ("step", "up_down", "bound_max", "bound_min", "gamma_up", "gamma_down"):
            estimate = estimates.get(name)
            if estimate is None or estimate.low is None or estimate.high is None:
                continue
            value = float(getattr(model, name))
            error = (estimate.high - estimate.low) / (2 * Z)
            changes[name] = value + error * float(random.standard_normal())
        changes["up_down"] = float(np.clip(changes.get("up_down", model.up_down), -1, 1))
        drawn = model.model_copy(update=changes)
        if drawn.bound_max <= 0 or drawn.bound_min >= 0 or drawn.step <= 0:
            continue
        point = symmetry_point(drawn)
        if point.state is not None and point.step is not None:
            states.append(point.state)
            steps.append(point.step)
    if len(states) < draws // 2:
        return None
    low, high = np.percentile(states, [2.5, 97.5])
    least, most = np.percentile(steps, [2.5, 97.5])
    return (float(low), float(high)), (float(least), float(most))


@dataclass(frozen=True)
class SymmetryPoint:
    """Where up and down steps of the mean cell are equal.

    Attributes:
        state: the state, or None if they meet nowhere between the bounds.
        step: the step there.
        stable: whether alternating pulses lead to it.
        crossings: how often the curves cross.
    """

    state: float | None
    step: float | None
    stable: bool
    crossings: int


def symmetry_point(model: StepModel) -> SymmetryPoint:
    """Return the symmetry point of the mean cell, with its stability.

    It is stable where the down step overtakes the up step as the state rises.
    """
    w = np.linspace(model.bound_min, model.bound_max, 4001)[1:-1]
    up, down = model.curves(w)
    up = model.step * (1 + min(model.up_down, 0)) * up
    down = model.step * (1 - max(model.up_down, 0)) * down
    net = up - down
    crossing = np.flatnonzero(np.sign(net[:-1]) * np.sign(net[1:]) < 0)
    if not crossing.size:
        return SymmetryPoint(None, None, False, 0)
    k = int(crossing[np.argmin(np.abs(w[crossing]))])
    part = net[k] / (net[k] - net[k + 1])
    state = float(w[k] + part * (w[k + 1] - w[k]))
    step = float(up[k] + part * (up[k + 1] - up[k]))
    return SymmetryPoint(state, step, bool(net[k] > 0), len(crossing))
