"""Chips in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.chips import ChipProcess, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a chip: `start("zmq", "--slow", "0.001")`; it is killed in the end."""
    chips: list[ChipProcess] = []

    def start_chip(kind: str, *options: str) -> ChipProcess:
        chips.append(ChipProcess(kind, tmp_path, *options))
        return chips[-1]

    yield start_chip
    for chip in chips:
        chip.kill()
