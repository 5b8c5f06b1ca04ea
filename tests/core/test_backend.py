"""The simulated array as a backend: what it refuses, its latch, and its physics end to end."""

import numpy as np
import pytest

import hwloop_sim
from hwloop.backend import CrossbarBackend
from hwloop.capabilities import Configuration, Limits
from hwloop.errors import CapabilityError, ConfigurationError, DeviceError
from hwloop.operations import (
    Configure,
    Direction,
    Form,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Restore,
    Snapshot,
    Vmm,
    Wait,
)


@pytest.fixture
def array():
    backend = hwloop_sim.open_backend("reram-om", {"shape": "6x5+2x3x4", "seed": "3"})
    configuration = backend.describe().configuration
    run(backend, Configure(content_json=configuration.canonical()))
    yield backend
    backend.close()


def run(backend, *operations):
    return backend.wait(backend.submit(operations))


def named(backend):
    configuration = backend.describe().configuration
    return {"shape": next(iter(configuration.shapes)), "configuration": configuration.hash()}


def pulse(backend, count=1, **changes):
    fields = {
        "tile": 0,
        "rows": np.array([2]),
        "cols": np.array([1, 3]),
        "counts": np.full((1, 2), count, np.int16),
        **named(backend),
        **changes,
    }
    return Pulse(**fields)


def test_is_a_backend(array):
    assert isinstance(array, CrossbarBackend)
    shapes = [(t.rows, t.cols) for t in array.describe().tiles]
    assert shapes == [(6, 5), (3, 4), (3, 4)]


def test_pulses_move_what_cell_reads_see(array):
    block = {"tile": 0, "rows": np.array([2]), "cols": np.array([1, 3]), "average": 400}
    before, result, after = run(
        array,
        ReadCells(**block, ordinal=1),
        pulse(array, 40, id=7, ordinal=2),
        ReadCells(**block, ordinal=3),
    )
    assert result.id == 7 and result.fired == 80 and result.ticks > 0
    assert (after.values > before.values).all()
    assert array.pulses(0).sum() == 80


def test_snapshot_restore(array):
    (state,) = run(array, Snapshot(tile=0))
    run(array, pulse(array, 20, ordinal=5))
    (moved,) = run(array, Snapshot(tile=0))
    assert not np.array_equal(moved.values, state.values)
    run(array, Restore(tile=0, state=state.values))
    (back,) = run(array, Snapshot(tile=0))
    np.testing.assert_array_equal(back.values, state.values)


def test_restore_cuts_to_the_bounds_and_refuses_what_no_cell_can_hold(array):
    (state,) = run(array, Snapshot(tile=0))
    values = state.values.copy()
    values[0, 2, 3] = np.float32(1000).view(np.uint32)
    run(array, Restore(tile=0, state=values))
    (cut,) = run(array, Snapshot(tile=0))
    persistent = cut.values[0].view(np.float32)
    assert 0 < persistent[2, 3] < 10
    values[0, 2, 3] = cut.values[0, 2, 3]
    np.testing.assert_array_equal(cut.values, values)
    values[0, 2, 3] = np.float32("nan").view(np.uint32)
    with pytest.raises(DeviceError, match=r"cell \(2, 3\)"):
        run(array, Restore(tile=0, state=values))


def test_tiles_of_one_seed_differ(array):
    one, other = run(array, Snapshot(tile=1), Snapshot(tile=2))
    assert not np.array_equal(one.values, other.values)


def test_equal_ordinals_give_equal_noise(array):
    read = Vmm(tile=0, direction=Direction.FORWARD, codes=np.full((3, 5), 30), ordinal=9)
    first, second, other = run(
        array,
        read,
        read,
        Vmm(tile=0, direction=Direction.FORWARD, codes=np.full((3, 5), 30), ordinal=10),
    )
    assert first == second != other


def test_boots_disarmed():
    backend = hwloop_sim.open_backend("reram-om", {"shape": "6x5"})
    with pytest.raises(DeviceError, match="no configuration"):
        run(backend, pulse(backend))


