"""A plan gone through without an array: its exact dose, or the most that it can be."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.plans.base import Plan, Step
from hwloop.characterization.tables import MOST_VALUES
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError, SafetyError
from hwloop.guard import Guard, pulse_dose
from hwloop.operations import Operation, Pulse
from hwloop.procedures.bench import Bench, Sketch
from hwloop.procedures.cells import Cells

COLUMNS_OF_A_ROW = 12
"""Columns that the table of a plan has at most."""


class Dose:
    """Pulses given to the cells of a tile, by operations that say how many."""

    def __init__(self, bench: Bench) -> None:
        self._tile = bench.tile.capabilities
        self.cells: NDArray[np.int64] = np.zeros((self._tile.rows, self._tile.cols), np.int64)

    def add(self, operations: Sequence[Operation]) -> None:
        """Count the pulses of operations."""
        for operation in operations:
            if isinstance(operation, Pulse):
                self.cells += pulse_dose(operation, self._tile).cells()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a plan does.

    Attributes:
        exact: whether the plan does this; otherwise it does this at most.
        steps: steps, each one submission.
        operations: operations.
        rows: rows of its table.
        dose: pulses per cell of the tile, shape (rows, cols).
        pulse_seconds: time under pulses, all cells of a line together.
    """

    exact: bool
    steps: int
    operations: int
    rows: int
    dose: NDArray[np.int64]
    pulse_seconds: float

    @property
    def pulses(self) -> int:
        """Pulses, all cells together."""
        return int(self.dose.sum())

    @property
    def most_pulses_per_cell(self) -> int:
        """Pulses of the cell that gets most."""
        return int(self.dose.max(initial=0))


def rehearse(chip: Chip, plan: Plan, cells: Cells, guard: Guard | None = None) -> Rehearsal:
    """Go through a plan without sending anything.

    Args:
        chip: the array.
        plan: the plan.
        cells: what it measures.
        guard: what admits the operations and keeps the dose, for plans that follow each other; a
            copy of the chip's by default.

    Raises:
        CapabilityError: the array lacks what the plan needs; all of it is named.
        ConfigurationError: a parameter does not fit the array, or the table would be too large.
        SafetyError: a limit would be passed on the way.
    """
    missing = [kind for kind in plan.needs if kind not in chip.capabilities.operations]
    if missing:
        raise CapabilityError(
            f"{plan.kind} needs {', '.join(missing)}, which {chip.capabilities.name} does not "
            f"offer; it offers {', '.join(sorted(chip.capabilities.operations))}",
            remedy="choose another plan, or another array",
        )
    guard = copy.deepcopy(chip.guard) if guard is None else guard
    sketch = Sketch(chip.capabilities, chip.default_shape, chip.configuration_hash)
    bench = Bench(sketch, chip.configuration, cells)
    dose, steps, operations, rows, seconds = Dose(bench), 0, 0, 0, 0.0
    refused: SafetyError | None = None
    for step in plan.steps(bench):
        dose.add(step.operations)
        if refused is None:
            try:
                guard.admit(step.operations)
            except SafetyError as error:
                refused = error
        steps += 1
        operations += len(step.operations)
        rows += rows_of(step, cells)
        seconds += sum(_pulse_seconds(bench, operation) for operation in step.operations)
        if rows * COLUMNS_OF_A_ROW > MOST_VALUES:
            raise ConfigurationError(
                f"{plan.kind} of {len(cells)} cells makes a table of more than {MOST_VALUES} "
                "values",
                remedy="choose fewer cells, or read less often",
            )
    if refused is not None:
        raise _refusal(refused, plan, dose)
    return Rehearsal(not plan.adaptive, steps, operations, rows, dose.cells, seconds)


def _pulse_seconds(bench: Bench, operation: Operation) -> float:
    """Return the time of explicit pulses: line by line, the cells of a line together."""
    if not isinstance(operation, Pulse):
        return 0.0
    shape = bench.configuration.shapes[operation.shape]
    counts = operation.counts.astype(np.int64)
    ups = int(counts.max(axis=1, initial=0).clip(0).sum())
    downs = int((-counts).max(axis=1, initial=0).clip(0).sum())
    return ups * shape.up.width_seconds + downs * shape.down.width_seconds


def rows_of(step: Step, cells: Cells) -> int:
    """Return the rows that a step adds to the table."""
    if step.lines is not None:
        return max(np.size(values) for values in step.lines.values())
    return len(cells) if step.marks is not None else 0


def _refusal(error: SafetyError, plan: Plan, dose: Dose) -> SafetyError:
    if not error.limit:
        return SafetyError(error.message, remedy=error.remedy)
    most = "at most " if plan.adaptive else ""
    return SafetyError(
        f"{plan.kind} gives a cell {most}{dose.cells.max(initial=0)} pulses: {error.message}",
        remedy=error.remedy,
        limit=error.limit,
        origin=error.origin,
    )
