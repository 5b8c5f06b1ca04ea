"""Problems of a file, each by itself, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hwloop.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file, or that its reader should know.

    Attributes:
        path: field, column or row.
        value: what is there; empty where there is nothing to show.
        expected: what should be there.
        remedy: how to mend it; may be empty.
        severity: `error` makes the file unusable, `warning` does not.
    """

    path: str
    value: str
    expected: str
    remedy: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return path, value and expectation on one line."""
        return ": ".join(part for part in (self.path, self.value, self.expected) if part)


class FileError(ConfigurationError):
    """A file has problems.

    Attributes:
        problems: all of them.
    """

    def __init__(self, where: str, problems: Iterable[Problem], *, remedy: str = "") -> None:
        self.problems = tuple(problems)
        lines = [f"{where}: {problem}" for problem in self.problems]
        remedies = dict.fromkeys(p.remedy for p in self.problems if p.remedy)
        super().__init__("\n".join(lines), remedy=remedy or "; ".join(remedies))
