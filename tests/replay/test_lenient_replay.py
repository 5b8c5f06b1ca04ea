"""Lenient replay: each cell answers by its own history, and says how far it is from it."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwloop
from hwloop.capabilities import PolarityShape, PulseShape
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ReplayError
from hwloop.operations import Plane, Result
from hwloop.tape import FileTape, Tape
from hwloop_replay.history import Histories, History
from tests.replay.tapes import bench, record
from tests.seam.bench_array import STEP

CODES_PER_STEP = STEP * 0.2 / (20e-6 / 4095)


def read(chip: Chip, row: int, col: int, average: int = 1) -> Result:
    lines = np.array([row]), np.array([col])
    return chip.submit([chip[0].new_read_cells(*lines, average=average)]).results()[0]


def value(chip: Chip, row: int, col: int) -> tuple[int, int | None]:
    """Return the code of a cell and its distance."""
    result = read(chip, row, col)
    return int(result.values[0, 0]), result.distance


Event = tuple[int, int, int]
"""Row, column, and pulses; 0 pulses is a read."""


def carry_out(chip: Chip, events: list[Event]) -> dict[tuple[int, int], list[int]]:
    """Pulse and read cells; return what each cell read, in its own order."""
    codes: dict[tuple[int, int], list[int]] = {}
    for row, col, count in events:
        if count:
            chip[0].pulse(row, col, count)
        else:
            result = read(chip, row, col)
            assert result.distance in (None, 0)
            codes.setdefault((row, col), []).append(int(result.values[0, 0]))
    return codes


events = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(-3, 3)), min_size=1, max_size=25
)


@settings(max_examples=40, deadline=None)
@given(events, st.randoms(use_true_random=False))
def test_cells_in_any_order_answer_as_they_did(script: list[Event], random: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tape"
        live: list[dict[tuple[int, int], list[int]]] = []
        record(path, lambda chip: live.append(carry_out(chip, script)))
        cells = sorted({(row, col) for row, col, _ in script})
        random.shuffle(cells)  # type: ignore[attr-defined]
        by_cell = [event for cell in cells for event in script if event[:2] == cell]
        with hwloop.connect(f"replay:{path},mode=lenient,bound=0") as chip:
            assert carry_out(chip, by_cell) == live[0]


def staircase(chip: Chip) -> None:
    chip[0].read_cells(rows=[1], cols=[2])
    for _ in range(4):
        chip[0].pulse(row=1, col=2, count=10)
        chip[0].read_cells(rows=[1], cols=[2])


def test_between_reads_codes_are_interpolated_and_beyond_them_they_stay(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", staircase)
    with hwloop.connect(f"replay:{path},mode=lenient") as chip:
        found = [value(chip, 1, 2)]
        for _ in range(50):
            chip[0].pulse(row=1, col=2, count=1)
            found.append(value(chip, 1, 2))
        assert chip.backend.farthest == 10
    codes, distances = zip(*found, strict=True)
    exact = np.minimum(np.arange(51), 40) * CODES_PER_STEP
    assert np.abs(codes - exact).max() <= 1  # rounding of the taped code, and of the answer
    to_a_read = [min(n % 10, 10 - n % 10) for n in range(41)]
    assert list(distances) == [*to_a_read, *range(1, 11)]


def test_a_bound_refuses_what_is_farther_away(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", staircase)
    with (
        pytest.raises(ReplayError, match=r"row 1, col 2 of tile 0 is 4 pulses away .* bound is 3"),
        hwloop.connect(f"replay:{path},mode=lenient,bound=3") as chip,
    ):
        chip[0].pulse(row=1, col=2, count=3)
        assert value(chip, 1, 2)[1] == 3
        chip[0].pulse(row=1, col=2, count=1)
        value(chip, 1, 2)


def test_pulses_that_lead_off_the_path_are_distance(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", staircase)
    with hwloop.connect(f"replay:{path},mode=lenient") as chip:
        chip[0].pulse(row=1, col=2, count=10)
        at_ten = value(chip, 1, 2)
        chip[0].pulse(row=1, col=2, count=-4)  # never done on the tape
        assert value(chip, 1, 2) == (at_ten[0], 4)
        chip[0].pulse(1, 2, 5, "hard")  # nor this shape
        assert value(chip, 1, 2) == (at_ten[0], 9)


def test_shapes_are_what_they_are_not_how_they_are_called(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", staircase)
    array = bench().describe()
    histories = Histories(array)
    histories.add(Tape(path))
    shape = array.configuration.shapes["set"]
    assert histories.kind(shape, True) == 0
    other = PulseShape(up=PolarityShape(amplitude_volts=1.2, width_seconds=1e-6), down=shape.down)
    assert histories.kind(other, True) > 1
    assert histories.kind(other, False) == histories.kind(shape, False)


def test_reads_of_one_place_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with hwloop.connect("sim:reram-om,shape=4x4", tape=FileTape(path, {})) as chip:
        live = [int(read(chip, 0, 0, 4).values[0, 0]) for _ in range(5)]
    assert len(set(live)) > 1  # the reads are noisy
    with hwloop.connect(f"replay:{path},mode=lenient,bound=0") as chip:
        assert [int(read(chip, 0, 0, 4).values[0, 0]) for _ in range(10)] == live * 2
        halved = [int(read(chip, 0, 0, 2).values[0, 0]) for _ in range(5)]
    assert halved == [round(code / 2) for code in live]


def test_planes_have_histories_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with hwloop.connect("sim:reram-om,shape=2x2", tape=FileTape(path, {})) as chip:
        main = chip[0].read_cells(plane=Plane.MAIN)
        chip[0].pulse(0, 0, 20)
        chip[0].read_cells(plane=Plane.REFERENCE)
    with hwloop.connect(f"replay:{path},mode=lenient") as chip:
        assert np.array_equal(chip[0].read_cells(plane=Plane.MAIN), main)
        with pytest.raises(ReplayError, match="no read of the difference plane of cell row 0"):
            chip[0].read_cells()


def test_a_history_ends_where_pulses_are_not_known_by_cell(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with hwloop.connect("sim:reram-om,shape=2x2x2", tape=FileTape(path, {})) as chip:
        chip[0].read_cells(rows=[0])
        chip[0].update([1, 1], [1, 1])
        chip[0].read_cells(rows=[1])
        chip[1].read_cells()
    with hwloop.connect(f"replay:{path},mode=lenient") as chip:
        chip[0].read_cells(rows=[0])
        chip[1].read_cells()
        with pytest.raises(ReplayError, match="before outer_update 2, which does not say"):
            chip[0].read_cells(rows=[1])


def test_what_a_history_cannot_answer_is_not_offered(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", staircase)
    with hwloop.connect(f"replay:{path},mode=lenient") as chip:
        offered = {"configure", "pulse", "read_cells", "wait"}
        assert chip.capabilities.operations == offered
        chip.wait(1e-3)
        assert chip.chip_seconds == pytest.approx(1e-3)
        with pytest.raises(CapabilityError):
            chip[0].forward(np.zeros(6))


def test_distances_are_on_the_tape_of_a_lenient_replay(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", staircase)
    again = FileTape(tmp_path / "again", {})
    with hwloop.connect(f"replay:{path},mode=lenient", tape=again) as chip:
        chip[0].pulse(1, 2, 3)
        chip[0].read_cells(rows=[1], cols=[2])
    events = Tape(tmp_path / "again").events
    assert {"distance": 3, "operation": 2} in events


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=6),
    st.lists(st.integers(0, 8), min_size=3, max_size=3),
)
def test_the_nearest_point_of_a_path(path: list[tuple[int, int]], place: list[int]) -> None:
    history, points = History(), [np.zeros(3, int)]
    for kind, count in path:
        history.pulse(kind, count)
        for _ in range(count):
            points.append(points[-1] + np.eye(3, dtype=int)[kind])
    apart = [int(np.abs(point - place).sum()) for point in points]
    position, distance = history.nearest(np.array(place))
    assert distance == min(apart)
    assert position == apart.index(min(apart))
