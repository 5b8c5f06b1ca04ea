"""Operations cut into parts and put together again."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop import operations as ops
from hwloop.backend import open_backend
from hwloop.capabilities import TileCapabilities
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop_wire import messages as m
from hwloop_wire import results
from hwloop_wire.codes import ErrorCode
from hwloop_wire.cutting import Cutter, PartMessage
from hwloop_wire.decoding import Asked, Decoder, PartError
from hwloop_wire.layout import MessageError
from tests.wire.chips import identical
from tests.wire.strategies import lines as some_lines
from tests.wire.strategies import operations, tiles

WHOLE = 1 << 20
KEYED_BY_CELL = (ops.ReadCells, ops.Pulse, ops.Form, ops.Reset, ops.Wait)


def cut(operation: ops.Operation, tile: TileCapabilities, limit: int) -> list[PartMessage]:
    cutter = Cutter([tile], limit, limit)
    cutter.shapes = {"a": 0, "b": 1}
    return cutter.cut(operation, operation.id)


def read(part: PartMessage, tile: TileCapabilities) -> Asked:
    asked = Decoder([tile]).decode(part.type, part.body)
    assert asked.answer_length == part.answer_length
    return asked


def lines(chosen: Any, size: int) -> list[int]:
    return list(range(size)) if chosen is None else [int(n) for n in chosen]


def cells_of(operation: Any, tile: TileCapabilities) -> list[tuple[int, int]]:
    rows, cols = lines(operation.rows, tile.rows), lines(operation.cols, tile.cols)
    return [(row, col) for row in rows for col in cols]


def same(sent: ops.Operation, received: ops.Operation, tile: TileCapabilities) -> None:
    assert type(sent) is type(received)
    assert (sent.id, sent.ordinal) == (received.id, received.ordinal)
    for name, value in sent.content().items():
        other = getattr(received, name)
        if name in ("rows", "cols"):
            assert lines(value, getattr(tile, name)) == lines(other, getattr(tile, name))
        elif name != "shape":
            assert np.array_equal(value, other), name


@given(st.data())
def test_a_whole_operation_round_trips(data: st.DataObject) -> None:
    tile = data.draw(tiles())
    operation = data.draw(operations(tile))
    (part,) = cut(operation, tile, WHOLE)
    asked = read(part, tile)
    same(operation, asked.operation, tile)
    if isinstance(operation, ops.Pulse):
        assert asked.shape == 1


@given(st.data())
def test_parts_fit_and_make_the_operation_again(data: st.DataObject) -> None:
    tile = data.draw(tiles())
    operation = data.draw(operations(tile))
    limit = data.draw(st.integers(80, 600))
    try:
        parts = cut(operation, tile, limit)
    except CapabilityError:
        return
    assert all(max(len(part.body), part.answer_length) <= limit for part in parts)
    heads = [m.Part.unpack(part.body) for part in parts]
    assert [(h.part, h.parts) for h in heads] == [(n, len(parts)) for n in range(len(parts))]
    if isinstance(operation, KEYED_BY_CELL):
        got = [read(part, tile).operation for part in parts]
        if hasattr(operation, "rows"):
            cells = [cell for part in got for cell in cells_of(part, tile)]
            assert sorted(cells) == sorted(cells_of(operation, tile))
        if isinstance(operation, ops.Pulse):
            counts = np.concatenate([p.counts for p in got])  # type: ignore[attr-defined]
            assert np.array_equal(counts, operation.counts)
        return
    # What is cut by samples, slots or cells only a chip that knows offsets can take apart.
    total = 0
    for part in parts:
        head: Any = m.TYPES[part.type].unpack(part.body)
        if isinstance(head, m.Snapshot):
            assert head.first == total
            total += head.cells
        elif isinstance(head, m.OuterTrains):
            at = head.sample_offset * operation.x_trains.shape[1] + head.slot_offset  # type: ignore[attr-defined]
            assert at == total
            total += head.samples * head.slots
        else:
            assert head.sample_offset == total
            total += head.samples
    expected = {
        ops.Vmm: lambda op: len(op.codes),
        ops.OuterUpdate: lambda op: len(op.x_codes),
        ops.OuterTrains: lambda op: op.x_trains.shape[0] * op.x_trains.shape[1],
        ops.Snapshot: lambda op: tile.rows * tile.cols,
        ops.Restore: lambda op: tile.rows * tile.cols,
    }[type(operation)]
    assert total == expected(operation)
    if len(parts) > 1:
        with pytest.raises(PartError) as refused:
            read(parts[-1], tile)
        assert refused.value.code is ErrorCode.UNSUPPORTED


def shape_of(operation: ops.Operation, tile: TileCapabilities) -> tuple[int, ...]:
    """Return the shape of what an operation reads."""
    if isinstance(operation, ops.Vmm):
        forward = operation.direction is ops.Direction.FORWARD
        return (len(operation.codes), tile.rows if forward else tile.cols)
    if isinstance(operation, ops.ReadCells):
        return (len(lines(operation.rows, tile.rows)), len(lines(operation.cols, tile.cols)))
    return (4, tile.rows, tile.cols)


def share(head: Any, whole: np.ndarray, at: int) -> np.ndarray:
    """Return what a part reads of a whole, given how many lines the parts before it have read."""
    if isinstance(head, m.Snapshot):
        return whole.reshape(4, -1)[:, head.first : head.first + head.cells]
    if isinstance(head, m.Vmm):
        return whole[head.sample_offset : head.sample_offset + head.samples]
    if whole.shape[0] > whole.shape[1]:
        return whole[:, at : at + head.col_count]
    return whole[at : at + head.row_count]


@given(st.data())
def test_answers_of_parts_make_one_result(data: st.DataObject) -> None:
    tile = data.draw(tiles())
    operation = data.draw(
        operations(tile).filter(lambda op: isinstance(op, ops.Vmm | ops.ReadCells | ops.Snapshot))
    )
    limit = data.draw(st.integers(100, 600))
    try:
        parts = cut(operation, tile, limit)
    except CapabilityError:
        return
    state = isinstance(operation, ops.Snapshot)
    shape = shape_of(operation, tile)
    numbers = np.arange(np.prod(shape), dtype=np.uint32 if state else np.int32) % 2**15
    whole = numbers.reshape(shape)
    answers, at = [], 0
    for n, part in enumerate(parts):
        head: Any = m.TYPES[part.type].unpack(part.body)
        taken = share(head, whole, at)
        at += min(taken.shape) if isinstance(operation, ops.ReadCells) else 0
        each = 4
        if isinstance(operation, ops.Vmm):
            each = results.vmm_value_bytes(tile, operation.direction)
        elif isinstance(operation, ops.ReadCells):
            each = results.cells_value_bytes(tile, operation.average)
        answer = m.Result(operation.id, n, 10, taken.size, n, 0, 0, each if taken.size else 0)
        result = ops.Result(values=taken, saturated=None if state else taken % 3 == 0)
        body = results.encode(answer, result)
        assert len(body) == part.answer_length
        answers.append(results.decode(body, state=state))
    merged = results.merged(operation, tile, answers)
    assert merged.verdict is ops.Verdict.APPLIED
    assert merged.fired == sum(range(len(parts)))
    assert merged.ticks == 10 * len(parts)
    assert merged.values is not None
    assert np.array_equal(merged.values, whole)
    if state:
        assert merged.saturated is None
    else:
        assert merged.saturated is not None
        assert np.array_equal(merged.saturated, whole % 3 == 0)


SIMULATED = {
    shape: open_backend(f"sim:reram-om,shape={shape[0]}x{shape[1]},seed=3")
    for shape in ((40, 9), (9, 40), (1, 30), (12, 12))
}
"""Arrays that tests only read."""


@given(st.data())
def test_reads_in_parts_are_reads_as_a_whole_in_bits_and_in_time(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(sorted(SIMULATED)))
    simulator = SIMULATED[shape]
    (tile,) = simulator.describe().tiles
    operation = ops.ReadCells(
        tile=0,
        id=7,
        ordinal=data.draw(st.integers(0, 2**40)),
        rows=data.draw(some_lines(tile.rows)),
        cols=data.draw(some_lines(tile.cols)),
        average=data.draw(st.integers(1, 40)),
        plane=data.draw(st.sampled_from(ops.Plane)),
    )
    limit = data.draw(st.integers(120, 700))
    try:
        parts = cut(operation, tile, limit)
    except CapabilityError:
        return
    answers = []
    for part in parts:
        asked = read(part, tile)
        (result,) = simulator.wait(simulator.submit([asked.operation]))
        values = asked.values, asked.head.part, 0, 0, asked.value_bytes if asked.values else 0
        answer = m.Result(7, result.fired, result.ticks, *values)
        answers.append(results.decode(results.encode(answer, result)))
    (whole,) = simulator.wait(simulator.submit([operation]))
    assert identical(results.merged(operation, tile, answers), whole)


@given(st.data(), st.binary(max_size=120))
def test_garbage_is_a_part_or_an_error(data: st.DataObject, raw: bytes) -> None:
    tile = data.draw(tiles())
    decoder = Decoder([tile])
    for number in (part.NUMBER for part in m.PARTS):
        try:
            decoder.decode(number or 0, bytes(18) + b"\0\0\1\0" + raw)
        except PartError as error:
            assert error.code is not ErrorCode.NONE
    for state in (False, True):
        with contextlib.suppress(MessageError):
            results.decode(raw, state=state)


TILE = TileCapabilities(
    rows=300,
    cols=300,
    dac={"code_max": 127, "full_scale": 1},  # type: ignore[arg-type]
    adc_forward={"code_max": 127, "full_scale": 1},  # type: ignore[arg-type]
    adc_backward={"code_max": 127, "full_scale": 1},  # type: ignore[arg-type]
    adc_cells={"code_max": 127, "full_scale": 1},  # type: ignore[arg-type]
    cell_siemens=1,
    update_code_max=127,
    longest_train=255,
)


def test_codes_take_the_narrowest_width() -> None:
    for largest, width in ((127, 1), (-128, 1), (128, 2), (-32768, 2), (32768, 4)):
        codes = np.full((1, 300), largest, np.int32)
        operation = ops.Vmm(tile=0, direction=ops.Direction.FORWARD, codes=codes)
        (part,) = cut(operation, TILE, WHOLE)
        assert len(part.body) == m.Vmm.STRUCT.size + 300 * width


def test_an_update_of_512_by_512_takes_about_a_kilobyte() -> None:
    tile = TILE.model_copy(update={"rows": 512, "cols": 512})
    operation = ops.OuterUpdate(
        tile=0,
        x_codes=np.ones((1, 512), np.int32),
        d_codes=np.ones((1, 512), np.int32),
        train_lengths=np.array([31]),
        x_gains=np.array([65536]),
        d_gains=np.array([65536]),
        shape="a",
    )
    (part,) = cut(operation, tile, WHOLE)
    assert len(part.body) == 1024 + 6 + m.OuterUpdate.STRUCT.size


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tile": 3}, "tile 3 does not exist"),
        ({"shape": "c"}, "pulse shape 'c' is not installed"),
        ({"rows": np.array([70000])}, "does not fit 16 bits"),
        ({"counts": np.full((1, 300), 2**40)}, "does not fit 32 bits"),
        ({"configuration": -1}, "argument"),
    ],
)
def test_what_no_message_can_carry_is_refused(change: dict[str, Any], text: str) -> None:
    pulse = ops.Pulse(
        tile=0, rows=np.array([1]), counts=np.ones((1, 300), np.int16), shape="a", id=1
    )
    with pytest.raises(ConfigurationError, match=text):
        cut(replace(pulse, **change), TILE, WHOLE)


def test_a_row_that_fits_no_frame_is_refused() -> None:
    with pytest.raises(CapabilityError, match="one sample or line of read_cells"):
        cut(ops.ReadCells(tile=0), TILE, 200)
    many = ops.Snapshot(tile=0)
    with pytest.raises(CapabilityError, match="over 65535 parts"):
        cut(many, TILE.model_copy(update={"rows": 300}), 57)


def test_verdicts_of_parts_make_one() -> None:
    def answer(verdict: int, error: int = 0) -> results.PartResult:
        return results.PartResult(m.Result(1, 3, 0, 0, 0, error, verdict, 0), None, None)

    pulse = ops.Wait(tile=0, ticks=1)
    for verdicts, expected in (
        ((0, 0), 0),
        ((0, 1), 2),
        ((1, 1), 1),
        ((0, 2, 1), 2),
        ((0, 3, 1), 3),
    ):
        merged = results.merged(pulse, TILE, [answer(v) for v in verdicts])
        assert merged.verdict == expected
    assert results.first_error([answer(0), answer(1, 29), answer(1, 24)]) is ErrorCode.LIMIT
    assert results.first_error([answer(1, 9999)]) is ErrorCode.FAILED
