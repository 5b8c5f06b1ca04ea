"""Fig. 4 of Rasch et al. 2024: the weight error against the reference offset and the states.

The task is `weight_programming`. The bands are those of a replication of the same task in numpy,
which had all the settings that the paper leaves open; what the paper claims is printed beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.judging import above, at_most, beside, near
from hwloop.experiments.reproduce.stored import Parts
from hwloop.experiments.reproduce.weight_programming import Cell, errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OFFSETS = (0.0, 0.1, 0.25, 0.5, 1.0)
LEARNERS = ("ttv2", "c-ttv2", "agad")
STATES = (10, 20, 50, 100, 200)
STATES_OFFSET = 0.5
BAND = 0.25

LONG, SHORT = 25_000, 3_000
REPLICATION: dict[tuple[int, int], dict[str, tuple[float, ...]]] = {
    (20, LONG): {
        "ttv2": (0.0545, 0.0626, 0.250, 0.637, 0.852),
        "c-ttv2": (0.0533, 0.0582, 0.0721, 0.153, 0.323),
        "agad": (0.0755, 0.0747, 0.0746, 0.0747, 0.0727),
        "sgd": (0.174,),
    },
    (20, SHORT): {
        "ttv2": (0.096, 0.111, 0.182, 0.316, 0.537),
        "c-ttv2": (0.098, 0.102, 0.128, 0.208, 0.327),
        "agad": (0.085, 0.085, 0.087, 0.087, 0.108),
    },
    (200, LONG): {
        "ttv2": (0.0154, 0.0224, 0.1844, 0.5558, 0.7732),
        "c-ttv2": (0.0124, 0.0139, 0.0426, 0.1661, 0.2814),
        "agad": (0.0211, 0.0204, 0.0197, 0.0184, 0.0178),
        "sgd": (0.059,),
    },
}
"""Weight errors of the replication by states and vectors, in the order of `OFFSETS`."""

Measured = dict[Cell, list[float]]


def cells(*, full: bool) -> list[Cell]:
    """Return the settings of a form."""
    vectors = LONG if full else SHORT
    copies = 10 if full else 4
    offsets = OFFSETS if full else (0.0, 0.25, 0.5)
    chosen = [Cell(a, s, vectors=vectors, copies=copies) for a in LEARNERS for s in offsets]
    if full:
        chosen.append(Cell("sgd", 0.0))
        other = [states for states in STATES if states != 20]
        chosen += [Cell(a, STATES_OFFSET, states=states) for a in LEARNERS for states in other]
    return chosen


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    parts, measured = Parts(request.folder), Measured()
    chosen = cells(full=request.full)
    for number, cell in enumerate(chosen, 1):

        def compute(cell: Cell = cell) -> list[float]:
            return errors(cell)

        measured[cell] = parts.get(cell.name, compute)
        request.tell(
            f"{number} of {len(chosen)}: {cell.algorithm}, s_r {cell.offset:g}, "
            f"{cell.states} states: error {np.mean(measured[cell]):.4f}"
        )
    return Outcome(tuple(judge(measured)), _content(measured), {"error": _picture(measured)})


def judge(measured: Mapping[Cell, list[float]]) -> list[Check]:
    """Return the checks of everything that was measured."""
    mean = {cell: float(np.mean(values)) for cell, values in measured.items()}
    checks = []
    for cell, error in mean.items():
        known = REPLICATION.get((cell.states, cell.vectors), {}).get(cell.algorithm, ())
        place = OFFSETS.index(cell.offset)
        if place < len(known) and cell.states == 20:
            name = f"{cell.algorithm}, s_r {cell.offset:g}, {cell.states} states"
            checks.append(near(name, known[place], error, BAND, f"{cell.copies} devices"))
        elif place < len(known):
            name = f"{cell.algorithm}, s_r {cell.offset:g}, {cell.states} states"
            claim = f"{known[place]:.4g} in the replication"
            checks.append(beside(name, claim, f"{error:.4g}"))
    few = {(c.algorithm, c.offset): error for c, error in mean.items() if c.states == 20}
    decided = all(cell.vectors == LONG for cell in measured)
    return checks + _orders(few, decided) + _claims(few)


def _orders(few: Mapping[tuple[str, float], float], decided: bool) -> list[Check]:
    """Return how the algorithms compare at 20 states; short runs are too short to decide it."""
    offsets = sorted({offset for name, offset in few if name != "sgd"})
    checks = []
    for offset in offsets:
        if offset >= 0.25:
            ratio = few["ttv2", offset] / few["c-ttv2", offset]
            checks.append(above(f"TTv2 over c-TTv2, s_r {offset:g}", 2, ratio))
        if offset >= 0.5:
            ratio = few["c-ttv2", offset] / few["agad", offset]
            checks.append(above(f"c-TTv2 over AGAD, s_r {offset:g}", 1, ratio))
    flat = [few["agad", offset] for offset in offsets]
    checks.append(at_most("AGAD: largest over smallest error, all s_r", 1.1, max(flat) / min(flat)))
    if decided:
        return checks
    note = f"decided by the full form, {LONG} vectors"
    return [replace(check, reached=None, note=note) for check in checks]


def _claims(few: Mapping[tuple[str, float], float]) -> list[Check]:
    """Return what the paper says of 20 states, beside what was measured."""
    said = {
        ("sgd", 0.0): "paper: > 0.25",
        ("ttv2", 0.0): "paper: ~ 0.05",
        ("ttv2", 0.1): "paper: ~ 0.09",
        ("c-ttv2", 0.5): "paper: as at s_r = 0",
    }
    return [
        beside(f"{name}, s_r {offset:g}, as the paper says", text, f"{few[name, offset]:.4g}")
        for (name, offset), text in said.items()
        if (name, offset) in few
    ]


def _content(measured: Mapping[Cell, list[float]]) -> dict[str, Any]:
    return {
        "cells": [
            {
                "algorithm": cell.algorithm,
                "s_r": cell.offset,
                "states": cell.states,
                "vectors": cell.vectors,
                "mean": float(np.mean(values)),
                "std": float(np.std(values)),
                "errors": values,
            }
            for cell, values in measured.items()
        ]
    }


def _picture(measured: Mapping[Cell, list[float]]) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.experiments.reproduce.drawing import COLOURS, LABELS
    from hwloop.report.style import style

    with style():
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name in LEARNERS:
            mine = {c: v for c, v in measured.items() if c.algorithm == name}
            over = {c.offset: v for c, v in mine.items() if c.states == 20}
            x = sorted(over)
            y, spread = [float(np.mean(over[s])) for s in x], [float(np.std(over[s])) for s in x]
            left.errorbar(x, y, spread, color=COLOURS[name], label=LABELS[name], marker="o")
            vectors = next(iter(mine)).vectors
            known = REPLICATION[20, vectors][name]
            left.plot(OFFSETS, known, color=COLOURS[name], linestyle="none", marker="x")
            over = {c.states: v for c, v in mine.items() if c.offset == STATES_OFFSET}
            x = sorted(over)
            y = [float(np.mean(over[s])) for s in x]
            right.plot(x, y, color=COLOURS[name], marker="o")
        left.plot([], [], color="black", linestyle="none", marker="x", label="replication")
        left.set(yscale="log", xlabel="reference offset $s_r$", ylabel="weight error")
        left.set_title("20 states")
        left.legend()
        right.set(xscale="log", yscale="log", xlabel="states", title=f"$s_r$ = {STATES_OFFSET:g}")
        return figure


REPRODUCTION = Reproduction(
    name="rasch-fig4",
    what="weight error against reference offset and states (Rasch et al. 2024, Fig. 4)",
    quick="about 15 seconds",
    full="about 5 minutes",
    run=run,
)
