"""One training run leaves the same tape on every array: simulated, emulated, served, faulty."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hwloop
from hwloop.experiments.progress import Silence, State
from hwloop.experiments.train import resume_run, train_run
from tests.tiny_runs import tiny

CHIP = "shape=2x8x64+2x10x8,seed=3"
LIMIT, SHORT = 300, 40


def tape_hash(url: str, folder: Path, limit: int, arm: str | None = None) -> str:
    """Train a small network on the 8x8 digits by c-TTv2; return the hash of its tape."""
    config = tiny(
        backend__url=url, schedule__epochs=60, schedule__limit=limit, schedule__batch=10, seed=3
    )
    summary = train_run(config, out=folder / "run", arm=arm).summary
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
    url = f"emulator:native,{CHIP}{faults},timeout=20,deadman=20"
    assert tape_hash(url, tmp_path, LIMIT) == simulated(LIMIT)


@pytest.mark.parametrize("faults", ["", ",faults=1e-4"], ids=["clean", "faulty"])
def test_cortex_m7(
    faults: str,
    tmp_path: Path,
    simulated: Callable[[int], str],
    requires: Callable[[str, str], None],
) -> None:
    requires("qemu-system-arm", "it runs the firmware of the Cortex-M7")
    requires("arm-none-eabi-gcc", "it builds the firmware of the Cortex-M7")
    # An evaluation in long frames may take some tries, in which the dead man shall not trip.
    url = f"emulator:qemu-m7,{CHIP},timeout=60,deadman=60{faults}"
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
    url = f"{served},timeout=20{faults}"
    assert tape_hash(url, tmp_path, LIMIT, arm="sim-reram-om-3") == simulated(LIMIT)


class Stop(Silence):
    """Interrupts a run between two checkpoints."""

    def batch(self, state: State) -> None:
        if state.progress.batches == 18:
            raise KeyboardInterrupt


def test_a_chip_that_outlives_its_host_resumes_under_new_ids(tmp_path: Path) -> None:
    """Cells and journal stay; what is executed again is new to the chip, not to the tape."""
    settings = {"schedule__limit": 20, "schedule__batch": 10, "seed": 3}
    simulator = tiny(backend__url=f"sim:reram-om,{CHIP}", **settings)
    undisturbed = train_run(simulator, out=tmp_path / "undisturbed")
    url = f"emulator:native,{CHIP},timeout=20,cells={tmp_path / 'cells'}"
    config = tiny(backend__url=url, **settings)
    with pytest.raises(KeyboardInterrupt):
        train_run(config, out=tmp_path / "run", observer=Stop())
    run = resume_run(tmp_path / "run")
    assert run.summary["tape_hash"] == undisturbed.summary["tape_hash"]
    tapes = [[entry.operation.id for entry in r.tape] for r in (undisturbed, run)]
    assert len(tapes[1]) == len(set(tapes[1])) == len(tapes[0])
    assert all(entry.result is not None for entry in run.tape)
    with hwloop.connect(url) as chip:
        # Both tries and the writing of initial weights twice: more than the tape holds.
        assert chip.first_id > tapes[0][-1] + 10
