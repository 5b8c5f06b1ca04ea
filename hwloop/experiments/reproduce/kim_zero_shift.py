"""Kim et al. 2019: imbalanced up and down steps cost accuracy, zero-shifting wins it back.

A network learns digits by analog SGD on soft-bounds cells whose up steps are smaller than their
down steps. Where the reference plane is 0, the weight 0 is not where cells come to rest; zero-
shifting moves the reference to the symmetry points. These are found by pulses, as on a chip
(`hwloop.procedures.zero_shift`), or taken from the simulated cells, which no chip can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwloop.crossbar import Chip, connect
from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.digits import Training, accuracy_of
from hwloop.experiments.reproduce.judging import at_least
from hwloop.experiments.reproduce.stored import Parts
from hwloop.procedures import zero_shift
from hwloop.procedures.programming import REFERENCE
from hwloop.tape import NoTape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVICE = "soft-bounds-rasch"
NAMED = 0.75
"""The named setting; with smaller imbalances the symmetry points win less than ten points."""
IMBALANCES = (0.0, 0.25, 0.5, NAMED)
STATES = 100
PULSES, QUICK_PULSES = 2048, 1024
AVERAGE = 4
ARMS = ("without", "pulses", "oracle")
RECOVERED, LEAST_GAIN = 0.9, 0.1

SPENT = (320, 640, 1280, 2560, 5120, 10240)
SPENT_STATES = (20, 200)
SPENT_SHAPE = (32, 32)


def array(imbalance: float, *, states: int = STATES, oracle: bool = False) -> str:
    """Return the address of the array: the reference plane is 0, or holds the symmetry points."""
    return (
        f"sim:{DEVICE},states={states},up_down={-imbalance},"
        f"subtract_symmetry_point={'true' if oracle else 'false'}"
    )


def training(imbalance: float, arm: str, seed: int, *, full: bool) -> Training:
    """Return the training of an arm."""
    return Training(
        algorithm="sgd",
        url=array(imbalance, oracle=arm == "oracle"),
        hidden=(32,),
        epochs=2 if full else 1,
        limit=None if full else 1500,
        lr=0.05,
        seed=seed,
    )


def accuracy(imbalance: float, arm: str, seed: int, *, full: bool) -> float:
    """Train one arm; return its test accuracy."""

    def shift(chip: Chip) -> None:
        for number in range(len(chip)):
            most = PULSES if full else QUICK_PULSES
            zero_shift(chip, chip[number], pulses_max=most, average=AVERAGE, seed=seed)

    chosen = training(imbalance, arm, seed, full=full)
    return accuracy_of(chosen, shift if arm == "pulses" else lambda chip: None)


@dataclass(frozen=True, slots=True)
class Found:
    """How well pulses find symmetry points.

    Attributes:
        states: states of the cells.
        pulses: pulses that a cell got.
        error: root mean square of the reference less the symmetry point, device units.
    """

    states: int
    pulses: int
    error: float


def found(states: int, pulses_max: int, seed: int = 1) -> Found:
    """Zero-shift a tile by so many pulses at most; compare with its true symmetry points."""
    rows, cols = SPENT_SHAPE
    rest = f",shape={rows}x{cols},seed={seed}"
    with connect(array(NAMED, states=states, oracle=True) + rest, tape=NoTape()) as chip:
        true = _reference(chip)
    with connect(array(NAMED, states=states) + rest, tape=NoTape()) as chip:
        shifted = zero_shift(chip, chip[0], pulses_max=pulses_max, average=AVERAGE)
        error = float(np.sqrt(np.mean((_reference(chip) - true) ** 2)))
    return Found(states, int(shifted.pulses.max()), error)


def _reference(chip: Chip) -> Any:
    return chip.snapshot()[0].view(np.float32)[REFERENCE].astype(np.float64)


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    parts, full = Parts(request.folder), request.full
    seeds = (1, 2, 3) if full else (1,)
    accuracies: dict[tuple[float, str], list[float]] = {}
    for imbalance in IMBALANCES if full else (NAMED,):
        for arm in ARMS:
            values = []
            for seed in seeds:

                def compute(
                    imbalance: float = imbalance, arm: str = arm, seed: int = seed
                ) -> float:
                    return accuracy(imbalance, arm, seed, full=full)

                name = f"{training(imbalance, arm, seed, full=full).name} {arm}"
                values.append(parts.get(name, compute))
            accuracies[imbalance, arm] = values
            request.tell(f"imbalance {imbalance:g}, {arm}: accuracy {100 * np.mean(values):.1f} %")
    spent = []
    for states in SPENT_STATES:
        for pulses_max in SPENT if full else SPENT[:3]:
            spent.append(found(states, pulses_max))
            request.tell(f"{states} states, {spent[-1].pulses} pulses: error {spent[-1].error:.4f}")
    content = {
        "named_setting": training(NAMED, "pulses", 1, full=full).name,
        "accuracy": [
            {"imbalance": imbalance, "reference": arm, "accuracies": values}
            for (imbalance, arm), values in accuracies.items()
        ],
        "symmetry_point": [
            {"states": f.states, "pulses": f.pulses, "error_units": f.error} for f in spent
        ],
    }
    checks = judge(accuracies, spent)
    return Outcome(tuple(checks), content, {"zero-shift": _picture(accuracies, spent)})


def judge(accuracies: dict[tuple[float, str], list[float]], spent: list[Found]) -> list[Check]:
    """Return the checks of the named setting, and of the search."""
    without, pulses, oracle = (float(np.mean(accuracies[NAMED, arm])) for arm in ARMS)
    seeds = len(accuracies[NAMED, "pulses"])
    gain = oracle - without
    recovered = (pulses - without) / gain if gain > 0 else 0.0
    setting = f"up_down={-NAMED:g}, {seeds} seed{'s' if seeds > 1 else ''}"
    checks = [
        at_least(f"accuracy that the symmetry points win, {setting}", LEAST_GAIN, gain),
        at_least(
            f"share of it that zero-shifting by pulses wins, {setting}",
            RECOVERED,
            recovered,
            f"without {without:.3f}, pulses {pulses:.3f}, oracle {oracle:.3f}",
        ),
    ]
    for states in SPENT_STATES:
        mine = [f for f in spent if f.states == states]
        checks.append(
            at_least(
                f"{states} states: error after {mine[0].pulses} pulses over that after "
                f"{mine[-1].pulses}",
                1.0,
                mine[0].error / mine[-1].error,
                f"errors {mine[0].error:.4f} and {mine[-1].error:.4f} device units",
            )
        )
    return checks


def _picture(accuracies: dict[tuple[float, str], list[float]], spent: list[Found]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    from hwloop.report.style import ANALOG, FLOAT, PULSES, style

    with style():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        looks = ((FLOAT, "o-"), (PULSES, "o-"), (ANALOG, "x:"))
        for arm, (colour, line) in zip(ARMS, looks, strict=True):
            over = {i: values for (i, a), values in accuracies.items() if a == arm}
            means = [100 * float(np.mean(values)) for values in over.values()]
            left.plot(list(over), means, line, color=colour, label=arm)
        left.set(xlabel="imbalance of up and down steps", ylabel="test accuracy, %")
        left.legend(title="reference shifted by")
        for states, colour in zip(SPENT_STATES, (FLOAT, ANALOG), strict=True):
            mine = [f for f in spent if f.states == states]
            x, y = [f.pulses for f in mine], [f.error for f in mine]
            right.plot(x, y, "o-", color=colour, label=f"{states} states")
        right.set(xscale="log", yscale="log", xlabel="pulses per cell")
        right.xaxis.set_minor_formatter(NullFormatter())  # their labels would overlap
        right.set(ylabel="error of the symmetry point, device units")
        right.legend()
        return figure


REPRODUCTION = Reproduction(
    name="kim-zero-shift",
    what="zero-shifting of imbalanced cells, by accuracy and pulses (Kim et al. 2019)",
    quick="about 15 seconds",
    full="about 5 minutes",
    run=run,
)
