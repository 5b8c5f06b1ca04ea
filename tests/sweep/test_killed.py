"""A study whose workers and driver are killed in the middle of points."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import command

from hwloop.experiments.sweep import Row, local_workers, points_of, run_study
from hwloop.experiments.sweep.work import BEGUN, marks, read_result, with_one_thread
from hwloop.experiments.train import train_run

from .studies import parse_study

STUDY = """
name: killed
base:
  data: {source: digits}
  network: {hidden: [8]}
  algorithm: {n_s: 12}
  schedule: {epochs: 8, batch: 72, float_lr: null}
grid:
  algorithm.lr: [0.05, 0.1]
seeds: 3
"""
"""Six points of a second or so, with a checkpoint after each of their eight epochs."""

PATIENCE = 120.0


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "nothing has happened"
        time.sleep(0.02)


def begin(folder: Path) -> subprocess.Popen[str]:
    (folder.parent / "killed.yaml").write_text(STUDY)
    words = command("sweep", folder.parent / "killed.yaml", "--out", folder, "--workers", "2")
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def points(folder: Path) -> list[Path]:
    there = folder / "points"
    return sorted(there.iterdir()) if there.is_dir() else []


def finished(folder: Path) -> set[str]:
    return {point.name for point in points(folder) if read_result(point) is not None}


def in_the_middle(folder: Path) -> dict[str, int]:
    """Return the processes that train points now and are behind a checkpoint, by their points."""
    found = {}
    for point in points(folder):
        begun = [mark for mark in marks(point) if mark["event"] == BEGUN]
        if begun and read_result(point) is None and any(point.glob("run/checkpoints/batch-*")):
            found[point.name] = begun[-1]["pid"]
    return found


def events_of(point: Path, event: str) -> int:
    return sum(mark["event"] == event for mark in marks(point))


def kill_a_worker(folder: Path) -> tuple[str, int]:
    """Kill a worker that is in the middle of a point; return point and process."""
    while True:
        wait_for(lambda: in_the_middle(folder))
        for point, process in in_the_middle(folder).items():
            os.kill(process, signal.SIGSTOP)
            if in_the_middle(folder).get(point) == process:  # it has not ended meanwhile
                os.kill(process, signal.SIGKILL)
                return point, process
            os.kill(process, signal.SIGCONT)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_lost_and_nothing_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    undisturbed: dict[str, int] = {}  # attempts of points when they were finished

    def note_finished() -> None:
        for name in finished(folder) - undisturbed.keys():
            undisturbed[name] = events_of(folder / "points" / name, BEGUN)

    # A worker is killed; the others go on, and its point begins again.
    driver = begin(folder)
    victim = kill_a_worker(folder)[0]
    wait_for(lambda: events_of(folder / "points" / victim, BEGUN) == 2)

    # The driver is killed; its workers end by themselves, in the middle of their points.
    orphans = in_the_middle(folder)
    driver.kill()
    _, said = driver.communicate(timeout=PATIENCE)
    assert "died: SIGKILL; the point begins again" in said
    wait_for(lambda: not any(alive(worker) for worker in orphans.values()))
    note_finished()
    before = finished(folder)

    # What is left is done by another driver.
    ended: list[str] = []

    class Watcher:
        def checking(self, done: int, total: int) -> None:
            pytest.fail("points are checked once")

        def state(self, state: object) -> None: ...
        def note(self, text: str) -> None: ...

        def ended(self, row: Row, done: int, total: int) -> None:
            ended.append(row.hash)

    study = parse_study(STUDY, "killed.yaml")
    result = run_study(study, folder, engine=local_workers(2), watcher=Watcher())
    assert result.complete and len(result.rows) == 6
    assert set(ended) == {row.hash for row in result.rows} - before
    for name in before:  # no worker has looked at a finished point again
        assert events_of(folder / "points" / name, BEGUN) == undisturbed[name]
    for point in points(folder):
        assert events_of(point, "finished") == 1
        assert not (point / "run" / "tape.bin").exists()

    # The point whose worker was killed came to the bits of a run that nobody disturbs.
    (config,) = [p.config for p in points_of(study, "a") if p.hash == victim]
    alone = train_run(
        with_one_thread(config).model_copy(
            update={"report": config.report.model_copy(update={"html": False})}
        ),
        out=tmp_path / "alone",
    )
    summary = json.loads((folder / "points" / victim / "result.json").read_text())["summary"]
    assert summary["tape_hash"] == alone.summary["tape_hash"]
    assert summary["test_accuracy"] == alone.summary["test_accuracy"]
