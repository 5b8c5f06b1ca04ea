"""Operations and results as short lines of text."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from hwloop.operations import Operation, Result, Verdict


def what(operation: Operation) -> str:
    """Return what an operation asks for, its tile and configuration apart."""
    return ", ".join(
        f"{name} {short(value)}"
        for name, value in operation.content().items()
        if name not in ("tile", "configuration") and value is not None
    )


def got(result: Result | None) -> str:
    """Return what an operation gave."""
    if result is None:
        return "none"
    parts = [] if result.verdict is Verdict.APPLIED else [plain(result.verdict)]
    if result.values is not None:
        parts.append(f"values {short(result.values)}")
    if result.saturated is not None and result.saturated.any():
        parts.append(f"{int(result.saturated.sum())} saturated")
    if result.fired:
        parts.append(f"{result.fired} pulses")
    return ", ".join(parts) or "done"


def plain(value: Any) -> Any:
    """Return a field's value as JSON has it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.name.lower() if isinstance(value, IntEnum) else value


def short(value: Any) -> str:
    """Return a field's value in at most some 40 characters."""
    if isinstance(value, np.ndarray):
        if value.size <= 4:
            return str(value.tolist())
        return f"{shape(value)} from {value.min()} to {value.max()}"
    text = str(plain(value))
    return text if len(text) <= 40 else text[:37] + "..."


def shape(array: np.ndarray[Any, Any]) -> str:
    """Return the shape of an array, for example `10x784`."""
    return "x".join(map(str, array.shape))
