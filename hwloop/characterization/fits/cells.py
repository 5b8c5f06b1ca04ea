"""Parameters of every cell, with the noise and the shape that all cells share.

Fisher scoring on all cells at once; the shared parameters see each cell's own ones profiled out.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.curves import (
    BOUND_MAX,
    BOUND_MIN,
    SIZE,
    SKEW,
    Family,
    start_own,
)
from hwloop.characterization.fits.filter import Noise, Scores, log_likelihoods, scores
from hwloop.characterization.fits.traces import Traces

Floats = NDArray[np.float64]
CYCLE_LIMITS = (-6.0, 4.0)
"""Range of the logarithm of cycle-to-cycle noise; at the lower end there is none to be seen."""

SETTLED = 0.02
"""Gain in log-likelihood of a round, per root of the cells, at which the search ends."""

LEAST_INFORMATION = 1e-3
"""Information below which a parameter, all of which are of order 1, is not known at all."""

CYCLE = "log cycle_noise"
"""Name of the first shared parameter."""

NO_CYCLE_NOISE = -4.0
"""Logarithm of cycle-to-cycle noise below which the search begins again with some."""

FARTHEST_BOUND = 99.0
"""Largest bound, just within what a device file may have: steps are straight by then."""

MEMORY_LIMITS = (-5.0, 3.0)
"""Range of `log(-log rho)`: a memory of 150 pulses to none."""


@dataclass(frozen=True)
class Prior:
    """A Gaussian that keeps parameters which the data says nothing of in a sensible place.

    Attributes:
        mean: shape (parameters,) or (cells, parameters).
        precision: one over the variance, of the same shape.
    """

    mean: Floats
    precision: Floats


@dataclass(frozen=True)
class CellFits:
    """Parameters of all cells at the mode, and the likelihood around it.

    Attributes:
        family: the step curves.
        noise: which noise the traces are taken to have.
        own: shape (cells, parameters).
        shared: noise, then shape.
        scale: size of a change of each parameter.
        scores: log-likelihood, gradient and information at the mode, without prior.
        shared_covariance: of the shared parameters, shape (shared, shared).
        prior: the prior that the mode counts.
        converged: whether the steps have become small.
    """

    family: Family
    noise: Noise
    own: Floats
    shared: Floats
    scale: Floats
    scores: Scores
    shared_covariance: Floats
    prior: Prior
    converged: bool

    @property
    def log_likelihood(self) -> float:
        """Sum over the cells."""
        return float(self.scores.value.sum())

    @property
    def own_information(self) -> Floats:
        """Information on each cell's own parameters, shape (cells, parameters, parameters)."""
        count = self.own.shape[1]
        return self.scores.information[:, :count, :count]

    @property
    def own_gradient(self) -> Floats:
        """Gradient by each cell's own parameters, shape (cells, parameters)."""
        return self.scores.gradient[:, : self.own.shape[1]]


def weak_prior(own: Floats) -> Prior:
    """Return a prior that is wide against what a device can be."""
    median = np.median(own, 0)
    width = median[BOUND_MAX] - median[BOUND_MIN]
    deviation = np.full(own.shape[1], 5.0 / width)  # slopes are per state
    deviation[SIZE] = 3.0
    deviation[SKEW] = 3.0 * np.exp(median[SIZE])
    deviation[[BOUND_MAX, BOUND_MIN]] = 10.0 * width
    return Prior(median, deviation**-2.0)


