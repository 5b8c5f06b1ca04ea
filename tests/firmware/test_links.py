"""The links of the native chip, and the Cortex-M7 chip on its UART."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import tty

import numpy as np
import pytest

from hwloop import operations as ops
from hwloop.operations import Verdict
from hwloop_sim.periphery import Periphery
from hwloop_wire import firmware_build, results
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Flag
from tests.core.strategies import population
from tests.firmware import chips
from tests.firmware.host import Host, SilenceError
from tests.firmware.moves import abort, pulse
from tests.firmware.test_operations import SEED, same, same_state, some_operations
from tests.oracle.array_model import ArrayModel


@contextlib.contextmanager
def serving(binary, path, *arguments, inherited=()):
    """A native chip that says on standard output where it is."""
    command = [str(binary), "--arena", str(path), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, pass_fds=inherited, **pipes) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def arena(tmp_path):
    path = tmp_path / "arena"
    chips.write_arena(path, [population(np.random.default_rng(1), 4, 5)])
    return path


def open_terminal(where):
    file = os.open(where["pty"], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(file)
    return file


def test_a_pseudo_terminal_can_be_left_and_taken_again(sanitized, arena):
    with serving(sanitized, arena, "--pty") as (process, where):
        assert where["pid"] == process.pid
        file = open_terminal(where)
        host = Host(file, file)
        host.prepare()
        assert host.run(pulse(2)).fired == 2
        host.send(host.request_frame(*host.parts(ops.ReadCells(tile=0))))
        os.close(file)  # with an answer on its way
        time.sleep(0.05)
        host.read_fd = host.write_fd = file = open_terminal(where)
        os.write(file, b"\0")
        host.sequence += 1
        assert host.ask(*host.parts(pulse(3)))  # the session goes on
        os.close(file)
        file = open_terminal(where)
        other = Host(file, file)
        assert other.begin().commit_fired == 3
        os.close(file)


def test_tcp_belongs_to_the_latest_host(sanitized, arena):
    with serving(sanitized, arena, "--tcp", "0") as (_, where):
        first = socket.create_connection(("127.0.0.1", where["tcp"]))
        host = Host(first.fileno(), first.fileno())
        host.prepare()
        assert host.run(pulse(2)).fired == 2
        second = socket.create_connection(("127.0.0.1", where["tcp"]))
        other = Host(second.fileno(), second.fileno())
        assert other.begin().commit_fired == 2
        assert first.recv(1) == b""
        first.close()
        second.close()
        third = socket.create_connection(("127.0.0.1", where["tcp"]))
        assert Host(third.fileno(), third.fileno()).begin().boot == 1
        third.close()


def test_an_inherited_socket_is_the_only_link(sanitized, arena):
    ours, its = socket.socketpair()
    file = its.fileno()
    with serving(sanitized, arena, "--file", str(file), inherited=[file]) as (process, where):
        its.close()
        assert where == {"file": file, "pid": process.pid}
        host = Host(ours.fileno(), ours.fileno())
        host.prepare()
        assert host.run(pulse(2)).fired == 2
        restored = host.parts(ops.Restore(tile=0, state=np.zeros((4, 4, 5), np.uint32)))
        parts = restored * 100  # several times what the core takes at once
        host.send(host.request_frame(*parts))
        assert len(host.receive().messages) == len(parts)
        ours.close()
        assert process.wait(5) == 0


@pytest.mark.parametrize("link", [["--pty"], ["--tcp", "0"]], ids=["pty", "tcp"])
def test_a_chip_ends_with_its_parent(sanitized, arena, link):
    with serving(sanitized, arena, *link, "--with-parent") as (process, _):
        process.stdin.close()
        assert process.wait(5) == 0


def test_a_stopped_chip_goes_on_where_it_was(bench):
    chip = bench.ready()
    host = chip.host
    os.kill(chip.process.pid, signal.SIGSTOP)
    (part,) = host.parts(pulse(7))
    raw = host.request_frame(part)
    host.send(raw)
    host.send(raw)
    with pytest.raises(SilenceError):
        host.receive(0.3)
    os.kill(chip.process.pid, signal.SIGCONT)
    assert host.receive() == host.receive()
    assert chip.pulses().sum() == 7


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--stdio"],
        ["--arena", "x"],
        ["--arena", "x", "--tcp", "70000"],
        ["--arena", "x", "--tcp", "1x"],
        ["--arena", "x", "--file", "x"],
        ["--arena", "x", "--stdio", "--crash-at", "nowhere"],
        ["--arena", "x", "--stdio", "--crash-at", "mid-pulses:"],
        ["--arena", "x", "--stdio", "--look-after", "0"],
        ["--arena", "x", "--stdio", "--unknown"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_show_the_usage(sanitized, arguments):
    result = subprocess.run([sanitized, *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: hwloop-chip")


def test_version(installed):
    output = subprocess.run([installed, "--version"], check=True, capture_output=True, text=True)
    core = firmware_build.core_hash(firmware_build.firmware_sources() / "core")
    assert core in output.stdout and f"dictionary {m.DICTIONARY:08x}" in output.stdout


# The Cortex-M7 chip on its UART: some thousand bytes a second


@pytest.fixture
def uart(image, tmp_path):
    cells = population(np.random.default_rng(9), 21, 34, write_noise=0.1)
    chips.write_arena(tmp_path / "arena", [cells], seed=SEED, capacity=chips.Qemu.capacity)
    chip = chips.Qemu(image, tmp_path / "arena", "uart")
    chip.oracle = ArrayModel(cells, Periphery(), index=0, seed=SEED)
    chip.host.prepare()
    yield chip
    chip.close()


def test_uart_gives_the_same_bits(uart):
    host = uart.host
    for n, (kind, arguments) in enumerate(some_operations(21, 34)):
        extra = {"average": 3} if kind == "read_cells" else {}
        same(host, uart.oracle, kind, arguments, extra | {"ordinal": 1000 + n})
    same_state(host, uart.oracle)


def test_uart_repeats_answers(uart):
    host = uart.host
    (part,) = host.parts(pulse(3))
    raw = host.request_frame(part)
    host.send(raw)
    first = host.receive()
    host.send(raw)
    assert host.receive() == first
    assert uart.pulses().sum() == 3


def test_uart_abort(uart):
    host = uart.host
    counts = np.full((21, 34), 32767, np.int16)
    named = {"shape": "set", "configuration": chips.CONFIGURATION.hash()}
    host.send(host.request_frame(*host.parts(ops.Pulse(tile=0, counts=counts, **named))))
    host.await_notice(m.Busy)
    abort(host, 1)
    head = results.decode(host.receive().messages[0].body).head
    assert (head.verdict, head.error) == (Verdict.PARTIAL, ErrorCode.ABORTED)
    assert 0 < head.fired == uart.pulses().sum() < counts.sum(dtype=int)
    assert host.await_notice(m.Aborted).fired == head.fired


def test_uart_dead_man(uart):
    host = uart.host
    host.arm(deadman_ms=300)
    assert host.await_notice(m.Tripped).error == ErrorCode.DEADMAN
    assert not host.status().flags & Flag.ARMED


def test_uart_reset_in_mid_pulses(uart, image, tmp_path):
    host = uart.host
    counts = np.full((21, 34), 32767, np.int16)
    named = {"shape": "set", "configuration": chips.CONFIGURATION.hash()}
    host.send(host.request_frame(*host.parts(ops.Pulse(tile=0, counts=counts, **named), 9)))
    host.await_notice(m.Busy)
    uart.kill()
    again = chips.Qemu(image, uart.path)
    hello = again.host.begin()
    assert (hello.boot, hello.intent_id, hello.commit_id) == (2, 9, 0)
    assert again.pulses().sum() > 0
    again.close()
