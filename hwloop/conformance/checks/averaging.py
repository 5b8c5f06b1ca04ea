"""Averaged reads: they are sums of so many reads, and as quiet as that many reads are.

The array's averages are compared with averages that the host makes of single reads, so that slow
noise of the cells, which no average takes away, is in both. Differences of successive averages are
used, so that drift is in neither.
"""

from __future__ import annotations

import math

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.marks import floors
from hwloop.conformance.rig import Rig, Values
from hwloop.operations import Direction

MOST_AVERAGED = 8
SIGMAS = 4.0
"""Of the logarithm of a ratio of variances: one in 16,000 honest arrays fails."""

DIFFERENCES = 320
"""Differences that a variance is taken from, so that hardly one array in a million passes that
averages a quarter of the reads. A block of fewer than four cells gets fewer."""

MOST_PAIRS = 96

_SLACK = 1.5
"""Factor on bounds: slow noise makes differences of the same cell depend on each other."""

_OPERATIONS_AT_ONCE = 256
_ZERO_VECTORS = 256


def run(rig: Rig, evidence: Evidence) -> None:
    """Compare averages of the array with averages of the host."""
    n = min(MOST_AVERAGED, rig.tile.average_max)
    if n < 2:
        raise SkippedError("average_max is 1: the array does not average")
    rows, cols = rig.rows[:8], rig.cols[:8]
    cells = len(rows) * len(cols)
    pairs = min(max(3, math.ceil(DIFFERENCES / cells)), MOST_PAIRS)
    single = _reads(rig, rows, cols, 1, 2 * pairs * n)
    averaged = _reads(rig, rows, cols, n, 2 * pairs)
    hosts = _averages(single, n)
    _expect_mean(rig, evidence, hosts, averaged, n)
    mine, its, one = (_variance(reads) for reads in (hosts, averaged, single))
    parts = [1, *(k for k in (2, 4) if k < n and n % k == 0), n]
    rig.pictures["averaging"] = {
        "array": {1: math.sqrt(one), n: math.sqrt(its)},
        "host": {k: math.sqrt(_variance(_averages(single, k))) for k in parts},
    }
    if one == 0.0:
        evidence.expect(its == 0.0, "noise of averages where single reads have none", its, 0)
        return
    bound = _SLACK * math.exp(SIGMAS * math.sqrt(2 / (pairs * cells) * 2))
    ratio = its / mine if mine else math.inf
    # Where noise is a fraction of a code, averages of either kind mostly round to the same.
    if one < 0.02:
        evidence.note("noise of a single read, codes", f"{math.sqrt(one):.2g}: too little to judge")
        return
    evidence.expect(
        1 / bound < ratio < bound,
        f"variance of averages of {n} reads, array to host, {pairs * cells} degrees of freedom",
        f"{ratio:.2f}",
        f"{1 / bound:.2f} to {bound:.2f}; {n} if nothing is averaged",
    )
    evidence.note(
        f"noise of a read and of an average of {n}, codes",
        f"{math.sqrt(one):.3g} and {math.sqrt(its):.3g}; white noise would give "
        f"{math.sqrt(one / n):.3g}",
    )


def noise(rig: Rig, evidence: Evidence) -> None:
    """Compare the noise of outputs of undriven lines with the noise that is declared."""
    declared = rig.tile.output_noise
    if declared is None:
        raise SkippedError("output_noise: not declared")
    codes = rig.vectors(Direction.FORWARD, _ZERO_VECTORS)
    values = rig.one(rig.vmm(Direction.FORWARD, codes)).values
    assert values is not None
    outputs = values[:, rig.rows].astype(np.float64)
    seen = math.sqrt(float(outputs.var(axis=0, ddof=1).mean()))
    expected = declared / rig.tile.adc_forward.lsb
    if expected < 0.5:
        bound = 1.0
        evidence.expect(seen <= bound, "noise of undriven outputs, codes", f"{seen:.3g}",
                        f"at most {bound:g}: {expected:.2g} is declared")  # fmt: skip
        return
    freedom = outputs.shape[1] * (_ZERO_VECTORS - 1)
    rounded = math.sqrt(expected**2 + 1 / 12)
    low = rounded * (1 - SIGMAS / math.sqrt(2 * freedom)) / _SLACK
    evidence.expect(
        seen >= low,
        "noise of undriven outputs, codes",
        f"{seen:.3g}",
        f"at least {low:.3g}: {expected:.3g} is declared",
    )


def _reads(rig: Rig, rows: list[int], cols: list[int], average: int, count: int) -> Values:
    """Return single or averaged reads in codes, shape (count, rows, cols)."""
    found: list[Values] = []
    while len(found) < count:
        some = min(count - len(found), _OPERATIONS_AT_ONCE)
        operations = [rig.read(rows, cols, average=average) for _ in range(some)]
        found += [np.asarray(r.values, np.float64) / average for r in rig.run(*operations)]
    return np.asarray(found)


def _averages(single: Values, n: int) -> Values:
    """Return averages of successive reads."""
    return np.asarray(single.reshape(-1, n, *single.shape[1:]).mean(axis=1))


def _variance(reads: Values) -> float:
    """Return the variance of a read from differences of successive ones, each used once."""
    steps = reads[1::2] - reads[::2]
    return float((steps**2).mean()) / 2


def _expect_mean(rig: Rig, evidence: Evidence, hosts: Values, averaged: Values, n: int) -> None:
    difference = averaged.mean(axis=0) - hosts.mean(axis=0)
    count = len(hosts)
    variance = hosts.var(axis=0, ddof=1) / count + averaged.var(axis=0, ddof=1) / count
    slow = floors(rig).get("cells", 0.0) / rig.cell_unit
    quick = 8 * np.sqrt(variance.mean() * _SLACK) + 0.02 * np.abs(hosts.mean(axis=0))
    bound = 2 + np.maximum(quick, slow)
    worst = np.unravel_index(int((np.abs(difference) - bound).argmax()), difference.shape)
    evidence.expect(
        bool((np.abs(difference) <= bound).all()),
        f"mean of averages of {n} reads less that of single reads, worst cell, codes",
        f"{difference[worst]:+.2f}",
        f"within {bound[worst]:.2f}",
    )


CHECKS = (
    Check(
        "averaging",
        "an averaged read is the sum of so many reads: its mean is theirs, its noise that of "
        "averages which the host makes",
        run,
        needs=("read_cells",),
    ),
    Check(
        "noise",
        "outputs are no quieter than the array declares",
        noise,
        needs=("vmm",),
    ),
)
