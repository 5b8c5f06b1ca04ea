"""Table 1 of Rasch et al. 2024: the time of an update, and what it asks of the devices.

Times are those of the cost model (`hwloop.controllers.cost`), which follows the table. Endurance is
counted: pulses of the cells in the weight-programming task. Retention is the time between a
gradient and the read of its line, in vectors and, with the times of an update, in seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwloop.controllers.cost import COSTS, Hardware
from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.judging import beside, printed
from hwloop.experiments.reproduce.weight_programming import N_S, SIZE, Cell, Dose, doses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE = {
    "ttv2": "56.3",
    "c-ttv2": "56.3",
    "agad": "62.1",
    "sgd": "30.9",
    "mixed-precision": "3024.5",
}
"""Total times of the table, nanoseconds."""

SPARSE = Hardware(n_s=10, l_avg=1, l_max=1)
SPARSE_AGAD = "17.1"
"""Total time of AGAD with n_s = 10 and l_max = 1, nanoseconds."""

MEASURED_PULSE_NS = 2500.0
"""Pulses that measured ReRAM needs (Falcone et al. 2025)."""

PAPER_ENDURANCE = {
    "fast": "paper, LeNet on MNIST: 0.5 to 4 pulses per sample",
    "weights": "paper, LeNet on MNIST: 2e-4 to 4e-4 pulses per sample",
}


def times() -> dict[str, dict[str, Any]]:
    """Return the costs of all algorithms, and their times with other hardware."""
    rows: dict[str, dict[str, Any]] = {}
    for name, cost in COSTS.items():
        standard = cost(Hardware())
        rows[name] = {
            **asdict(standard),
            "total_ns": standard.total_ns,
            "two_phases_ns": cost(Hardware(n_phases=2)).total_ns,
            "measured_pulses_ns": cost(Hardware(pulse_ns=MEASURED_PULSE_NS)).total_ns,
        }
    return rows


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    rows = times()
    vectors, copies = (25_000, 10) if request.full else (1500, 3)
    counted: dict[str, Dose] = {}
    for name in ("ttv2", "c-ttv2", "agad"):
        counted[name] = doses(Cell(name, 0.0, vectors=vectors, copies=copies))
        request.tell(f"{name}: {counted[name].fast_most:.2f} pulses per vector on the fast array")
    sparse = COSTS["agad"](SPARSE).total_ns
    checks = [
        *(
            printed(f"{name}: time of an update", TABLE[name], rows[name]["total_ns"], "ns")
            for name in rows
        ),
        printed("agad, n_s 10, l_max 1: time of an update", SPARSE_AGAD, sparse, "ns"),
        *_needs(counted, rows),
    ]
    content = {
        "times": rows,
        "agad_n_s_10_l_max_1_ns": sparse,
        "agad_beta_1_ns": COSTS["agad"](Hardware(running_mean=False)).total_ns,
        "endurance": {name: asdict(dose) for name, dose in counted.items()},
        "retention_vectors": {"fast": N_S * SIZE, "weights": vectors},
    }
    notes = (
        "The Methods of the paper apply positive and negative pulses one after the other "
        "(n_phases=2), its Table 1 does not: TTv2 takes "
        f"{rows['ttv2']['two_phases_ns']:.1f} ns in two phases.",
        f"With measured pulses of 2.5 us an update takes "
        f"{rows['ttv2']['measured_pulses_ns'] / 1000:.1f} us (TTv2).",
    )
    return Outcome(tuple(checks), content, {"time": _picture(rows)}, notes)


def _needs(counted: dict[str, Dose], rows: dict[str, dict[str, Any]]) -> list[Check]:
    """Return endurance and retention, beside what the paper says of another task."""
    note = "weight programming, another task than the paper's"
    checks = []
    for name, dose in counted.items():
        fast = f"{dose.fast_most:.3g} pulses per vector (mean {dose.fast_mean:.3g})"
        slow = f"{dose.weights_most:.2g} pulses per vector (mean {dose.weights_mean:.2g})"
        checks += [
            beside(f"{name}: busiest cell of the fast array", PAPER_ENDURANCE["fast"], fast, note),
            beside(f"{name}: busiest cell of the weights", PAPER_ENDURANCE["weights"], slow, note),
        ]
    period = N_S * SIZE
    seconds = period * rows["ttv2"]["total_ns"] * 1e-9
    checks.append(
        beside(
            "retention of the fast array",
            "paper: about one transfer period, 100 to 1000 samples",
            f"{period} vectors, {seconds:.1e} s",
            "vectors between two reads of a line; the time is TTv2's of the table",
        )
    )
    return checks


def _picture(rows: dict[str, dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.report.style import ANALOG, FLOAT, style

    with style():
        figure = Figure(figsize=(6.5, 2.6), layout="constrained")
        axes = figure.subplots()
        names = list(rows)[::-1]
        digital = [rows[name]["digital_ns"] for name in names]
        array = [rows[name]["analog_ns"] for name in names]
        height = 0.36
        places = list(range(len(names)))
        axes.barh([y + height / 2 for y in places], array, height, color=ANALOG, label="array")
        axes.barh([y - height / 2 for y in places], digital, height, color=FLOAT, label="digital")
        axes.set(xscale="log", xlabel="time of an update, ns", yticks=places, yticklabels=names)
        axes.set_title("512 x 512 array")
        axes.legend()
        return figure


REPRODUCTION = Reproduction(
    name="rasch-table1",
    what="time of an update, endurance and retention (Rasch et al. 2024, Table 1)",
    quick="about 5 seconds",
    full="about 1 minute",
    run=run,
)
