"""What somebody else wrote is believed no further than its bytes go."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwloop.cli.output import print_error, print_table
from hwloop.errors import ConfigurationError, ReplayError
from hwloop.untrusted import one_line, parse_json, printable, read_arrays


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text("abc/", min_size=1, max_size=6),
        hnp.arrays(
            st.sampled_from([np.uint8, np.float32, np.int64, np.dtype(">f8")]),
            hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_arrays_come_back(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], fortran: bool
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "x.npz"
    np.savez(path, **{k: np.asarray(v, order="F" if fortran else "C") for k, v in arrays.items()})
    back = read_arrays(path)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
        assert back[name].flags.writeable


@given(data=st.data())
def test_a_damaged_file_is_arrays_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = io.BytesIO()
    np.savez(file, a=np.arange(9), b=np.zeros((2, 3), np.float32))
    raw = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    path = tmp_path_factory.mktemp("damaged") / "x.npz"
    path.write_bytes(raw)
    try:
        read_arrays(path)
    except ConfigurationError as error:
        assert error.remedy


def npz(folder: Path, name: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    path = folder / "x.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
    return path


def npy(header: str) -> bytes:
    text = header.encode() + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    packed = npz(tmp_path, "a.npy", b"\0" * 10_000_000, zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < 20_000
    with pytest.raises(ConfigurationError, match="compressed"):
        read_arrays(packed)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f8', 'fortran_order': False}",
        "__import__('os').abort()",
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read as arrays"):
        read_arrays(npz(tmp_path, "a.npy", npy(header) + b"\0" * 8))


def test_a_member_of_the_same_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for _ in range(2):
            archive.writestr(
                "a.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}") + b"\0"
            )
    with pytest.raises(ConfigurationError, match="two members"):
        read_arrays(path)


@pytest.mark.parametrize(
    "raw", [b"\xff", b"", b"[1]", b"1" * 10_000, b'{"a":' + b"[" * 100_000, b"{'a': 1}"]
)
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ReplayError, match=r"^tape 7 is "):
        parse_json(raw, "tape 7", ReplayError)


def test_deep_objects_are_refused() -> None:
    deep: object = 1
    for _ in range(70):
        deep = {"a": deep}
    with pytest.raises(ConfigurationError, match="levels deep"):
        parse_json(json.dumps(deep), "x")


@given(st.text())
def test_texts_for_a_terminal_move_no_cursor(text: str) -> None:
    line, lines = one_line(text), printable(text)
    assert "\n" not in line and "\x1b" not in line + lines and "\r" not in line + lines
    assert len(one_line(text * 100)) <= 10 * 500
    if text.isascii() and text.isprintable():
        assert printable(text) == text


def test_a_chip_cannot_write_over_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J[red]chip[/red]\u202e\r"
    print_table(hostile, (hostile, "b"), [(hostile, 1)])
    print_error(f"hwloop: {hostile}")
    shown = "".join(capsys.readouterr())
    assert "\x1b" not in shown and "\r" not in shown and "\u202e" not in shown
    assert shown.count("[red]chip[/red]") == 4
