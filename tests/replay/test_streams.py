"""Tapes read in pieces: the same entries as from memory, wherever the tape is cut."""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.errors import ReplayError
from hwloop.operations import Pulse, Result, Wait
from hwloop.tape import FileTape, Tape, entries, records, stream
from hwloop.tape.format import MAGIC
from hwloop.tape.stream import summarise


def written(path: Path, burst: list[tuple[int, int]]) -> bytes:
    """Write a tape of bursts: so many operations, of which so many get a result."""
    tape, identity = FileTape(path, {"a": 1}), 0
    for operations, answered in burst:
        ids = range(identity + 1, identity + 1 + operations)
        identity += operations
        tape.operations(
            [Pulse(tile=0, counts=np.full((i % 3, 5), i, np.int16), shape="set", id=i) for i in ids]
        )
        tape.event({"between": identity})
        tape.results([Result(id=i, fired=i) for i in list(ids)[: min(answered, operations)]])
    tape.close()
    return path.read_bytes()


bursts = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6)


@settings(max_examples=80, deadline=None)
@given(bursts, st.data())
def test_pieces_give_what_memory_gives(burst: list[tuple[int, int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tape"
        raw = written(path, burst)
        cut = data.draw(st.integers(len(MAGIC), len(raw)))
        path.write_bytes(raw[:cut])
        whole = Tape(path)
        seen: list[int] = []
        with mock.patch.object(stream, "CHUNK", data.draw(st.integers(1, 200))):
            streamed = list(entries(path, seen.append))
            found = summarise(path)
        assert streamed == list(whole)
        assert [e.operation.id for e in streamed] == [e.operation.id for e in whole]
        assert (found.operations, found.hash, found.torn) == (
            len(whole),
            whole.hash(),
            whole.torn,
        )
        assert seen == sorted(seen)
        assert not seen or seen[-1] == whole.end


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_bad_byte_ends_the_tape_before_its_record(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tape"
        raw = bytearray(written(path, [(3, 3), (2, 2)]))
        at = data.draw(st.integers(len(MAGIC), len(raw) - 1))
        before = sum(1 for _ in records(path))
        raw[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(raw)
        whole = Tape(path)
        assert whole.torn and whole.end <= at
        assert sum(1 for _ in records(path)) < before
        assert list(entries(path)) == list(whole)


def test_a_result_without_its_operation_is_refused(tmp_path: Path) -> None:
    tape = FileTape(tmp_path / "tape", {})
    tape.operations([Wait(ticks=1, id=1)])
    tape.results([Result(id=2)])
    with pytest.raises(ReplayError, match="result 2 has no operation"):
        list(entries(tmp_path / "tape"))


def test_what_is_no_tape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK")
    with pytest.raises(ReplayError, match="not a tape"):
        list(records(tmp_path / "x"))
    with pytest.raises(ReplayError, match="cannot be read"):
        list(records(tmp_path / "missing"))
