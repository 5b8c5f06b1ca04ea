"""Carrying plans out: rehearsed, pipelined, interruptible, with what was measured kept."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwloop.characterization.measurement import Measurement, measurement
from hwloop.characterization.plans.base import Marks, Plan, Step
from hwloop.characterization.plans.rehearsal import Dose, Rehearsal, rehearse, rows_of
from hwloop.characterization.plans.table import Table
from hwloop.characterization.plans.units import StateUnits
from hwloop.crossbar import Chip, Submission
from hwloop.device_file import Column, Conditions, Instrument, MeasuredDevice
from hwloop.errors import ConfigurationError
from hwloop.operations import ReadCells, Result
from hwloop.procedures.bench import Bench
from hwloop.procedures.cells import Cells

DEPTH = 8
"""Steps of a fixed plan that are on their way at the same time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a plan is.

    Attributes:
        kind: the plan.
        steps: steps that are done.
        of: steps in all, or at most where the plan is adaptive.
        pulses: pulses given, all cells together.
        chip_seconds: chip time.
    """

    kind: str
    steps: int
    of: int
    pulses: int
    chip_seconds: float


class Measuring:
    """A plan that is being carried out.

    Args:
        chip: the array.
        plan: the plan.
        cells: what it measures.

    Attributes:
        rehearsal: what it does, known before.
        dose: pulses given so far.
        pulses: the same, as the array counts them.
        done: steps that are done.
        complete: whether the plan came to its end.

    Raises:
        CrossbarError: the plan does not work out on this array; nothing was sent.
    """

    def __init__(self, chip: Chip, plan: Plan, cells: Cells) -> None:
        self.chip, self.plan, self.cells = chip, plan, cells
        self.rehearsal: Rehearsal = rehearse(chip, plan, cells)
        self.bench = Bench(chip, chip.configuration, cells)
        self.units = StateUnits.of(chip.device)
        self.dose = Dose(self.bench)
        self.pulses = 0
        self.done = 0
        self.complete = False
        self._average: int | None = None
        self._table = Table()
        self._so_far: Callable[[], Marks] | None = None
        self._ticks = self._zero = 0
        index = np.arange(len(cells))
        self._places = {"tile": cells.tile, "cell": index, "row": cells.row, "col": cells.col}

    @property
    def seconds(self) -> float:
        """Chip time since the plan began."""
        return self._ticks * self.chip.capabilities.tick_seconds

    def run(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Carry the plan out; an exception leaves what was measured in `measurement`.

        Args:
            progress: is told after each step.
        """
        steps = self.plan.steps(self.bench)
        under_way: deque[tuple[Step, Submission | None]] = deque()
        answer: Sequence[Result] | None = None
        while True:
            try:
                step = steps.send(answer) if answer is not None else next(steps)
            except StopIteration:
                break
            answer = None
            sent = self.chip.submit(step.operations) if step.operations else None
            under_way.append((step, sent))
            while under_way and (step.awaited or len(under_way) > DEPTH):
                answer = self._collect(*under_way.popleft(), progress)
            if not step.awaited:
                answer = None
        while under_way:
            self._collect(*under_way.popleft(), progress)
        self.complete = True

    def _collect(
        self, step: Step, sent: Submission | None, progress: Callable[[Progress], None] | None
    ) -> list[Result]:
        results = sent.results() if sent is not None else []
        self.dose.add(step.operations)
        self.pulses += sum(result.fired for result in results)
        self._ticks += sum(result.ticks for result in results)
        self.done += 1
        if step.starts_clock:
            self._zero = self._ticks
        self._so_far = step.so_far
        if step.lines is not None:
            self._table.add(rows_of(step, self.cells), step.lines)
        elif step.marks is not None:
            self._table.add(len(self.cells), self._row(step, results))
        if progress is not None:
            of = self.rehearsal.steps
            progress(Progress(self.plan.kind, self.done, of, self.pulses, self.seconds))
        return results

    def _row(self, step: Step, results: Sequence[Result]) -> Marks:
        """Return the rows of all cells: marks of a step, and what its last read gave."""
        assert step.marks is not None
        if "siemens" in step.marks:
            return self._with_state(step.marks)
        read, result = step.operations[-1], results[-1]
        assert isinstance(read, ReadCells)
        self._average = read.average
        siemens = self.bench.siemens(read, result)
        since = self._ticks - self._zero
        own = {
            "time_seconds": since * self.chip.capabilities.tick_seconds,
            "saturated": self.bench.saturated(result),
        }
        return self._with_state({**step.marks, **own, "siemens": siemens})

    def _with_state(self, marks: Marks) -> Marks:
        """Return marks with their places, and the value `siemens` as the quantity of the data."""
        rest = {name: values for name, values in marks.items() if name != "siemens"}
        return {**self._places, **rest, self.units.quantity: self.units.state(marks["siemens"])}

    def measurement(self) -> Measurement:
        """Return what was measured so far; `notes` tells where that is not everything.

        Raises:
            ConfigurationError: nothing was measured yet.
        """
        chip = self.chip
        table = self._table
        if not self.complete and self._so_far is not None:
            table = table.copy()
            table.add(len(self.cells), self._with_state(self._so_far()))
        columns = table.columns()
        if not columns:
            raise ConfigurationError(f"{self.plan.kind} has measured nothing yet")
        notes = {"plan": json.dumps(self.plan.model_dump(mode="json", exclude_defaults=True))}
        if not self.complete:
            most = "at most " if self.plan.adaptive else ""
            notes["partial"] = f"stopped after {self.done} of {most}{self.rehearsal.steps} steps"
        device = chip.device
        what = f"{len(self.cells)} cells" if "cell" in columns else "all lines"
        return measurement(
            self.plan.kind,
            columns,
            name=device.name if device is not None else chip.capabilities.name,
            own={n: Column(name=n, unit=u, meaning=m) for n, (u, m) in self.plan.own.items()},
            technology=device.technology if device is not None else "",
            description=f"{self.plan.kind} of {what} of tile {self.cells.tile}",
            device=MeasuredDevice(chip_id=chip.capabilities.chip_id),
            instrument=Instrument(
                model=chip.capabilities.name, firmware=chip.capabilities.firmware
            ),
            conditions=self._conditions(),
            shapes={n: chip.configuration.shapes[n] for n in self.plan.shapes(self.bench)},
            limits=chip.configuration.limits,
            conductance=self.units.conductance if self.units.quantity in columns else None,
            notes=notes,
        )

    def partial(self) -> Measurement | None:
        """Return what was measured so far, or None where that is nothing."""
        return self.measurement() if self._table.rows or self._so_far is not None else None

    def _conditions(self) -> Conditions:
        """Return the conditions; the range of values is that of single reads."""
        tile, bench, units = self.bench.tile.capabilities, self.bench, self.units
        if self._average is None:
            return Conditions(read_volts=tile.dac.full_scale)
        span = bench.code_siemens * tile.adc_cells.code_max
        ends = np.array([tile.middle_siemens - span, tile.middle_siemens + span])
        low, high = (float(value) for value in units.state(ends))
        return Conditions(
            read_volts=tile.dac.full_scale,
            reads_averaged=self._average,
            value_resolution=units.difference(bench.code_siemens / self._average),
            value_minimum=low,
            value_maximum=high,
        )
