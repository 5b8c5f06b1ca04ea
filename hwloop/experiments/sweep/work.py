"""What a worker does for one point, whichever engine it works for.

A point belongs to whoever holds the lock of its folder, so that two workers never train it at the
same time, and its result is there as a whole or not at all. A worker that finds the result there
has nothing to do; one that finds a run goes on from its checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwloop.errors import ConfigurationError, CrossbarError
from hwloop.experiments.address import is_simulator
from hwloop.experiments.config import TrainConfig, load_config
from hwloop.experiments.run_folder import sync, write_atomically
from hwloop.experiments.sweep.places import MARKS, POINTS, RESULT, RUN, point_folder
from hwloop.experiments.sweep.points import with_array_options

FINISHED, FAILED = "finished", "failed"
BEGUN = "begun"

SECONDS_BETWEEN_TRIES = 0.05

_ONE_AT_A_TIME = threading.Lock()
"""Training sets threads of the whole process; a Dask worker may have several threads of its own."""


@dataclass(frozen=True, slots=True)
class Task:
    """A point, as it is handed to a worker.

    Attributes:
        folder: folder of the study, from the root.
        hash: what identifies the point.
        config: its configuration as plain values.
        keep_tapes: whether tape and checkpoints stay when it is finished.
    """

    folder: str
    hash: str
    config: dict[str, Any]
    keep_tapes: bool

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def run_task(content: dict[str, Any]) -> None:
    """Train a point and leave its result in its folder, that of an error too.

    Raises:
        ConfigurationError: the folder of the study is not there.
        OSError: nothing can be written to it.
    """
    task = Task(**content)
    study = Path(task.folder)
    if not (study / POINTS).is_dir():
        raise ConfigurationError(
            f"{study} is not there on {socket.gethostname()}",
            remedy="let all workers see the folder of the study under the same path",
        )
    folder = point_folder(study, task.hash)
    folder.mkdir(exist_ok=True)
    with _ONE_AT_A_TIME, _owned(folder):
        if (folder / RESULT).exists():
            return
        _mark(folder, BEGUN)
        begun = time.monotonic()
        found: dict[str, Any] = {"state": FINISHED, "summary": {}, "error": ""}
        try:
            found["summary"] = _train(task, folder)
        except CrossbarError as error:
            found |= {"state": FAILED, "error": str(error)}
        except Exception as error:
            found |= {"state": FAILED, "error": f"{type(error).__name__}: {error}"}
            found["traceback"] = traceback.format_exc()
        result = {
            "hash": task.hash,
            **found,
            "seconds": round(time.monotonic() - begun, 3),
            "attempts": attempts(folder),
            "host": socket.gethostname(),
        }
        _mark(folder, found["state"])
        leave_result(folder, result)
        if found["state"] == FINISHED and not task.keep_tapes:
            _drop_tape(folder / RUN)


def leave_result(folder: Path, result: dict[str, Any]) -> None:
    """Write the result of a point; it survives the loss of power too."""
    write_atomically(folder / RESULT, json.dumps(result, indent=1) + "\n")
    sync(folder)


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return the result in the folder of a point; None where there is none that can be used."""
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = (
        isinstance(result, dict)
        and result.get("hash") == folder.name
        and result.get("state") in (FINISHED, FAILED)
        and isinstance(result.get("summary"), dict)
    )
    return result if usable else None


def forget(folder: Path) -> None:
    """Remove what was left of a point, so that it begins anew."""
    shutil.rmtree(folder / RUN, ignore_errors=True)
    (folder / RESULT).unlink(missing_ok=True)


def attempts(folder: Path) -> int:
    """Return how many times a worker has begun a point."""
    return sum(mark["event"] == BEGUN for mark in marks(folder))


def marks(folder: Path) -> list[dict[str, Any]]:
    """Return what workers noted when they began and ended a point; torn lines are left out."""
    try:
        lines = (folder / MARKS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _train(task: Task, folder: Path) -> dict[str, Any]:
    from hwloop.experiments.train import resume_run, train_run

    config = with_one_thread(load_config(flags=_quiet(task.config)))
    run = folder / RUN
    if (run / "config.yaml").exists():
        try:
            return resume_run(run).summary
        except (CrossbarError, OSError, ValueError, KeyError):
            pass  # what was left cannot be used; an error of the point itself comes again
    shutil.rmtree(run, ignore_errors=True)
    return train_run(config, out=run).summary


def _quiet(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "report": {**config.get("report", {}), "html": False}}


def with_one_thread(config: TrainConfig) -> TrainConfig:
    """Return a configuration whose simulated array computes in one thread, unless it says more."""
    if not is_simulator(config.backend.url):
        return config
    return with_array_options(config, {"threads": 1}, missing_only=True)


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the lock of a point; wait while another worker holds it, for it ends with its holder."""
    file = os.open(folder, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(SECONDS_BETWEEN_TRIES)
        yield
    finally:
        os.close(file)


def _mark(folder: Path, event: str) -> None:
    """Note an event in one write, so that a reader finds all of it or nothing."""
    note = {"event": event, "host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
    file = os.open(folder / MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (json.dumps(note) + "\n").encode())
    finally:
        os.close(file)


def _drop_tape(run: Path) -> None:
    from hwloop.run import CHECKPOINTS, TAPE

    (run / TAPE).unlink(missing_ok=True)
    shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