def fit_cells(
    traces: Traces,
    family: Family,
    *,
    noise: Noise,
    start: CellFits | None = None,
    prior: Prior | None = None,
    frozen: tuple[str, ...] = (),
    rounds: int = 40,
) -> CellFits:
    """Return the most probable parameters of every cell and the shared ones.

    Args:
        traces: what was measured, in units in which the states are of order 1.
        family: the step curves.
        noise: which noise the traces are taken to have.
        start: where to begin; guessed from the traces by default.
        prior: of the own parameters; a weak one by default.
        frozen: names of own or shared parameters that keep their start; `CYCLE` stands for no
            noise that accumulates.
        rounds: most steps.
    """
    if start is None and not noise.additive:
        # Multiplicative noise hides wrong bounds: it vanishes where the steps do. The search begins
        # where additive noise leads to.
        first = dataclasses.replace(noise, additive=True)
        start = fit_cells(traces, family, noise=first, prior=prior, frozen=frozen, rounds=8)
    own = start_own(family, traces) if start is None else start.own.copy()
    if prior is None:
        prior = weak_prior(own)
    size = float(np.exp(np.median(own[:, SIZE])))
    if start is None:
        shared = np.concatenate([_start_noise(traces, size, noise), family.start_shape()])
    else:
        shared = start.shared.copy()
    if CYCLE in frozen:
        shared[0] = CYCLE_LIMITS[0]
    width = float(np.median(own[:, BOUND_MAX] - own[:, BOUND_MIN]))
    scale = np.ones(len(family.own) + len(shared))
    scale[SKEW] = size
    scale[[BOUND_MAX, BOUND_MIN]] = width / 2
    names = (*family.own, *noise.names, *family.shape)
    free = np.array([name not in frozen for name in names])
    limits = _limits(traces, len(family.own))
    if start is not None:  # a cell that has gone astray begins anew
        astray = np.abs(own - prior.mean) * np.sqrt(prior.precision) > 5
        own = np.where(astray, np.broadcast_to(prior.mean, own.shape), own)
    state = _State(traces, family, noise, prior, scale, free, limits)
    search = _Search(state, state.at(own, shared), np.zeros(len(own)))
    converged = False
    for number in range(rounds):
        if start is None and number == 0:
            search.scan_cells(_changed(search.best.own))
        elif start is None and number == 3:
            median = np.broadcast_to(np.median(search.best.own, 0), search.best.own.shape)
            search.scan_cells([median, *_changed(median), *_changed(search.best.own)])
        if (
            CYCLE not in frozen
            and number == 3 * (start is None)
            and (start is None or start.noise != noise)
        ):
            search.scan_noise()
        gain = search.cells() if number < 4 or search.damped else 0.0
        gain += search.together()
        if number > (3 if start is None else 0) and gain < SETTLED * max(1.0, len(own) ** 0.5):
            converged = True
            break
    if search.best.shared[0] < NO_CYCLE_NOISE and CYCLE not in frozen:
        search = search.revived(rounds=6)
    best = search.best
    return CellFits(
        family,
        noise,
        best.own,
        best.shared,
        scale,
        best.scores,
        state.shared_covariance(best),
        prior,
        converged,
    )


def _limits(traces: Traces, own: int) -> tuple[Floats, Floats]:
    """Return the smallest and largest values that parameters may take."""
    low, high = np.nanmin(traces.values), np.nanmax(traces.values)
    width = max(float(high - low), 1e-6)
    least, most = np.full(own, -20.0 / width), np.full(own, 20.0 / width)
    least[SIZE], most[SIZE] = np.log(1e-7 * width), np.log(2 * width)
    least[SKEW], most[SKEW] = -2 * width, 2 * width
    least[BOUND_MAX], most[BOUND_MAX] = 0.0, min(max(high, 0) + 20 * width, FARTHEST_BOUND)
    least[BOUND_MIN], most[BOUND_MIN] = max(min(low, 0) - 20 * width, -FARTHEST_BOUND), 0.0
    return least, most


def inverse_information(information: Floats) -> Floats:
    """Return the covariance; directions without information get a large variance."""
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    covariance: Floats = (vectors / np.maximum(values, LEAST_INFORMATION)) @ vectors.T
    return covariance


def _start_noise(traces: Traces, size: float, noise: Noise) -> Floats:
    """Return a guess of the noise: half of the differences' variance is forgotten noise."""
    steps = np.diff(traces.values, axis=0)
    variance = float(np.nanvar(steps - np.nanmean(steps, axis=0)))
    variance = max(variance, (1e-3 * size) ** 2)
    cycle = np.log(max(0.5, min(5.0, 0.3 * variance**0.5 / size)))
    found = [cycle, np.log(variance / 2)]
    if noise.memory:  # as much as is forgotten, and remembered over five pulses
        found += [np.log(variance / 2), np.log(0.2)]
    return np.array(found)


