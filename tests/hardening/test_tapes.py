"""Tapes whose checks are right and whose contents are not: an error of the family, no other."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwloop
from hwloop.cli.app import main
from hwloop.errors import CrossbarError
from hwloop.tape import FileTape, Tape, entries
from hwloop.tape.format import MAGIC, RecordType, frame
from hwloop.tape.recording import open_recording
from hwloop.tape.stream import summarise


@pytest.fixture(scope="module")
def payloads(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[RecordType, bytes]]:
    """Return the records of a real tape."""
    from hwloop.tape import records

    path = tmp_path_factory.mktemp("tape") / "tape.bin"
    with hwloop.connect("sim:reram-om,shape=3x4,seed=1", tape=FileTape(path, {"a": 1})) as chip:
        chip[0].update(np.ones(4), np.ones(3))
        chip[0].pulse(row=1, col=2, count=3, shape="set")
        chip[0].read_cells()
        chip.snapshot()
    return list(records(path))


def look_at(raw: bytes, folder: Path) -> None:
    """Do with a tape all that can be done with one."""
    path = folder / "tape.bin"
    path.write_bytes(raw)
    for look in (
        lambda: list(Tape.from_bytes(raw)),
        lambda: list(entries(path)),
        lambda: summarise(path),
        lambda: open_recording(path),
        lambda: hwloop.connect(f"replay:{path}").close(),
        lambda: FileTape.resume(path, len(raw)).close(),
    ):
        try:
            look()
        except CrossbarError as error:
            assert "\x1b" not in error.message


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_changed_payloads(
    payloads: list[tuple[RecordType, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    raw = MAGIC
    for number, (kind, payload) in enumerate(payloads):
        changed = bytearray(payload)
        if changed and data.draw(st.booleans(), label=f"change {number}"):
            for _ in range(data.draw(st.integers(1, 3))):
                changed[data.draw(st.integers(0, min(len(changed) - 1, 60)))] = data.draw(
                    st.integers(0, 255)
                )
            del changed[data.draw(st.integers(0, len(changed))) :]
        raw += frame(kind, bytes(changed))
    look_at(raw, tmp_path_factory.mktemp("changed"))


@settings(max_examples=60, deadline=None)
@given(records=st.lists(st.tuples(st.sampled_from(RecordType), st.binary(max_size=80)), max_size=4))
def test_made_up_payloads(
    records: list[tuple[RecordType, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = MAGIC + b"".join(frame(kind, payload) for kind, payload in records)
    look_at(raw, tmp_path_factory.mktemp("made up"))


HOSTILE = {
    "header": frame(RecordType.HEADER, b"\xff\xfe"),
    "event": frame(RecordType.HEADER, b"{}") + frame(RecordType.EVENT, b'{"chip": []}'),
    "deep event": frame(RecordType.HEADER, b"{}") + frame(RecordType.EVENT, b"[" * 50_000),
    "long array": frame(RecordType.HEADER, b"{}")
    + frame(
        RecordType.RESULT,
        struct.pack("<QQBQ", 1, 1, 0, 0) + struct.pack("<ccB4I", b"a", b"1", 4, *[2**32 - 1] * 4),
    ),
    "empty operation": frame(RecordType.HEADER, b"{}") + frame(RecordType.OPERATION, b""),
    "short result": frame(RecordType.HEADER, b"{}") + frame(RecordType.RESULT, b"1234"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_command_line_says_what_is_wrong(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tape.bin"
    path.write_bytes(MAGIC + HOSTILE[name])
    for command in (["run", "tape", str(path)], ["run", "tape", str(path), "--json"]):
        code = main(command)
        _, err = capsys.readouterr()
        assert code in (0, 2, 8), err
        assert "unexpected" not in err
