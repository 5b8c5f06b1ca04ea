"""Armed, configured, limited, latched: what a chip refuses before the first pulse."""

import numpy as np
import pytest

from hwloop import operations as ops
from hwloop.capabilities import Configuration, Limits, PulseShape
from hwloop.operations import Verdict
from hwloop_wire import messages as m
from hwloop_wire import results
from hwloop_wire.codes import ErrorCode, Flag, Table
from hwloop_wire.frames import Message
from tests.firmware.chips import CONFIGURATION
from tests.firmware.host import error_of, message
from tests.firmware.moves import outer, pulse, refused, trains

MOVING = {"pulse": pulse, "outer_update": outer, "outer_trains": trains}


# Armed and configured


@pytest.mark.parametrize("kind", MOVING)
def test_boots_disarmed(either, kind):
    either.write()
    chip = either.start()
    chip.host.begin()
    chip.host.read_tiles()
    chip.host.cutter.shapes = {"set": 0}
    chip.host.configure(CONFIGURATION)
    refused(chip, MOVING[kind](), ErrorCode.NOT_ARMED)


@pytest.mark.parametrize("kind", MOVING)
def test_boots_without_a_configuration(bench, kind):
    bench.write()
    chip = bench.start()
    chip.host.begin()
    chip.host.read_tiles()
    chip.host.cutter.shapes = {"set": 0}
    chip.host.arm()
    refused(chip, MOVING[kind](), ErrorCode.CONFIGURATION)
    refused(chip, MOVING[kind](configuration=0), ErrorCode.CONFIGURATION)


@pytest.mark.parametrize("kind", MOVING)
def test_another_configuration_is_refused(bench, kind):
    refused(bench.ready(), MOVING[kind](configuration=1), ErrorCode.CONFIGURATION)


@pytest.mark.parametrize("kind", MOVING)
def test_an_unknown_shape_is_refused(bench, kind):
    chip = bench.ready()
    chip.host.cutter.shapes["none"] = 2
    refused(chip, MOVING[kind](shape="none"), ErrorCode.SHAPE)


def test_arming_needs_the_name_of_the_chip(bench):
    bench.write()
    host = bench.start().host
    host.begin()
    assert host.arm(chip_id="chip-2") is ErrorCode.CHIP
    assert not host.status().flags & Flag.ARMED
    assert host.arm(deadman_ms=0) is ErrorCode.RANGE
    assert host.arm().flags & Flag.ARMED
    off = m.Arm(deadman_ms=0, armed=0, chip_id="chip-1")
    assert not host.control(off, m.Done).flags & Flag.ARMED


def test_what_is_configured_is_read_back(either):
    host = either.ready().host
    assert host.offered(Table.INSTALLED) == CONFIGURATION
    tighter = Configuration(
        shapes={"soft": CONFIGURATION.shapes["soft"]},
        limits=Limits(voltage_max=1.6, dose_per_cell=9, forming=False),
    )
    assert host.configure(tighter) is ErrorCode.NONE
    assert host.offered(Table.INSTALLED) == tighter
    assert host.begin().configuration == tighter.hash()


def test_a_part_of_the_table_is_read(bench):
    host = bench.ready().host
    answer = host.control_raw(m.ReadConfiguration(first=1, shapes=9, table=Table.INSTALLED))
    head = m.ReadConfigurationAnswer.unpack(answer.body)
    assert (head.shapes, head.total) == (1, 2)
    beyond = host.control_raw(m.ReadConfiguration(first=7, shapes=9, table=Table.INSTALLED))
    assert m.ReadConfigurationAnswer.unpack(beyond.body).shapes == 0


# Limits of the chip itself are met by every configuration, and shapes keep both


def shape(**changes):
    up = CONFIGURATION.shapes["set"].up.model_copy(update=changes)
    return PulseShape(up=up, down=CONFIGURATION.shapes["set"].down)


def bare(limits=None, **shapes):
    return Configuration(shapes=shapes, limits=limits or Limits())


