"""One set of plans leaves the same tape on every array: simulated, emulated, served, faulty."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwloop.experiments.measure import measure_run
from hwloop.experiments.measure_config import MeasureConfig

CHIP = "shape=8x8,seed=3"

PLANS = (
    {"plan": "pulse_response", "pulses": 20, "trains": ["up", "down", "alternating"]},
    {"plan": "read_noise", "reads": 16, "interval_seconds": 1e-6},
    {"plan": "symmetry_point", "pulses_max": 256, "pairs": 2, "lead": 8},
    {"plan": "write_verify", "target_siemens": [4e-5, 6e-5], "tolerance_siemens": 4e-6},
    {"plan": "retention", "points": 4, "last_seconds": 1e-3},
    {"plan": "converter_calibration", "vectors": 16, "zeros": 4, "average": 64},
)
"""Fixed plans and adaptive ones, with every operation that plans use but forming."""


def tape_hash(url: str, folder: Path, arm: str | None = None) -> str:
    """Carry the plans out on some cells; return the hash of the tape."""
    config = MeasureConfig(backend=url, rows="0:4", cols="1:8:2", plans=PLANS, report=False)
    summary = measure_run(config, out=folder / "run", arm=arm).summary
    assert all(plan["dose_agrees"] for plan in summary["plans"])
    return str(summary["tape_hash"])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tape_hash(f"sim:reram-om,{CHIP}", tmp_path_factory.mktemp("sim"))


@pytest.mark.parametrize("faults", ["", ",faults=1e-3"], ids=["clean", "faulty"])
def test_native_firmware(faults: str, tmp_path: Path, simulated: str) -> None:
    assert tape_hash(f"emulator:native,{CHIP}{faults},timeout=20", tmp_path) == simulated


def test_cortex_m7(tmp_path: Path, simulated: str, requires: Callable[[str, str], None]) -> None:
    requires("qemu-system-arm", "it runs the firmware of the Cortex-M7")
    requires("arm-none-eabi-gcc", "it builds the firmware of the Cortex-M7")
    assert tape_hash(f"emulator:qemu-m7,{CHIP},timeout=60", tmp_path) == simulated


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
def test_zmq(faults: str, served: str, tmp_path: Path, simulated: str) -> None:
    url = f"{served},timeout=20{faults}"
    assert tape_hash(url, tmp_path, arm="sim-reram-om-3") == simulated
