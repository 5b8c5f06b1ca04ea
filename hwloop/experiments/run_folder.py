"""The folder of a run while it is written."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwloop.capabilities import Capabilities
from hwloop.errors import ConfigurationError, DeviceError, LinkError, OutcomeUnknownError
from hwloop.operations import Verdict
from hwloop.run import CHECKPOINTS, CHIP, CONFIG, METRICS, REPORT, SUMMARY, TAPE

RUNS = Path("runs")
KEPT_CHECKPOINTS = 2


def write_atomically(path: Path, text: str) -> None:
    """Write a file such that a reader, or a crash, finds the old content or the new one."""
    replace_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def replace_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk, and give it the name `path`."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        write(partial)
        sync(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Bring what was written to a file to the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class RunFolder:
    """Writer of a run's folder.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, out: Path | None) -> RunFolder:
        """Make the folder `out`, or the next number below `runs/`.

        Raises:
            ConfigurationError: it exists and is not empty, or cannot be made.
        """
        try:
            if out is None:
                return cls(_next_number(RUNS))
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise ConfigurationError(
                    f"{out} is not empty", remedy="name a new folder, or continue with --resume"
                )
            return cls(out)
        except OSError as error:
            raise ConfigurationError(
                f"the run folder {out or RUNS} cannot be made: {error.strerror}",
                remedy="name another one with --out",
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing the run; the lock ends with the process.

        Raises:
            ConfigurationError: another process writes it.
        """
        file = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise ConfigurationError(
                f"{self.path} is being written by another process", remedy="wait for its end"
            ) from error
        finally:
            os.close(file)

    @property
    def tape(self) -> Path:
        """The tape."""
        return self.path / TAPE

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / REPORT

    def begin(self, config: str) -> None:
        """Write what the run is; from now on it can be resumed."""
        (self.path / CHECKPOINTS).mkdir(exist_ok=True)
        write_atomically(self.path / CONFIG, config)

    def describe(self, chip: Capabilities) -> None:
        """Write what the array is able to do."""
        write_atomically(self.path / CHIP, chip.model_dump_json(indent=2) + "\n")

    def remove(self) -> None:
        """Take the folder away, as if it had never been made."""
        shutil.rmtree(self.path)

    def clear(self) -> None:
        """Remove what an interrupted run wrote beside its configuration and its array's start."""
        for path in (self.tape, self.path / METRICS, self.path / SUMMARY, self.report):
            path.unlink(missing_ok=True)
        for path in (self.path / CHECKPOINTS).glob("batch-*"):
            path.unlink()

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Append a row of metrics."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def metrics_size(self) -> int:
        """Return the number of bytes of metrics."""
        path = self.path / METRICS
        return path.stat().st_size if path.exists() else 0

    def cut_metrics(self, size: int) -> None:
        """Forget the metrics behind a checkpoint."""
        (self.path / METRICS).touch()
        os.truncate(self.path / METRICS, size)

    def add_checkpoint(self, batches: int, write: Callable[[Path], Any]) -> None:
        """Let `write` make the checkpoint behind that many batches, and drop the oldest ones.

        Tape and metrics reach the disk before it, so that it never refers to bytes that are lost.
        """
        for path in (self.tape, self.path / METRICS):
            if path.exists():
                sync(path)
        folder = self.path / CHECKPOINTS
        replace_atomically(folder / f"batch-{batches:08d}.npz", write)
        for path in sorted(folder.glob("batch-*.npz"))[:-KEPT_CHECKPOINTS]:
            path.unlink()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write what came out."""
        write_atomically(self.path / SUMMARY, json.dumps(summary, indent=2) + "\n")


@contextmanager
def told_how_to_go_on(folder: Path, command: str) -> Iterator[None]:
    """Turn what the disk refuses into an error of the family; say how a run goes on.

    Args:
        folder: of the run.
        command: that resumes such runs.
    """
    try:
        yield
    except (LinkError, DeviceError, OutcomeUnknownError) as error:
        if str(folder) not in error.remedy:
            steps = [error.remedy]
            if error.verdict is not Verdict.NOT_APPLIED:
                steps.append(f"hwloop run reconcile {folder}")
            steps.append(f"{command} --resume {folder}")
            error.remedy = "; then ".join(step for step in steps if step)
        raise
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror or error}",
            remedy=f"make room, then continue with: {command} --resume {folder}",
        ) from error


def _next_number(runs: Path) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    number = max((int(p.name) for p in runs.iterdir() if p.name.isdecimal()), default=0)
    while True:
        number += 1
        try:
            (runs / str(number)).mkdir()
        except FileExistsError:
            continue  # another run has just taken this number
        return runs / str(number)
