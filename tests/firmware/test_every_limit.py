"""Every limit on every raw frame: firmware refuses by itself, whatever its host has let pass."""

import numpy as np
import pytest

from hwloop import operations as ops
from hwloop.capabilities import Configuration, Limits
from hwloop_wire import describing
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Flag, Table
from hwloop_wire.frames import Message
from tests.firmware.chips import CONFIGURATION
from tests.firmware.host import error_of
from tests.firmware.moves import outer, pulse, read, refused, trains

DOSES = ("pulses_per_operation", "dose_per_cell", "dose_per_line")


def moves(**named):
    """Operations that go beyond five pulses, in one way or another."""
    return (
        pulse(6, **named),
        pulse(-6, **named),
        pulse(6, cells=5, **named),
        outer(6, **named),
        outer(2, samples=3, **named),
        trains(6, **named),
        trains(2, samples=3, **named),
    )


@pytest.mark.parametrize("limit", DOSES)
@pytest.mark.parametrize("own", [False, True], ids=["of the host", "of the chip"])
def test_pulses_beyond_a_limit_are_not_fired(either, limit, own):
    limits = Limits.model_validate({limit: 5})
    configuration = Configuration(shapes=CONFIGURATION.shapes, limits=limits)
    either.write(**({"configuration": configuration} if own else {}))
    chip = either.start()
    host = chip.host
    host.prepare(configuration)
    named = {"configuration": configuration.hash()}
    for operation in moves(**named):
        host.run(operation)
        assert host.error is ErrorCode.LIMIT
        assert limit in host.status().detail
        host.control(m.Clear(), m.Done)
    assert host.status().pulses == chip.pulses().sum() == 0
    assert host.begin().intent_id == 0  # nothing has been begun
    host.arm()
    assert host.run(pulse(5, **named)).fired == 5
    assert chip.pulses().sum() == 5


def own_limits(bench, limits, shapes=CONFIGURATION.shapes):
    bench.write(configuration=Configuration(shapes=shapes, limits=limits), bias_scheme="V/2")
    host = bench.start().host
    host.begin()
    return host


def test_limits_cannot_be_loosened_afterwards(either):
    """What is installed may be changed up to the chip's own limits, and not beyond."""
    own = Limits(voltage_max=3.0, half_select_max=1.0, pulses_per_operation=100, forming=False)
    host = own_limits(either, own)
    tight = own.model_copy(update={"voltage_max": 2.0, "pulses_per_operation": 5})

    def offer(limits):
        return host.configure(Configuration(shapes=CONFIGURATION.shapes, limits=limits))

    assert offer(tight) is ErrorCode.NONE
    for change in (
        {"voltage_max": 3.1},
        {"voltage_max": None},
        {"half_select_max": 1.1},
        {"pulses_per_operation": 101},
        {"pulses_per_operation": None},
        {"forming": True},
    ):
        assert offer(own.model_copy(update=change)) is ErrorCode.LIMIT, change
        assert host.offered(Table.INSTALLED).limits == tight
        assert host.status().flags & Flag.CONFIGURED
    assert offer(own) is ErrorCode.NONE
    assert host.offered(Table.INSTALLED).limits == own


@pytest.mark.parametrize("amperes", [0.0, -0.0, -1e-4, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["up", "down"])
def test_a_compliance_is_a_positive_number(bench, amperes, side):
    host = own_limits(bench, Limits(), shapes={})
    compliance = {"up": np.nan, "down": np.nan, side: amperes}
    entry = m.ShapeEntry(1.0, 1e-6, compliance["up"], -1.0, 1e-6, compliance["down"], "set")
    assert install(host, Limits(), entry) is ErrorCode.RANGE


REAL_LIMITS = ("voltage_max", "half_select_max", "width_max_seconds", "compliance_max_amperes")


@pytest.mark.parametrize("limit", REAL_LIMITS)
@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, -np.inf])
def test_a_limit_is_a_positive_number(bench, limit, value):
    host = own_limits(bench, Limits(), shapes={})
    entry = m.ShapeEntry(1.0, 1e-6, np.nan, -1.0, 1e-6, np.nan, "set")
    assert install(host, Limits(), entry, **{limit: value}) is ErrorCode.RANGE
    assert install(host, Limits(), entry, forming=2) is ErrorCode.RANGE
    assert install(host, Limits(), entry) is ErrorCode.NONE


def install(host, limits, entry, **changes):
    fields = {**describing.limit_fields(limits), **changes}
    head = m.Configure(configuration=7, shapes=1, **fields)
    (answer,) = host.ask(Message(m.Configure.NUMBER, head.pack() + entry.pack()))
    return error_of(answer)


def vmm(code, direction=ops.Direction.FORWARD):
    lines = 5 if direction is ops.Direction.FORWARD else 4
    codes = np.zeros((2, lines), np.int32)
    codes[1, lines - 1] = code
    return ops.Vmm(tile=0, direction=direction, codes=codes)


def test_reads_keep_the_limit_on_voltage(either):
    """The chip reads with up to 0.2 V, at the largest code; it has a limit of its own, 0.1 V."""
    either.write(configuration=Configuration(shapes={}, limits=Limits(voltage_max=0.1)))
    chip = either.start()
    host = chip.host
    host.begin()
    host.read_tiles()
    most = int(0.1 / host.tiles[0].dac.lsb)
    tighter = Configuration(shapes={}, limits=Limits(voltage_max=0.05))
    for code in (most, most // 2):
        for direction in ops.Direction:
            host.run(vmm(code, direction))
            assert host.error is ErrorCode.NONE
        for operation in (vmm(code + 1), vmm(-code - 1, ops.Direction.BACKWARD), read()):
            host.run(operation)
            assert host.error is ErrorCode.LIMIT
            assert host.status().detail == "a read above voltage_max"
            host.control(m.Clear(), m.Done)
        assert host.configure(tighter) is ErrorCode.NONE


def test_nothing_else_than_what_is_armed_configured_and_limited_moves(bench):
    """The same frames, in the wrong states; see test_limits.py for each state by itself."""
    bench.write()
    chip = bench.start()
    host = chip.host
    host.begin()
    host.read_tiles()
    host.cutter.shapes = {"set": 0}
    for operation in moves():
        refused(chip, operation, ErrorCode.NOT_ARMED)
    host.arm()
    for operation in moves():
        refused(chip, operation, ErrorCode.CONFIGURATION)
    assert chip.pulses().sum() == 0