OVER = {
    "voltage": bare(Limits(voltage_max=1.4), set=shape()),
    "negative voltage": bare(Limits(voltage_max=1.4), set=shape(amplitude_volts=-1.5)),
    "half select": bare(Limits(half_select_max=0.74), set=shape()),
    "width": bare(Limits(width_max_seconds=0.9e-6), set=shape()),
    "width of the other polarity": bare(Limits(width_max_seconds=2e-6), set=shape()),
    "compliance": bare(Limits(compliance_max_amperes=0.9e-4), set=shape()),
}


@pytest.mark.parametrize("what", OVER)
def test_shapes_over_a_limit_are_not_installed(bench, what):
    offer = Configuration(shapes={})  # a chip that takes any shape
    bench.write(configuration=offer, bias_scheme="V/2")
    host = bench.start().host
    host.begin()
    assert host.configure(OVER[what]) is ErrorCode.LIMIT
    assert not host.status().flags & (Flag.CONFIGURED | Flag.LATCHED)


def test_half_select_depends_on_the_bias_scheme(bench):
    limits = Limits(half_select_max=0.5)
    bench.write(configuration=Configuration(shapes={}), bias_scheme="V/3")
    host = bench.start().host
    host.begin()
    assert host.configure(bare(limits, set=shape())) is ErrorCode.NONE
    assert host.configure(bare(limits, set=shape(amplitude_volts=1.51))) is ErrorCode.LIMIT


LOOSER = {
    "voltage": Limits(voltage_max=3.1),
    "no voltage": Limits(),
    "half select": Limits(voltage_max=3, half_select_max=1.1),
    "pulses": Limits(voltage_max=3, half_select_max=1, pulses_per_operation=101),
}


@pytest.mark.parametrize("what", LOOSER)
def test_limits_looser_than_those_of_the_chip_are_refused(bench, what):
    own = Limits(voltage_max=3, half_select_max=1, pulses_per_operation=100, forming=False)
    bench.write(configuration=Configuration(shapes=CONFIGURATION.shapes, limits=own))
    host = bench.start().host
    host.begin()
    assert host.configure(bare(LOOSER[what])) is ErrorCode.LIMIT
    assert host.configure(bare(own.model_copy(update={"forming": True}))) is ErrorCode.LIMIT
    assert host.configure(bare(own)) is ErrorCode.NONE


def test_a_model_takes_its_own_shapes_only(bench):
    bench.write()
    host = bench.start().host
    host.begin()
    assert host.configure(bare(set=shape(amplitude_volts=1.4))) is ErrorCode.SHAPE
    assert host.configure(bare(other=shape())) is ErrorCode.SHAPE


@pytest.mark.parametrize("volts", [np.nan, np.inf])
def test_shapes_without_a_number_are_refused(bench, volts):
    bench.write(configuration=Configuration(shapes={}))
    host = bench.start().host
    host.begin()
    entry = m.ShapeEntry(volts, 1e-6, np.nan, -1.0, 1e-6, np.nan, "set").pack()
    none = m.NO_LIMIT
    head = m.Configure(5, np.nan, np.nan, np.nan, np.nan, none, none, none, shapes=1, forming=1)
    (answer,) = host.ask(message(head, entry))
    assert error_of(answer) is ErrorCode.RANGE


# Limits on pulses and doses


def limited(bench, **limits):
    configuration = Configuration(shapes=CONFIGURATION.shapes, limits=Limits(**limits))
    bench.write()
    chip = bench.start()
    chip.host.prepare(configuration)
    return chip, {"configuration": configuration.hash()}


def test_pulses_per_operation(bench):
    chip, named = limited(bench, pulses_per_operation=10)
    assert chip.host.run(pulse(10, **named)).fired == 10
    assert chip.host.run(pulse(-10, **named)).fired == 10
    assert chip.host.run(outer(10, **named)).fired == 200
    assert chip.host.run(trains(10, **named)).fired == 200
    for operation in (pulse(11, **named), pulse(-11, **named), outer(11, **named)):
        refused(chip, operation, ErrorCode.LIMIT)
    refused(chip, outer(6, samples=2, **named), ErrorCode.LIMIT)
    refused(chip, trains(11, **named), ErrorCode.LIMIT)
    # Lines that do not fire together are no pulses of one cell.
    apart = trains(12, **named)
    apart.x_trains[0, :6] = apart.d_trains[0, 6:] = 0
    assert chip.host.run(apart).fired == 0


