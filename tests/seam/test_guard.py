"""The guard: each limit refuses, nothing is clipped, the ledger bounds what can have been fired."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.capabilities import Limits
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError, SafetyError
from hwloop.operations import Direction, Form, OuterTrains, Plane, Pulse, ReadCells, Vmm, Wait
from tests.seam.bench_array import BenchArray


def open_chip(limits: Limits | None = None, **options: object) -> tuple[Chip, BenchArray]:
    array = BenchArray(limits=limits, **options)  # type: ignore[arg-type]
    return Chip(array), array


def executed(array: BenchArray) -> list[str]:
    return [op.kind for op in array.executed if op.kind != "configure"]


def test_voltage_over_the_limit_is_refused_and_nothing_is_sent() -> None:
    with pytest.raises(SafetyError, match=r"'hard': amplitude 3 V is over the limit voltage_max"):
        open_chip(Limits(voltage_max=2.0))


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(width_max_seconds=1e-7), "width"),
        (Limits(compliance_max_amperes=1e-5), "compliance"),
    ],
)
def test_other_limits_of_a_shape(limits: Limits, what: str) -> None:
    with pytest.raises(SafetyError, match=what):
        open_chip(limits)


def test_half_selected_cells_count_by_bias_scheme() -> None:
    array = BenchArray(limits=Limits(half_select_max=1.0))
    array._capabilities = array._capabilities.model_copy(update={"bias_scheme": "V/2"})
    with pytest.raises(SafetyError, match=r"half-select voltage 1.5 V"):
        Chip(array)
    array._capabilities = array._capabilities.model_copy(update={"bias_scheme": "V/3"})
    Chip(array).close()


def test_unknown_pulse_shape() -> None:
    chip, array = open_chip()
    with pytest.raises(ConfigurationError, match=r"unknown pulse shape 'soft'(.|\n)*hard, set"):
        chip[0].pulse(0, 0, 1, shape="soft")
    assert executed(array) == []


def test_pulses_per_operation() -> None:
    chip, array = open_chip(Limits(pulses_per_operation=5))
    chip[0].pulse(0, 0, -5)
    with pytest.raises(SafetyError, match="may give 6 pulses to a cell"):
        chip[0].pulse(0, 0, 6)
    assert executed(array) == ["pulse"]


def test_dose_per_cell_adds_up_within_a_submission_and_over_the_run() -> None:
    chip, array = open_chip(Limits(dose_per_cell=10))
    chip[0].pulse(1, 2, 6)
    chip[1].pulse(1, 2, 6)
    with pytest.raises(SafetyError, match="cell row 1, col 2 of tile 0 would have had 12"):
        chip[0].pulse(1, 2, -6)
    with pytest.raises(SafetyError, match="row 1, col 2"), chip.batch() as batch:
        batch[0].pulse(1, 2, 3)
        batch[0].pulse(1, 2, 3)
    chip[0].pulse(1, 2, 4)
    assert executed(array) == ["pulse"] * 3


def test_dose_per_line() -> None:
    chip, _ = open_chip(Limits(dose_per_line=8))
    chip[0].pulse(1, 2, 5)
    chip[0].pulse(2, 3, 8)
    with pytest.raises(SafetyError, match="row 1 of tile 0 would have had 9"):
        chip[0].pulse(1, 4, 4)


def test_forming_only_where_allowed() -> None:
    operations = frozenset({"form", "configure"})
    chip, _ = open_chip(Limits(forming=False), operations=operations)
    with pytest.raises(SafetyError, match="forming"):
        chip.submit([Form(tile=0, recipe="slow", **chip.identity())])


def test_a_physical_array_moves_only_when_armed_by_its_id() -> None:
    array = BenchArray(kind="physical")
    chip = Chip(array)
    chip[0].read_cells(plane=Plane.MAIN)
    with pytest.raises(SafetyError, match=r"not armed(.|\n)*--arm bench-1"):
        chip[0].pulse(0, 0, 1)
    with pytest.raises(ConfigurationError, match="'bench-1' is connected"):
        Chip(BenchArray(kind="physical"), arm="other")
    assert Chip(BenchArray(kind="physical"), arm="bench-1")[0].pulse(0, 0, 1) == 1


def test_an_operation_of_another_configuration_is_refused() -> None:
    chip, _ = open_chip()
    pulse = Pulse(tile=0, counts=np.ones((4, 6), np.int16), shape="set", configuration=1)
    with pytest.raises(SafetyError, match="another configuration"):
        chip.submit([pulse])


BAD = [
    (Vmm(tile=0, direction=Direction.FORWARD, codes=np.zeros((1, 5), int)), r"shape \(1, 5\)"),
    (Vmm(tile=0, direction=Direction.FORWARD, codes=np.full((1, 6), 64)), "holds 64, expected -63"),
    (Vmm(tile=0, direction=Direction.FORWARD, codes=np.zeros((1, 6))), "not an array of integers"),
    (
        Vmm(tile=7, direction=Direction.FORWARD, codes=np.zeros((1, 6), int)),
        "tile 7 does not exist",
    ),
    (ReadCells(tile=0, rows=np.array([4])), "holds 4, expected 0 to 3"),
    (ReadCells(tile=0, cols=np.array([1, 1])), "names a line twice"),
    (Pulse(tile=0, counts=np.ones((3, 6), int), shape="set"), r"expected \(4, 6\)"),
    (
        OuterTrains(
            tile=0, x_trains=np.full((1, 2, 6), 2), d_trains=np.zeros((1, 2, 4), int), shape="set"
        ),
        "holds 2",
    ),
]


@pytest.mark.parametrize(("operation", "text"), BAD)
def test_malformed_operations(operation: object, text: str) -> None:
    chip, array = open_chip(reference="cell")
    with pytest.raises(ConfigurationError, match=text):
        chip.submit([operation])  # type: ignore[list-item]
    assert executed(array) == []


def test_what_the_array_cannot_do() -> None:
    chip, array = open_chip(operations=frozenset({"configure", "vmm", "read_cells", "wait"}))
    with pytest.raises(CapabilityError, match="'pulse'"):
        chip[0].pulse(0, 0, 1)
    with pytest.raises(CapabilityError, match="no difference plane"):
        chip[0].read_cells()
    with pytest.raises(CapabilityError, match="average is 65"):
        chip[0].read_cells(average=65, plane=Plane.MAIN)
    assert executed(array) == []


def test_a_refused_submission_charges_nothing() -> None:
    chip, array = open_chip(Limits(dose_per_cell=10))
    good = chip[0].new_pulse(None, None, np.full((4, 6), 9, np.int16))
    bad = chip[0].new_pulse(None, None, np.full((4, 6), 2, np.int16))
    with pytest.raises(SafetyError):
        chip.submit([good, bad])
    chip.submit([chip[0].new_pulse(None, None, np.full((4, 6), 10, np.int16))]).results()
    assert executed(array) == ["pulse"]


class Counting(BenchArray):
    """Counts pulses per cell as they are executed."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits=limits)
        self.dose = np.zeros((4, 6), int)

    def execute(self, operation: object) -> object:  # type: ignore[override]
        if isinstance(operation, Pulse):
            rows = np.arange(4) if operation.rows is None else operation.rows
            cols = np.arange(6) if operation.cols is None else operation.cols
            self.dose[np.ix_(rows, cols)] += np.abs(operation.counts)
        return super().execute(operation)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(-5, 5)), max_size=40))
