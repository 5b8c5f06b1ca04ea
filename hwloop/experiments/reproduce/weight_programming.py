"""Weight programming: a 20 x 20 tile learns a fixed matrix from random vectors.

The task of Rasch et al. 2024, Fig. 4: target weights of N(0, 0.3), inputs of N(0, 1), the error
`d = (W* - W) x` of one vector at a time. The fast array and the weights have devices of their own;
the weights' have bounds without spread. Ten constructions of the devices are trained at once,
stacked in one tile (`stacked`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers import AGAD, Algorithm, AnalogSGD, ChoppedTTv2, TTv2
from hwloop.crossbar import Chip, connect
from hwloop.experiments.reproduce.stacked import ONE, for_copies, own, spread, weights
from hwloop.operations import Direction
from hwloop.procedures import Management, managed_vmm
from hwloop.procedures.programming import PULSES
from hwloop.random import host_generator
from hwloop.tape import NoTape

SIZE = 20
TARGET_STD = 0.3
N_S = 5
READS_OF_ERROR = 100
MANAGEMENT = Management(bound_rounds=0)

_FAST: dict[str, Any] = {"n_s": N_S, "l_max": 5, "eta0": 1.0, "gamma0": 200.0}
ALGORITHMS: dict[str, Algorithm] = {
    "sgd": AnalogSGD(l_max=5),
    "ttv2": TTv2(**_FAST),
    "c-ttv2": ChoppedTTv2(rho=0.1, **_FAST),
    "agad": AGAD(period=10, beta=0.5, skip_first_period=False, **_FAST),
}
"""Settings of Rasch et al. 2024, Fig. 3 and 4."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting of the task.

    Attributes:
        algorithm: a name of `ALGORITHMS`.
        offset: standard deviation s_r of the reference offset, device units.
        states: states of the devices, 2 / delta.
        rate: learning rate lambda; analog SGD takes a tenth of it.
        vectors: input vectors.
        copies: constructions of the devices.
        seed: of devices, noise and inputs.
    """

    algorithm: str
    offset: float
    states: int = 20
    rate: float = 0.1
    vectors: int = 25_000
    copies: int = 10
    seed: int = 1

    @property
    def name(self) -> str:
        """All settings as one text."""
        return " ".join(f"{key}={value}" for key, value in asdict(self).items())


def target() -> NDArray[np.float32]:
    """Return the target weights, the same in all runs."""
    drawn = host_generator(0, "weight programming target").normal(0, TARGET_STD, (SIZE, SIZE))
    return np.clip(drawn, -1, 1).astype(np.float32)


def open_weights(cell: Cell) -> Chip:
    """Open the array of the weights: bounds without spread, no reference."""
    return connect(
        f"sim:soft-bounds-rasch,shape={cell.copies * SIZE}x{SIZE},seed={2 * cell.seed},"
        f"periphery=ideal,states={cell.states},bound_spread=0,subtract_symmetry_point=false",
        tape=NoTape(),
    )


def open_fast(cell: Cell) -> Chip:
    """Open the fast array, with the offset of its reference."""
    return connect(
        f"sim:soft-bounds-rasch,shape={cell.copies * SIZE}x{SIZE},seed={2 * cell.seed + 1},"
        f"periphery=ideal,states={cell.states},reference_std={cell.offset}",
        tape=NoTape(),
    )


def errors(cell: Cell) -> list[float]:
    """Train; return the weight error eps_w of each construction of the devices.

    It is the root mean square of `W - W*` over the last fifth of the run; for analog SGD that of
    the end, as in the replication that it is compared with.
    """
    algorithm = for_copies(ALGORITHMS[cell.algorithm], cell.copies)
    with open_weights(cell) as slow:
        if cell.algorithm == "sgd":
            return _train(cell, algorithm, slow, slow, 1, cell.rate / 10)
        with open_fast(cell) as fast:
            return _train(cell, algorithm, slow, fast, N_S, cell.rate)


@dataclass(frozen=True, slots=True)
class Dose:
    """Pulses of cells per vector of their copy.

    Attributes:
        fast_most, fast_mean: of the busiest cell of the fast array, and of all.
        weights_most, weights_mean: of the weights.
    """

    fast_most: float
    fast_mean: float
    weights_most: float
    weights_mean: float


def doses(cell: Cell) -> Dose:
    """Train with a fast array; return the pulses that the cells had."""
    algorithm = for_copies(ALGORITHMS[cell.algorithm], cell.copies)
    with open_weights(cell) as slow, open_fast(cell) as fast:
        _train(cell, algorithm, slow, fast, N_S, cell.rate)
        of_weights, of_fast = (chip.snapshot()[0][PULSES] / cell.vectors for chip in (slow, fast))
    return Dose(
        float(of_fast.max()),
        float(of_fast.mean()),
        float(of_weights.max()),
        float(of_weights.mean()),
    )


def _train(
    cell: Cell, algorithm: Algorithm, slow: Chip, fast: Chip, vectors: int, rate: float
) -> list[float]:
    """Train with so many vectors of each copy between two looks at the weights."""
    wanted, inputs = target(), host_generator(cell.seed, "weight programming inputs")
    tiles = [slow[0], fast[0]][: algorithm.tiles_per_layer]
    controller = algorithm.controller(tiles, ONE, 2 / cell.states, seed=cell.seed, layer=0)
    steps = cell.vectors // vectors
    looks = set(np.linspace(0.8 * steps, steps - 1, READS_OF_ERROR).astype(int).tolist())
    if cell.algorithm == "sgd":
        looks = {steps - 1}
    squares = []
    for step in range(steps):
        x = inputs.standard_normal((vectors * cell.copies, SIZE), np.float32)
        y = managed_vmm(slow, slow[0], ONE, Direction.FORWARD, x, MANAGEMENT)
        d = (x @ wanted.T).reshape(vectors, cell.copies, SIZE) - own(y, cell.copies)
        operations = controller.plan(x, spread(d), rate)
        results = fast.submit(operations).results() if operations else []
        pulses = controller.digest(results)
        if pulses:
            slow.submit(pulses).results()
        if step in looks:
            squares.append(((weights(slow, cell.copies) - wanted) ** 2).mean(axis=(1, 2)))
    found: list[float] = np.sqrt(np.mean(squares, axis=0)).tolist()
    return found
