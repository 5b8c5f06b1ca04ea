"""The tape: encodings round-trip, torn tapes are readable, repetitions are checked."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwloop.errors import ReplayError
from hwloop.operations import (
    Configure,
    Direction,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Restore,
    Result,
    Verdict,
    Vmm,
    Wait,
)
from hwloop.tape import FileTape, HashTape, Tape
from hwloop.tape.format import (
    decode_operation,
    decode_result,
    operation_content,
    operation_payload,
    result_content,
    result_payload,
)

identities = st.integers(0, 2**64 - 1)
side = st.integers(0, 5)


def arrays(shape: tuple[int, ...], low: int = -(2**23), high: int = 2**23) -> st.SearchStrategy:
    return hnp.arrays(np.int32, shape, elements=st.integers(low, high))


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    common = {"tile": draw(st.integers(0, 9)), "id": draw(identities), "ordinal": draw(identities)}
    rows, cols, samples = draw(side), draw(side), draw(side)
    lines = st.none() | arrays((rows,), 0, 9)
    consuming = {
        "shape": draw(st.text(max_size=5)),
        "configuration": draw(st.integers(0, 2**63 - 1)),
    }
    match draw(st.integers(0, 7)):
        case 0:
            return Vmm(
                direction=draw(st.sampled_from(Direction)),
                codes=draw(arrays((samples, cols))),
                plane=draw(st.sampled_from(Plane)),
                **common,
            )
        case 1:
            return ReadCells(
                rows=draw(lines), cols=draw(lines), average=draw(st.integers(1, 99)), **common
            )
        case 2:
            counts = draw(arrays((rows, cols), -300, 300))
            return Pulse(rows=draw(lines), cols=draw(lines), counts=counts, **consuming, **common)
        case 3:
            return OuterUpdate(
                x_codes=draw(arrays((samples, cols))),
                d_codes=draw(arrays((samples, rows))),
                train_lengths=draw(arrays((samples,), 0, 255)),
                x_gains=draw(arrays((samples,), 1, 65536)),
                d_gains=draw(arrays((samples,), 1, 65536)),
                **consuming,
                **common,
            )
        case 4:
            return OuterTrains(
                x_trains=draw(arrays((samples, 3, cols), -1, 1)),
                d_trains=draw(arrays((samples, 3, rows), -1, 1)),
                **consuming,
                **common,
            )
        case 5:
            return Configure(content_json=draw(st.text(max_size=20)), **common)
        case 6:
            state = hnp.arrays(np.uint32, (4, rows, cols), elements=st.integers(0, 2**32 - 1))
            return Restore(state=draw(state), **common)
        case _:
            return Wait(ticks=draw(st.integers(0, 2**60)), **common)


@st.composite
def results(draw: st.DrawFn) -> Result:
    values = draw(st.none() | arrays((draw(side), draw(side))))
    saturated = None
    if values is not None:
        saturated = draw(hnp.arrays(np.bool_, values.shape))
    return Result(
        id=draw(identities),
        verdict=draw(st.sampled_from(Verdict)),
        values=values,
        saturated=saturated,
        fired=draw(st.integers(0, 2**63)),
        ticks=draw(st.integers(0, 2**63)),
    )


@given(operations())
def test_operations_round_trip(operation: Operation) -> None:
    content = operation_content(operation)
    back = decode_operation(operation_payload(operation, content))
    assert back == operation
    assert (back.id, back.ordinal) == (operation.id, operation.ordinal)
    assert operation_content(back) == content


@given(results())
def test_results_round_trip(result: Result) -> None:
    back = decode_result(result_payload(result, result_content(result)))
    assert back == result
    assert (back.id, back.ticks) == (result.id, result.ticks)


@given(st.binary(max_size=200))
def test_garbage_is_refused_as_a_replay_error(raw: bytes) -> None:
    for decode in (decode_operation, decode_result):
        with contextlib.suppress(ReplayError):
            decode(raw)


def test_equal_content_has_equal_bytes_whatever_its_type() -> None:
    wide = Vmm(tile=0, direction=Direction.FORWARD, codes=np.array([[1, -5]], np.int64), id=3)
    narrow = Vmm(tile=0, direction=Direction.FORWARD, codes=np.array([[1, -5]], np.int8), id=4)
    assert operation_content(wide) == operation_content(narrow)


def operation(i: int, id_offset: int = 1) -> Pulse:
    counts = np.full((2, 2), i, np.int16)
    return Pulse(tile=0, counts=counts, shape="set", id=i + id_offset, ordinal=i + 1)


def result(i: int, id_offset: int = 1) -> Result:
    return Result(id=i + id_offset, fired=4 * i, ticks=i)


def record(tape: FileTape | HashTape, first: int, last: int, id_offset: int = 1) -> None:
    for i in range(first, last):
        tape.operations([operation(i, id_offset)])
        tape.results([result(i, id_offset)])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tape_cut_anywhere_is_readable_to_its_last_whole_record(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tape.bin"
        tape = FileTape(path, {"seed": 1})
        offsets = [tape.offset]
        for i in range(6):
            record(tape, i, i + 1)
            offsets.append(tape.offset)
        tape.close()
        raw = path.read_bytes()
        cut = data.draw(st.integers(len(b"hwloop tape 1\n"), len(raw)))
        back = Tape.from_bytes(raw[:cut])
        whole = sum(offset <= cut for offset in offsets) - 1
        assert len(back) in (max(whole, 0), max(whole, 0) + 1)
        assert all(back[i].result is not None for i in range(max(whole, 0)))
        assert back.torn == (back.end != cut)


def test_file_and_hash_agree_and_interleaving_does_not_count(tmp_path: Path) -> None:
    together, apart = FileTape(tmp_path / "a", {}), HashTape()
    record(together, 0, 5)
    pulses = [
        Pulse(tile=0, counts=np.full((2, 2), i, np.int16), shape="set", id=i + 7, ordinal=i + 1)
        for i in range(5)
    ]
    apart.operations(pulses)
    apart.results([Result(id=i + 7, fired=4 * i, ticks=99) for i in range(5)])
    assert together.digest() == apart.digest() == Tape(tmp_path / "a").hash()


def test_a_repetition_is_checked_and_then_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    tape = FileTape(path, {})
    record(tape, 0, 3)
    checkpoint = tape.offset
    record(tape, 3, 6)
    with path.open("ab") as file:
        file.write(b"\x40\0\0\0O torn")
    again = FileTape.resume(path, checkpoint)
    assert again.repeating
    record(again, 3, 8)
    assert not again.repeating
    again.close()
    whole = HashTape()
    record(whole, 0, 8)
    assert Tape(path).hash() == again.digest() == whole.digest()
    assert len(Tape(path)) == 8
    assert not Tape(path).torn


def test_what_is_repeated_under_new_ids_keeps_its_ids_on_the_tape(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    tape = FileTape(path, {})
    record(tape, 0, 3)
    checkpoint = tape.offset
    record(tape, 3, 6)
    tape.operations([operation(6)])  # whose result an interruption has lost
    tape.close()
    again = FileTape.resume(path, checkpoint)
    record(again, 3, 6, id_offset=11)
    again.operations([operation(6, 11), operation(7, 11)])
    again.results([result(6, 11), result(7, 11)])
    record(again, 8, 9, id_offset=11)
    again.close()
    entries = list(Tape(path))
    assert [entry.operation.id for entry in entries] == [1, 2, 3, 4, 5, 6, 7, 18, 19]
    assert [entry.result.fired for entry in entries if entry.result] == list(range(0, 36, 4))
    whole = HashTape()
    record(whole, 0, 9)
    assert Tape(path).hash() == again.digest() == whole.digest()


def test_results_of_other_operations_are_no_repetition(tmp_path: Path) -> None:
    tape = FileTape(tmp_path / "tape", {})
    checkpoint = tape.offset
    tape.operations([operation(1), operation(2)])
    tape.results([result(1), result(2)])
    tape.close()
    again = FileTape.resume(tmp_path / "tape", checkpoint)
    again.operations([operation(1, 20), operation(2, 20)])
    with pytest.raises(ReplayError, match="differs from its tape at record 3"):
        again.results([Result(id=22, fired=4, ticks=1)])


def test_a_repetition_that_differs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    tape = FileTape(path, {})
    record(tape, 0, 4)
    tape.close()
    again = FileTape.resume(path, Tape.from_bytes(path.read_bytes()).end)
    record(again, 4, 5)
    again = FileTape.resume(path, again.offset)
    start = FileTape(tmp_path / "other", {})
    offset = start.offset
    record(start, 0, 4)
    other = FileTape.resume(tmp_path / "other", offset)
    with pytest.raises(ReplayError, match="differs from its tape at record 1"):
        record(other, 1, 2)


def test_a_tape_is_never_overwritten(tmp_path: Path) -> None:
    FileTape(tmp_path / "tape", {}).close()
    with pytest.raises(FileExistsError):
        FileTape(tmp_path / "tape", {})


def test_a_tape_in_blocks_is_the_same_tape(tmp_path: Path) -> None:
    at_once = FileTape(tmp_path / "at once", {})
    in_blocks = FileTape(tmp_path / "in blocks", {}, block_bytes=200)
    sizes = []
    for i in range(20):
        record(at_once, i, i + 1)
        record(in_blocks, i, i + 1)
        sizes.append((tmp_path / "in blocks").stat().st_size)
    assert len(set(sizes)) == 3  # 40 calls, weighed after 16 and 32
    assert in_blocks.digest() == at_once.digest()
    assert in_blocks.offset == at_once.offset
    in_blocks.flush()
    assert in_blocks.offset == (tmp_path / "in blocks").stat().st_size
    record(in_blocks, 20, 21)
    record(at_once, 20, 21)
    in_blocks.close()
    at_once.close()
    assert (tmp_path / "in blocks").read_bytes() == (tmp_path / "at once").read_bytes()


def test_on_a_full_disk_a_torn_record_is_followed_by_its_rest_alone(tmp_path: Path) -> None:
    tape = FileTape(tmp_path / "tape", {}, block_bytes=10_000)
    record(tape, 0, 5)
    whole = tape.offset
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        with pytest.raises(OSError):
            tape.flush()
        record(tape, 5, 6)  # what was on its way when the disk was found full
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    tape.close()
    assert len(Tape(tmp_path / "tape")) == 6
    assert (tmp_path / "tape").stat().st_size > whole


def test_what_is_not_a_tape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04")
    with pytest.raises(ReplayError, match="not a tape"):
        Tape(tmp_path / "x")
    with pytest.raises(ReplayError, match="cannot be read"):
        Tape(tmp_path / "missing")


def test_a_killed_process_leaves_every_acknowledged_record(tmp_path: Path) -> None:
    script = """
import sys, numpy as np
from pathlib import Path
from hwloop.operations import Pulse, Result
from hwloop.tape import FileTape
tape = FileTape(Path(sys.argv[1]), {})
i = 0
while True:
    i += 1
    tape.operations([Pulse(tile=0, counts=np.ones((9, 9), np.int16), shape="set", id=i)])
    tape.results([Result(id=i, fired=81)])
    print(i, flush=True)
"""
    path = tmp_path / "tape"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(200):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        last = [int(line) for line in process.stdout.read().split("\n") if line.isdigit()]
    acknowledged = last[-1] if last else 200
    assert len(Tape(path)) >= acknowledged
    assert Tape(path)[acknowledged - 1].result is not None
