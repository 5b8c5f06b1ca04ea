"""What a tape holds."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.operations import Operation, Result


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation on a tape, with its result if there is one."""

    operation: Operation
    result: Result | None
