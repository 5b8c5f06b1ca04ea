"""No tape, for searches of many small runs of which none is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hwloop.operations import Operation, Result


class NoTape:
    """A tape that forgets everything and has no hash: nothing done on it can be looked up."""

    repeating = False

    def operations(self, operations: Iterable[Operation]) -> None:
        """Forget operations."""

    def results(self, results: Iterable[Result]) -> None:
        """Forget results."""

    def event(self, event: dict[str, Any]) -> None:
        """Forget the event."""

    def flush(self) -> None:
        """Nothing is held back."""

    def digest(self) -> str:
        """Return no hash."""
        return ""

    def close(self) -> None:
        """Nothing to finish."""