def test_no_sequence_of_pulses_exceeds_the_dose(pulses: list[tuple[int, int, int]]) -> None:
    array = Counting(Limits(dose_per_cell=12))
    chip = Chip(array)
    fired = np.zeros((4, 6), int)
    for row, col, count in pulses:
        try:
            chip[0].pulse(row, col, count)
        except SafetyError:
            assert fired[row, col] + abs(count) > 12
        else:
            fired[row, col] += abs(count)
    chip.close()
    assert (array.dose == fired).all()
    assert array.dose.max() <= 12


def test_errors_say_what_and_how_to_mend_it() -> None:
    error = SafetyError("too much", remedy="give less", operation_id=4)
    assert str(error) == "too much\noperation 4: not_applied\nremedy: give less"
    codes = {cls.__name__: cls.exit_code for cls in CrossbarError.__subclasses__()}
    assert codes == {
        "ConfigurationError": 2,
        "CapabilityError": 3,
        "SafetyError": 4,
        "LinkError": 5,
        "DeviceError": 6,
        "OutcomeUnknownError": 7,
        "ReplayError": 8,
    }


def test_waiting_moves_no_cell_and_needs_no_arming() -> None:
    chip = Chip(BenchArray(kind="physical"))
    chip.submit([Wait(ticks=5, **chip.identity())]).results()
    assert chip.totals.ticks == 5


def test_limits_tighten_and_never_widen() -> None:
    a = Limits(voltage_max=2.0, dose_per_cell=5, forming=False)
    b = Limits(voltage_max=1.5, dose_per_line=9)
    assert a.tightened(b) == b.tightened(a)
    assert a.tightened(b) == Limits(
        voltage_max=1.5, dose_per_cell=5, dose_per_line=9, forming=False
    )
