"""What log lines say of operations."""

from __future__ import annotations

from collections.abc import Iterable

from hwloop.operations import Verdict

_MOST = 8
"""Ranges of ids that a line shows."""


def named(ids: Iterable[int]) -> str:
    """Return operations by their ids, as `operations 3-5, 9`; 0 stands for control messages."""
    numbers = sorted(set(ids) - {0})
    if not numbers:
        return "control messages"
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] + 1 == number:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in ranges[:_MOST]]
    text = ", ".join(shown) + (", ..." if len(ranges) > _MOST else "")
    return f"operation {text}" if len(numbers) == 1 else f"operations {text}"


def text_of(verdict: Verdict) -> str:
    """Return a verdict in words."""
    return verdict.name.lower().replace("_", " ")
