"""The real firmware behind the client: the bits of the simulator, and pulses exactly once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import hwloop
from hwloop import device_file
from hwloop.backend import CrossbarBackend, open_backend
from hwloop.crossbar import Chip
from hwloop.errors import (
    ConfigurationError,
    CrossbarError,
    DeviceError,
    LinkError,
    OutcomeUnknownError,
)
from hwloop.operations import Direction, Operation, Plane, Verdict
from hwloop_sim import open_backend as open_sim_backend
from hwloop_wire import (
    WireBackend,
    arena,
    firmware_build,
    open_emulator_backend,
    open_serial_backend,
    with_parent,
)
from hwloop_wire.codes import ErrorCode
from hwloop_wire.emulator import EmulatorBackend, start, write_cells
from tests.core.test_terms import BLOCKS
from tests.wire.chips import identical
from tests.wire.test_same_bits import run

CELLS = {"shape": "12x20+7x5", "seed": "5"}
NATIVE = {
    "socket": {},
    "pty": {"link": "pty"},
    "faulty": {"faults": "1e-4", "timeout": "20"},
}
QEMU = {"semihosting": {"timeout": "20"}, "uart": {"link": "uart", "timeout": "20"}}


@pytest.fixture(scope="module")
def simulated() -> tuple[str, list[np.ndarray], int]:
    return run(open_backend("sim:reram-om,shape=12x20+7x5,seed=5"))


def check(backend: CrossbarBackend, simulated: tuple[str, list[np.ndarray], int]) -> None:
    digest, state, ticks = run(backend, arm=backend.describe().chip_id)
    assert digest == simulated[0]
    assert ticks == simulated[2]
    for mine, its in zip(state, simulated[1], strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.parametrize("options", NATIVE.values(), ids=NATIVE)
def test_the_native_chip_gives_the_simulators_bits(
    options: dict[str, str], simulated: tuple[str, list[np.ndarray], int]
) -> None:
    check(open_emulator_backend("native", CELLS | options), simulated)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Options of a chip whose cells change with time, and whose converters err."""
    device = device_file.load("reram-om")
    model = device.model.model_dump() | BLOCKS | {"write_noise_memory": 0.5}
    path = tmp_path_factory.mktemp("timed") / "timed.yaml"
    content = device.model_dump(mode="json") | {"model": model}
    device_file.save(device_file.DeviceFile.model_validate(content), path)
    return CELLS | {"device": str(path), "gain_spread": "0.03", "offset_spread": "0.01"}


@pytest.fixture(scope="module")
def timed_simulated(timed: dict[str, str]) -> tuple[str, list[np.ndarray], int]:
    options = {key: value for key, value in timed.items() if key != "device"}
    return run(open_sim_backend(timed["device"], options))


def test_the_native_chip_has_the_simulators_time(
    timed: dict[str, str], timed_simulated: tuple[str, list[np.ndarray], int]
) -> None:
    assert timed_simulated[1][0].shape == (8, 12, 20)
    check(open_emulator_backend("native", timed), timed_simulated)


def test_the_cortex_m7_has_the_simulators_time(
    timed: dict[str, str],
    timed_simulated: tuple[str, list[np.ndarray], int],
    requires: Callable[[str, str], None],
) -> None:
    requires("qemu-system-arm", "it runs the Cortex-M7 chip")
    requires("arm-none-eabi-gcc", "it builds the Cortex-M7 chip")
    check(open_emulator_backend("qemu-m7", timed | {"timeout": "60"}), timed_simulated)


@pytest.mark.parametrize("options", QEMU.values(), ids=QEMU)
def test_the_cortex_m7_gives_the_simulators_bits(
    options: dict[str, str],
    simulated: tuple[str, list[np.ndarray], int],
    requires: Callable[[str, str], None],
) -> None:
    requires("qemu-system-arm", "it runs the Cortex-M7 chip")
    requires("arm-none-eabi-gcc", "it builds the Cortex-M7 chip")
    check(open_emulator_backend("qemu-m7", CELLS | options), simulated)


