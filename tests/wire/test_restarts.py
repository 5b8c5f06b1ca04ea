"""Chips that stop, die and come back: the right error, the right verdicts, no second pulse."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from hwloop.backend import Ticket
from hwloop.crossbar import Chip
from hwloop.crossbar.chip import ID_GAP
from hwloop.errors import CrossbarError, DeviceError, LinkError, OutcomeUnknownError
from hwloop.operations import Configure, Pulse, Verdict
from hwloop_wire import WireBackend
from tests.wire.bench_chip import COLS, counts
from tests.wire.chips import Start, connect

COUNT = 5


def free_endpoint() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def configured(backend: WireBackend) -> WireBackend:
    own = backend.describe().configuration
    backend.wait(backend.submit([Configure(content_json=own.canonical())]))
    return backend


def pulse(backend: WireBackend, number: int) -> Pulse:
    """Return an operation on a cell of its own."""
    row, col = divmod(number, COLS)
    return Pulse(
        tile=0,
        id=number,
        ordinal=number,
        rows=np.array([row]),
        cols=np.array([col]),
        counts=np.array([[COUNT]], np.int16),
        shape="set",
        configuration=backend.describe().configuration.hash(),
    )


def given(folder: Path, number: int) -> int:
    return int(counts(folder)[divmod(number, COLS)])


def outcomes(backend: WireBackend, tickets: dict[int, Ticket]) -> dict[int, Verdict]:
    """Return the verdict of each operation, and check the errors that told them."""
    verdicts, errors = {}, []
    for number, ticket in tickets.items():
        try:
            backend.wait(ticket, 30)
            verdicts[number] = Verdict.APPLIED
        except CrossbarError as error:
            errors.append(error)
            verdicts[number] = backend.verdicts[number]
    unknown = [number for number, verdict in verdicts.items() if verdict is Verdict.UNKNOWN]
    for error in errors:
        assert isinstance(error, OutcomeUnknownError if unknown else DeviceError), error
        assert not unknown or error.operation_id == unknown[0]
    return verdicts


@pytest.mark.parametrize(
    ("kind", "after"), [("zmq", 0.01), ("tcp", 0.05), ("zmq", 0.103), ("tcp", 0.2)]
)
def test_a_kill_at_any_moment_leaves_right_verdicts(
    kind: str, after: float, start: Start, tmp_path: Path
) -> None:
    endpoint = free_endpoint()
    options = ("--slow", "0.001", "--address", endpoint)
    first = start(kind, *options)
    backend = configured(connect(kind, endpoint, timeout=20.0))
    tickets = {n: backend.submit([pulse(backend, n)]) for n in range(1, 61)}
    time.sleep(after)
    first.kill()
    start(kind, *options)
    verdicts = outcomes(backend, tickets)
    assert sum(v is Verdict.UNKNOWN for v in verdicts.values()) <= 1
    assert sum(v is not Verdict.APPLIED for v in verdicts.values()) >= 1
    for number, verdict in verdicts.items():
        if verdict is not Verdict.UNKNOWN:
            assert given(tmp_path, number) == (COUNT if verdict is Verdict.APPLIED else 0), number
    # Nothing was sent again by itself; the user goes on with new operations.
    backend.clear()
    assert backend.wait(backend.submit([pulse(backend, 100)]), 30)[0].fired == COUNT
    assert given(tmp_path, 100) == COUNT
    backend.close()


def test_a_stale_commit_record_after_a_second_reboot(start: Start, tmp_path: Path) -> None:
    endpoint = free_endpoint()
    chip = start("zmq", "--address", endpoint)
    backend = configured(connect("zmq", endpoint, timeout=20.0))
    for number in range(1, 6):
        backend.wait(backend.submit([pulse(backend, number)]))
    for number in (6, 7):
        chip.signal(signal.SIGSTOP)  # what is sent now is never read
        ticket = backend.submit([pulse(backend, number)])
        time.sleep(0.1)
        chip.kill()
        chip = start("zmq", "--address", endpoint)
        with pytest.raises(DeviceError, match="the chip booted") as caught:
            backend.wait(ticket, 30)
        assert caught.value.verdict is Verdict.NOT_APPLIED
        assert caught.value.retryable
        assert backend.verdicts[number] is Verdict.NOT_APPLIED
        assert given(tmp_path, number) == 0
        backend.clear()
    backend.close()


def test_ids_go_on_from_run_to_run_and_over_reboots(start: Start, tmp_path: Path) -> None:
    endpoint = free_endpoint()
    last = pulses = 0
    for _ in range(3):
        process = start("zmq", "--address", endpoint)
        for _ in range(2):
            with Chip(connect("zmq", endpoint)) as chip:
                assert isinstance(chip.backend, WireBackend)
                assert chip.backend.last_id == last
                # Far enough behind what an earlier host may have taped and never sent.
                assert chip.first_id == (last + ID_GAP + 1 if last else 1)
                for _ in range(2):
                    assert chip[0].pulse(0, 2, COUNT) == COUNT
                    pulses += COUNT
                last = chip.next_id - 1
            assert given(tmp_path, 2) == pulses
        process.kill()


def test_an_id_of_an_earlier_run_is_refused(start: Start, tmp_path: Path) -> None:
    endpoint = free_endpoint()
    start("zmq", "--address", endpoint)
    backend = configured(connect("zmq", endpoint))
    backend.wait(backend.submit([pulse(backend, 7)]))
    backend.close()
    backend = configured(connect("zmq", endpoint))
    with pytest.raises(DeviceError, match="not above the last one begun") as caught:
        backend.wait(backend.submit([pulse(backend, 7)]))
    assert (caught.value.operation_id, caught.value.verdict) == (7, Verdict.NOT_APPLIED)
    assert given(tmp_path, 7) == COUNT
    backend.clear()
    backend.close()


def test_without_a_journal_what_was_in_flight_is_unknown(start: Start, tmp_path: Path) -> None:
    endpoint = free_endpoint()
    options = ("--address", endpoint, "--no-journal", "--slow", "0.01")
    chip = start("zmq", *options)
    backend = configured(connect("zmq", endpoint, timeout=20.0))
    assert not backend.describe().retained_evidence
    tickets = {n: backend.submit([pulse(backend, n)]) for n in range(1, 10)}
    time.sleep(0.08)
    chip.kill()
    start("zmq", *options)
    verdicts = list(outcomes(backend, tickets).values())
    assert verdicts.count(Verdict.UNKNOWN) == 1
    at = verdicts.index(Verdict.UNKNOWN)
    assert verdicts[:at] == [Verdict.APPLIED] * at
    assert verdicts[at + 1 :] == [Verdict.NOT_APPLIED] * (len(verdicts) - at - 1)
    assert [given(tmp_path, n) for n in range(1, at + 1)] == [COUNT] * at
    assert not any(given(tmp_path, n) for n in range(at + 2, 10))


@pytest.mark.parametrize("kind", ["pty", "zmq"])
def test_a_stopped_chip_is_a_link_error_and_goes_on_when_it_is_back(
    kind: str, start: Start, tmp_path: Path
) -> None:
    chip = start(kind)
    backend = configured(connect(kind, chip.address, timeout=0.5))
    backend.wait(backend.submit([pulse(backend, 1)]))
    chip.signal(signal.SIGSTOP)
    tickets = [backend.submit([pulse(backend, n)]) for n in (2, 3)]
    begin = time.monotonic()
    with pytest.raises(LinkError, match=r"silent for 0.5 s") as caught:
        backend.wait(tickets[0], 10)
    assert time.monotonic() - begin < 2
    assert (caught.value.operation_id, caught.value.verdict) == (2, Verdict.UNKNOWN)
    with pytest.raises(LinkError):
        backend.submit([pulse(backend, 4)])
    with pytest.raises(LinkError):
        backend.clear()
    chip.signal(signal.SIGCONT)
    backend.clear()
    assert [backend.verdicts[n] for n in (2, 3)] == [Verdict.APPLIED] * 2
    assert backend.wait(backend.submit([pulse(backend, 5)]))[0].fired == COUNT
    assert [given(tmp_path, n) for n in range(1, 6)] == [COUNT, COUNT, COUNT, 0, COUNT]
    backend.close()


@pytest.mark.parametrize("kind", ["pty", "tcp", "zmq"])
def test_a_chip_that_dies_is_a_link_error(kind: str, start: Start) -> None:
    chip = start(kind, "--slow", "0.01")
    backend = configured(connect(kind, chip.address, timeout=0.5))
    ticket = backend.submit([pulse(backend, 1)])
    time.sleep(0.02)
    chip.kill()
    begin = time.monotonic()
    with pytest.raises(LinkError) as caught:
        backend.wait(ticket, 10)
    assert time.monotonic() - begin < 3
    assert (caught.value.operation_id, caught.value.verdict) == (1, Verdict.UNKNOWN)
    assert backend.abort().not_applied == ()
    backend.close()


def test_a_reset_while_nothing_is_under_way_is_told_with_the_next_submission(start: Start) -> None:
    endpoint = free_endpoint()
    chip = start("zmq", "--address", endpoint)
    backend = configured(connect("zmq", endpoint, timeout=20.0))
    chip.kill()
    start("zmq", "--address", endpoint)
    with pytest.raises(DeviceError, match="the chip booted; nothing was in flight"):
        for _ in range(200):
            backend.submit([])
            time.sleep(0.05)
    backend.clear()
    assert backend.wait(backend.submit([pulse(backend, 1)]))[0].fired == COUNT
    backend.close()
