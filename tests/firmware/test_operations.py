"""Every operation on a chip gives the bits of the numpy oracle, however it is cut into frames."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwloop import operations as ops
from hwloop.operations import Verdict
from hwloop_sim.periphery import Periphery
from tests.core.strategies import TERMS, operations, peripheries, population, populations
from tests.firmware.chips import CONFIGURATION
from tests.oracle.array_model import ArrayModel

SEED = 0x0123456789ABCDEF
ATTEMPT = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def as_operation(kind, arguments, ordinal, average=1):
    """The operation that a method of the oracle executes."""
    moving = {"tile": 0, "ordinal": ordinal, "shape": "set", "configuration": CONFIGURATION.hash()}
    reading = {"tile": 0, "ordinal": ordinal}
    match kind:
        case "vmm":
            direction, plane, codes = arguments
            return ops.Vmm(**reading, direction=direction, plane=plane, codes=codes)
        case "read_cells":
            plane, rows, cols = arguments
            return ops.ReadCells(**reading, plane=plane, rows=rows, cols=cols, average=average)
        case "pulse":
            rows, cols, counts = arguments
            return ops.Pulse(**moving, rows=rows, cols=cols, counts=counts)
        case "outer_update":
            names = ("x_codes", "d_codes", "train_lengths", "x_gains", "d_gains")
            return ops.OuterUpdate(**moving, **dict(zip(names, arguments, strict=True)))
        case _:
            x_trains, d_trains = arguments
            return ops.OuterTrains(**moving, x_trains=x_trains, d_trains=d_trains)


def same(host, oracle, kind, arguments, keywords):
    """Execute an operation on both, at the time of the chip, and compare what they answer."""
    oracle.begin(host.clock)
    expected = getattr(oracle, kind)(*arguments, **keywords)
    result = host.run(as_operation(kind, arguments, **keywords))
    assert result.verdict is Verdict.APPLIED, host.error
    host.clock += result.ticks
    if kind in ("vmm", "read_cells"):
        if expected[0].size:
            np.testing.assert_array_equal(result.values, expected[0])
            np.testing.assert_array_equal(result.saturated, expected[1])
    else:
        assert result.fired == expected


def same_state(host, oracle):
    oracle.begin(host.clock)
    state = host.run(ops.Snapshot(tile=0)).values
    np.testing.assert_array_equal(state, oracle.snapshot())


@ATTEMPT
@given(data=st.data())
def test_every_operation_equals_the_oracle(bench, data):
    cells = data.draw(populations(most=12))
    periphery = data.draw(peripheries())
    oracle = ArrayModel(cells, periphery, index=0, seed=SEED)
    # Frames so short that nearly everything is cut.
    limit = data.draw(st.sampled_from([450, 4096]))
    drawn = data.draw(st.lists(operations(oracle.rows, oracle.cols, periphery), max_size=4))
    bench.write(cells, periphery=periphery, seed=SEED)
    with contextlib.closing(bench.start()) as chip:
        host = chip.host
        host.prepare()
        host.read_tiles(limit)
        host.cutter.shapes = {"set": 0, "soft": 1}
        for operation in drawn:
            same(host, oracle, *operation)
            waited = host.run(ops.Wait(tile=0, ticks=data.draw(st.sampled_from([0, 1, 2**40]))))
            host.clock += waited.ticks
        same_state(host, oracle)
        np.testing.assert_array_equal(chip.pulses(), oracle.pulses)


def some_operations(rows, cols):
    """One of each kind, large enough to be cut."""
    rng = np.random.default_rng(5)

    def codes(most, *shape):
        return rng.integers(-most, most, shape, endpoint=True).astype(np.int32)

    lengths = np.array([31, 0, 64, 255, 5], np.int32)
    gains = rng.integers(1, 65536, (2, 5), endpoint=True).astype(np.int32)
    counts = rng.integers(-30, 30, (3, cols)).astype(np.int16)
    trains = [rng.integers(-1, 2, (3, 70, n)).astype(np.int8) for n in (cols, rows)]
    listed = np.array([rows - 1, 0, 3], np.uint32)
    return [
        ("outer_update", (codes(127, 5, cols), codes(127, 5, rows), lengths, *gains)),
        ("vmm", (ops.Direction.FORWARD, ops.Plane.DIFFERENCE, codes(63, 9, cols))),
        ("pulse", (listed, None, counts)),
        ("vmm", (ops.Direction.BACKWARD, ops.Plane.MAIN, codes(63, 9, rows))),
        ("outer_trains", tuple(trains)),
        ("read_cells", (ops.Plane.DIFFERENCE, None, listed[:2])),
    ]


@pytest.mark.parametrize("frame", [600, 65536])
@pytest.mark.parametrize(
    ("table", "memory", "kinds"),
    [(False, 0.0, ()), (True, 0.0, ()), (False, 0.55, TERMS)],
    ids=["affine", "tabulated", "with terms"],
)
def test_operations_on_each_target(either, frame, table, memory, kinds):
    rng = np.random.default_rng(9)
    cells = population(rng, 21, 34, table=table, write_noise=0.1, write_memory=memory, kinds=kinds)
    periphery = Periphery(input_noise=0.05, gain_spread=0.02 * bool(kinds), offset_spread=0.01)
    either.write(cells, periphery=periphery, seed=SEED)
    host = either.start().host
    host.prepare()
    host.read_tiles(limit=frame)
    host.cutter.shapes = {"set": 0, "soft": 1}
    oracle = ArrayModel(cells, periphery, index=0, seed=SEED)
    for n, (kind, arguments) in enumerate(some_operations(21, 34)):
        extra = {"average": 3} if kind == "read_cells" else {}
        same(host, oracle, kind, arguments, extra | {"ordinal": 1000 + n})
        host.clock += host.run(ops.Wait(tile=0, ticks=10**n)).ticks
    same_state(host, oracle)


def test_restore(either):
    chip = either.ready()
    host = chip.host
    state = host.run(ops.Snapshot(tile=0)).values
    changed = state.copy()
    changed[:3] = np.float32(0.25).view(np.uint32)
    changed[3] = 77
    assert host.run(ops.Restore(tile=0, state=changed)).verdict is Verdict.APPLIED
    back = host.run(ops.Snapshot(tile=0)).values
    p = either.populations[0]
    held = np.clip(np.float32(0.25), p.bound_min, p.bound_max)
    np.testing.assert_array_equal(back[0], held.view(np.uint32))
    np.testing.assert_array_equal(back[1:], changed[1:])
    assert (chip.pulses() == 77).all()


def test_ticks_and_counters(either):
    chip = either.ready()
    host = chip.host
    counts = np.array([[3, 0, -2, 1, 0], [0, 0, -1, 0, 0]], np.int16)
    result = host.run(as_operation("pulse", (np.array([0, 2]), None, counts), 7))
    assert result.fired == 7
    assert result.ticks == 3 * 1000 + 2 * 3000 + 3000
    status = host.status()
    assert (status.pulses, status.ticks) == (7, result.ticks)
    assert (chip.pulses()[[0, 2]] == np.abs(counts)).all()