def cut_run(backend: CrossbarBackend) -> str:
    """Run operations that no single frame of the chip holds."""
    dice = np.random.default_rng(4)
    with Chip(backend) as chip:
        tile = chip[0]
        x, d = dice.uniform(-0.2, 0.2, (700, 48)), dice.uniform(-0.2, 0.2, (700, 64))
        tile.update(x, d, train_length=7)
        tile.forward(x * tile.capabilities.dac.full_scale)
        tile.backward(np.repeat(d, 3, axis=0) * tile.capabilities.dac.full_scale)
        chip.submit(
            [tile.new_pulse(None, None, dice.integers(-400, 400, (64, 48)).astype(np.int16))]
        )
        tile.read_cells(average=64)
        chip.flush()
        return chip.tape.digest()


def test_cutting_changes_no_bit() -> None:
    backend = open_emulator_backend("native", {"shape": "64x48", "seed": "2"})
    sent = backend.counters.frames_sent
    digest = cut_run(backend)
    assert backend.counters.frames_sent > sent + 8
    assert digest == cut_run(open_backend("sim:reram-om,shape=64x48,seed=2"))


@pytest.mark.parametrize("shape", ["4096x100", "100x2000", "1x1"])
def test_cut_and_empty_operations_give_the_simulators_results(shape: str) -> None:
    def operations(chip: Chip) -> list[Operation]:
        rows, cols = chip[0].capabilities.rows, chip[0].capabilities.cols
        none = np.empty(0, np.int32)
        return [
            chip[0].new_read_cells(),
            chip[0].new_read_cells(average=64, plane=Plane.MAIN),
            chip[0].new_read_cells(rows=np.arange(rows)[::-1], cols=np.arange(cols)),
            chip[0].new_read_cells(rows=none),
            chip[0].new_read_cells(cols=none),
            chip[0].new_vmm(Direction.FORWARD, np.empty((0, cols), np.int32)),
            chip[0].new_vmm(Direction.BACKWARD, np.empty((0, rows), np.int32)),
            chip[0].new_pulse(none, None, np.empty((0, cols), np.int16)),
        ]

    results, frames = [], 0
    for url in (f"sim:reram-om,shape={shape}", f"emulator:native,shape={shape}"):
        with hwloop.connect(url) as chip:
            results.append(chip.submit(operations(chip)).results())
            if isinstance(chip.backend, WireBackend):
                frames = chip.backend.counters.frames_sent
    assert shape == "1x1" or frames > 30
    for simulated, emulated in zip(*results, strict=True):
        assert identical(simulated, emulated)


def pulses(backend: WireBackend) -> np.ndarray:
    assert isinstance(backend, EmulatorBackend)
    return arena.pulses(backend.chip.cells, 0)


