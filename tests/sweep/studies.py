"""Studies of quick points, and workers that only pretend to train."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hwloop.experiments.sweep import Study, parse_study
from hwloop.experiments.sweep.engine import Ended, EngineMaker
from hwloop.experiments.sweep.places import point_folder
from hwloop.experiments.sweep.work import BEGUN, Task, _mark, leave_result, marks

QUICK = """
name: quick
base:
  data: {source: digits}
  network: {hidden: [8]}
  algorithm: {n_s: 12}
  schedule: {epochs: 1, batch: 72, limit: 4}
grid:
  algorithm.lr: [0.05, 0.1, 0.2]
seeds: 2
"""


def quick(extra: str = "") -> Study:
    """Return a study of six quick points."""
    return parse_study(QUICK + extra, "quick.yaml")


def begun(folder: Path) -> list[str]:
    """Return the hashes of the points that were begun, as often as they were."""
    return events(folder, BEGUN)


def events(folder: Path, event: str) -> list[str]:
    return [
        point.name
        for point in sorted((folder / "points").iterdir())
        for mark in marks(point)
        if mark["event"] == event
    ]


class Pretence:
    """An engine that trains nothing: it leaves results as workers do, after a poll or two."""

    def __init__(self, slots: int = 2, failing: Sequence[str] = ()) -> None:
        self.slots = slots
        self.failing = failing
        self.closed = False
        self._tasks: list[Task] = []

    def start(self, task: Task) -> None:
        self._tasks.append(task)

    def poll(self, seconds: float) -> list[Ended]:
        task = self._tasks.pop(0)
        folder = point_folder(Path(task.folder), task.hash)
        folder.mkdir(exist_ok=True)
        _mark(folder, BEGUN)
        if task.hash in self.failing:
            return [Ended(task.hash, "its worker died")]
        seed, lr = task.config["seed"], task.config["algorithm"]["lr"]
        leave_result(
            folder,
            {
                "hash": task.hash,
                "state": "finished",
                "summary": {"test_accuracy": lr + seed / 100, "pulses": 7},
                "error": "",
                "seconds": 0.5,
                "attempts": 1,
            },
        )
        return [Ended(task.hash)]

    def notes(self) -> list[str]:
        return []

    def close(self) -> None:
        self.closed = True


PRETENDING = """
import json, os, pathlib, signal, sys
for line in sys.stdin:
    task = json.loads(line)
    folder = pathlib.Path(task["folder"]) / "points" / task["hash"]
    folder.mkdir(exist_ok=True)
    with open(folder / "begun", "a") as file:
        file.write("x")
    if "deadly" in task["hash"] or "once" in task["hash"] and (folder / "begun").read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    print(task["hash"], flush=True)
"""
"""A worker in a few lines; it dies of points whose hash says so."""

PRETENDING_WORKER = (sys.executable, "-c", PRETENDING)


def pretending() -> EngineMaker:
    """Return what makes an engine that only pretends to train."""
    return lambda folder, points: Pretence()
