"""A noisy least-squares problem on soft-bounds arrays, for what algorithms converge to.

`f(W) = (W - W*)^T H (W - W*) / 2` with `H = B^T B / m`, as in Wu et al. 2024 (arXiv 2406.12774).
Gradients get Gaussian noise of standard deviation `noise` per entry. A copy of the problem is a
column of the tile; a sample belongs to one column, so that a step of all copies is one update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers import Algorithm, AnalogSGD, TikiTaka
from hwloop.crossbar import Chip, Tile, connect
from hwloop.procedures import write_exact
from hwloop.random import host_generator
from hwloop.tape import NoTape
from hwloop.weights import WeightMap

Floats = NDArray[np.float64]

DIMENSION, MEASUREMENTS = 40, 100
TARGET_STD = 0.3
NOISE = math.sqrt(0.1)
STATES = 2000
L_MAX = 255


@dataclass(frozen=True, slots=True)
class Problem:
    """The problem.

    Attributes:
        hessian: H, shape (dimension, dimension).
        target: W*, shape (dimension,).
    """

    hessian: Floats
    target: Floats

    def objective(self, weights: Floats) -> Floats:
        """Return f - f* of columns of weights, shape (copies,)."""
        apart = weights - self.target[:, None]
        values: Floats = 0.5 * np.einsum("ic,ij,jc->c", apart, self.hessian, apart)
        return values

    def gradient(self, weights: Floats) -> Floats:
        """Return the gradients of columns of weights, shape (dimension, copies)."""
        gradients: Floats = self.hessian @ (weights - self.target[:, None])
        return gradients


def problem(seed: int = 0) -> Problem:
    """Return the problem of a seed."""
    generator = host_generator(seed, "least squares")
    matrix = generator.standard_normal((MEASUREMENTS, DIMENSION))
    target = generator.normal(0, TARGET_STD, DIMENSION)
    return Problem(matrix.T @ matrix / MEASUREMENTS, target)


@dataclass(frozen=True, slots=True)
class Plateau:
    """Where a run stays, means over its last third and over the copies.

    Attributes:
        objective: f - f*.
        gradient_square: squared norm of the true gradient.
        saturation: largest |W| / tau.
        history: f - f* along the run, a mean over the copies.
    """

    objective: float
    gradient_square: float
    saturation: float
    history: list[float]


@dataclass(frozen=True, slots=True)
class Run:
    """Length and place of a run.

    Attributes:
        tau: bound of the cells; it is the weight of one device unit.
        steps: steps.
        copies: copies of the problem, each with its own noise.
        start: where the weights begin, as a part of W*.
        seed: of cells and noise.
    """

    tau: float
    steps: int
    copies: int
    start: float = 0.0
    seed: int = 1


def analog_sgd(rate: float, run: Run) -> Plateau:
    """Run analog SGD."""
    with _open(1, run) as chip:
        return _run(chip, AnalogSGD(l_max=L_MAX), rate, run)


def tiki_taka(fast_rate: float, rate: float, run: Run) -> Plateau:
    """Run Tiki-Taka, whose fast array P is moved to the weights after every step.

    Args:
        fast_rate: beta, rate of P.
        rate: alpha, rate of the weights: `W <- W + alpha P`.
        run: its length and place.
    """
    algorithm = TikiTaka(
        n_s=run.copies,
        lines_per_transfer=run.copies,
        l_max=L_MAX,
        fast_lr=fast_rate / rate,
        transfer_l_max=L_MAX,
    )
    with _open(2, run) as chip:
        return _run(chip, algorithm, rate, run)


def _open(tiles: int, run: Run) -> Chip:
    """Open ideal soft-bounds arrays whose symmetry points are at 0."""
    return connect(
        f"sim:soft-bounds-rasch,shape={tiles}x{DIMENSION}x{run.copies},seed={run.seed},"
        f"periphery=ideal,states={STATES},step_spread=0,up_down_spread=0,bound_spread=0,"
        "cycle_noise=0",
        tape=NoTape(),
    )


def _run(chip: Chip, algorithm: Algorithm, rate: float, run: Run) -> Plateau:
    """Run an algorithm."""
    tau, steps = run.tau, run.steps
    task, generator = problem(), host_generator(run.seed, "least squares noise")
    tiles = [chip[i] for i in range(len(chip))]
    controller = algorithm.controller(tiles, WeightMap(tau), 2 / STATES, seed=run.seed, layer=0)
    begin = np.repeat(task.target[:, None] * (run.start / tau), run.copies, axis=1)
    write_exact(chip, tiles[0], begin)
    one_hot = np.eye(run.copies, dtype=np.float32)
    objectives, squares, saturations = [], [], []
    for _ in range(steps):
        weights = tau * _units(tiles[0])
        gradient = task.gradient(weights)
        objectives.append(task.objective(weights))
        squares.append((gradient**2).sum(axis=0))
        saturations.append(np.abs(weights).max(axis=0) / tau)
        noisy = gradient + NOISE * generator.standard_normal(gradient.shape)
        operations = controller.plan(one_hot, (-noisy.T).astype(np.float32), rate)
        pulses = controller.digest(chip.submit(operations).results())
        if pulses:
            chip.submit(pulses).results()
    last = -(steps // 3)
    every = max(steps // 200, 1)
    return Plateau(
        float(np.mean(objectives[last:])),
        float(np.mean(squares[last:])),
        float(np.mean(saturations[last:])),
        [float(np.mean(values)) for values in objectives[::every]],
    )


def _units(tile: Tile) -> Floats:
    return np.asarray(tile.read_cells(), np.float64) / tile.capabilities.cell_siemens


def drift_objective(tau: float) -> float:
    """Return where the drift of analog SGD is balanced: f - f* of the limit of small rates.

    In the mean, `0 = H (W* - W) - E|g + noise| W / tau` for every entry (the response-function form
    of Wu et al. 2024); f - f* does not depend on the learning rate.
    """
    task = problem()
    pull = np.full(DIMENSION, NOISE * math.sqrt(2 / math.pi))
    weights = task.target
    for _ in range(100):
        stiff = task.hessian + np.diag(pull / tau)
        weights = np.asarray(np.linalg.solve(stiff, task.hessian @ task.target), np.float64)
        mean = task.hessian @ (weights - task.target)
        pull = _mean_magnitude(mean)
    return float(task.objective(weights[:, None])[0])


def _mean_magnitude(mean: Floats) -> Floats:
    """Return E|mean + noise| of Gaussian noise."""
    from scipy.special import erf

    z = mean / NOISE
    folded: Floats = NOISE * math.sqrt(2 / math.pi) * np.exp(-(z**2) / 2) + mean * erf(
        z / math.sqrt(2)
    )
    return folded


def bound(saturation: float) -> float:
    """Return `4 sigma^2 S` of theorem 2: the bound of the mean squared gradient of analog SGD."""
    share = saturation**2
    return 4 * DIMENSION * NOISE**2 * share / (1 - share)
