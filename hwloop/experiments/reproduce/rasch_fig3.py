"""Fig. 3 of Rasch et al. 2024: a constant gradient, with and without an offset of the reference.

A 5 x 5 tile gets `x = -X`, `d = alpha X + (1 - alpha) Y` with X, Y of N(0, 1), so that each weight
on the diagonal should fall and all others should stay. Neither depends on the weights. The offset
-0.8 of the reference shifts what the fast array reads; of analog SGD, which has no fast array, it
shifts the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers import AGAD, Algorithm, AnalogSGD, ChoppedTTv2, TTv2
from hwloop.crossbar import Chip, connect
from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.judging import at_least, at_most
from hwloop.experiments.reproduce.stacked import ONE, for_copies, spread, weights
from hwloop.random import host_generator
from hwloop.tape import NoTape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, STATES, N_S, RATE = 5, 40, 5, 0.1
ALPHA = 0.5
"""Strength of the gradient; the main text of the paper leaves it open."""
OFFSET = -0.8
VECTORS = 2000
LOOKS = 40
"""Looks at the weights, evenly over the run."""

_FAST: dict[str, Any] = {"n_s": N_S, "l_max": 5, "eta0": 1.0, "gamma0": 200.0}
ALGORITHMS: dict[str, Algorithm] = {
    "sgd": AnalogSGD(l_max=5),
    "ttv2": TTv2(**_FAST),
    "c-ttv2": ChoppedTTv2(rho=0.1, **_FAST),
    "agad": AGAD(period=10, beta=0.5, skip_first_period=False, **_FAST),
}
RATES = {"sgd": RATE / 100}
"""Learning rates that are not lambda: analog SGD moves its weights about as fast with this one."""


def open_array(copies: int, seed: int, offset: float | None) -> Chip:
    """Open stacked tiles; with a reference at the symmetry point plus an offset, or without."""
    reference = "subtract_symmetry_point=false"
    if offset is not None:
        reference = f"subtract_symmetry_point=true,reference_mean={offset}"
    return connect(
        f"sim:soft-bounds-rasch,shape={copies * SIZE}x{SIZE},seed={seed},periphery=ideal,"
        f"states={STATES},up_down_spread=0.3,{reference}",
        tape=NoTape(),
    )


def curve(name: str, offset: float, vectors: int, copies: int, seed: int = 1) -> list[float]:
    """Return how far the weights of the diagonal have moved, the mean over all copies.

    Returns:
        One value per look, device units.
    """
    algorithm = for_copies(ALGORITHMS[name], copies)
    if name == "sgd":
        with open_array(copies, 2 * seed, offset) as only:
            return _train(algorithm, only, only, vectors, copies, seed, RATES[name])
    slow, fast = open_array(copies, 2 * seed, None), open_array(copies, 2 * seed + 1, offset)
    with slow, fast:
        _rest(fast, offset)
        return _train(algorithm, slow, fast, vectors, copies, seed, RATE)


def _rest(chip: Chip, offset: float) -> None:
    """Let the cells of the fast array begin at their symmetry points."""
    states = chip.snapshot()
    for state in states:
        planes = state.view(np.float32)
        planes[0] = planes[1] = planes[2] - np.float32(offset)
    chip.restore(states)


def _train(
    algorithm: Algorithm,
    slow: Chip,
    fast: Chip,
    vectors: int,
    copies: int,
    seed: int,
    rate: float,
) -> list[float]:
    tiles = [slow[0], fast[0]][: algorithm.tiles_per_layer]
    controller = algorithm.controller(tiles, ONE, 2 / STATES, seed=seed, layer=0)
    generator = host_generator(seed, "constant gradient")
    begin = weights(slow, copies)
    moved = []
    each = vectors // LOOKS
    for _ in range(LOOKS):
        shape = (each, copies, SIZE)
        x, other = generator.standard_normal((2, *shape), np.float32)
        d = ALPHA * x + (1 - ALPHA) * other
        operations = controller.plan((-x).reshape(-1, SIZE), spread(d), rate)
        results = fast.submit(operations).results()
        pulses = controller.digest(results)
        if pulses:
            slow.submit(pulses).results()
        change: NDArray[np.float32] = weights(slow, copies) - begin
        moved.append(float(np.mean(np.diagonal(change, axis1=1, axis2=2))))
    return moved


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    vectors, copies = VECTORS, 30 if request.full else 6
    curves: dict[tuple[str, float], list[float]] = {}
    for name in ALGORITHMS:
        for offset in (0.0, OFFSET):
            curves[name, offset] = curve(name, offset, vectors, copies)
            request.tell(
                f"{name}, offset {offset:g}: the diagonal moved by {curves[name, offset][-1]:+.3f}"
            )
    content = {
        "vectors": vectors,
        "devices": copies,
        "curves": [
            {"algorithm": name, "offset": offset, "moved": values}
            for (name, offset), values in curves.items()
        ],
    }
    pictures = {"weights": _picture(curves, vectors)}
    return Outcome(tuple(judge(curves)), content, pictures)


def judge(curves: dict[tuple[str, float], list[float]]) -> list[Check]:
    """Return the checks of what moved, relative to the same algorithm without the offset."""
    checks = [
        at_most(f"{name} without offset: movement of the diagonal", -0.1, curves[name, 0.0][-1])
        for name in ALGORITHMS
    ]
    half, end = LOOKS // 2 - 1, LOOKS - 1

    def kept(name: str, look: int) -> float:
        return curves[name, OFFSET][look] / curves[name, 0.0][look]

    where = f"movement at offset {OFFSET:g} over that without"
    return [
        *checks,
        at_most(f"TTv2 stops: {where}", 0.2, kept("ttv2", end)),
        at_most(f"c-TTv2 is slower: {where}, halfway", 0.9, kept("c-ttv2", half)),
        at_least(f"c-TTv2 goes on: {where}", 0.5, kept("c-ttv2", end)),
        at_least(f"AGAD is unaffected: {where}", 0.8, kept("agad", end)),
    ]


def _picture(curves: dict[tuple[str, float], list[float]], vectors: int) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.experiments.reproduce.drawing import COLOURS, LABELS
    from hwloop.report.style import style

    with style():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        x = np.linspace(0, vectors, LOOKS + 1)
        axes = figure.subplots(1, 2, sharey=True)
        for place, offset in zip(axes, (0.0, OFFSET), strict=True):
            for name in ALGORITHMS:
                y = [0.0, *curves[name, offset]]
                place.plot(x, y, color=COLOURS[name], label=LABELS[name])
            place.set(title=f"reference offset {offset:g}", xlabel="vectors")
        axes[0].set_ylabel("change of the diagonal, device units")
        axes[0].legend()
        return figure


REPRODUCTION = Reproduction(
    name="rasch-fig3",
    what="a constant gradient with and without reference offset (Rasch et al. 2024, Fig. 3)",
    quick="about 3 seconds",
    full="about 10 seconds",
    run=run,
)
