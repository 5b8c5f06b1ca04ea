"""Wu et al. 2024: analog SGD stays away from the optimum, Tiki-Taka goes to it.

On a noisy least-squares problem (`least_squares`) the error that analog SGD keeps does not depend
on its learning rate, and falls with the bound tau of the cells; that of Tiki-Taka falls with its
rates. The full form also trains a network on digits by both.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.judging import above, at_least, at_most, beside, near
from hwloop.experiments.reproduce.least_squares import (
    Plateau,
    Run,
    analog_sgd,
    bound,
    drift_objective,
    tiki_taka,
)
from hwloop.experiments.reproduce.stored import Parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (0.02, 0.01, 0.005)
"""Learning rates of analog SGD, over which they fall fourfold."""

FAST_RATES = (0.2, 0.1, 0.05)
"""Rates beta of the fast array of Tiki-Taka, over which they fall fourfold."""

TRANSFER = 6e-3
"""Rate of the transfer of Tiki-Taka, as a part of that of its fast array."""

TAUS = (1.0, 1.5, 2.0, 2.5)

GAIN = 16.0
"""Weights of a layer are bounded by `GAIN tau / sqrt(n_in)`."""

PAPER_MNIST = {
    "sgd": {0.7: 11.35, 0.78: 97.71, 0.8: 97.78},
    "tiki-taka": {0.7: 97.64, 0.78: 97.62, 0.8: 97.50},
}
"""Accuracies of the fully connected network on all of MNIST, per cent."""


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    parts = Parts(request.folder)
    # The full form comes from far away; the quick one begins at the optimum, which saves the way.
    sgd_run = Run(1.0, 8000, 8) if request.full else Run(1.0, 1200, 3, start=1.0)
    tiki_run = Run(1.0, 16_000, 8) if request.full else Run(1.0, 800, 3, start=1.0)
    rates = RATES if request.full else (RATES[0], RATES[-1])
    fast_rates = FAST_RATES if request.full else (FAST_RATES[0], FAST_RATES[-1])
    sgd: dict[float, Plateau] = {}
    for rate in rates:
        sgd[rate] = _sgd(parts, rate, sgd_run)
        request.tell(f"analog SGD, rate {rate:g}: f - f* {sgd[rate].objective:.4g}")
    exact: dict[float, Plateau] = {}
    for rate in fast_rates:
        longer = round(tiki_run.steps * FAST_RATES[0] / rate)
        exact[rate] = _tiki(parts, rate, replace(tiki_run, steps=longer))
        request.tell(f"Tiki-Taka, rate {rate:g}: f - f* {exact[rate].objective:.4g}")
    sweep: dict[float, tuple[Plateau, Plateau]] = {}
    for tau in TAUS if request.full else ():
        sweep[tau] = (
            _sgd(parts, RATES[1], replace(sgd_run, tau=tau)),
            _tiki(parts, FAST_RATES[1], replace(tiki_run, tau=tau, steps=2 * tiki_run.steps)),
        )
        both = ", ".join(f"{plateau.objective:.4g}" for plateau in sweep[tau])
        request.tell(f"tau {tau:g}: f - f* of analog SGD and Tiki-Taka {both}")
    checks = judge(sgd, exact, sweep)
    content: dict[str, Any] = {
        "analog_sgd": {str(rate): asdict(plateau) for rate, plateau in sgd.items()},
        "tiki_taka": {str(rate): asdict(plateau) for rate, plateau in exact.items()},
        "tau": {str(t): [asdict(plateau) for plateau in both] for t, both in sweep.items()},
    }
    if request.full:
        rows = _digits(parts, request)
        content["digits"] = rows
        checks += _digit_checks(rows)
    return Outcome(tuple(checks), content, {"plateau": _picture(sgd, exact, sweep)})


def _sgd(parts: Parts, rate: float, run: Run) -> Plateau:
    name = f"analog SGD, rate {rate}, {run}"
    return Plateau(**parts.get(name, lambda: asdict(analog_sgd(rate, run))))


def _tiki(parts: Parts, rate: float, run: Run) -> Plateau:
    # The fast array forgets by 1 / tau, so that a smaller transfer keeps the pair from ringing.
    transfer = rate * TRANSFER / run.tau**2
    name = f"Tiki-Taka, rates {rate} {transfer}, {run}"
    return Plateau(**parts.get(name, lambda: asdict(tiki_taka(rate, transfer, run))))


def judge(
    sgd: dict[float, Plateau],
    exact: dict[float, Plateau],
    sweep: dict[float, tuple[Plateau, Plateau]],
) -> list[Check]:
    """Return the checks of the plateaus."""
    first, last = sgd[max(sgd)].objective, sgd[min(sgd)].objective
    slow, fast = exact[max(exact)].objective, exact[min(exact)].objective
    by_tau = {1.0: sgd[min(sgd)], **{tau: both[0] for tau, both in sweep.items()}}
    checks = [
        at_most("analog SGD: change of f - f* over a fourfold rate", 0.2, abs(first / last - 1)),
        at_least("Tiki-Taka: fall of f - f* over a fourfold rate", 2, slow / fast),
        above("analog SGD over Tiki-Taka, f - f* at the smallest rates", 2, last / fast),
    ]
    for tau, plateau in by_tau.items():
        drift = drift_objective(tau)
        rate = min(sgd) if tau == 1.0 and not sweep else RATES[1]
        checks += [
            at_most(
                f"analog SGD, tau {tau:g}: squared gradient",
                bound(plateau.saturation),
                plateau.gradient_square,
                "theorem 2, 4 sigma^2 S, for small rates",
            ),
            near(
                f"analog SGD, tau {tau:g}: f - f*",
                drift,
                plateau.objective,
                0.2,
                f"where the mean drift is balanced; rate {rate:g}",
            ),
        ]
    for tau, (with_drift, without) in sweep.items():
        ratio = with_drift.objective / without.objective
        checks.append(above(f"analog SGD over Tiki-Taka, tau {tau:g}", 1, ratio))
    return checks


def _digits(parts: Parts, request: Request) -> list[dict[str, Any]]:
    from hwloop.experiments.reproduce.digits import Training, accuracy_of

    rows = []
    for name, lr in (("sgd", 0.05), ("tiki-taka", 0.05)):
        for tau in (0.7, 0.78, 0.8):
            training = Training(
                algorithm=name,
                url="sim:soft-bounds-rasch,step_spread=0,up_down_spread=0,bound_spread=0,"
                f"cycle_noise=0,states={round(2000 * tau)}",
                source=str(request.data) if request.data else "mnist",
                hidden=(256, 128),
                epochs=3,
                lr=lr,
                weight_gain=GAIN * tau,
            )

            def compute(training: Training = training) -> float:
                return accuracy_of(training)

            accuracy = parts.get(training.name, compute)
            rows.append({"algorithm": name, "tau": tau, "accuracy": accuracy})
            request.tell(f"digits, {name}, tau {tau:g}: {100 * accuracy:.2f} %")
    return rows


def _digit_checks(rows: list[dict[str, Any]]) -> list[Check]:
    return [
        beside(
            f"digits, {row['algorithm']}, tau {row['tau']:g}",
            f"paper: {PAPER_MNIST[row['algorithm']][row['tau']]} % after 80 epochs of 60,000",
            f"{100 * row['accuracy']:.2f} %",
            "5,000 digits unless --data names more; printed beside, not required",
        )
        for row in rows
    ]


def _picture(
    sgd: dict[float, Plateau],
    exact: dict[float, Plateau],
    sweep: dict[float, tuple[Plateau, Plateau]],
) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.experiments.reproduce.drawing import COLOURS, LABELS
    from hwloop.report.style import style

    with style():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, runs in (("sgd", sgd), ("tiki-taka", exact)):
            rates = sorted(runs)
            relative = [rate / rates[-1] for rate in rates]
            objectives = [runs[rate].objective for rate in rates]
            left.plot(relative, objectives, "o-", color=COLOURS[name], label=LABELS[name])
        left.axhline(drift_objective(1.0), color="black", linewidth=0.8, linestyle="--")
        left.set(xscale="log", yscale="log", xlabel="rates, relative", ylabel="f - f*")
        left.set_title(r"$\tau$ = 1; dashed: balance of the drift")
        left.legend()
        for place, name in enumerate(("sgd", "tiki-taka")):
            objectives = [both[place].objective for both in sweep.values()]
            right.plot(list(sweep), objectives, "o-", color=COLOURS[name])
        if sweep:
            balance = [drift_objective(tau) for tau in sweep]
            right.plot(list(sweep), balance, color="black", linewidth=0.8, linestyle="--")
            right.set(yscale="log")
        right.set(xlabel=r"bound $\tau$", ylabel="f - f*", title="at the middle rates")
        return figure


REPRODUCTION = Reproduction(
    name="wu-exact",
    what="the error that analog SGD keeps and Tiki-Taka does not (Wu et al. 2024)",
    quick="about 15 seconds",
    full="about 10 minutes; --data names a folder with all of MNIST",
    run=run,
)
