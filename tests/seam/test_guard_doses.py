"""Doses against a count one by one, and limits that only ever tighten."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hwloop.capabilities import LIFE_LIMITS, Configuration, Limits
from hwloop.guard import Dose, InForce, dose_of
from hwloop.operations import Form, Operation, OuterTrains, OuterUpdate, Pulse, Reset
from tests.seam.bench_array import SHAPES, BenchArray

ROWS, COLS = 3, 4
TILE = BenchArray(ROWS, COLS).describe().tiles[0]

sizes = st.integers(0, 3)


def lines(size: int) -> st.SearchStrategy[NDArray[np.int64] | None]:
    some = st.lists(st.integers(0, size - 1), unique=True, max_size=size)
    return st.none() | some.map(lambda chosen: np.array(chosen, np.int64))


@st.composite
def pulses(draw: st.DrawFn) -> Pulse:
    rows, cols = draw(lines(ROWS)), draw(lines(COLS))
    shape = (ROWS if rows is None else len(rows), COLS if cols is None else len(cols))
    size = shape[0] * shape[1]
    counts = draw(st.lists(st.integers(-32767, 32767), min_size=size, max_size=size))
    return Pulse(
        tile=0, rows=rows, cols=cols, counts=np.array(counts, np.int16).reshape(shape), shape="set"
    )


def codes(samples: int, size: int) -> st.SearchStrategy[NDArray[np.int8]]:
    flat = st.lists(st.integers(-127, 127), min_size=samples * size, max_size=samples * size)
    return flat.map(lambda values: np.array(values, np.int8).reshape(samples, size))


@st.composite
def outer_updates(draw: st.DrawFn) -> OuterUpdate:
    samples = draw(sizes)
    lengths = draw(st.lists(st.integers(0, 63), min_size=samples, max_size=samples))
    ones = np.ones(samples, np.int32)
    return OuterUpdate(
        tile=0,
        x_codes=draw(codes(samples, COLS)),
        d_codes=draw(codes(samples, ROWS)),
        train_lengths=np.array(lengths, np.int32),
        x_gains=ones,
        d_gains=ones,
        shape="set",
    )


@st.composite
def outer_trains(draw: st.DrawFn) -> OuterTrains:
    samples, slots = draw(sizes), draw(sizes)
    signs = [draw(codes(samples * slots, n)).clip(-1, 1) for n in (COLS, ROWS)]
    x, d = (a.reshape(samples, slots, n) for a, n in zip(signs, (COLS, ROWS), strict=True))
    return OuterTrains(tile=0, x_trains=x, d_trains=d, shape="set")


@st.composite
def recipes(draw: st.DrawFn) -> Form | Reset:
    kind = draw(st.sampled_from([Form, Reset]))
    return kind(tile=0, rows=draw(lines(ROWS)), cols=draw(lines(COLS)), recipe="slow")


def counted(operation: Operation) -> NDArray[np.int64]:
    """The most pulses that each cell can get, one by one."""
    cells = np.zeros((ROWS, COLS), np.int64)
    match operation:
        case Pulse() | Form() | Reset():
            rows = range(ROWS) if operation.rows is None else operation.rows
            cols = range(COLS) if operation.cols is None else operation.cols
            for i, row in enumerate(rows):
                for j, col in enumerate(cols):
                    one = not isinstance(operation, Pulse)
                    cells[row, col] += 1 if one else abs(int(operation.counts[i, j]))  # type: ignore[union-attr]
        case OuterUpdate():
            for n, length in enumerate(operation.train_lengths):
                for row in range(ROWS):
                    for col in range(COLS):
                        if operation.d_codes[n, row] and operation.x_codes[n, col]:
                            cells[row, col] += int(length)
        case OuterTrains():
            for n in range(operation.x_trains.shape[0]):
                for slot in range(operation.x_trains.shape[1]):
                    for row in range(ROWS):
                        for col in range(COLS):
                            fires = operation.d_trains[n, slot, row]
                            cells[row, col] += bool(fires and operation.x_trains[n, slot, col])
    return cells


@given(pulses() | outer_updates() | outer_trains() | recipes())
def test_a_dose_is_what_the_cells_can_get(operation: Operation) -> None:
    dose: Dose = dose_of(operation, TILE)
    cells = counted(operation)
    assert np.array_equal(dose.cells(), cells)
    assert np.array_equal(dose.row, cells.sum(axis=1))
    assert np.array_equal(dose.col, cells.sum(axis=0))
    if isinstance(operation, OuterUpdate):
        assert dose.cell_max >= cells.max()
    else:
        assert dose.cell_max == cells.max()


positive = st.none() | st.floats(1e-9, 1e3)
counts = st.none() | st.integers(0, 2**60)
limits = st.builds(
    Limits,
    voltage_max=positive,
    half_select_max=positive,
    width_max_seconds=positive,
    compliance_max_amperes=positive,
    pulses_per_operation=counts,
    dose_per_cell=counts,
    dose_per_line=counts,
    life_dose_per_cell=counts,
    life_dose_per_line=counts,
    forming=st.booleans(),
)


def allows_no_more(tight: Limits, loose: Limits) -> bool:
    return all(
        (not mine or its)
        if name == "forming"
        else its is None or (mine is not None and mine <= its)
        for name in Limits.model_fields
        for mine, its in [(getattr(tight, name), getattr(loose, name))]
    )


@given(limits, limits, limits)
def test_the_tightest_wins_in_whatever_order(a: Limits, b: Limits, c: Limits) -> None:
    both = a.tightened(b)
    assert both == b.tightened(a)
    assert both.tightened(c) == a.tightened(b.tightened(c))
    assert both.tightened(a) == both == both.tightened(both)
    assert a.tightened(Limits()) == a
    assert allows_no_more(both, a)
    assert allows_no_more(both, b)
    if allows_no_more(a, b):
        assert both == a
        assert allows_no_more(a.tightened(c), b.tightened(c))


@given(st.lists(st.tuples(st.sampled_from(["the chip", "station", "device"]), limits), max_size=4))
def test_each_limit_comes_from_where_it_is_tightest(sources: list[tuple[str, Limits]]) -> None:
    force = InForce.of(sources)
    for name in Limits.model_fields:
        value = getattr(force.limits, name)
        if value is None or value is True:
            assert name not in force.origins
            continue
        assert any(o == force.origins[name] and getattr(s, name) == value for o, s in sources)
    assert InForce.of(list(reversed(sources))).limits == force.limits


@given(limits, limits)
def test_limits_for_life_are_kept_by_the_host_and_installed_nowhere(a: Limits, b: Limits) -> None:
    life = {name: getattr(b, name) for name in LIFE_LIMITS}
    one = Configuration(shapes=SHAPES, limits=a.installed())
    other = Configuration(shapes=SHAPES, limits=a.model_copy(update=life))
    assert one.canonical() == other.canonical()
    assert one.hash() == other.hash()
    assert Configuration.model_validate_json(other.canonical()) == one.model_copy(
        update={"shapes": dict(sorted(SHAPES.items()))}
    )
