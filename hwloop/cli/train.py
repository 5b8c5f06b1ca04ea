"""`hwloop train`: trains a network on an array and leaves a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.moves import Moves
from hwloop.cli.output import JsonFlag, print_error, print_json, print_table, si
from hwloop.errors import INTERRUPTED, ConfigurationError
from hwloop.testing import FaultSpec

if TYPE_CHECKING:
    from hwloop.experiments.config import TrainConfig

Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. algorithm.n_s=2; repeats."),
]


def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.yaml", help="Settings; defaults otherwise.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The array. (default: sim:reram-om)"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Device preset or file, in place of the URL's."),
    ] = None,
    station: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Station file of the bench, with its limits."),
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="c-ttv2, ttv2, agad, e-rider, tiki-taka, residual, mixed-precision or sgd. "
            "(default: c-ttv2)",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help="mnist, digits, cifar10, cifar100, a CIFAR archive, or a folder of IDX files or "
            "images. (default: mnist)",
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="training or transfer-learning. (default: training)"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data. (default: 10)")] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="BATCHES", help="End the run after so many batches.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything. (default: 1)")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder. (default: next below runs/)")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Continue an interrupted run.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="CHIP_ID", help="Chip that may be moved, by its id.")
    ] = None,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Faults on the link, to try it: drop=0.01,flip=1e-4,reboot=after-intent@40.",
        ),
    ] = None,
    assignments: Assignments = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show settings and costs; move and write nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a network on an array; with no argument, c-TTv2 on a simulated ReRAM array."""
    flags = {
        "backend.url": backend,
        "backend.device": device,
        "backend.station": station,
        "algorithm.name": algorithm,
        "data.source": data,
        "experiment": experiment,
        "schedule.epochs": epochs,
        "schedule.limit": limit,
        "seed": seed,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    moves = Moves(arm, None if faults is None else FaultSpec.parse(faults), backend)
    if resume is not None:
        if given.keys() - {"backend.url"} or assignments or config or out or dry_run:
            raise ConfigurationError(
                "--resume takes all settings from the interrupted run, but where its array is now",
                remedy=f"hwloop train --resume {resume}",
            )
        _run(None, resume, moves, as_json)
        return
    require_training_parts()
    from hwloop.experiments.config import load_config

    loaded = load_config(config, assignments or (), given)
    if dry_run:
        _dry_run(loaded, as_json)
    else:
        _run(loaded, out, moves, as_json)


def _run(config: TrainConfig | None, folder: Path | None, moves: Moves, as_json: bool) -> None:
    """Train by a configuration into a new folder, or, without one, resume the run in the folder."""
    require_training_parts()
    from hwloop.cli.progress import display
    from hwloop.experiments.train import resume_run, train_run

    with display() as observer:
        try:
            if config is not None:
                run = train_run(
                    config, out=folder, arm=moves.arm, faults=moves.faults, observer=observer
                )
            else:
                assert folder is not None
                run = resume_run(
                    folder, arm=moves.arm, url=moves.url, faults=moves.faults, observer=observer
                )
        except KeyboardInterrupt:
            path = observer.folder
            observer.close()
            remedy = "" if path is None else f"; continue with: hwloop train --resume {path}"
            print_error(f"interrupted{remedy}")
            if as_json:
                print_json({"interrupted": True, "run": None if path is None else str(path)})
            raise typer.Exit(INTERRUPTED) from None
    summary = run.summary
    if as_json:
        print_json({"run": str(run.folder), **summary})
        return
    _show_summary(run.folder, summary, report=run.report)


def _show_summary(folder: Path, summary: dict[str, Any], *, report: Path | None) -> None:
    rows = [("test accuracy", _percent(summary["test_accuracy"]) + ", mean of the last 3 epochs")]
    if summary["float_test_accuracy"] is not None:
        rows.append(("float network", _percent(summary["float_test_accuracy"])))
    if "pretrained_accuracy" in summary:
        old = [_percent(summary[f"{key}_accuracy"]) for key in ("pretrained", "programmed")]
        rows.append(("classes before", f"{old[0]} in float, {old[1]} after programming"))
        error = _percent(summary["weight_error"])
        rows.append(("programming error", f"{error} of each layer's largest weight"))
    rows += [
        ("pulses", si(summary["pulses"], "").strip()),
        ("chip time", si(summary["chip_seconds"], "s")),
        ("wall time", f"{summary['wall_seconds']:.1f} s"),
        ("tape", f"{summary['tape_bytes'] / 1e6:.1f} MB, hash {summary['tape_hash'][:16]}"),
        ("run", str(folder)),
    ]
    if report is not None:
        rows.append(("report", str(report)))
    print_table("", ("", ""), rows)


def _dry_run(config: TrainConfig, as_json: bool) -> None:
    from hwloop.experiments.config import dump_config
    from hwloop.experiments.estimate import estimate

    costs = estimate(config)
    if as_json:
        print_json({"config": config.model_dump(mode="json"), **costs})
        return
    print(dump_config(config))
    print_table(
        "What the run would do", ("", ""), [(k.replace("_", " "), v) for k, v in costs.items()]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def require_training_parts() -> None:
    """Refuse to go on without the packages that training needs."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "matplotlib", "jinja2", "mlxtend") if not find_spec(name)]
    if missing:
        raise ConfigurationError(
            f"training needs {', '.join(missing)}",
            remedy="install the training parts: pip install 'hwloop[train]'",
        )
