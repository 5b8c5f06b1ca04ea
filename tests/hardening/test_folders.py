"""Run folders and settings that somebody else wrote are refused with their place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from hwloop.cli.app import main
from hwloop.errors import ConfigurationError
from hwloop.experiments.data_folder import read_idx
from hwloop.run import load_run

LAUGHS = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
DEEP = "[" * 20_000


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    code = main(command)
    _, err = capsys.readouterr()
    assert code == 2, err
    assert "unexpected" not in err and len(err) < 5_000
    return err


@pytest.mark.parametrize("text", [LAUGHS, DEEP, "a: 1\na: 2", "\0", "- " * 3000], ids=range(5))
@pytest.mark.parametrize("command", [["train"], ["device", "measure"], ["device", "validate"]])
def test_settings_that_are_made_to_hurt(
    text: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert "x.yaml" in refused([*command, str(path)], capsys)


@pytest.mark.parametrize("value", [LAUGHS, "[" * 2000])
def test_values_that_are_made_to_hurt(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["train", "--set", f"network.hidden={value}", "--dry-run"], capsys)


@pytest.mark.parametrize(
    ("name", "content", "look"),
    [
        ("config.yaml", b"a: [", "config"),
        ("config.yaml", b"\xff\xfe", "config"),
        ("config.yaml", LAUGHS.encode(), "config"),
        ("metrics.jsonl", b"{}\n[\n", "metrics"),
        ("metrics.jsonl", b"[]\n", "metrics"),
        ("summary.json", b"{", "summary"),
        ("summary.json", b"[" * 100_000, "summary"),
        ("chip.json", b"{}", "chip"),
        ("chip.json", b"[" * 100_000, "chip"),
    ],
)
def test_a_spoilt_run_folder(name: str, content: bytes, look: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=name):
        getattr(load_run(tmp_path), look)


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    return bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes() + values


def test_a_compressed_table_unfolds_no_further_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx((2, 2), b"1234")))
    assert read_idx(path).tolist() == [[49, 50], [51, 52]]
    path.write_bytes(gzip.compress(idx((2, 2), b"\0" * 50_000_000)))
    with pytest.raises(ConfigurationError, match="holds more bytes"):
        read_idx(path)
    path.write_bytes(gzip.compress(idx((2**32 - 1, 2**32 - 1), b"1234")))
    with pytest.raises(ConfigurationError, match="holds 4 bytes"):
        read_idx(path)
    path.write_bytes(gzip.compress(idx((2, 2), b"1234"))[:-6])
    with pytest.raises(ConfigurationError, match=r"cannot be read|holds"):
        read_idx(path)
