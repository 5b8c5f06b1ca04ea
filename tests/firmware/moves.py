"""Operations on the small tile of most tests, and what often becomes of them."""

import numpy as np

from hwloop import operations as ops
from hwloop.operations import Verdict
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Flag, Kind
from hwloop_wire.frames import Frame, encode
from tests.firmware.chips import CONFIGURATION

MOVING = {"tile": 0, "shape": "set", "configuration": CONFIGURATION.hash()}


def pulse(count=1, cells=1, **changes):
    counts = np.full((1, cells), count, np.int16)
    block = {"rows": np.array([1]), "cols": np.arange(cells)}
    return ops.Pulse(**{**MOVING, **block, "counts": counts, **changes})


def outer(length=10, *, x=127, d=127, samples=1, **changes):
    fields = {
        "x_codes": np.full((samples, 5), x, np.int32),
        "d_codes": np.full((samples, 4), d, np.int32),
        "train_lengths": np.full(samples, length, np.int32),
        "x_gains": np.full(samples, 65536, np.int32),
        "d_gains": np.full(samples, 65536, np.int32),
        "tile": 0,
        "shape": "set",
        "configuration": CONFIGURATION.hash(),
    }
    return ops.OuterUpdate(**{**fields, **changes})


def trains(slots=10, samples=1, **changes):
    fields = {
        "x_trains": np.ones((samples, slots, 5), np.int8),
        "d_trains": np.ones((samples, slots, 4), np.int8),
        "tile": 0,
        "shape": "set",
        "configuration": CONFIGURATION.hash(),
    }
    return ops.OuterTrains(**{**fields, **changes})


def read():
    return ops.ReadCells(tile=0, average=1)


def refused(chip, operation, error):
    """The operation is refused, moves nothing, and latches the chip until CLEAR."""
    host = chip.host
    before = chip.pulses().copy()
    result = host.run(operation)
    assert (host.error, result.verdict) == (error, Verdict.NOT_APPLIED)
    assert host.status().flags & Flag.LATCHED
    assert host.status().failed_error == error
    host.run(read())
    assert host.error is ErrorCode.LATCHED
    assert np.array_equal(chip.pulses(), before)
    host.control(m.Clear(), m.Done)
    host.run(read())
    assert host.error is ErrorCode.NONE


def abort(host, number, epoch=None):
    host.send(encode(Frame(Kind.ABORT, host.epoch if epoch is None else epoch, number, 0, [])))
