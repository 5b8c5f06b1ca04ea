"""`measure`: one plan on one tile, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hwloop.characterization.measurement import Measurement
from hwloop.characterization.plans.parameters import make_plan
from hwloop.characterization.plans.run import Measuring, Progress
from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.procedures.cells import LineChoice, choose_cells


class MeasurementInterrupted(KeyboardInterrupt):
    """A measurement was interrupted.

    Attributes:
        measurement: what was measured until then, or None.
    """

    def __init__(self, measurement: Measurement | None) -> None:
        super().__init__("the measurement was interrupted")
        self.measurement = measurement


def measure(
    array: Tile | Chip,
    plan: str,
    *,
    rows: LineChoice = None,
    cols: LineChoice = None,
    cells: Iterable[tuple[int, int]] | None = None,
    progress: Callable[[Progress], None] | None = None,
    **parameters: Any,
) -> Measurement:
    """Measure cells of a tile by a plan.

    The dose is computed before and refused if a limit forbids it; nothing has moved then.

    Args:
        array: a tile, or a chip that has only one.
        plan: name of the plan, a key of `hwloop.characterization.plans.PLANS`.
        rows, cols: lines of the block that is measured, as numbers, a slice or a list; every line
            by default.
        cells: pairs of row and column, in place of a block.
        progress: is told after each step.
        parameters: those of the plan.

    Raises:
        ConfigurationError: no such plan, parameter, cell or pulse shape.
        CapabilityError: the array lacks what the plan needs.
        SafetyError: a limit forbids it, or the array is physical and not armed.
        MeasurementInterrupted: Ctrl-C; the array is aborted, and the error carries what was
            measured.
    """
    chosen = make_plan(plan, parameters)
    if isinstance(array, Chip):
        if len(array) != 1:
            raise ConfigurationError(
                f"{array.capabilities.name} has {len(array)} tiles", remedy="name one: chip[0]"
            )
        array = array[0]
    chip = array.chip
    if not isinstance(chip, Chip):
        raise ConfigurationError("a tile of a batch cannot be measured", remedy="use chip[0]")
    block = choose_cells(array.capabilities, array.index, rows=rows, cols=cols, cells=cells)
    measuring = Measuring(chip, chosen, block)
    try:
        measuring.run(progress)
    except KeyboardInterrupt:
        chip.abort()
        raise MeasurementInterrupted(measuring.partial()) from None
    return measuring.measurement()