def test_dose_per_cell(bench):
    chip, named = limited(bench, dose_per_cell=25)
    host = chip.host
    assert host.run(pulse(20, **named)).fired == 20
    refused(chip, pulse(6, **named), ErrorCode.LIMIT)
    refused(chip, outer(6, **named), ErrorCode.LIMIT)
    refused(chip, trains(6, **named), ErrorCode.LIMIT)
    assert host.run(pulse(5, **named)).fired == 5
    # It counts from the moment of arming.
    host.begin()
    host.arm()
    assert host.run(pulse(25, **named)).fired == 25
    refused(chip, pulse(1, **named), ErrorCode.LIMIT)


def test_dose_per_line(bench):
    chip, named = limited(bench, dose_per_line=30)
    host = chip.host
    assert host.run(pulse(6, cells=5, **named)).fired == 30
    refused(chip, pulse(1, **named), ErrorCode.LIMIT)
    other_row = {"rows": np.array([2]), **named}
    assert host.run(pulse(4, cells=5, **other_row)).fired == 20
    refused(chip, trains(3, **named), ErrorCode.LIMIT)
    refused(chip, outer(3, **named), ErrorCode.LIMIT)
    only = outer(5, x=0, **named)
    only.x_codes[0, 4] = only.d_codes[0, 3] = 127
    only.d_codes[0, :3] = 0
    assert host.run(only).fired == 5


# Values out of range


def changed(operation, name, at, value):
    getattr(operation, name)[at] = value
    return operation


RANGES = {
    "code of a vector": lambda: ops.Vmm(
        tile=0, direction=ops.Direction.BACKWARD, codes=np.full((2, 4), -64, np.int32)
    ),
    "average": lambda: ops.ReadCells(tile=0, average=4097),
    "no average": lambda: ops.ReadCells(tile=0, average=0),
    "row": lambda: ops.ReadCells(tile=0, rows=np.array([4]), average=1),
    "row twice": lambda: ops.ReadCells(tile=0, rows=np.array([2, 2]), average=1),
    "column of a pulse": lambda: pulse(1, cols=np.array([5])),
    "code of a column": lambda: changed(outer(), "x_codes", (0, 3), 128),
    "code of a row": lambda: changed(outer(), "d_codes", (0, 3), -128),
    "train length": lambda: outer(256),
}


@pytest.mark.parametrize("what", RANGES)
def test_values_out_of_range_are_refused(bench, what):
    refused(bench.ready(), RANGES[what](), ErrorCode.RANGE)


