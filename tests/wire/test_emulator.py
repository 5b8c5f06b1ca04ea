"""The real firmware behind the client: the bits of the simulator, and pulses exactly once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hwloop.backend import CrossbarBackend, open_backend
from hwloop.crossbar import Chip
from hwloop.errors import (
    ConfigurationError,
    CrossbarError,
    DeviceError,
    LinkError,
    OutcomeUnknownError,
)
from hwloop.operations import Verdict
from hwloop_wire import (
    WireBackend,
    arena,
    firmware_build,
    open_emulator_backend,
    open_serial_backend,
)
from hwloop_wire.codes import ErrorCode
from hwloop_wire.emulator import EmulatorBackend, start, write_cells
from tests.wire.test_same_bits import run

CELLS = {"shape": "12x20+7x5", "seed": "5"}
NATIVE = {"clean": {}, "faulty": {"faults": "1e-4", "timeout": "20"}}
QEMU = {"semihosting": {"timeout": "20"}, "uart": {"link": "uart", "timeout": "20"}}


@pytest.fixture(scope="module")
def simulated() -> tuple[str, list[np.ndarray], int]:
    return run(open_backend("sim:reram-om,shape=12x20+7x5,seed=5"))


def check(backend: CrossbarBackend, simulated: tuple[str, list[np.ndarray], int]) -> None:
    digest, state, ticks = run(backend)
    assert digest == simulated[0]
    assert ticks == simulated[2]
    for mine, its in zip(state, simulated[1], strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.parametrize("options", NATIVE.values(), ids=NATIVE)
def test_the_native_chip_gives_the_simulators_bits(
    options: dict[str, str], simulated: tuple[str, list[np.ndarray], int]
) -> None:
    check(open_emulator_backend("native", CELLS | options), simulated)


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


def pulses(backend: WireBackend) -> np.ndarray:
    assert isinstance(backend, EmulatorBackend)
    return arena.pulses(backend.chip.cells, 0)


@pytest.mark.parametrize(("rate", "count"), [("1e-3", 5000), ("1e-2", 1000)])
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
        ("native", {"link": "usb"}, "option link=usb"),
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


def test_a_qemu_whose_host_is_killed_ends_itself(requires: Callable[[str, str], None]) -> None:
    requires("qemu-system-arm", "it runs the firmware of the Cortex-M7")
    requires("arm-none-eabi-gcc", "it builds the firmware of the Cortex-M7")
    script = (
        "import hwloop, time\n"
        "chip = hwloop.connect('emulator:qemu-m7,shape=4x4,timeout=20')\n"
        "print(chip.backend.chip.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        process = int(host.stdout.readline())
        host.kill()
    for _ in range(300):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    raise AssertionError("the emulator outlives its host")
