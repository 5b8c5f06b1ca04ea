"""Workers of a Dask cluster that is there already.

The cluster's own rescheduling begins a point again whose worker died, a few times; the scheduler's
setting `distributed.scheduler.allowed-failures` says how many.
"""

from __future__ import annotations

import os
import queue
import socket
import uuid
from pathlib import Path
from typing import Any

from hwloop import __version__
from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep.engine import Ended, EngineMaker
from hwloop.experiments.sweep.places import POINTS
from hwloop.experiments.sweep.work import Task, run_task

SECONDS_TO_CONNECT = 10
WAITING_PER_THREAD = 1
"""Points that lie ready behind those that are being trained, so that no worker waits for one."""


def probe(folder: str) -> dict[str, Any]:
    """Return what a worker is and sees; runs on the worker."""
    return {
        "host": socket.gethostname(),
        "version": __version__,
        "sees": (Path(folder) / POINTS).is_dir(),
    }


def dask_cluster(address: str) -> EngineMaker:
    """Return what makes an engine of the Dask cluster whose scheduler has an address."""
    return lambda folder, points: DaskEngine(address, folder)


class DaskEngine:
    """Runs points on the workers of a Dask cluster.

    All workers see the folder of the study under the same path.

    Args:
        address: address of the scheduler, such as `tcp://host:8786`.
        folder: folder of the study.

    Raises:
        ConfigurationError: `distributed` is not installed, nobody answers at the address, or a
            worker does not see the folder or has another version of hwloop.
    """

    def __init__(self, address: str, folder: Path) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ConfigurationError(
                "--dask needs the package distributed", remedy="pip install 'hwloop[dask]'"
            ) from error
        self._address = address
        try:
            client: type[Any] = Client  # most of distributed is published without types
            self._client = client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"--dask {address}: no scheduler answers: {error}",
                remedy="start one with `dask scheduler`, and name the address that it prints",
            ) from error
        self._ended: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._futures: dict[str, Any] = {}
        self._notes: list[str] = []
        self._slots = 1
        try:
            self._look_at_workers(folder)
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """Threads of all workers, and points that lie ready for them."""
        return self._slots

    def start(self, task: Task) -> None:
        """Hand a point to the scheduler."""
        # The key is new each time: what the scheduler remembers of an earlier driver is not meant.
        key = f"hwloop-{task.hash}-{uuid.uuid4().hex[:8]}"
        future = self._client.submit(run_task, task.content(), key=key, pure=False)
        self._futures[task.hash] = future
        future.add_done_callback(lambda done: self._ended.put((task.hash, done)))

    def poll(self, seconds: float) -> list[Ended]:
        """Return the points that ended, at the latest after so many seconds."""
        found: list[Ended] = []
        try:
            found.append(self._over(*self._ended.get(timeout=seconds)))
            while True:
                found.append(self._over(*self._ended.get_nowait()))
        except queue.Empty:
            pass
        self._count_workers()
        return found

    def notes(self) -> list[str]:
        """Return what the user should know since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def close(self) -> None:
        """Leave the cluster; points that its workers have begun are trained to their ends."""
        self._client.close(timeout=SECONDS_TO_CONNECT)

    def _over(self, hash_: str, future: Any) -> Ended:
        self._futures.pop(hash_, None)
        if future.status == "finished":
            return Ended(hash_)
        if future.status == "error":
            error = future.exception()
            return Ended(hash_, f"{type(error).__name__}: {error}")
        raise ConfigurationError(
            f"--dask {self._address}: the scheduler is gone",
            remedy="start it again, then give the same command: finished points stay finished",
        )

    def _look_at_workers(self, folder: Path) -> None:
        try:
            found = self._client.run(probe, os.fspath(folder))
        except Exception as error:  # whatever a worker raises, such as a missing package
            raise ConfigurationError(
                f"--dask {self._address}: a worker cannot run hwloop: {error}",
                remedy="install the same hwloop[train] for all workers",
            ) from error
        blind = sorted({seen["host"] for seen in found.values() if not seen["sees"]})
        if blind:
            raise ConfigurationError(
                f"{folder} is not there on {', '.join(blind)}",
                remedy="choose a folder with --out that all workers see under the same path",
            )
        others = sorted({s["version"] for s in found.values()} - {__version__})
        if others:
            raise ConfigurationError(
                f"--dask {self._address}: workers have hwloop {', '.join(others)}, not "
                f"{__version__}",
                remedy="install the same version for all workers",
            )
        self._count_workers()
        if not found:
            self._notes.append(f"no worker has joined the scheduler at {self._address} yet")

    def _count_workers(self) -> None:
        threads = sum(self._client.nthreads().values())
        self._slots = max(1, threads * (1 + WAITING_PER_THREAD))