WHOLE = {"id": 5, "ordinal": 0, "tile": 0, "part": 0, "parts": 1}
HASH = CONFIGURATION.hash()
ALL = {"row_first": 0, "row_count": 4, "col_first": 0, "col_count": 5, "listed": 0}
ONE_SLOT = {"configuration": HASH, "samples": 1, "sample_offset": 0, "slots": 1, "shape": 0}
RAW = {
    "tile": (m.Snapshot(**{**WHOLE, "tile": 1}, first=0, cells=1), b"", ErrorCode.TILE),
    "plane": (m.ReadCells(**WHOLE, **ALL, average=1, plane=3), b"", ErrorCode.RANGE),
    "listed": (
        m.ReadCells(**WHOLE, **{**ALL, "listed": 4}, average=1, plane=0),
        b"",
        ErrorCode.RANGE,
    ),
    "list cut off": (
        m.ReadCells(**WHOLE, **{**ALL, "listed": 1}, average=1, plane=0),
        bytes(6),
        ErrorCode.LENGTH,
    ),
    "bytes too many": (m.ReadCells(**WHOLE, **ALL, average=1, plane=0), bytes(1), ErrorCode.LENGTH),
    "width": (
        m.Vmm(**WHOLE, samples=1, sample_offset=0, direction=0, plane=0, width=3),
        bytes(15),
        ErrorCode.RANGE,
    ),
    "direction": (
        m.Vmm(**WHOLE, samples=1, sample_offset=0, direction=2, plane=0, width=1),
        bytes(5),
        ErrorCode.RANGE,
    ),
    "sample offset": (
        m.Vmm(**WHOLE, samples=1, sample_offset=2**24, direction=0, plane=0, width=1),
        bytes(5),
        ErrorCode.RANGE,
    ),
    "codes cut off": (
        m.Vmm(**WHOLE, samples=1, sample_offset=0, direction=0, plane=0, width=2),
        bytes(9),
        ErrorCode.LENGTH,
    ),
    "count of four bytes": (
        m.Pulse(**WHOLE, **ALL, configuration=HASH, shape=0, width=4),
        b"\0\0\1\0" * 20,
        ErrorCode.RANGE,
    ),
    "upwards and downwards": (
        m.OuterTrains(**WHOLE, **ONE_SLOT, slot_offset=0),
        b"\1\1\1\0",
        ErrorCode.RANGE,
    ),
    "slot offset": (
        m.OuterTrains(**WHOLE, **ONE_SLOT, slot_offset=255),
        bytes(4),
        ErrorCode.RANGE,
    ),
    "cells": (m.Snapshot(**WHOLE, first=20, cells=1), b"", ErrorCode.RANGE),
    "state cut off": (m.Restore(**WHOLE, first=0, cells=2), bytes(28), ErrorCode.LENGTH),
    "state that is no number": (
        m.Restore(**WHOLE, first=0, cells=1),
        b"\0\0\xc0\x7f" + bytes(12),
        ErrorCode.RANGE,
    ),
    "form": (m.Form(**WHOLE, **ALL, configuration=HASH, recipe="any"), b"", ErrorCode.UNSUPPORTED),
    "id 0": (m.Wait(**{**WHOLE, "id": 0}, ticks=1), b"", ErrorCode.ID),
}


@pytest.mark.parametrize("what", RAW)
def test_parts_that_no_host_would_send(bench, what):
    body, tail, expected = RAW[what]
    chip = bench.ready()
    (answer,) = chip.host.ask(message(body, tail))
    head = results.decode(answer.body).head
    assert (head.error, head.verdict, head.values) == (expected, Verdict.NOT_APPLIED, 0)
    status = chip.host.status()
    assert (status.failed_id, status.failed_error) == (body.id, expected)
    assert status.detail
    assert chip.pulses().sum() == 0
    assert chip.host.begin().intent_id == 0  # what is refused before the first pulse has no record


@pytest.mark.parametrize("number", [0, 11, 63, 64, 144, 200, 255])
def test_messages_of_unknown_type_latch(bench, number):
    host = bench.ready().host
    (answer,) = host.ask(Message(number, b"abc"))
    assert error_of(answer) is ErrorCode.TYPE
    assert host.status().flags & Flag.LATCHED
    assert host.arm() is ErrorCode.LATCHED
    assert host.configure(CONFIGURATION) is ErrorCode.LATCHED


@pytest.mark.parametrize("number", [*range(2, 10), *range(16, 26)])
@pytest.mark.parametrize("length", [0, 1, 5, 7, 1000])
def test_messages_of_wrong_length_latch(bench, number, length):
    if (number, length) in [(n, m.TYPES[n].STRUCT.size) for n in m.TYPES]:
        return  # that length is right
    host = bench.ready().host
    (answer,) = host.ask(Message(number, bytes(length)))
    also = (ErrorCode.ID, ErrorCode.UNSUPPORTED, ErrorCode.RANGE)  # of parts, whose tails vary
    assert error_of(answer) is ErrorCode.LENGTH or (number >= 16 and error_of(answer) in also)
    assert host.status().flags & Flag.LATCHED


def test_an_id_is_executed_once_whatever_the_host_does(bench):
    chip = bench.ready()
    host = chip.host
    assert host.run(pulse(2), identity=8).fired == 2
    for identity in (8, 7):
        host.run(pulse(2), identity=identity)
        assert host.error is ErrorCode.ID
        host.control(m.Clear(), m.Done)
    assert chip.pulses().sum() == 2
