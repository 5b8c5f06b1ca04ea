"""`hwloop run replay`: a training again, with its tape in the place of the array."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.output import JsonFlag, print_error, print_json, print_table
from hwloop.cli.run_compare import print_comparison
from hwloop.cli.share import share
from hwloop.errors import CrossbarError, ReplayError
from hwloop.run import Run, load_run

if TYPE_CHECKING:
    from hwloop.experiments.compare import Comparison
    from hwloop.experiments.replay import Replayed


def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--strict",
            help="Count operations that only have other values, or stop at them. "
            "(default: count them on a host other than the recorded one)",
        ),
    ] = None,
    reissue: Annotated[
        bool | None,
        typer.Option(
            "--reissue/--no-reissue",
            help="Give the taped operations to the run's own virtual array again as well. "
            "(default: on a host other than the recorded one)",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a training again with its tape in the place of the array; compare every operation."""
    from hwloop.cli.progress import display
    from hwloop.cli.train import require_training_parts

    require_training_parts()
    from hwloop.experiments.replay import replay_run

    loaded = load_run(run)
    with display() as observer:
        found = replay_run(loaded, follow=follow, observer=observer)
    array, why = None, "not asked for"
    if bool(found.host) if reissue is None else reissue:
        array, why = _reissue(loaded)
    if as_json:
        print_json(_content(run, found, array, why))
    else:
        _show(found, array, why)
    if array is not None and array.outside:
        print_error(f"hwloop: {array.outside} results of the array are not the taped ones")
        raise typer.Exit(ReplayError.exit_code)


def _reissue(run: Run) -> tuple[Comparison | None, str]:
    """Give the taped operations to the run's own array; say why if that cannot be done."""
    from hwloop.crossbar import connect
    from hwloop.experiments.compare import Tolerance, compare
    from hwloop.tape.recording import open_recording

    recording = open_recording(run.tape_path)
    if recording.array.kind != "virtual":
        return None, "the array is physical: hwloop run compare gives it the operations again"
    try:
        chip = connect(recording.header["url"])
    except CrossbarError as error:
        return None, error.message
    size = run.tape_path.stat().st_size
    with chip, share("re-issuing", size) as tell:
        return compare(recording, chip, Tolerance(codes=0), tell), ""


def _content(run: Path, found: Replayed, array: Comparison | None, why: str) -> dict[str, Any]:
    tally = found.differences
    return {
        "run": str(run),
        "operations": found.operations,
        "taped": found.taped,
        "complete": found.complete,
        "same_hash": found.same_hash,
        "other_host": {name: {"recorded": a, "now": b} for name, (a, b) in found.host.items()},
        "host_differences": {k: dataclasses.asdict(v) for k, v in tally.kinds.items()},
        "array": why
        if array is None
        else {k: dataclasses.asdict(v) for k, v in array.kinds.items()},
    }


def _show(found: Replayed, array: Comparison | None, why: str) -> None:
    differing = sum(row.differing for row in found.differences.kinds.values())
    if found.complete:
        print(f"{found.operations} operations repeated, {differing} of them with other values")
        print("the hash is the same" if found.same_hash else "the hash is another")
    else:
        print(
            f"{found.operations} of {found.taped} operations repeated, {differing} of them with "
            "other values; the run was interrupted there"
        )
    for name, (recorded, now) in found.host.items():
        print(f"{name}: recorded with {recorded}, this is {now}")
    if differing:
        print_table(
            "What this host's arithmetic makes different",
            ("operation", "compared", "differing", "values", "most", "first at"),
            [
                (kind, row.operations, row.differing, row.values, row.most or "-", row.first)
                for kind, row in found.differences.kinds.items()
                if row.differing
            ],
        )
    if array is not None:
        print_comparison("The taped operations on the run's own array", array)
    elif why != "not asked for":
        print(f"the array was not given the operations again: {why}")