def test_refuses_another_configuration(array):
    with pytest.raises(DeviceError, match="not the one installed"):
        run(array, pulse(array, configuration=1))


def test_refuses_an_unknown_shape(array):
    with pytest.raises(DeviceError, match="'no-such' is not installed"):
        run(array, pulse(array, shape="no-such"))


def test_refuses_shapes_that_the_model_does_not_hold_for(array):
    offered = array.describe().configuration
    name, shape = next(iter(offered.shapes.items()))
    stronger = shape.up.model_copy(update={"amplitude_volts": shape.up.amplitude_volts * 1.5})
    changed = Configuration(
        shapes={name: shape.model_copy(update={"up": stronger})}, limits=offered.limits
    )
    with pytest.raises(CapabilityError, match="own shapes"):
        run(array, Configure(content_json=changed.canonical()))


def test_tighter_limits_change_the_hash(array):
    offered = array.describe().configuration
    limits = offered.limits.tightened(Limits(pulses_per_operation=7))
    tighter = Configuration(shapes=offered.shapes, limits=limits)
    run(array, Configure(content_json=tighter.canonical()))
    run(array, pulse(array, configuration=tighter.hash()))
    with pytest.raises(DeviceError, match="not the one installed"):
        run(array, pulse(array))


def vmm(**changes):
    fields = {"tile": 0, "direction": Direction.FORWARD, "codes": np.zeros((2, 5), int), **changes}
    return Vmm(**fields)


def outer(backend, **changes):
    fields = {
        "tile": 0,
        "x_codes": np.full((2, 5), 127),
        "d_codes": np.full((2, 6), 127),
        "train_lengths": np.array([3, 4]),
        "x_gains": np.array([65536, 1]),
        "d_gains": np.array([65536, 1]),
        **named(backend),
        **changes,
    }
    return OuterUpdate(**fields)


