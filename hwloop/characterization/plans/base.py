"""What every measurement plan is: parameters, and the steps that they make of cells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from hwloop.device_file.models import Frozen
from hwloop.device_file.quantities import MeasurementKind
from hwloop.operations import Operation
from hwloop.procedures.bench import Answer, Bench, Exchange

T = TypeVar("T")
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Pulses = Annotated[int, Field(ge=0, le=10_000_000)]
Siemens = Annotated[float, Field(ge=0, le=10)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Marks = Mapping[str, Any]
"""Columns of a block of rows: numbers that hold for all, or arrays with one value per row."""


@dataclass(frozen=True, slots=True)
class Step:
    """Operations that go out together, and what becomes of their answers.

    Attributes:
        operations: in order.
        marks: columns of the rows of the cells, one each. With a value `siemens` that is their
            state; without it the last operation is a read and gives state, time and saturation.
            None records nothing.
        lines: the same for rows that belong to no cell.
        awaited: whether the plan looks at the results before it goes on.
        starts_clock: whether times count from the end of this step.
        so_far: marks to record if the plan is stopped behind this step.
    """

    operations: Sequence[Operation] = ()
    marks: Marks | None = None
    lines: Marks | None = None
    awaited: bool = False
    starts_clock: bool = False
    so_far: Callable[[], Marks] | None = None


Steps = Generator[Step, Answer, None]
"""The steps of a plan. An awaited one is answered with its results, or with None in a rehearsal:
then the plan goes on as in its worst case, so that a rehearsal bounds the dose."""


class Plan(Frozen):
    """A measurement plan.

    Attributes:
        kind: kind of the data that it gives; also its name.
        own: unit and meaning of columns besides those of
            `hwloop.device_file.quantities.COLUMNS`.
    """

    kind: ClassVar[MeasurementKind]
    own: ClassVar[Mapping[str, tuple[str, str]]] = {}

    @property
    def needs(self) -> tuple[str, ...]:
        """Operations that the array has to understand."""
        return ("read_cells", "pulse")

    @property
    def adaptive(self) -> bool:
        """Whether the operations depend on what is read."""
        return False

    @abstractmethod
    def steps(self, bench: Bench) -> Steps:
        """Yield what is done to the cells of a bench, in order."""

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the names of the pulse shapes in use, the main one first."""
        return ()


def awaited(
    exchange: Exchange[T], so_far: Callable[[], Marks] | None = None
) -> Generator[Step, Answer, T]:
    """Carry a procedure out as steps of a plan; return what it comes to."""
    answer: Answer = None
    while True:
        try:
            operations = exchange.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = yield Step(operations, awaited=True, so_far=so_far)


def log_spaced(first: float, last: float, points: int) -> list[float]:
    """Return numbers at equal ratios, ends included."""
    return [float(x) for x in np.geomspace(first, last, points)]
