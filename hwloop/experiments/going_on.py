"""Runs of arrays that nobody can set back: the tape answers first, then the array goes live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwloop.backend import CrossbarBackend, KeepsJournal, open_backend
from hwloop.crossbar import Chip
from hwloop.crossbar.safety import check_installed
from hwloop.errors import ConfigurationError
from hwloop.experiments.feeding import Fed
from hwloop.experiments.interrupted import read_interrupted
from hwloop.experiments.read_back import (
    Values,
    differences,
    follow,
    planes_of,
    read_back,
)
from hwloop.experiments.reconcile import (
    Examined,
    Policy,
    examine,
    raise_ids,
    reconcile,
    require_clear,
    same_chip,
)
from hwloop.experiments.run_folder import RunFolder
from hwloop.operations import Verdict
from hwloop.run import Run, load_run
from hwloop.tape import records
from hwloop.tape.format import MAGIC, RecordType
from hwloop.tape.stream import whole_bytes
from hwloop.untrusted import parse_json, read_arrays

CELLS = "cells/"
"""Begins the names of conductances in a checkpoint; the number of the tile follows."""


def can_be_set(array: CrossbarBackend) -> bool:
    """Return whether an array can be set to the state of a checkpoint."""
    return {"snapshot", "restore"} <= array.describe().operations


def _begun(tape: Path) -> bool:
    """Return whether a tape is there, and was not cut off in its first word."""
    return tape.is_file() and tape.stat().st_size >= len(MAGIC)


def has_operations(tape: Path) -> bool:
    """Return whether a tape is there and holds an operation."""
    if not _begun(tape):
        return False
    return any(kind is RecordType.OPERATION for kind, _ in records(tape))


def last_checkpoint(run: Run) -> tuple[Path | None, int]:
    """Return the newest checkpoint that the tape reaches, and how many bytes of the tape it needs.

    Without one, None and the bytes of the tape's header.
    """
    if not _begun(run.tape_path):
        return None, 0
    end = whole_bytes(run.tape_path)
    for path in reversed(run.checkpoints):
        needs = _tape_bytes(path)
        if needs is not None and needs <= end:
            return path, needs
    return None, read_interrupted(run.tape_path).header_end


def _tape_bytes(checkpoint: Path) -> int | None:
    """Return where on the tape a checkpoint is, or None if it cannot be read."""
    try:
        raw = read_arrays(checkpoint, ("about",))["about"].tobytes()
        return int(parse_json(raw, f"{checkpoint}: about")["extra"]["tape_bytes"])
    except (ConfigurationError, ValueError, KeyError, TypeError):
        return None


def reconcile_run(path: Path, policy: Policy, *, url: str | None = None) -> Examined | None:
    """Ask the array of an interrupted run what became of its open operations, and decide.

    Nothing is moved. The decision is written on the tape, so that the run can be resumed.

    Args:
        path: folder of the run.
        policy: of `hwloop.experiments.reconcile.reconcile`.
        url: where the array is now, if not where it was.

    Returns:
        what is known and decided; None for an array that is set back to a checkpoint, where there
        is nothing to decide.

    Raises:
        CrossbarError: the folder holds no run, another process writes it, or the array is another
            one or does not answer.
    """
    run = load_run(path)
    with RunFolder(run.folder).lock():
        array = open_backend(url or _url_of(run))
        try:
            if can_be_set(array):
                return None
            interrupted = read_interrupted(run.tape_path)
            chip = same_chip(interrupted, array.describe())
            checkpoint, offset = last_checkpoint(run)
            examined = examine(interrupted, array)
            return reconcile(examined, policy, array, chip, cells_of(checkpoint), offset)
        finally:
            array.close()


def _url_of(run: Run) -> str:
    where = run.config["backend"]
    url: str = where if isinstance(where, str) else where["url"]
    return url


def feed(run: Run, array: CrossbarBackend) -> tuple[Fed, Examined]:
    """Put an array behind the tape of an interrupted run of its.

    Raises:
        ConfigurationError: the run is of another chip.
        OutcomeUnknownError: the user has to decide what to do about an operation; nothing was sent.
    """
    interrupted = read_interrupted(run.tape_path)
    same_chip(interrupted, array.describe())
    examined = examine(interrupted, array)
    require_clear(examined, run.folder)
    raise_ids(examined, array)
    return Fed(array, interrupted, examined.settled()), examined


@contextmanager
def going_live(
    chip: Chip,
    fed: Fed,
    examined: Examined,
    checkpoint: Path | None,
    offset: int,
    tell: Callable[[str], None],
) -> Iterator[None]:
    """Let a run go on behind its tape; when that ends, look at the cells and report.

    Args:
        chip: the array, fed.
        fed: its backend.
        examined: what became of open operations.
        checkpoint: file of conductances at `offset`, if there is one.
        offset: bytes of the tape up to it.
        tell: is told in words what was found.
    """
    life, chip.guard.life = chip.guard.life, None  # what is on the tape has been charged

    def live() -> None:
        chip.guard.life = life
        check_installed(fed.array, chip.configuration)
        entries, start = examined.entries(offset), cells_of(checkpoint)
        planes = planes_of(chip.capabilities, entries, start)
        accounts = follow(chip.capabilities, entries, start, planes)
        rows = differences(chip.capabilities, accounts, read_back(fed.array, planes))
        settled = examined.settled()
        boot = {"boot": fed.array.boot} if isinstance(fed.array, KeepsJournal) else {}
        chip.tape.event(
            {
                "resumed": {
                    **boot,
                    "sent": [n for n, (v, _) in settled.items() if v is Verdict.NOT_APPLIED],
                    "settled": {
                        str(n): v.name.lower()
                        for n, (v, _) in settled.items()
                        if v is not Verdict.NOT_APPLIED
                    },
                    "pulses_not_known": [
                        n for n, (v, f) in settled.items() if f is None and v is Verdict.APPLIED
                    ],
                    "reads_repeated": examined.reads,
                    "read_back": rows,
                }
            }
        )
        tell(_words(examined, rows))

    try:
        fed.when_live(live)
        yield
    finally:
        if chip.guard.life is None:
            chip.guard.life = life


def cells_of(checkpoint: Path | None) -> dict[int, Values]:
    """Return the conductances in a checkpoint, siemens, by tile.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if checkpoint is None:
        return {}
    stored = read_arrays(checkpoint, (CELLS,))
    try:
        return {int(name.removeprefix(CELLS)): values for name, values in stored.items()}
    except ValueError as error:
        raise ConfigurationError(f"{checkpoint} names no tile: {error}") from error


