"""Worker processes of this machine."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep.engine import Ended, EngineMaker
from hwloop.experiments.sweep.places import WORKER_LOG
from hwloop.experiments.sweep.work import Task
from hwloop.experiments.sweep.worker import SINGLE_THREADED

WORKER = (sys.executable, "-m", "hwloop.experiments.sweep.worker")

MOST_ATTEMPTS = 3
"""How many workers a point may lose before it is given up."""

SECONDS_TO_END = 5.0


def local_workers(workers: int | None = None) -> EngineMaker:
    """Return what makes an engine of worker processes, one for each core by default."""
    most = len(os.sched_getaffinity(0)) if workers is None else workers
    return lambda folder, points: LocalEngine(min(most, points), folder)


class _Worker:
    """A process, and the task that it has."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.task: Task | None = None
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **SINGLE_THREADED},
                start_new_session=True,  # so that Ctrl-C in a terminal reaches the driver alone
            )

    def give(self, task: Task) -> None:
        """Hand a task over; a worker that is no more is noticed by its silence."""
        self.task = task
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write((json.dumps(task.content()) + "\n").encode())
            self.process.stdin.flush()

    def end(self) -> None:
        """End the process: it ends by itself when nobody can give it tasks any more."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class LocalEngine:
    """Runs points in processes of its own; one that dies is replaced, and its point begun again.

    Args:
        workers: number of processes.
        folder: folder of the study.
        command: how a worker is started.
    """

    def __init__(self, workers: int, folder: Path, command: Sequence[str] = WORKER) -> None:
        if workers < 1:
            raise ConfigurationError(f"--workers {workers}: should be 1 or more")
        self._log = folder / WORKER_LOG
        self._command = command
        self._most = workers
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._deaths: dict[str, int] = {}
        self._notes: list[str] = []

    @property
    def slots(self) -> int:
        """Number of worker processes."""
        return self._most

    @property
    def processes(self) -> list[int]:
        """Ids of the worker processes."""
        return [worker.process.pid for worker in self._workers]

    def start(self, task: Task) -> None:
        """Hand a point to a worker that has none."""
        idle = next((worker for worker in self._workers if worker.task is None), None)
        if idle is None:
            idle = _Worker(self._command, self._log)
            self._workers.append(idle)
            assert idle.process.stdout is not None
            self._selector.register(idle.process.stdout, selectors.EVENT_READ, idle)
        idle.give(task)

    def poll(self, seconds: float) -> list[Ended]:
        """Return the points that ended, at the latest after so many seconds."""
        ended: list[Ended] = []
        if not self._workers:
            time.sleep(seconds)
        for key, _ in self._selector.select(seconds) if self._workers else ():
            worker: _Worker = key.data
            assert worker.process.stdout is not None
            answer = os.read(worker.process.stdout.fileno(), 4096)
            if not answer:
                ended += self._died(worker)
            elif answer.endswith(b"\n") and worker.task is not None:
                # A worker has one task at a time, so this line is the answer to it.
                ended.append(Ended(worker.task.hash))
                worker.task = None
        return ended

    def notes(self) -> list[str]:
        """Return what the user should know since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in self._workers:
            assert worker.process.stdin is not None
            with suppress(BrokenPipeError):
                worker.process.stdin.close()  # all of them, before the first is waited for
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._selector.close()

    def _died(self, worker: _Worker) -> list[Ended]:
        assert worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        self._workers.remove(worker)
        worker.end()
        task, how = worker.task, _how(worker.process.returncode)
        if task is None:
            self._notes.append(f"an idle worker died: {how}")
            return []
        deaths = self._deaths[task.hash] = self._deaths.get(task.hash, 0) + 1
        if deaths >= MOST_ATTEMPTS:
            return [
                Ended(task.hash, f"{deaths} workers died of it, the last: {how}; see {self._log}")
            ]
        self._notes.append(f"the worker of point {task.hash} died: {how}; the point begins again")
        self.start(task)
        return []


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