REFUSED = {
    "tile": lambda b: vmm(tile=3),
    "shape": lambda b: vmm(codes=np.zeros((2, 6), int)),
    "dimensions": lambda b: vmm(codes=np.zeros(5, int)),
    "floats": lambda b: vmm(codes=np.zeros((2, 5))),
    "dac range": lambda b: vmm(codes=np.full((2, 5), -64)),
    "average": lambda b: ReadCells(tile=0, average=0),
    "average too long": lambda b: ReadCells(tile=0, average=5000),
    "line": lambda b: ReadCells(tile=0, rows=np.array([6])),
    "negative line": lambda b: ReadCells(tile=0, rows=np.array([-1])),
    "line twice": lambda b: pulse(b, cols=np.array([1, 1])),
    "counts": lambda b: pulse(b, counts=np.zeros((2, 2), np.int16)),
    "counts range": lambda b: pulse(b, counts=np.full((1, 2), 40000)),
    "update codes": lambda b: outer(b, x_codes=np.full((2, 5), 128)),
    "samples": lambda b: outer(b, d_codes=np.zeros((3, 6), int)),
    "train length": lambda b: outer(b, train_lengths=np.array([3, 256])),
    "gain": lambda b: outer(b, x_gains=np.array([0, 1])),
    "trains": lambda b: OuterTrains(
        tile=0, x_trains=np.full((1, 2, 5), 2), d_trains=np.zeros((1, 2, 6), int), **named(b)
    ),
    "slots": lambda b: OuterTrains(
        tile=0, x_trains=np.zeros((1, 2, 5), int), d_trains=np.zeros((1, 3, 6), int), **named(b)
    ),
    "ticks": lambda b: Wait(ticks=-1),
    "configuration": lambda b: Configure(content_json="{}"),
    "state": lambda b: Restore(tile=0, state=np.zeros((4, 5, 6), np.uint32)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(array, what):
    (before,) = run(array, Snapshot(tile=0))
    operation = REFUSED[what](array)
    with pytest.raises(DeviceError, match=operation.kind) as caught:
        run(array, operation)
    assert caught.value.verdict.name == "NOT_APPLIED"
    array.clear()
    (after,) = run(array, Snapshot(tile=0))
    assert before == after


def test_does_not_form(array):
    with pytest.raises(CapabilityError, match="form"):
        run(array, Form(tile=0, recipe="any", configuration=0))


def test_latches_after_a_failure(array):
    ticket = array.submit([vmm(id=1), vmm(tile=9, id=2), pulse(array, id=3)])
    with pytest.raises(DeviceError, match="tile 9") as caught:
        array.wait(ticket)
    assert caught.value.operation_id == 2
    assert len(ticket.results) == 1
    assert array.pulses(0).sum() == 0
    with pytest.raises(DeviceError, match="latched"):
        run(array, vmm(id=4))
    array.clear()
    run(array, vmm(id=5))


@pytest.mark.parametrize("act", ["submit", "close"])
def test_a_failure_that_nobody_waited_for_is_raised(array, act):
    array.submit([vmm(tile=9, id=2)])
    with pytest.raises(DeviceError, match="tile 9"):
        array.submit([vmm(id=3)]) if act == "submit" else array.close()


def test_abort_latches(array):
    report = array.abort()
    assert report.partial is None and report.not_applied == ()
    with pytest.raises(DeviceError, match="latched"):
        run(array, pulse(array))
    array.clear()
    assert run(array, pulse(array))[0].fired == 2


def test_planes(array):
    main, reference, difference = (
        run(array, ReadCells(tile=0, plane=plane, average=4096, ordinal=n))[0].values
        for n, plane in enumerate(Plane)
    )
    # Two noisy sums of 4096 each: 0.06 in codes of 4 / 2047, six standard errors of the sum.
    slack = 6 * 0.06 / (4 / 2047) * 4096**0.5 * 3**0.5
    assert np.abs(main - reference - difference).max() < slack


def test_unknown_option_names_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean shape"):
        hwloop_sim.open_backend("reram-om", {"shap": "4x4"})


@pytest.mark.parametrize(
    "options",
    [
        {"shape": "4"},
        {"shape": "0x4"},
        {"shape": "4x4x4x4"},
        {"shape": "99999x99999"},
        {"seed": "-1"},
        {"seed": "one"},
        {"threads": "0"},
        {"periphery": "perfect"},
        {"adc_bits": "1"},
        {"adc_bits": "9.5"},
        {"output_noise": "nan"},
        {"cell_bits": "20"},
        {"input_noise": "0.1", "periphery": "ideal"},
    ],
    ids=str,
)
def test_options_that_do_not_fit(options):
    with pytest.raises(ConfigurationError):
        hwloop_sim.open_backend("reram-om", options)


def test_periphery_options():
    backend = hwloop_sim.open_backend(
        "reram-om", {"periphery": "ideal", "adc_bits": "12", "reference_std": "0.3"}
    )
    tile = backend.describe().tiles[0]
    assert tile.adc_forward.code_max == 2047
    assert tile.dac.code_max == 2**23 - 1
    assert tile.output_noise == 0


def test_unexpected_errors_join_the_family(array, monkeypatch):
    def fail(*arguments, **keywords):
        raise MemoryError("no room")

    monkeypatch.setattr(array._tiles[0], "vmm", fail)
    with pytest.raises(DeviceError, match="MemoryError in the simulation: no room") as caught:
        run(array, vmm(id=8))
    assert caught.value.verdict.name == "UNKNOWN" and caught.value.operation_id == 8
    with pytest.raises(DeviceError, match="latched"):
        run(array, vmm())


def test_capabilities_name_the_overrides():
    backend = hwloop_sim.open_backend("reram-om", {"reference_std": "0.3", "adc_bits": "12"})
    assert backend.describe().device_overrides == {"reference_std": "0.3"}


def test_accepts_any_integer_type(array):
    wide, narrow = (np.full((2, 5), 30, kind) for kind in (np.int64, np.int8))
    for codes in (wide, narrow, np.asfortranarray(wide)):
        values = run(array, vmm(codes=codes, ordinal=4))[0]
        assert values == run(array, vmm(codes=wide.astype(np.int32), ordinal=4))[0]
    transposed = np.full((2, 1), 3, np.int16).T
    assert run(array, pulse(array, counts=transposed))[0].fired == 6
