"""Chips, tiles and batches in SI units, over a backend as a lab would write it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hwloop.backend import AbortReport, split_url
from hwloop.crossbar import Chip, connect
from hwloop.crossbar.chip import ID_GAP
from hwloop.errors import ConfigurationError, DeviceError, LinkError
from hwloop.operations import Operation, Plane, Pulse, Verdict
from hwloop.tape import FileTape, Tape
from tests.seam.bench_array import STEP, BenchArray

MAIN = Plane.MAIN
HALF_LSB = 20e-6 / 4095 / 0.2 / 2
"""Siemens by which a converter may round a cell."""


def test_the_verbs_speak_si() -> None:
    array = BenchArray()
    with Chip(array) as chip:
        tile = chip[0]
        assert tile.pulse(row=3, col=5, count=+10, shape="set") == 10
        assert tile.read_cells(rows=[3], cols=[5], average=16, plane=MAIN) == pytest.approx(
            10 * STEP, abs=HALF_LSB
        )
        line = tile.read_line(5, "column", plane=MAIN)
        assert line == pytest.approx([0, 0, 0, 10 * STEP], abs=HALF_LSB)
        volts = np.zeros(6)
        volts[5] = 0.2
        assert tile.forward(volts, plane=MAIN) == pytest.approx([0, 0, 0, 2e-6], abs=HALF_LSB)
        volts = np.array([[0, 0, 0, 0.2], [0, 0, 0, -0.1]])
        currents = tile.backward(volts, plane=MAIN)
        assert currents.shape == (2, 6)
        assert currents[:, 5] == pytest.approx([2e-6, -1e-6], abs=2e-8)
    assert array.idled == 1


def test_ids_begin_above_those_that_the_array_remembers() -> None:
    class Remembering(BenchArray):
        last_id = 41

    with Chip(BenchArray()) as chip:
        assert chip[0].new_read_cells().id == 1
    with Chip(Remembering()) as chip:
        assert chip[0].new_read_cells().id == chip.first_id == 42 + ID_GAP
        assert chip[0].new_read_cells().id == 43 + ID_GAP


def test_a_batch_is_one_submission_and_keeps_its_order() -> None:
    array = BenchArray()
    with Chip(array) as chip:
        submissions = []
        submit = array.submit
        array.submit = lambda ops: submissions.append(len(ops)) or submit(ops)  # type: ignore[method-assign,func-returns-value]
        with chip.batch() as batch:
            fired = batch[0].pulse(1, 1, 3)
            first = batch[0].read_line(1, plane=MAIN)
            batch[0].pulse(1, 1, 2)
            second = batch[0].read_line(1, plane=MAIN)
            with pytest.raises(ConfigurationError, match="not been sent"):
                first.result()
        assert submissions == [4]
        assert fired.result() == 3
        assert first.result()[1] == pytest.approx(3 * STEP, abs=HALF_LSB)
        assert second.result()[1] == pytest.approx(5 * STEP, abs=HALF_LSB)
        ids = [op.id for op in array.executed]
        assert ids[1:] == sorted(set(ids[1:]))


def test_a_failed_batch_sends_nothing() -> None:
    array = BenchArray()
    chip = Chip(array)
    with pytest.raises(RuntimeError), chip.batch() as batch:
        batch[0].pulse(0, 0, 1)
        raise RuntimeError
    chip.close()
    assert [op.kind for op in array.executed] == ["configure"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda t: t.pulse(0, 0, 1.5), "count is 1.5, expected a whole number"),
        (lambda t: t.pulse(0, 9, 1), "cols holds 9, expected 0 to 5"),
        (lambda t: t.forward(np.zeros(5)), r"shape \(5,\), expected \(6,\)"),
        (lambda t: t.forward([np.nan] * 6), "NaN or infinite"),
        (lambda t: t.forward([np.inf] * 6), "NaN or infinite"),
        (lambda t: t.forward(np.full(6, 0.3)), "reaches 0.3 V"),
        (lambda t: t.update(np.full(6, 1.1), np.zeros(4)), "reaches 1.1"),
        (lambda t: t.update(np.zeros((2, 6)), np.zeros((3, 4))), "2 samples, d has 3"),
        (lambda t: t.read_line(0, "diagonal"), "expected 'row' or 'column'"),
        (lambda t: t.read_cells(rows=["a"]), "expected a line index"),
        (lambda t: t.forward("abc"), "not an array of numbers"),
    ],
)
def test_wrong_arguments(call: object, text: str) -> None:
    array = BenchArray()
    with Chip(array) as chip, pytest.raises(ConfigurationError, match=text):
        call(chip[0])  # type: ignore[operator]
    assert [op.kind for op in array.executed] == ["configure"]


def test_operation_on_tape_before_execution_and_result_before_hand_over(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    array = BenchArray()
    seen: list[bool] = []

    def look(operation: Operation) -> None:
        entries = list(Tape(path))
        seen.append(any(e.operation.id == operation.id for e in entries))

    chip = Chip(array, tape=FileTape(path, {}))
    array.hook = look
    chip[0].pulse(0, 0, 2)
    assert seen == [True]
    assert Tape(path)[-1].result is not None
    assert Tape(path)[-1].result.fired == 2  # type: ignore[union-attr]
    chip.close()


class Lossy(BenchArray):
    """Fails the third pulse it gets."""

    pulses = 0

    def execute(self, operation: Operation) -> object:  # type: ignore[override]
        if isinstance(operation, Pulse):
            self.pulses += 1
            if self.pulses == 3:
                raise DeviceError("compliance tripped", verdict=Verdict.PARTIAL)
        return super().execute(operation)


def test_after_a_failure_nothing_is_executed_until_cleared() -> None:
    array = Lossy()
    chip = Chip(array)
    with chip.batch() as batch:
        answers = [batch[0].pulse(0, 0, 1) for _ in range(5)]
    with pytest.raises(DeviceError, match="compliance tripped") as caught:
        answers[0].result()
    assert caught.value.verdict is Verdict.PARTIAL
    assert caught.value.operation_id == array.executed[-1].id + 1
    assert array.cells[0][0, 0] == pytest.approx(2 * STEP)
    with pytest.raises(DeviceError, match="latched"):
        chip[0].pulse(0, 0, 1)
    array.clear()
    assert chip[0].pulse(0, 0, 1) == 1
    chip.close()


def test_an_error_surfaces_at_the_next_submission_or_close() -> None:
    array = Lossy()
    chip = Chip(array)
    for _ in range(3):
        chip.submit([chip[0].new_pulse(None, None, np.ones((4, 6), np.int16))])
    while not array._latched:
        time.sleep(0.001)
    with pytest.raises(DeviceError, match="compliance tripped"):
        chip.submit([chip[0].new_read_cells(plane=MAIN)])


def test_whatever_a_driver_raises_joins_the_family() -> None:
    array = BenchArray()
    chip = Chip(array)

    def fail(operation: Operation) -> None:
        raise OSError("bus error")

    array.hook = fail
    with pytest.raises(DeviceError, match="OSError in the backend: bus error") as caught:
        chip[0].pulse(0, 0, 1)
    assert caught.value.verdict is Verdict.UNKNOWN


def test_abort_drops_the_queue_and_idles_the_lines() -> None:
    array = BenchArray()
    chip = Chip(array)
    started = threading.Event()

    def stop_when_aborted(operation: Operation) -> None:
        started.set()
        while not array.aborted:
            time.sleep(0.001)
        raise DeviceError("cut short", verdict=Verdict.PARTIAL)

    array.hook = stop_when_aborted
    operations = [chip[0].new_pulse(None, None, np.ones((4, 6), np.int16)) for _ in range(3)]
    chip.submit(operations[:2])
    chip.submit(operations[2:])
    started.wait(5)
    report = array.abort()
    assert array.idled == 1
    assert report.partial is not None
    assert report.partial.id == operations[0].id
    assert report.partial.verdict is Verdict.PARTIAL
    assert report.not_applied == (operations[1].id, operations[2].id)


def test_an_operation_that_ends_in_spite_of_an_abort_is_not_called_partial() -> None:
    array = BenchArray()
    chip = Chip(array)
    started = threading.Event()

    def end_late(operation: Operation) -> None:
        started.set()
        while not array.aborted:
            time.sleep(0.001)

    array.hook = end_late
    operation = chip[0].new_pulse(None, None, np.ones((4, 6), np.int16))
    ticket = array.submit([operation])
    started.wait(5)
    report = array.abort()
    assert report == AbortReport(None, ())
    assert array.wait(ticket, 5)[0].fired == 24


def test_a_time_out_is_silence_not_failure() -> None:
    array = BenchArray()
    chip = Chip(array)
    go = threading.Event()
    array.hook = lambda operation: go.wait(5) and None
    ticket = array.submit([chip[0].new_pulse(None, None, np.ones((4, 6), np.int16))])
    with pytest.raises(LinkError, match=r"no answer within 0.01 s"):
        array.wait(ticket, 0.01)
    go.set()
    assert array.wait(ticket, 5)[0].fired == 24


def test_urls() -> None:
    assert split_url("sim:reram-om,shape=64x64,seed=1") == (
        "sim",
        "reram-om",
        {"shape": "64x64", "seed": "1"},
    )
    assert split_url("sim:") == ("sim", "", {})
    assert split_url("emulator:native,seed=1") == ("emulator", "native", {"seed": "1"})
    assert split_url("zmq:tcp://host:5555") == ("zmq", "tcp://host:5555", {})
    assert split_url("replay:runs/7,mode=strict") == ("replay", "runs/7", {"mode": "strict"})
    for bad in ("sim", "sim:x,shape", "sim:x,a=1,a=2", ":x", "sim:x,=3", "sim:x,a="):
        with pytest.raises(ConfigurationError):
            split_url(bad)
    with pytest.raises(ConfigurationError, match="unknown scheme 'sym'"):
        connect("sym:x")


def test_totals_and_missing_tiles() -> None:
    with Chip(BenchArray()) as chip:
        chip[1].pulse(0, 0, -7)
        chip.wait(1e-6)
        assert (chip.totals.pulses, chip.totals.ticks) == (7, 1001)
        assert chip.chip_seconds == pytest.approx(1.001e-6)
        assert len(chip) == 2
        with pytest.raises(ConfigurationError, match="tile 2 does not exist"):
            chip[2]
