"""One training run leaves the same tape on every array: simulated, emulated, served, faulty."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwloop.experiments.train import train_run
from tests.tiny_runs import tiny

CHIP = "shape=2x8x64+2x10x8,seed=3"
LIMIT, SHORT = 300, 40


def tape_hash(url: str, folder: Path, limit: int) -> str:
    """Train a small network on the 8x8 digits by c-TTv2; return the hash of its tape."""
    config = tiny(
        backend__url=url, schedule__epochs=60, schedule__limit=limit, schedule__batch=10, seed=3
    )
    summary = train_run(config, out=folder / "run").summary
    assert summary["batches"] == limit
    return str(summary["tape_hash"])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    known: dict[int, str] = {}

    def get(limit: int) -> str:
        if limit not in known:
            folder = tmp_path_factory.mktemp("sim")
            known[limit] = tape_hash(f"sim:reram-om,{CHIP}", folder, limit)
        return known[limit]

    return get


@pytest.mark.parametrize("faults", ["", ",faults=1e-4"], ids=["clean", "faulty"])
def test_native_firmware(faults: str, tmp_path: Path, simulated: Callable[[int], str]) -> None:
    url = f"emulator:native,{CHIP}{faults},timeout=20"
    assert tape_hash(url, tmp_path, LIMIT) == simulated(LIMIT)


def test_cortex_m7(
    tmp_path: Path, simulated: Callable[[int], str], requires: Callable[[str, str], None]
) -> None:
    requires("qemu-system-arm", "it runs the firmware of the Cortex-M7")
    requires("arm-none-eabi-gcc", "it builds the firmware of the Cortex-M7")
    url = f"emulator:qemu-m7,{CHIP},timeout=60"
    assert tape_hash(url, tmp_path, SHORT) == simulated(SHORT)


@pytest.fixture
def served() -> Iterator[str]:
    """Serve a simulated array by the command line; yield its URL."""
    command = [sys.executable, "-m", "hwloop.cli", "chip", "serve"]
    options = ["--backend", f"sim:reram-om,{CHIP}", "--on", "zmq:tcp://127.0.0.1:*"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"zmq:{json.loads(process.stdout.readline())['address']}"
        process.terminate()


@pytest.mark.parametrize("faults", ["", ",faults=1e-2"], ids=["clean", "faulty"])
def test_zmq(faults: str, served: str, tmp_path: Path, simulated: Callable[[int], str]) -> None:
    assert tape_hash(f"{served},timeout=20{faults}", tmp_path, LIMIT) == simulated(LIMIT)
