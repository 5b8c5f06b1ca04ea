"""What runs points: worker processes of this machine, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hwloop.experiments.sweep.work import Task


@dataclass(frozen=True, slots=True)
class Ended:
    """A point that no worker works on any more.

    Attributes:
        hash: what identifies it.
        lost: why it has no result; empty where a worker left one.
    """

    hash: str
    lost: str = ""


class Engine(Protocol):
    """Who hands points to workers."""

    @property
    def slots(self) -> int:
        """How many points may be handed out at a time."""
        ...

    def start(self, task: Task) -> None:
        """Hand out a point."""
        ...

    def poll(self, seconds: float) -> list[Ended]:
        """Return the points that ended, at the latest after so many seconds."""
        ...

    def notes(self) -> list[str]:
        """Return what the user should know since the last call."""
        ...

    def close(self) -> None:
        """End all workers of this engine's own, whatever they are doing."""
        ...


EngineMaker = Callable[[Path, int], Engine]
"""Makes the engine for a study's folder and the number of points that are to be run."""
