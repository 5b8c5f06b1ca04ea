"""What differs between an operation and a taped one: fields, places, values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwloop.operations import CONTENT, Operation
from hwloop.tape.text import shape, short, what

WIDTH = 110
"""Longest line of an excerpt."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that differs.

    Attributes:
        name: the field; `kind` for operations of different kinds.
        asked, taped: the first differing value of either side.
        place: index of that value in an array, or None.
        differing, size: values that differ, and all values, of an array.
        most: largest magnitude of a difference, 0 where it means nothing.
        structural: whether something else is asked for, not the same with other values.
    """

    name: str
    asked: Any
    taped: Any
    place: tuple[int, ...] | None = None
    differing: int = 1
    size: int = 1
    most: int = 0
    structural: bool = True

    def __str__(self) -> str:
        values = f"asked {short(self.asked)}, taped {short(self.taped)}"
        if self.place is None:
            return f"{self.name}: {values}"
        by = f" by up to {self.most}" if self.most else ""
        return (
            f"{self.name}: {self.differing} of {self.size} values differ{by}, "
            f"the first at {list(self.place)}: {values}"
        )


def field_differences(asked: Operation, taped: Operation) -> list[FieldDifference]:
    """Return the fields in which an operation differs from a taped one, its id apart."""
    if type(asked) is not type(taped):
        return [FieldDifference("kind", asked.kind, taped.kind)]
    names = (*CONTENT[type(asked)], "ordinal")
    pairs = ((name, getattr(asked, name), getattr(taped, name)) for name in names)
    return [found for pair in pairs if (found := _difference(*pair)) is not None]


def _difference(name: str, asked: Any, taped: Any) -> FieldDifference | None:
    if not (isinstance(asked, np.ndarray) and isinstance(taped, np.ndarray)):
        same = type(asked) is type(taped) and asked == taped
        return None if same else FieldDifference(name, asked, taped)
    if asked.shape != taped.shape:
        return FieldDifference(f"shape of {name}", shape(asked), shape(taped))
    unequal = asked != taped
    if not unequal.any():
        return None
    place = tuple(int(i) for i in np.argwhere(unequal)[0])
    # The words of a state are bits of floats: their difference means nothing.
    apart = 0
    if name != "state":
        apart = int(np.abs(asked.astype(np.int64) - taped.astype(np.int64)).max())
    return FieldDifference(
        name,
        int(asked[place]),
        int(taped[place]),
        place,
        int(np.count_nonzero(unequal)),
        asked.size,
        apart,
        structural=name in ("rows", "cols"),
    )


def excerpt(
    position: int,
    asked: Operation,
    taped: Operation,
    before: Sequence[Operation],
    after: Sequence[Operation],
) -> str:
    """Return the place of a difference on a tape: neighbours, both operations, what differs.

    Args:
        position: index of the taped operation on its tape.
        asked: the operation that was asked for.
        taped: the operation in its place.
        before, after: the taped operations around it.
    """
    rows = [(str(position - len(before) + i), op) for i, op in enumerate(before)]
    rows += [("asked", asked), (f"taped {position}", taped)]
    rows += [(str(position + 1 + i), op) for i, op in enumerate(after)]
    width = max(len(label) for label, _ in rows)
    kinds = max(len(op.kind) for _, op in rows)
    lines = [
        shorten(f"  {label:>{width}}  {op.kind:{kinds}}  tile {op.tile}  {what(op)}".rstrip())
        for label, op in rows
    ]
    lines += [f"  {difference}" for difference in field_differences(asked, taped)]
    for i, later in enumerate(after, start=1):
        if later == asked:
            lines.append(f"  the tape has what is asked for at {position + i}: {i} left out?")
            break
    return "\n".join(lines)


def shorten(line: str) -> str:
    """Return a line that fits on a page: what differs is said in full below it."""
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


@dataclass(slots=True)
class KindTally:
    """Differences of the operations of one kind.

    Attributes:
        operations, differing: operations compared, and those that differ.
        values: values that differ in them.
        most: largest magnitude of a difference.
        first: position of the first one that differs, or None.
    """

    operations: int = 0
    differing: int = 0
    values: int = 0
    most: int = 0
    first: int | None = None


class Tally:
    """Counts differences by the kind of operation.

    Attributes:
        kinds: the counts.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, KindTally] = {}

    def count(self, position: int, operation: Operation, found: Sequence[FieldDifference]) -> None:
        """Enter an operation and what differs in it."""
        row = self.kinds.setdefault(operation.kind, KindTally())
        row.operations += 1
        if found:
            row.differing += 1
            row.values += sum(d.differing for d in found)
            row.most = max(row.most, *(d.most for d in found))
            row.first = position if row.first is None else row.first

    @property
    def first(self) -> int | None:
        """Position of the first operation that differs, or None."""
        return min((r.first for r in self.kinds.values() if r.first is not None), default=None)