class _Search:
    """The way to the most probable point: never to a worse one.

    Attributes:
        best: the best point so far.
        damped: whether some cell's step had to be shortened of late.
    """

    def __init__(self, state: _State, best: _Point, damping: Floats) -> None:
        self._state, self.best, self._damping = state, best, damping
        self._common = 0.0

    @property
    def damped(self) -> bool:
        return bool((self._damping > 0.1).any())

    def cells(self) -> float:
        """Move the own parameters of each cell by itself; return what was gained."""
        best = self.best
        step, _ = self._state.step(best, self._damping, 0.0, together=False)
        trial = self._state.at(best.own + step, best.shared)
        better = trial.objective > best.objective
        self._damping = np.where(better, self._damping / 5, 5 * self._damping + 0.5)
        self._damping = np.minimum(self._damping, 1e6)
        self.best = best.replaced(trial, better)
        return float((self.best.objective - best.objective).sum())

    def together(self) -> float:
        """Move all parameters; return what was gained."""
        best = self.best
        for _ in range(4):
            own, shared = self._state.step(best, self._damping, self._common, together=True)
            trial = self._state.at(best.own + own, best.shared + shared)
            gain = float((trial.objective - best.objective).sum())
            if gain > 0:
                lost = trial.objective < best.objective - 1.0
                self._damping = np.where(lost, 5 * self._damping + 0.5, self._damping / 5)
                self._common /= 5
                self.best = trial
                return gain
            self._common = 5 * self._common + 0.5
            worst = trial.objective < best.objective
            self._damping = np.where(worst, 2 * self._damping + 0.2, self._damping)
        return 0.0

    def scan_cells(self, guesses: list[Floats]) -> None:
        """Move each cell to the guess that suits it best, if one suits better."""
        own = np.array(guesses)
        shared = np.repeat(self.best.shared[None], len(own), 0)
        value = self._state.objectives(own, shared)
        chosen = value.argmax(0)
        cells = np.arange(len(chosen))
        better = value[chosen, cells] > self.best.objective
        moved = np.where(better[:, None], own[chosen, cells], self.best.own)
        if better.any():
            self.best = self._state.at(moved, self.best.shared)

    def revived(self, rounds: int) -> _Search:
        """Return the better of this search and one that begins again with cycle-to-cycle noise.

        Where there is hardly any, its logarithm has no gradient by which it could grow.
        """
        shared = self.best.shared.copy()
        shared[0] = -1.0
        other = _Search(self._state, self._state.at(self.best.own, shared), 0 * self._damping)
        for _ in range(rounds):
            gain = other.cells() + other.together()
            if gain < SETTLED * max(1.0, len(self._damping) ** 0.5):
                break
        ahead = other.best.objective.sum() - self.best.objective.sum()
        return other if ahead > 0 else self

    def scan_noise(self) -> None:
        """Move to the best of some sizes of cycle-to-cycle noise and of the noise beside it."""
        grid = [(c, part) for c in np.arange(-3.0, 3.1, 1.0) for part in (-1.0, 0.0)]
        shared = np.repeat(self.best.shared[None], len(grid), 0)
        shared[:, 0] = [cycle for cycle, _ in grid]
        shared[:, 1] += [part for _, part in grid]
        own = np.repeat(self.best.own[None], len(grid), 0)
        value = self._state.objectives(own, shared).sum(1)
        if value.max() > self.best.objective.sum():
            self.best = self._state.at(self.best.own, shared[value.argmax()])


def _changed(own: Floats) -> list[Floats]:
    """Return parameters with other scales, imbalances and bounds."""
    found = []
    for change in (-1.5, -0.7, 0.7, 1.5):
        guess = own.copy()
        guess[:, SIZE] += change
        guess[:, SKEW] *= np.exp(change)
        found.append(guess)
    for change in (-0.3, 0.3):
        guess = own.copy()
        guess[:, SKEW] += change * np.exp(own[:, SIZE])
        found.append(guess)
    for bound in (BOUND_MAX, BOUND_MIN):
        for change in (0.7, 1.5):
            guess = own.copy()
            guess[:, bound] *= change
            found.append(guess)
    return found


@dataclass(frozen=True)
class _Point:
    own: Floats
    shared: Floats
    scores: Scores
    objective: Floats  # log-likelihood and prior, per cell

    def replaced(self, other: _Point, cells: NDArray[np.bool_]) -> _Point:
        """Return the point with some cells taken from another one of equal shared parameters."""
        mine, its = self.scores, other.scores
        return _Point(
            np.where(cells[:, None], other.own, self.own),
            self.shared,
            Scores(
                np.where(cells, its.value, mine.value),
                np.where(cells[:, None], its.gradient, mine.gradient),
                np.where(cells[:, None, None], its.information, mine.information),
            ),
            np.where(cells, other.objective, self.objective),
        )


