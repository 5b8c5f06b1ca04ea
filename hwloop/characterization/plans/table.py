"""Rows of a measurement while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Table:
    """Rows that come in blocks, such as one row for each cell that was read.

    Attributes:
        rows: rows so far.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._blocks: list[tuple[int, Mapping[str, Any]]] = []

    def add(self, rows: int, columns: Mapping[str, Any]) -> None:
        """Add a block: numbers that hold for all of its rows, or arrays of shape (rows,)."""
        self.rows += rows
        self._blocks.append((rows, columns))

    def copy(self) -> Table:
        """Return a table that goes on by itself."""
        other = Table()
        other.rows, other._blocks = self.rows, list(self._blocks)
        return other

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns; the rows of each cell together, in their order."""
        if not self._blocks:
            return {}
        joined = {
            name: np.concatenate(
                [np.broadcast_to(np.asarray(block[name]), (n,)) for n, block in self._blocks]
            )
            for name in self._blocks[0][1]
        }
        if "cell" not in joined:
            return joined
        order = np.argsort(joined["cell"], kind="stable")
        return {name: values[order] for name, values in joined.items()}
