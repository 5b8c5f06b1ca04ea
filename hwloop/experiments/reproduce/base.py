"""What a reproduction is: something known that a command shows again, with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a reproduction.

    Attributes:
        full: whether the full form is run, or the quick one.
        folder: folder that may be written to; it exists.
        data: folder of data that it needs, or None.
        tell: is told what goes on.
    """

    full: bool
    folder: Path
    data: Path | None = None
    tell: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Check:
    """A figure against its target.

    Attributes:
        name: what is compared.
        target: what it should be.
        measured: what it is.
        reached: whether the target is reached; None where the form that ran cannot tell.
        note: what else there is to know.
    """

    name: str
    target: str
    measured: str
    reached: bool | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return {True: "reached", False: "NOT REACHED", None: "not decided"}[self.reached]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reproduction found.

    Attributes:
        checks: figures against targets.
        content: everything that was found, as plain values.
        pictures: pictures by their titles.
        notes: what else there is to know.
    """

    checks: tuple[Check, ...]
    content: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Figure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether no target was missed."""
        return all(check.reached is not False for check in self.checks)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Something known, and what shows it again.

    Attributes:
        name: its name at the command line.
        what: what it shows.
        quick, full: how long the two forms take on one core.
        run: shows it.
        needs_data: what the folder of data should hold; empty where none is needed.
    """

    name: str
    what: str
    quick: str
    full: str
    run: Callable[[Request], Outcome]
    needs_data: str = ""
