"""`hwloop sweep`: trains the points of a study and leaves tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.output import JsonFlag, print_error, print_json, print_table
from hwloop.cli.train import require_training_parts
from hwloop.errors import INTERRUPTED, ConfigurationError

if TYPE_CHECKING:
    from hwloop.experiments.sweep import Choice, Study, StudyResult

RUNS = Path("runs")
MOST_LISTED = 40


def sweep(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY.yaml|NAME", help="Study file, or a shipped study; their list otherwise."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the study. (default: runs/sweep-NAME)"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Worker processes. (default: one per core)")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Scheduler of a Dask cluster to use instead; its workers see FOLDER too.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of all points, above the base; repeats."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Train points with this setting only; repeats."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="POINTS", help="Train so many points this time.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Train points that failed before once more.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table of points here, too.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and list points; train and write nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train the points of a study, those that are not finished yet; may be stopped at any time.

    The same command goes on where it was stopped or killed, with the same FOLDER. Exit code 1 says
    that points have failed.
    """
    from hwloop.experiments.sweep import Choice, load_study

    if study is None:
        _list_shipped(as_json)
        return
    require_training_parts()
    loaded = load_study(study)
    changes, choice = (
        _values("--set", assignments),
        Choice(_values("--only", only), limit, retry_failed),
    )
    if dry_run:
        _dry_run(loaded, study, changes, choice, workers, as_json)
    else:
        folder = out or RUNS / f"sweep-{loaded.name}"
        _run(study, folder, workers, dask, changes, choice, csv, as_json)


def _run(
    study: str,
    folder: Path,
    workers: int | None,
    dask: str | None,
    changes: dict[str, Any],
    choice: Choice,
    csv: Path | None,
    as_json: bool,
) -> None:
    from hwloop.cli.sweep_display import display
    from hwloop.experiments.run_folder import write_atomically
    from hwloop.experiments.sweep import dask_cluster, local_workers, run_study

    if dask is not None and workers is not None:
        raise ConfigurationError(
            "--workers and --dask exclude each other", remedy="the cluster has its own workers"
        )
    if csv is not None and not csv.absolute().parent.is_dir():
        raise ConfigurationError(f"--csv {csv}: there is no folder {csv.parent}")
    engine = local_workers(workers) if dask is None else dask_cluster(dask)
    with display() as watcher:
        try:
            result = run_study(
                study,
                folder,
                engine=engine,
                changes=changes,
                choice=choice,
                watcher=watcher,
            )
        except KeyboardInterrupt:
            watcher.close()
            print_error(
                f"interrupted; what is finished is kept in {folder}: the same command goes on"
            )
            if as_json:
                print_json({"interrupted": True, "folder": str(folder)})
            raise typer.Exit(INTERRUPTED) from None
    if csv is not None:
        try:
            write_atomically(csv, result.csv)
        except OSError as error:
            raise ConfigurationError(f"--csv {csv}: {error.strerror}") from error
    if as_json:
        print_json(_content(result))
    else:
        _show(result)
    if result.count("failed"):
        raise typer.Exit(1)


def _content(result: StudyResult) -> dict[str, Any]:
    """Return what came out as plain values."""
    groups = []
    for group in result.groups:
        means = {key: group.mean(key) for key in result.study.metrics}
        groups.append(
            {
                "settings": dict(group.settings),
                "finished": group.finished,
                "metrics": {
                    key: None
                    if mean is None
                    else {
                        "mean": mean.value,
                        "standard_error": mean.error if mean.seeds > 1 else None,
                        "seeds": mean.seeds,
                    }
                    for key, mean in means.items()
                },
            }
        )
    states = ("finished", "failed", "waiting")
    return {
        "study": result.study.name,
        "folder": str(result.folder),
        "points": len(result.rows),
        **{state: result.count(state) for state in states},
        "groups": groups,
        "errors": [
            {"hash": row.hash, "settings": row.settings, "error": row.error}
            for row in result.rows
            if row.state == "failed"
        ],
        "pictures": [path.name for path in result.pictures],
    }


def _show(result: StudyResult) -> None:
    from hwloop.experiments.sweep.points import describe, plain
    from hwloop.experiments.sweep.results import metric_text

    study = result.study
    rows = []
    for group in result.groups:
        settings = [plain(group.settings.get(key)) for key in study.labels]
        values = [metric_text(key, group.mean(key)) for key in study.metrics]
        rows.append((*settings, f"{group.finished} of {len(group.rows)}", *values))
    title = f"{study.name}: mean ± standard error of the seeds"
    metrics = [key.replace("_", " ") for key in study.metrics]  # so that narrow columns break well
    print_table(title, (*study.labels, "seeds", *metrics), rows)
    for row in result.rows:
        if row.state == "failed":
            print_error(f"failed: {describe(row.settings)}: {row.error}")
    done = f"{result.count('finished')} of {len(result.rows)} points finished"
    if result.count("failed"):
        done += f", {result.count('failed')} failed (--retry-failed trains them once more)"
    typer.echo(f"{done}: {result.folder / 'results.md'}")


def _dry_run(
    study: Study,
    where: str,
    changes: dict[str, Any],
    choice: Choice,
    workers: int | None,
    as_json: bool,
) -> None:
    import os

    from hwloop.cli.sweep_display import display
    from hwloop.experiments.sweep import rehearse
    from hwloop.experiments.sweep.points import describe

    with display() as watcher:
        expected = rehearse(study, where, changes=changes, choice=choice, watcher=watcher)
    cores = len(os.sched_getaffinity(0)) if workers is None else workers
    total = sum(seconds for _, seconds in expected)
    if as_json:
        points = [{"hash": p.hash, "settings": dict(p.settings), "seconds": s} for p, s in expected]
        print_json({"study": study.name, "seconds": total, "workers": cores, "points": points})
        return
    rows = [(p.hash, describe(p.settings), f"{s:.1f} s") for p, s in expected[:MOST_LISTED]]
    if len(expected) > MOST_LISTED:
        rows.append(("...", f"and {len(expected) - MOST_LISTED} more (--json lists all)", ""))
    print_table(f"{study.name}: {len(expected)} points", ("", "settings", "about"), rows)
    typer.echo(
        f"about {duration(total)} of one core, {duration(total / cores)} with {cores} workers"
    )


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _list_shipped(as_json: bool) -> None:
    from hwloop.experiments.sweep import load_study, shipped

    known = {name: load_study(path) for name, path in shipped().items()}
    if as_json:
        rows = [
            {"name": name, "points": study.size, "description": study.description}
            for name, study in known.items()
        ]
        print_json({"studies": rows})
        return
    columns = ("shipped studies", "points", "what they ask")
    print_table(
        "",
        columns,
        [(name, study.size, " ".join(study.description.split())) for name, study in known.items()],
    )
    typer.echo("hwloop sweep NAME or STUDY.yaml trains one; docs/tutorials/sweep.md says more")


def _values(option: str, texts: list[str] | None) -> dict[str, Any]:
    import yaml

    from hwloop.device_file.text import parse

    found: dict[str, Any] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(
                f"{option} {text!r} is not key=value", remedy="write for example algorithm.n_s=2"
            )
        try:
            found[key.strip()] = parse(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{option} {text!r}: the value is not YAML") from error
    return found
