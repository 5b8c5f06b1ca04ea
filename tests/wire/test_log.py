"""The log names the operations that retries, reconnects, verdicts and errors concern."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.capabilities import Limits
from hwloop.crossbar import Chip
from hwloop.errors import DeviceError, LinkError, OutcomeUnknownError
from hwloop.operations import Operation, Verdict
from hwloop.testing import FaultSpec
from hwloop_wire.log import named
from tests.wire.chips import InlineArray, Start, connect, served
from tests.wire.test_restarts import configured, free_endpoint, pulse


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hwloop_wire")


def lines(caplog: pytest.LogCaptureFixture, module: str, level: int) -> list[str]:
    """Return what a module has logged at a level."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == f"hwloop_wire.{module}" and record.levelno == level
    ]


def pulses(chip: Chip, count: int) -> list[Operation]:
    one = np.ones((1, 1), np.int16)
    return [chip[0].new_pulse(np.array([0]), np.array([0]), one) for _ in range(count)]


def ids(text: str) -> set[int]:
    """Return the ids that a line names."""
    (listed,) = re.findall(r"operations? ([\d, -]+)", text) or [""]
    found = set()
    for piece in filter(None, listed.replace(" ", "").split(",")):
        first, _, last = piece.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@given(st.lists(st.integers(0, 15)))
def test_operations_are_named_by_their_ids(some: list[int]) -> None:
    text = named(some)
    assert ids(text) == set(some) - {0}
    assert (text == "control messages") == (not any(some))


def test_long_lists_are_cut() -> None:
    assert named([5]) == "operation 5"
    assert named([9, 3, 4, 5, 4]) == "operations 3-5, 9"
    assert named(range(1, 100, 2)).endswith("13, 15, ...")


def test_retries(caplog: pytest.LogCaptureFixture) -> None:
    with served() as server:
        backend = connect("pty", server.address, faults=FaultSpec.total(3e-3), seed=2, timeout=30.0)
        with Chip(backend) as chip:
            chip.submit(pulses(chip, 300)).results()
            resent = backend.counters.frames_resent
    retries = lines(caplog, "session", logging.DEBUG)
    assert resent > 0
    assert sum(len(re.findall(r"\d+", line.split("again")[0])) for line in retries) >= resent
    assert all("again, " in line for line in retries)
    about = set().union(*map(ids, retries))
    assert about
    assert about <= set(range(1, 301))


def test_a_reconnect(caplog: pytest.LogCaptureFixture, start: Start) -> None:
    endpoint = free_endpoint()
    chip = start("tcp", "--address", endpoint, "--slow", "0.02")
    backend = configured(connect("tcp", endpoint, timeout=20.0))
    tickets = [backend.submit([pulse(backend, n)]) for n in (41, 42)]
    time.sleep(0.05)
    link = backend._client._link
    assert link is not None
    link._link._descriptor = -1  # type: ignore[attr-defined]
    for ticket in tickets:
        assert backend.wait(ticket, 20)[0].fired == 5
    backend.close()
    (lost,) = lines(caplog, "client", logging.WARNING)
    assert ids(lost) <= {41, 42}
    opened = [line for line in lines(caplog, "client", logging.INFO) if "open again" in line]
    assert 42 in set().union(*map(ids, opened))
    assert chip.process.poll() is None


def test_verdicts_after_a_reboot(caplog: pytest.LogCaptureFixture, start: Start) -> None:
    endpoint = free_endpoint()
    first = start("zmq", "--address", endpoint, "--slow", "0.02", "--no-journal")
    backend = configured(connect("zmq", endpoint, timeout=20.0))
    tickets = [backend.submit([pulse(backend, n)]) for n in (71, 72, 73)]
    time.sleep(0.05)
    first.kill()
    start("zmq", "--address", endpoint, "--no-journal")
    with pytest.raises(OutcomeUnknownError):
        backend.wait(tickets[0], 30)
    told = lines(caplog, "backend", logging.WARNING)
    assert told == ["operation 71: unknown", "operations 72-73: not applied"]
    (loss,) = lines(caplog, "client", logging.WARNING)
    assert loss.endswith("the chip booted; in flight: operation 71; not sent: operations 72-73")
    assert backend.verdicts[72] is Verdict.NOT_APPLIED
    backend.clear()
    backend.close()


def test_silence(caplog: pytest.LogCaptureFixture, start: Start) -> None:
    chip = start("pty", "--slow", "0.5")
    backend = configured(connect("pty", chip.address, timeout=0.4))
    ticket = backend.submit([pulse(backend, 9)])
    time.sleep(0.05)
    chip.kill()
    with pytest.raises(LinkError):
        backend.wait(ticket, 10)
    (failed,) = lines(caplog, "client", logging.ERROR)
    assert failed.endswith("in flight: operation 9")
    assert lines(caplog, "backend", logging.WARNING) == ["operation 9: unknown"]
    backend.close()


def test_refusals_on_both_ends(caplog: pytest.LogCaptureFixture) -> None:
    with served(InlineArray(limits=Limits(pulses_per_operation=5))) as server:
        backend = connect("pty", server.address)
        chip = Chip(backend)
        chip.guard.admit = lambda operations: None  # type: ignore[method-assign]
        chip[0].pulse(0, 0, 1)
        with pytest.raises(DeviceError):
            chip[0].pulse(0, 0, 6)
        backend.clear()
        chip.close()
    (at_host,) = lines(caplog, "backend", logging.WARNING)
    assert at_host == "operation 2: not applied: pulse: a limit in force forbids it (LIMIT)"
    (at_chip,) = lines(caplog, "executor", logging.WARNING)
    assert at_chip.startswith("operation 2, part 0: not executed: LIMIT: ")


def test_aborts_and_trips_of_both_ends(caplog: pytest.LogCaptureFixture) -> None:
    with served() as server:
        backend = connect("pty", server.address, deadman=0.3)
        chip = Chip(backend)
        chip[0].pulse(0, 0, 1)
        backend.abort()
        backend.clear()
        chip[0].pulse(0, 0, 1)
        backend._client.keep_alive = 1000.0
        time.sleep(0.8)
        with pytest.raises(DeviceError, match="the host was silent for too long") as caught:
            chip[0].pulse(0, 0, 1)
        assert caught.value.operation_id == 3
        backend._client.keep_alive = 0.1
        backend.clear()
        chip.close()
    assert "aborted; not applied: nothing" in lines(caplog, "backend", logging.INFO)
    assert any("abort; under way" in line for line in lines(caplog, "executor", logging.INFO))
    (at_chip,) = lines(caplog, "executor", logging.WARNING)
    assert at_chip == "the host is silent: lines idle, disarmed"
    assert any("went idle" in line for line in lines(caplog, "client", logging.WARNING))


def test_nothing_is_printed_unless_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hwloop.cli"]
    words = ["chip", "describe", "--backend", "emulator:native,shape=4x4,faults=1e-3", "--json"]
    for log, expected in (([], ""), (["--log", "info"], r"INFO hwloop_wire.client: .* session ")):
        done = subprocess.run([*command, *log, *words], capture_output=True, text=True, check=True)
        assert re.search(expected, done.stderr) if expected else done.stderr == ""
        assert done.stdout.startswith("{")
