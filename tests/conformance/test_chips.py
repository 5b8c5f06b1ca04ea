"""A physical chip gets what was allowed, where it was allowed, and nothing else."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from hwloop.conformance import Region, conform, parse_region
from hwloop.conformance.region import MOST_LINES
from hwloop.conformance.scope import MARKS_PER_RUN
from hwloop.errors import ConfigurationError
from hwloop.operations import Form, Operation, OuterTrains, OuterUpdate, Pulse, ReadCells, Vmm
from tests.conformance.bench import Bench


class Chip(Bench):
    """A physical bench that looks at all that it is asked for, all openings together."""

    rows, cols, tiles = 6, 7, 2
    kind = "physical"
    every: ClassVar[list[Chip]] = []
    asked: ClassVar[list[Operation]] = []

    def __init__(self) -> None:
        super().__init__()
        self.every.append(self)

    def execute(self, operation: Operation) -> Any:
        self.asked.append(operation)
        return super().execute(operation)


class Unbounded(Chip):
    """The same, and it refuses nothing."""

    def admit(self, operation: Operation) -> None:
        pass


REGION = "1:2-4,3-5"
ALLOWED: dict[str, Any] = {"region": parse_region(REGION), "dose": 700, "arm": "bench-7"}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Chip.every, Chip.asked = [], []
    for chip in (Chip, Unbounded):
        chip.remembered = 0


def test_a_chip_passes_within_its_region_and_dose() -> None:
    report = conform(Chip, **ALLOWED)
    assert report.failed() == []
    given = sum(chip.given for chip in Chip.every)
    inside = np.zeros((2, 6, 7), bool)
    inside[1, 2:5, 3:6] = True
    assert given[inside].any()
    assert not given[~inside].any()
    assert given.max() <= report.most_pulses_per_cell <= 700


def test_even_a_chip_that_refuses_nothing_gets_no_more() -> None:
    """What malformed operations and lowered limits let through is counted before it is sent."""
    report = conform(Unbounded, **ALLOWED)
    assert {"limits_of_pulses", "errors", "duplicates"} <= set(report.failed())
    given = sum(chip.given for chip in Chip.every)
    assert given[0].sum() == 0
    assert given[1, 2:5, 3:6].sum() == given.sum()
    assert given.max() <= report.most_pulses_per_cell <= 700


def test_only_lines_of_the_region_are_driven() -> None:
    conform(Chip, **ALLOWED)
    for operation in Chip.asked:
        if isinstance(operation, Vmm) and operation.codes.shape[1] in (6, 7):
            lines = set(np.flatnonzero(operation.codes.any(axis=0)))
            driven = {3, 4, 5} if operation.direction == 0 else {2, 3, 4}
            assert lines <= driven
        if isinstance(operation, ReadCells) and operation.average > 1:
            assert set(operation.rows) <= {2, 3, 4}  # type: ignore[arg-type]


def test_a_chip_is_never_formed_unless_told() -> None:
    conform(Chip, **ALLOWED)
    assert not any(isinstance(operation, Form) for operation in Chip.asked)


def test_limits_are_lowered_before_they_are_tried() -> None:
    """No operation asks for more than the chip's own limits allow, refused ones included."""
    conform(Chip, **ALLOWED)
    for operation in Chip.asked:
        if isinstance(operation, Pulse) and operation.counts.size:
            assert np.abs(operation.counts).max() <= Chip.limits.pulses_per_operation
        if isinstance(operation, OuterUpdate | OuterTrains):
            assert operation.tile in (1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": None}, "physical array"),
        ({"region": None}, "physical array"),
        ({"dose": None}, "physical array"),
        ({"arm": "another"}, "armed chip 'another'"),
        ({"dose": MARKS_PER_RUN}, "too small"),
        ({"region": parse_region("2:0-1,0-1")}, "has 2 tiles"),
        ({"region": parse_region("0:0-6,0-1")}, "6 rows and 7 columns"),
    ],
)
def test_what_is_not_allowed_is_not_begun(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        conform(Chip, **{**ALLOWED, **changes})
    assert Chip.asked == []
    assert refused.value.remedy or "counted from 0" in refused.value.message


@pytest.mark.parametrize("text", ["", "0:1-2", "0:3-2,0-1", "0:0-1,4-3", "a:0-1,0-1", "0:0:2,0:2"])
def test_regions_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="region"):
        parse_region(text)


def test_regions() -> None:
    region = parse_region("2:3-3,0-40")
    assert str(region) == "2:3-3,0-40"
    assert region.corners == [(3, 0), (3, 40)]
    assert len(region.cols) == MOST_LINES
    assert region.cols[0] == 0
    assert region.cols[-1] == 40
    assert Region(0, 1, 1, 1, 1).near((1, 1)) == [(1, 1)]
