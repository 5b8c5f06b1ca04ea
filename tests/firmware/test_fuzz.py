"""The fuzz targets, for a short while; `firmware_stubs/fuzz/run.sh` runs them for longer."""

import json
import subprocess

import numpy as np
import pytest

from hwloop import operations as ops
from hwloop_sim.periphery import Periphery
from hwloop_wire import messages as m
from hwloop_wire.cutting import Cutter
from tests.firmware import chips
from tests.firmware.chips import FIRMWARE, ROOT
from tests.firmware.test_operations import as_operation, some_operations

RUNS = 1500
FEW = 10
"""One in so many of the known inputs: all of them take a minute."""
ROWS, COLS = 3, 4
SMALL = {
    "HWL_FRAME_BYTES": 1024,
    "HWL_CACHE_BYTES": 4096,
    "HWL_CACHE_FRAMES": 4,
    "HWL_RECEIVE_BYTES": 2048,
    "HWL_WORK_BYTES": 65536,
    "HWL_TILES_MAX": 2,
    "HWL_SHAPES_MAX": 4,
}


def seed(number, body, flags=0):
    """A message as the target `messages` takes it."""
    return bytes([number, flags]) + len(body).to_bytes(2, "little") + body


def message_seeds():
    """Every kind of message once, and every kind of operation as a host would send it."""
    cutter = Cutter([chips.tile_capabilities(ROWS, COLS, Periphery())], 900, 900)
    cutter.shapes = {"set": 0}
    operations = [as_operation(*o, 5, average=2) for o in some_operations(ROWS, COLS)[:2]]
    trains = [np.ones((2, 40, n), np.int8) for n in (COLS, ROWS)]
    counts = np.array([[3, -200]], np.int16)
    operations += [
        as_operation("outer_trains", trains, 6),
        as_operation("pulse", (np.array([1]), np.array([3, 0]), counts), 7),
        as_operation("read_cells", (ops.Plane.MAIN, None, np.array([2, 0])), 8),
        ops.Wait(ticks=5),
        ops.Snapshot(tile=0),
        ops.Restore(tile=0, state=np.zeros((4, ROWS, COLS), np.uint32)),
    ]
    parts = [part for operation in operations for part in cutter.cut(operation, 1)]
    control = [m.Describe(tile=0), m.Status(), m.Idle(), m.Clear(), m.Bye()]
    control.append(m.ReadConfiguration(first=0, shapes=4, table=0))
    seeds = [seed(part.type, part.body, flags) for part in parts for flags in (0, 32)]
    seeds += [seed(body.NUMBER, body.pack()) for body in control]
    seeds.append(b"".join(seed(part.type, part.body) for part in parts))
    seeds.append(seed(0, b"", flags=8))
    return seeds


def stream_seeds():
    """The golden frames, as they travel."""
    golden = json.loads((ROOT / "tests" / "data" / "golden_frames.json").read_text())
    return [bytes.fromhex(record["stream"]) for record in golden]


SEEDS = {"messages": message_seeds, "stream": stream_seeds}


def known(target):
    """Inputs that earlier runs found to reach something of their own."""
    text = (FIRMWARE / "fuzz" / "corpus" / f"{target}.txt").read_text()
    return [bytes.fromhex(line) for line in text.split()]


def build(folder):
    """Both fuzzers, from the same objects."""
    flags = ["-std=c11", "-O1", "-g", "-ffp-contract=off", f"-I{FIRMWARE / 'core'}"]
    flags += [f"-D{name}={value}u" for name, value in SMALL.items()]
    flags += ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all"]
    sources = [*chips.core_sources(), FIRMWARE / "fuzz" / "small_chip.c"]
    return {
        target: chips.compile_all(
            ["clang"],
            flags,
            [*sources, FIRMWARE / "fuzz" / f"{target}.c"],
            folder / target,
            folder / "objects",
            link=["-fsanitize=fuzzer"],
        )
        for target in SEEDS
    }


def test_fuzz_targets_find_nothing(requires, tmp_path):
    requires("clang", "it builds the fuzz targets")
    running = {}
    for target, program in build(tmp_path).items():
        corpus = tmp_path / f"{target}-corpus"
        corpus.mkdir()
        for n, content in enumerate(SEEDS[target]() + known(target)[::FEW]):
            (corpus / str(n)).write_bytes(content)
        command = [program, f"-runs={RUNS}", "-timeout=10", "-seed=1", corpus]
        running[target] = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    outputs = {target: process.communicate()[0] for target, process in running.items()}
    for target, process in running.items():
        if process.returncode:
            pytest.fail(f"{target}: {outputs[target][-4000:]}")
        done = [line for line in outputs[target].splitlines() if line.startswith("Done ")]
        assert int(done[0].split()[1]) >= RUNS, outputs[target][-400:]
