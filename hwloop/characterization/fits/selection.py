"""The choice between families of step curves, by what they say of data that they have not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.cells import CYCLE, CellFits, fit_cells
from hwloop.characterization.fits.curves import FAMILIES
from hwloop.characterization.fits.filter import Noise, innovations
from hwloop.characterization.fits.population import FEWEST_CELLS
from hwloop.characterization.fits.traces import Traces

Floats = NDArray[np.float64]

AUTOMATIC = ("soft_bounds", "linear_step", "power_step", "exponential_step", "piecewise_step")
"""Families that are tried, the one with the fewest parameters first."""

FINALISTS = 2
"""Families that are tried with both kinds of noise."""

MOST_CELLS = 40
"""Cells that the choice looks at."""

MEMORY_READS = 20_000
"""Reads up to which noise with a memory is always tried; beyond, only if the errors correlate."""

MEMORY_LAG = 0.03
"""Correlation of the errors from read to read that asks for noise with a memory."""

RATIO = 7.0
"""Gain in log-likelihood that two parameters have by chance once in a thousand times."""

_BLOCKS, _HELD = 10, (3, 7)


@dataclass(frozen=True)
class Candidate:
    """A family with what it says of the held-out reads.

    Attributes:
        kind: kind of the family.
        noise: the noise that goes with it.
        held_out: log-likelihood of a held-out read, mean.
        fit: the fit to the other reads.
        density: log-likelihood of each held-out read, shape (reads,).
    """

    kind: str
    noise: Noise
    held_out: float
    fit: CellFits
    density: Floats


def held_out(traces: Traces) -> NDArray[np.bool_]:
    """Return which reads are kept out of a fit, shape (time, trains).

    They are the last third of the repetitions of each cell that has several, at least one, else two
    tenths in the middle of each train.
    """
    last = np.full(len(traces.cells), -1)
    np.maximum.at(last, traces.cell, traces.repeat)
    first = np.full(len(traces.cells), np.iinfo(np.int64).max)
    np.minimum.at(first, traces.cell, traces.repeat)
    out: NDArray[np.bool_] = np.zeros(traces.values.shape, dtype=np.bool_)
    lengths = np.isfinite(traces.values).sum(0)
    for train in range(out.shape[1]):
        cell = traces.cell[train]
        if first[cell] < last[cell]:
            span = last[cell] - first[cell] + 1
            out[:, train] = traces.repeat[train] > last[cell] - max(span // 3, 1)
        else:
            tenth = max(lengths[train] // _BLOCKS, 1)
            for block in _HELD:
                out[block * tenth : (block + 1) * tenth, train] = True
    out[0] = False
    return out


def log_densities(traces: Traces, fit: CellFits) -> Floats:
    """Return the log-likelihood of each read given those before, shape (time, trains).

    The first row and missing reads have 0.
    """
    found = np.zeros(traces.values.shape)
    for row, error, total, _, _ in predictions(traces, fit):
        seen = np.isfinite(error)
        e = np.where(seen, error, 0.0)
        found[row] = np.where(seen, -0.5 * (np.log(2 * np.pi * total) + e * e / total), 0.0)
    return found


def predictions(
    traces: Traces, fit: CellFits
) -> Iterable[tuple[int, Floats, Floats, Floats, Floats]]:
    """Yield row, one-step-ahead errors and their variances, and the predicted state."""
    own = fit.own[traces.cell][None]
    shared = np.broadcast_to(fit.shared, (1, len(traces.cell), len(fit.shared)))
    for row, *rest in innovations(traces, fit.family, own, shared, fit.noise):
        error, total, mean, variance = (x[0] for x in rest)
        yield row, error, total, mean, variance


def candidate(
    traces: Traces,
    out: NDArray[np.bool_],
    kind: str,
    noise: Noise,
    *,
    frozen: tuple[str, ...] = (),
    start: CellFits | None = None,
) -> Candidate:
    """Fit a family to the reads that are not held out, and score it on the others."""
    training = dataclasses.replace(traces, values=np.where(out, np.nan, traces.values))
    kept = np.asarray(np.isfinite(training.values[1:]).any(0))
    trains = training.select(kept)
    family = FAMILIES[kind]
    fit = fit_cells(trains, family, noise=noise, frozen=frozen, start=start, rounds=15)
    density = log_densities(traces, fit)[out & np.isfinite(traces.values)]
    return Candidate(kind, noise, float(density.mean()), fit, density)


def better(one: Candidate, other: Candidate) -> bool:
    """Return whether a candidate is better than another by more than two standard errors."""
    gain = one.density - other.density
    return bool(gain.sum() > max(2 * np.sqrt(len(gain)) * gain.std(), 2.0))


def held(kind: str, cells: int, noisy: bool) -> tuple[str, ...]:
    """Return the parameters that are not fitted.

    Points without noise have no noise that accumulates. The bounds of a table are but the ends of
    its states; they stay at the range that was seen, unless many cells tell their tables apart.
    """
    noise = () if noisy else (CYCLE,)
    ends = kind == "piecewise_step" and cells < FEWEST_CELLS
    return (*noise, "bound_max", "bound_min") if ends else noise


def choose(
    traces: Traces, kinds: Sequence[str], tell: Callable[[str], None], *, noisy: bool
) -> tuple[Candidate, list[Candidate]]:
    """Return the chosen family, and all that were tried.

    A family with more parameters is taken where it predicts the held-out reads better by more than
    two standard errors. All are tried with additive noise, and the `FINALISTS` best with
    multiplicative noise too, since the wrong noise can look like another curve.

    Args:
        traces: what was measured.
        kinds: families, the one with the fewest parameters first.
        tell: is told what is tried.
        noisy: whether the values carry noise of the device.
    """
    if len(traces.cells) > MOST_CELLS:
        traces = traces.of_cells(np.linspace(0, len(traces.cells) - 1, MOST_CELLS).astype(int))
    out = held_out(traces)
    tried: list[Candidate] = []

    def attempt(kind: str, noise: Noise, start: CellFits | None = None) -> Candidate:
        tell(f"{kind}, {noise} noise")
        frozen = held(kind, len(traces.cells), noisy)
        tried.append(candidate(traces, out, kind, noise, frozen=frozen, start=start))
        return tried[-1]

    found = {kind: attempt(kind, Noise()) for kind in kinds}
    if noisy and len(kinds) > 1:
        ranked = sorted(kinds, key=lambda kind: -found[kind].held_out)
        for kind in ranked[:FINALISTS]:
            other = attempt(kind, Noise(additive=False), found[kind].fit)
            if other.held_out > found[kind].held_out:
                found[kind] = other
    best = found[kinds[0]]
    for kind in kinds[1:]:
        if better(found[kind], best):
            best = found[kind]
    return best, tried


def with_noise(traces: Traces, fit: CellFits, tell: Callable[[str], None]) -> CellFits:
    """Return the fit with the kind of noise that is likeliest for all reads.

    Additive and multiplicative noise have equally many parameters. Noise with a memory has two
    more; it is tried on small data, and where the errors correlate, and taken where it raises the
    log-likelihood by more than `RATIO`.
    """
    family = fit.family
    frozen = held(family.kind, len(traces.cells), True)
    other = dataclasses.replace(fit.noise, additive=not fit.noise.additive)
    tell(f"{family.kind}, {other} noise: {len(traces.cells)} cells")
    fit = max(
        fit,
        fit_cells(traces, family, noise=other, start=fit, frozen=frozen),
        key=_likelihood,
    )
    if traces.reads > MEMORY_READS and abs(lag_1(traces, fit)) < MEMORY_LAG:
        return fit
    noise = dataclasses.replace(fit.noise, memory=True)
    tell(f"{family.kind}, {noise} noise: {len(traces.cells)} cells")
    # What accumulates and what is remembered look alike: the search begins with either.
    start = dataclasses.replace(fit, noise=noise, shared=_with_memory(fit))
    remembering = max(
        (fit_cells(traces, family, noise=noise, start=s, frozen=frozen) for s in (None, start)),
        key=_likelihood,
    )
    if _likelihood(remembering) < _likelihood(fit) + RATIO:
        return fit
    # What has been found on the way may do without the memory too.
    shared = np.concatenate([_forgetful(remembering), remembering.shared[noise.count :]])
    start = dataclasses.replace(remembering, noise=fit.noise, shared=shared)
    fit = max(
        fit, fit_cells(traces, family, noise=fit.noise, start=start, frozen=frozen), key=_likelihood
    )
    return remembering if _likelihood(remembering) > _likelihood(fit) + RATIO else fit


def _forgetful(fit: CellFits) -> Floats:
    """Return the noise with what is remembered counted as forgotten."""
    return np.array([fit.shared[0], np.logaddexp(fit.shared[1], fit.shared[2])])


def _with_memory(fit: CellFits) -> Floats:
    """Return the shared parameters with noise that is remembered in place of what accumulates."""
    count = fit.noise.count
    remembered = [fit.shared[1], np.log(0.2)]
    return np.concatenate([[-3.0, fit.shared[1]], remembered, fit.shared[count:]])


def _likelihood(fit: CellFits) -> float:
    return fit.log_likelihood


def lag_1(traces: Traces, fit: CellFits) -> float:
    """Return the correlation of standardised one-step-ahead errors from read to read."""
    z = standardised(traces, fit)
    both = np.isfinite(z[1:]) & np.isfinite(z[:-1])
    return float((z[1:][both] * z[:-1][both]).mean() / max(float(np.nanvar(z)), 1e-12))


def standardised(traces: Traces, fit: CellFits) -> Floats:
    """Return one-step-ahead errors over their standard deviations, shape (time - 1, trains)."""
    return np.array([error / np.sqrt(t) for _, error, t, _, _ in predictions(traces, fit)])
