"""E-RIDER beside AGAD and TTv2 where the reference is off (arXiv 2602.21321).

A fully connected network learns digits on the HfO2 cells of the presets, which have four or five
states, with a reference whose offset has a mean and a spread. The paper trains 40 epochs on 60,000
digits; here are 5,000, so that accuracies are lower and only their order is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.digits import Training, accuracy_of
from hwloop.experiments.reproduce.judging import above, beside
from hwloop.experiments.reproduce.stored import Parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVICE = "reram-hfo2"
MEAN = 0.4
SPREADS = (0.05, 0.4, 1.0)
LEARNERS = ("ttv2", "agad", "e-rider")
PAPER = {
    "ttv2": {0.05: 72.00, 0.4: 67.85, 1.0: 57.79},
    "agad": {0.05: 92.55, 0.4: 92.06, 1.0: 90.43},
    "e-rider": {0.05: 96.07, 0.4: 96.23, 1.0: 95.14},
}
"""Accuracies of the fully connected network at a mean offset of 0.4, per cent."""

Accuracies = dict[tuple[str, float], float]


def training(name: str, spread: float, source: str, *, full: bool) -> Training:
    """Return the training of a cell of the table."""
    return Training(
        algorithm=name,
        url=f"sim:{DEVICE},reference_mean={MEAN},reference_std={spread}",
        source=source,
        hidden=(256, 128) if full else (32,),
        epochs=5 if full else 1,
        limit=None if full else 2000,
    )


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    parts, found = Parts(request.folder), Accuracies()
    source = str(request.data) if request.data else "mnist"
    for spread in SPREADS if request.full else (0.4,):
        for name in LEARNERS:
            chosen = training(name, spread, source, full=request.full)

            def compute(chosen: Training = chosen) -> float:
                return accuracy_of(chosen)

            found[name, spread] = parts.get(chosen.name, compute)
            accuracy = f"{100 * found[name, spread]:.1f} %"
            request.tell(f"{name}, offset {MEAN:g} +- {spread:g}: {accuracy}")
    rows = [{"algorithm": n, "spread": s, "accuracy": a} for (n, s), a in found.items()]
    checks = judge(found, full=request.full)
    return Outcome(tuple(checks), {"mean": MEAN, "rows": rows}, {"accuracy": _picture(found)})


def judge(found: Accuracies, *, full: bool) -> list[Check]:
    """Return accuracies beside the paper's, and their order."""
    checks = [
        beside(
            f"{name}, offset {MEAN:g} +- {spread:g}",
            f"paper: {PAPER[name][spread]} % after 40 epochs of 60,000",
            f"{100 * accuracy:.1f} %",
        )
        for (name, spread), accuracy in found.items()
    ]
    for spread in sorted({spread for _, spread in found}):
        for better, worse in (("agad", "ttv2"), ("e-rider", "ttv2"), ("e-rider", "agad")):
            what = f"{better} over {worse}, offset {MEAN:g} +- {spread:g}: points of accuracy"
            gain = 100 * (found[better, spread] - found[worse, spread])
            if full:
                checks.append(above(what, 0, gain))
            else:
                checks.append(beside(what, "more than 0", f"{gain:.3g}", "decided by --full"))
    return checks


def _picture(found: Accuracies) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.experiments.reproduce.drawing import COLOURS, LABELS
    from hwloop.report.style import style

    with style():
        figure = Figure(figsize=(5.5, 3.4), layout="constrained")
        axes = figure.subplots()
        for name in LEARNERS:
            mine = {s: 100 * a for (n, s), a in found.items() if n == name}
            axes.plot(
                list(mine), list(mine.values()), "o-", color=COLOURS[name], label=LABELS[name]
            )
        axes.set(xlabel="spread of the offset, device units", ylabel="test accuracy, %")
        axes.set_title(f"mean offset {MEAN:g}")
        axes.legend()
        return figure


REPRODUCTION = Reproduction(
    name="xiao-tracking",
    what="E-RIDER beside AGAD and TTv2 at reference offsets (arXiv 2602.21321)",
    quick="about 20 seconds",
    full="about 15 minutes; --data names a folder with all of MNIST",
    run=run,
)