@pytest.mark.parametrize(("rate", "count"), [("1e-3", 5000), ("1e-2", 5000)])
def test_every_pulse_exactly_once_counted_in_the_cells(
    rate: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwloop_wire.session.SHARED_BYTES", 0)
    options = {"shape": "10x10", "faults": rate, "timeout": "60", "deadman": "60"}
    backend = open_emulator_backend("native", options)
    with Chip(backend) as chip:
        one = np.ones((1, 1), np.int16)
        cells = np.random.default_rng(1).integers(10, size=(count, 2))
        operations = [chip[0].new_pulse(cell[:1], cell[1:], one) for cell in cells]
        chip.submit(operations).results()
        expected = np.zeros((10, 10), int)
        np.add.at(expected, (cells[:, 0], cells[:, 1]), 1)
        assert np.array_equal(pulses(backend), expected)
        assert backend.status().pulses == count
        assert backend.counters.frames_resent > 100


def test_a_killed_chip_is_a_link_error_and_its_cells_are_kept(tmp_path: Path) -> None:
    options = {"shape": "10x10", "cells": str(tmp_path / "cells")}
    backend = open_emulator_backend("native", options | {"timeout": "1"})
    assert isinstance(backend, EmulatorBackend)
    chip = Chip(backend)
    chip[0].pulse(1, 2, 5)
    process = backend.chip.process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(LinkError) as caught:
        chip[0].pulse(1, 3, 5)
    assert caught.value.verdict in (Verdict.UNKNOWN, Verdict.NOT_APPLIED)
    backend.close()
    again = open_emulator_backend("native", options)
    assert again.last_id == backend.last_id + 1
    assert pulses(again)[1, 2] == 5
    with Chip(again) as chip:
        assert chip[0].pulse(1, 3, 1) == 1
    assert arena.pulses(tmp_path / "cells", 0)[1, 3] == 1


def test_abort_cuts_the_native_chip_short() -> None:
    backend = open_emulator_backend("native", {"shape": "64x64", "deadman": "20"})
    with Chip(backend) as chip:
        many = np.full((64, 64), 20000, np.int16)
        operation = chip[0].new_pulse(None, None, many)
        submission = chip.submit([operation, chip[0].new_pulse(None, None, many)])
        time.sleep(0.1)
        report = backend.abort()
        assert report.partial is not None
        assert report.partial.id == operation.id
        assert report.not_applied == (operation.id + 1,)
        assert report.partial.fired == pulses(backend).sum() > 0
        with pytest.raises(DeviceError, match="cut short by an abort"):
            submission.results()
        assert backend.status().failed_error == ErrorCode.ABORTED
        backend.clear()
        assert chip[0].pulse(0, 0, 3) == 3


@pytest.mark.parametrize(
    ("address", "options", "text"),
    [
        ("", {}, "target .* is unknown"),
        ("riscv", {}, "target 'riscv' is unknown"),
        ("native", {"shap": "8x8"}, "did you mean shape"),
        ("native", {"device": "nothing"}, "nothing"),
        ("native", {"link": "usb"}, "option link=usb of native"),
        ("qemu-m7", {"link": "pty"}, "option link=pty of qemu-m7"),
        ("qemu-m7", {"shape": "1000x1000"}, "the memory of the chip has"),
    ],
)
def test_wrong_urls(address: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        open_emulator_backend(address, options)


def test_cells_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "cells").write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match=r"does not start: .*not an arena"):
        open_emulator_backend("native", {"cells": str(tmp_path / "cells")})


@pytest.mark.parametrize("target", ["native", "qemu-m7"])
def test_an_emulated_chip_is_a_serial_port_for_others(
    target: str,
    tmp_path: Path,
    simulated: tuple[str, list[np.ndarray], int],
    requires: Callable[[str, str], None],
) -> None:
    if target != "native":
        requires("qemu-system-arm", "it runs the Cortex-M7 chip")
        requires("arm-none-eabi-gcc", "it builds the Cortex-M7 chip")
    chip = start(target, "", CELLS, cells=tmp_path / "cells")
    try:
        check(open_serial_backend(chip.terminal(), {"timeout": "20"}), simulated)
    finally:
        chip.close()


