"""The families of step curves as functions of free parameters, for the filter.

Parameters of a cell: `size` and `skew`, the mean and half the difference of both step scales, the
former by its logarithm; the bounds; for straight lines with free bounds also the slopes. Shape
parameters of a family are shared by all cells, as its tables are. All are those of
`hwloop.device_file.models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.traces import Traces

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIZE, SKEW, BOUND_MAX, BOUND_MIN, SLOPE_UP, SLOPE_DOWN = range(6)
OWN = ("size", "skew", "bound_max", "bound_min")
SMALLEST_BOUND = 1e-3


class Moves(Protocol):
    """What a pulse does to cells at given states; arrays have shape (points, trains).

    Attributes:
        amplitude: step scale `a`, which additive noise is relative to.
        high, low: bounds of the state.
    """

    @property
    def amplitude(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...

    def step(self, w: Floats) -> tuple[Floats, Floats]:
        """Return the signed step at `w` and its derivative."""
        ...


class Family(Protocol):
    """A family of step curves.

    Attributes:
        kind: `kind` of the model in a device file.
        own: names of the parameters of a cell.
        shape: names of the shared parameters.
    """

    @property
    def kind(self) -> str: ...
    @property
    def own(self) -> tuple[str, ...]: ...
    @property
    def shape(self) -> tuple[str, ...]: ...

    def start_shape(self) -> Floats:
        """Return a guess of the shared parameters."""
        ...

    def shape_precision(self) -> Floats:
        """Return the precision of a Gaussian prior around the guess, shape (shared, shared).

        It keeps directions in place that the data says nothing of.
        """
        ...

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        """Return what a pulse does, for parameters of shape (points, trains, parameters)."""
        ...


@dataclass(frozen=True)
class _Affine:
    a: Floats
    b: Floats
    amplitude: Floats
    high: Floats
    low: Floats

    def step(self, w: Floats) -> tuple[Floats, Floats]:
        return self.a + self.b * w, self.b


def _scales(own: Floats, up: Mask) -> Floats:
    size: Floats = np.exp(own[..., SIZE])
    scales: Floats = np.abs(size + np.where(up, own[..., SKEW], -own[..., SKEW]))
    return scales


def _bounds(own: Floats) -> tuple[Floats, Floats]:
    return (
        np.maximum(own[..., BOUND_MAX], SMALLEST_BOUND),
        np.minimum(own[..., BOUND_MIN], -SMALLEST_BOUND),
    )


@dataclass(frozen=True)
class SoftBoundsCurve:
    """Steps that fade linearly to nothing at the bounds."""

    kind: str = "soft_bounds"
    own: tuple[str, ...] = OWN
    shape: tuple[str, ...] = ()

    def start_shape(self) -> Floats:
        return np.zeros(0)

    def shape_precision(self) -> Floats:
        return np.zeros((0, 0))

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        a = _scales(own, up)
        high, low = _bounds(own)
        sign = np.where(up, 1.0, -1.0)
        return _Affine(sign * a, -sign * a / np.where(up, high, low), a, high, low)


@dataclass(frozen=True)
class LinearCurve:
    """Steps that change linearly with the state, cut at bounds: `f = 1 - slope * w`."""

    kind: str = "linear_step"
    own: tuple[str, ...] = (*OWN, "slope_up", "slope_down")
    shape: tuple[str, ...] = ()

    def start_shape(self) -> Floats:
        return np.zeros(0)

    def shape_precision(self) -> Floats:
        return np.zeros((0, 0))

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        a = _scales(own, up)
        high, low = _bounds(own)
        sign = np.where(up, 1.0, -1.0)
        slope = np.where(up, own[..., SLOPE_UP], own[..., SLOPE_DOWN])
        return _Affine(sign * a, -sign * a * slope, a, high, low)


@dataclass(frozen=True)
class ConstantCurve:
    """Steps that are the same in every state, cut at bounds."""

    kind: str = "constant_step"
    own: tuple[str, ...] = OWN
    shape: tuple[str, ...] = ()

    def start_shape(self) -> Floats:
        return np.zeros(0)

    def shape_precision(self) -> Floats:
        return np.zeros((0, 0))

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        a = _scales(own, up)
        high, low = _bounds(own)
        return _Affine(np.where(up, a, -a), np.zeros_like(a), a, high, low)


@dataclass(frozen=True)
class _Power:
    sign: Floats
    gamma: Floats
    up: Mask
    amplitude: Floats
    high: Floats
    low: Floats

    def step(self, w: Floats) -> tuple[Floats, Floats]:
        width = self.high - self.low
        u = (w - self.low) / width
        x = np.clip(np.where(self.up, 1 - u, u), 1e-9, 1.0)
        f = x**self.gamma
        slope = -self.amplitude * self.gamma * f / x / width
        return self.sign * self.amplitude * f, slope


@dataclass(frozen=True)
class PowerCurve:
    """Steps that follow a power, at least 1, of the distance to the bound."""

    kind: str = "power_step"
    own: tuple[str, ...] = OWN
    shape: tuple[str, ...] = ("log(gamma_up - 1)", "log(gamma_down - 1)")

    def start_shape(self) -> Floats:
        return np.asarray(np.log([0.5, 0.5]))

    def shape_precision(self) -> Floats:
        return np.eye(2) / 2.0**2

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        high, low = _bounds(own)
        gamma = 1 + np.exp(np.clip(np.where(up, shape[..., 0], shape[..., 1]), -12, 4))
        return _Power(np.where(up, 1.0, -1.0), gamma, up, _scales(own, up), high, low)


@dataclass(frozen=True)
class _Exponential:
    sign: Floats
    factor: Floats
    gamma: Floats
    amplitude: Floats
    high: Floats
    low: Floats

    def step(self, w: Floats) -> tuple[Floats, Floats]:
        width = self.high - self.low
        exponent = np.clip(self.gamma * w / width, -50, 50)
        part = self.factor * np.exp(exponent)
        f = 1 - part
        moving = f > 0
        size = self.sign * self.amplitude
        return size * np.where(moving, f, 0.0), size * np.where(
            moving, -part * self.gamma / width, 0.0
        )


@dataclass(frozen=True)
class ExponentialCurve:
    """Steps that change exponentially: `1 - A exp(gamma z)`, `z = w / (b_max - b_min)`."""

    kind: str = "exponential_step"
    own: tuple[str, ...] = OWN
    shape: tuple[str, ...] = ("log A_up", "log A_down", "log gamma_up", "log gamma_down")

    def start_shape(self) -> Floats:
        return np.asarray(np.log([0.3, 0.3, 2.0, 2.0]))

    def shape_precision(self) -> Floats:
        return np.eye(4) / 1.5**2

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        high, low = _bounds(own)
        values = np.exp(np.clip(shape, -12, 4))
        factor = np.where(up, values[..., 0], values[..., 1])
        gamma = np.where(up, values[..., 2], -values[..., 3])
        return _Exponential(np.where(up, 1.0, -1.0), factor, gamma, _scales(own, up), high, low)


@dataclass(frozen=True)
class _Piecewise:
    sign: Floats
    nodes: Floats  # (points, trains, nodes)
    amplitude: Floats
    high: Floats
    low: Floats

    def step(self, w: Floats) -> tuple[Floats, Floats]:
        width = self.high - self.low
        last = self.nodes.shape[-1] - 1
        p = np.clip((w - self.low) / width, 0, 1) * last
        k = np.minimum(p.astype(np.int64), last - 1)
        left = np.take_along_axis(self.nodes, k[..., None], -1)[..., 0]
        right = np.take_along_axis(self.nodes, k[..., None] + 1, -1)[..., 0]
        size = self.sign * self.amplitude
        return size * (left + (p - k) * (right - left)), size * (right - left) * last / width


@dataclass(frozen=True)
class PiecewiseCurve:
    """Steps given at equally spaced nodes between the bounds; those of a direction have mean 1."""

    nodes: int = 9
    kind: str = "piecewise_step"
    own: tuple[str, ...] = OWN

    @property
    def shape(self) -> tuple[str, ...]:
        """Logarithms of the nodes."""
        return tuple(f"log {d}[{k}]" for d in ("up", "down") for k in range(self.nodes))

    def start_shape(self) -> Floats:
        return np.zeros(2 * self.nodes)

    def shape_precision(self) -> Floats:
        """Return that of nodes which change smoothly, and whose level is free but for the mean."""
        bend = np.diff(np.eye(self.nodes), 2, axis=0)
        one = bend.T @ bend / 0.5**2 + np.eye(self.nodes) / 2.0**2
        return np.asarray(np.kron(np.eye(2), one), dtype=np.float64)

    def tables(self, shape: Floats) -> tuple[Floats, Floats]:
        """Return the nodes of both directions, each with mean 1, shape (..., nodes)."""
        values = np.exp(np.clip(shape, -12, 6))
        up, down = values[..., : self.nodes], values[..., self.nodes :]
        return up / up.mean(-1, keepdims=True), down / down.mean(-1, keepdims=True)

    def moves(self, own: Floats, shape: Floats, up: Mask) -> Moves:
        high, low = _bounds(own)
        tables = self.tables(shape)
        nodes = np.where(up[:, None], *tables)
        return _Piecewise(np.where(up, 1.0, -1.0), nodes, _scales(own, up), high, low)


FAMILIES: dict[str, Family] = {
    family.kind: family
    for family in (
        ConstantCurve(),
        SoftBoundsCurve(),
        LinearCurve(),
        PowerCurve(),
        ExponentialCurve(),
        PiecewiseCurve(),
    )
}
"""Families by `kind`."""


def start_own(family: Family, traces: Traces) -> Floats:
    """Return a guess of the parameters of each cell, shape (cells, parameters).

    A straight line through the changes between averages over parts of the trains gives the step of
    a direction over the state; where it falls to 0 is the guess of a bound, unless that is nowhere
    near the states that were seen.
    """
    cells = len(traces.cells)
    own = np.zeros((cells, len(family.own)))
    for i in range(cells):
        mine = np.flatnonzero(traces.cell == i)
        seen = traces.values[:, mine]
        low, high = np.nanpercentile(seen, [2, 98])
        width = max(float(high - low), 1e-6)
        scales, bounds = {}, {}
        for up in (True, False):
            trains = [int(j) for j in mine if bool(traces.up[j]) == up]
            scales[up], bounds[up] = _line(traces, trains, up, float(low), float(high), width)
        found = [a for a in scales.values() if a is not None]
        size = float(np.mean(found)) if found else 0.01 * width
        own[i, SIZE] = np.log(size)
        if len(found) == 2:
            own[i, SKEW] = (found[0] - found[1]) / 2
        own[i, BOUND_MAX] = max(bounds[True], 0.1 * width)
        own[i, BOUND_MIN] = min(bounds[False], -0.1 * width)
        if len(family.own) > SLOPE_UP:
            own[i, SLOPE_UP], own[i, SLOPE_DOWN] = 1 / own[i, BOUND_MAX], 1 / own[i, BOUND_MIN]
        if family.kind != "soft_bounds":  # whose bounds need not be where the line falls to 0
            own[i, BOUND_MAX] = max(high + 0.05 * width, 0.1 * width)
            own[i, BOUND_MIN] = min(low - 0.05 * width, -0.1 * width)
    return own


def _line(
    traces: Traces, trains: list[int], up: bool, low: float, high: float, width: float
) -> tuple[float | None, float]:
    """Return the step at state 0 of a direction, if there is a train, and its bound."""
    edge = high if up else low
    outward = 1.0 if up else -1.0
    near = edge + outward * 0.05 * width
    states, steps, weights = [], [], []
    for train in trains:
        values, pulses = traces.values[:, train], np.cumsum(traces.pulses[:, train]).astype(float)
        there = np.isfinite(values)
        values, pulses = values[there], pulses[there]
        ends = np.unique(np.round(np.geomspace(2, len(values), 8)).astype(int))
        parts = list(zip([0, *ends[:-1]], ends, strict=True))
        means = np.array([values[a:b].mean() for a, b in parts])
        times = np.array([pulses[a:b].mean() for a, b in parts])
        sizes = np.array([b - a for a, b in parts], dtype=float)
        states += list((means[1:] + means[:-1]) / 2)
        steps += list(outward * np.diff(means) / np.diff(times))
        weights += list(np.diff(times) * np.sqrt(1 / (1 / sizes[1:] + 1 / sizes[:-1])))
    if not states:
        return None, near
    w, y = np.array(states), np.array(steps)
    usual = max(float(np.average(y, weights=np.square(weights))), 1e-4 * width)
    if len(w) < 3:
        return usual, near
    slope, at_zero = np.polyfit(w, y, 1, w=np.array(weights))
    bound = -at_zero / slope if slope * outward < 0 else np.inf * outward
    if not near * outward <= bound * outward <= (edge + outward * 2 * width) * outward:
        bound = near if bound * outward < near * outward else edge + outward * width
    # The line through the bound with the mean step gives a step at 0 that is never negative.
    middle = float(np.average(w, weights=np.square(weights)))
    at_zero = usual * bound / (bound - middle) if abs(bound - middle) > 1e-9 else usual
    return float(np.clip(at_zero, 0.2 * usual, 20 * usual)), float(bound)