def stored_cells(chip: Chip) -> dict[str, Any]:
    """Return the conductances of an array that cannot be set, as arrays of a checkpoint."""
    array = chip.backend
    if isinstance(array, Fed):
        if not array.live:
            return {}  # what the cells held then is not to be known any more
        array = array.array
    if can_be_set(array) or "read_cells" not in array.describe().operations:
        return {}
    return {f"{CELLS}{n}": values for n, values in enumerate(read_back(array))}


def _words(examined: Examined, rows: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for entry in examined.open:
        taken_for = entry.verdict if entry.decided is None else entry.decided
        verdict = taken_for.name.lower().replace("_", " ")
        counts[verdict] = counts.get(verdict, 0) + 1
    flight = ", ".join(f"{n} {verdict}" for verdict, n in counts.items()) or "nothing"
    known = [row for row in rows if row["cells"]]
    rest = max((row["rms_unexplained"] for row in known), default=0.0)
    moved = max((row["rms_difference"] for row in known), default=0.0)
    cells = f"{sum(row['cells'] for row in rows)} of {sum(row['of'] for row in rows)} cells"
    return (
        f"the tape has ended, the array is live; in flight were {flight}, and "
        f"{examined.reads} reads, which are read now; read back: {cells} known, per tile at most "
        f"{moved:.3g} S rms from where they were, {rest:.3g} S rms not explained by taped pulses"
    )