class OnTcp:
    """A native chip on a TCP port, started again on the same cells."""

    def __init__(self, folder: Path) -> None:
        self.cells = folder / "cells"
        write_cells(self.cells, "", {"shape": "8x8"}, target="native")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        program = firmware_build.native_chip()
        command = [program, "--arena", self.cells, "--tcp", str(self.port), "--with-parent"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([*command, *options], stdin=pipe, stdout=pipe)
        assert self.process.stdout is not None
        assert b"tcp" in self.process.stdout.readline()

    def wait(self) -> None:
        assert self.process is not None
        self.process.wait(20)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def on_tcp(tmp_path: Path) -> Iterator[OnTcp]:
    chip = OnTcp(tmp_path)
    yield chip
    assert chip.process is not None
    chip.process.kill()
    chip.wait()


@pytest.mark.parametrize(
    ("point", "verdict", "fired"),
    [
        ("after-intent:2", Verdict.UNKNOWN, {0}),
        ("mid-pulses:2", Verdict.UNKNOWN, {0, 1, 2, 3, 4, 5}),
        ("before-commit:2", Verdict.UNKNOWN, {5}),
        ("after-commit:2", Verdict.APPLIED, {5}),
        ("before-answer:6", Verdict.APPLIED, {5}),
    ],
)
def test_a_crash_anywhere_leaves_the_right_verdict(
    point: str, verdict: Verdict, fired: set[int], on_tcp: OnTcp
) -> None:
    on_tcp.start("--crash-at", point, "--look-after", "1")
    backend = open_serial_backend(f"tcp://127.0.0.1:{on_tcp.port}", {"timeout": "20"})
    chip = Chip(backend)
    counts = np.full((1, 1), 5, np.int16)
    operations = [chip[0].new_pulse(np.array([n]), np.array([0]), counts) for n in range(4)]
    tickets = [backend.submit([operation]) for operation in operations]
    on_tcp.wait()
    on_tcp.start()
    expected = OutcomeUnknownError if verdict is Verdict.UNKNOWN else DeviceError
    verdicts = []
    for ticket, operation in zip(tickets, operations, strict=True):
        try:
            backend.wait(ticket, 30)
            verdicts.append(Verdict.APPLIED)
        except CrossbarError as error:
            assert isinstance(error, expected), error
            verdicts.append(backend.verdicts[operation.id])
    done = arena.pulses(on_tcp.cells, 0)[:, 0]
    at = [*verdicts, Verdict.NOT_APPLIED].index(Verdict.NOT_APPLIED) - 1
    assert verdicts[at] is verdict
    assert verdicts[:at] == [Verdict.APPLIED] * at
    assert verdicts[at + 1 :] == [Verdict.NOT_APPLIED] * (3 - at)
    assert done[at] in fired
    assert list(done[:at]) == [5] * at
    assert not done[at + 1 :].any()
    backend.clear()
    again = chip[0].new_pulse(np.array([7]), np.array([0]), counts)
    assert backend.wait(backend.submit([again]), 30)[0].fired == 5
    assert arena.pulses(on_tcp.cells, 0)[7, 0] == 5
    backend.close()


@pytest.mark.parametrize("target", ["native", "qemu-m7", "qemu-m7,link=uart"])
def test_a_chip_whose_host_is_killed_ends_itself(
    target: str, requires: Callable[[str, str], None]
) -> None:
    if target != "native":
        requires("qemu-system-arm", "it runs the firmware of the Cortex-M7")
        requires("arm-none-eabi-gcc", "it builds the firmware of the Cortex-M7")
    script = (
        "import hwloop, time\n"
        f"chip = hwloop.connect('emulator:{target},shape=4x4,timeout=20')\n"
        "print(chip.backend.chip.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        process = int(host.stdout.readline())
        os.kill(process, 0)
        host.kill()
    for _ in range(300):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    raise AssertionError("the chip outlives its host")


def test_a_qemu_outlives_the_thread_that_started_it(
    requires: Callable[[str, str], None],
) -> None:
    requires("qemu-system-arm", "it runs the firmware of the Cortex-M7")
    requires("arm-none-eabi-gcc", "it builds the firmware of the Cortex-M7")
    opened: list[WireBackend] = []
    options = {"shape": "4x4", "timeout": "20"}
    thread = threading.Thread(
        target=lambda: opened.append(open_emulator_backend("qemu-m7", options))
    )
    thread.start()
    thread.join()
    with Chip(opened[0]) as chip:
        assert chip[0].pulse(1, 2, 3) == 3
    assert isinstance(opened[0], EmulatorBackend)
    assert opened[0].chip.process.returncode == -signal.SIGKILL


def test_a_program_is_not_started_for_a_parent_that_has_ended() -> None:
    command = [sys.executable, with_parent.__file__, str(os.getpid() + 1), "/bin/true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "has ended" in done.stderr
    command[2] = str(os.getpid())
    assert subprocess.run(command).returncode == 0