@dataclass(frozen=True)
class _State:
    traces: Traces
    family: Family
    noise: Noise
    prior: Prior
    scale: Floats
    free: NDArray[np.bool_]
    limits: tuple[Floats, Floats]

    def at(self, own: Floats, shared: Floats) -> _Point:
        """Return the point at some parameters, cut to their limits."""
        own, shared = self._within(own, shared)
        found = scores(
            self.traces, self.family, own, shared, self.scale, noise=self.noise, free=self.free
        )
        return _Point(own, shared, found, found.value + self._prior(own, shared))

    def objectives(self, own: Floats, shared: Floats) -> Floats:
        """Return the objective alone, of points of shape (points, ...), per point and cell."""
        within = [self._within(o, s) for o, s in zip(own, shared, strict=True)]
        own, shared = np.array([o for o, _ in within]), np.array([s for _, s in within])
        found = log_likelihoods(self.traces, self.family, own, shared, self.noise)
        priors = [self._prior(o, s) for o, s in zip(own, shared, strict=True)]
        return np.asarray(found + np.array(priors))

    def _within(self, own: Floats, shared: Floats) -> tuple[Floats, Floats]:
        shared = shared.copy()
        shared[0] = np.clip(shared[0], *CYCLE_LIMITS)
        if self.noise.memory:
            shared[3] = np.clip(shared[3], *MEMORY_LIMITS)
        return np.clip(own, *self.limits), shared

    def _prior(self, own: Floats, shared: Floats) -> Floats:
        away = own - self.prior.mean
        shape = shared[self.noise.count :] - self.family.start_shape()
        common = float(shape @ self.family.shape_precision() @ shape) / len(own)
        found: Floats = -0.5 * (away**2 * self.prior.precision).sum(1) - 0.5 * common
        return found

    def blocks(self, point: _Point) -> tuple[Floats, Floats, Floats]:
        """Return the inverse of the own block, the mixed block, and the shared block."""
        k = point.own.shape[1]
        information = point.scores.information
        precision = np.broadcast_to(self.prior.precision, point.own.shape)
        mine = information[:, :k, :k] + precision[:, :, None] * np.eye(k)
        return mine, information[:, :k, k:], information[:, k:, k:]

    def step(
        self, point: _Point, damping: Floats, common_damping: float, *, together: bool
    ) -> tuple[Floats, Floats]:
        """Return the scoring step of the own and of the shared parameters."""
        k = point.own.shape[1]
        mine, mixed, common = self.blocks(point)
        mine = mine + damping[:, None, None] * mine * np.eye(k)
        gradient = point.scores.gradient[:, :k] - (
            (point.own - self.prior.mean) * self.prior.precision
        )
        gradient = gradient * self.free[:k]
        solved = np.linalg.solve(mine, np.concatenate([gradient[..., None], mixed], -1))
        by_gradient, by_mixed = solved[..., 0], solved[..., 1:]
        schur = (common - mixed.transpose(0, 2, 1) @ by_mixed).sum(0)
        right = (
            point.scores.gradient[:, k:]
            - (mixed.transpose(0, 2, 1) @ by_gradient[..., None])[..., 0]
        ).sum(0)
        first = self.noise.count
        precision = self.family.shape_precision()
        schur[first:, first:] += precision
        right[first:] -= precision @ (point.shared[first:] - self.family.start_shape())
        weight = np.diag(schur) * (1 + common_damping) + LEAST_INFORMATION
        np.fill_diagonal(schur, np.where(weight > 0, weight, 1.0))
        shared = np.clip(np.linalg.solve(schur, right), -0.7, 0.7) if together else 0 * right
        own = by_gradient - (by_mixed @ shared[:, None])[..., 0]
        limit = np.ones(k)
        limit[SIZE] = 0.7
        limit[1:] = 0.5 * self.scale[1:k]
        limit[4:] = 1.0
        return np.clip(own, -limit, limit), shared

    def shared_covariance(self, point: _Point) -> Floats:
        """Return the covariance of the shared parameters, robust against misfit of single cells."""
        k = point.own.shape[1]
        mine, mixed, common = self.blocks(point)
        by_mixed = np.linalg.solve(mine, mixed)
        schur = (common - mixed.transpose(0, 2, 1) @ by_mixed).sum(0)
        schur[self.noise.count :, self.noise.count :] += self.family.shape_precision()
        inverse = inverse_information(schur)
        count = len(point.own)
        if count < 30:
            return inverse
        pull = (point.own - self.prior.mean) * self.prior.precision
        gradient = point.scores.gradient[:, :k] - pull
        effective = point.scores.gradient[:, k:] - np.einsum("cks,ck->cs", by_mixed, gradient)
        effective = effective - effective.mean(0)
        robust: Floats = inverse @ (effective.T @ effective) @ inverse * (count / (count - 1))
        return robust
