"""What an error says of an operation after a reboot, and what tape and command line say of it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import hwloop
from hwloop.cli.app import app
from hwloop.errors import DeviceError, LinkError, OutcomeUnknownError, SafetyError
from hwloop.operations import Verdict
from hwloop.tape import FileTape, Tape

POINTS = {
    "after-intent": (OutcomeUnknownError, Verdict.UNKNOWN, False),
    "before-commit": (OutcomeUnknownError, Verdict.UNKNOWN, False),
    "after-commit": (DeviceError, Verdict.APPLIED, False),
}
COUNT = 3
PULSED = 6


@pytest.mark.parametrize("point", POINTS)
def test_a_reboot_at_a_point(point: str, tmp_path: Path) -> None:
    """The third of six submissions that are in flight together meets the reboot."""
    kind, verdict, retryable = POINTS[point]
    url = f"emulator:native,shape=8x8,faults=reboot={point}@3,timeout=5"
    tape = FileTape(tmp_path / "tape", {})
    chip = hwloop.connect(url, tape=tape)
    tile, one = chip[0], np.full((1, 1), COUNT, np.int16)
    operations = [tile.new_pulse(np.array([n]), np.array([0]), one) for n in range(PULSED)]
    with pytest.raises(kind) as caught, chip:
        for operation in operations:
            chip.submit([operation])
        chip.flush()
    error = caught.value
    assert (error.verdict, error.retryable) == (verdict, retryable)
    if verdict is Verdict.UNKNOWN:
        assert error.operation_id == operations[2].id
    entries = {entry.operation.id: entry for entry in Tape(tmp_path / "tape")}
    told: dict[str, str] = {}
    for event in Tape(tmp_path / "tape").events:
        told |= event.get("verdicts", {})
    assert sum(v == "unknown" for v in told.values()) == (verdict is Verdict.UNKNOWN)
    for n, operation in enumerate(operations):
        entry = entries.get(operation.id)
        if entry is None:
            continue  # it came after the error, and was never put on the tape
        if entry.result is not None:
            assert n < 2 and entry.result.fired == COUNT
        else:
            expected = "applied" if n < 2 else verdict.name.lower() if n == 2 else "not_applied"
            assert told[str(operation.id)] == expected
    shown = CliRunner().invoke(app, ["run", "tape", str(tmp_path / "tape"), "--json"])
    assert '"verdict": "' in shown.stdout
    assert verdict.name.lower() in shown.stdout


def test_trying_again_is_allowed_only_where_nothing_was_applied() -> None:
    url = "emulator:native,shape=8x8,faults=reboot=after-request@12"
    with pytest.raises(DeviceError) as caught, hwloop.connect(url) as chip:
        for _ in range(20):
            chip[0].pulse(row=0, col=0, count=COUNT)
    assert caught.value.verdict is Verdict.NOT_APPLIED
    assert caught.value.retryable


def test_interrupted_work_is_settled_on_the_tape(tmp_path: Path) -> None:
    """Ctrl-C: what was done is a result, what was dropped is told."""
    tape = FileTape(tmp_path / "tape", {})
    with (
        pytest.raises(KeyboardInterrupt),
        hwloop.connect("emulator:native,shape=8x8", tape=tape) as chip,
    ):
        tile, many = chip[0], np.full((8, 8), 20_000, np.int16)
        for _ in range(8):
            chip.submit([tile.new_pulse(None, None, many)])
        raise KeyboardInterrupt
    read = Tape(tmp_path / "tape")
    told = {n: v for event in read.events for n, v in event.get("verdicts", {}).items()}
    pulses = [entry for entry in read if entry.operation.kind == "pulse"]
    assert len(pulses) == 8
    for entry in pulses:
        assert (entry.result is None) == (str(entry.operation.id) in told)
    assert list(told.values()).count("partial") <= 1
    assert "not_applied" in told.values()


def test_a_silent_link_is_unknown_and_asked_again(tmp_path: Path) -> None:
    url = "emulator:native,shape=8x8,timeout=0.2,faults=stall=2@12"
    with pytest.raises(LinkError) as caught, hwloop.connect(url) as chip:
        for _ in range(20):
            chip[0].pulse(row=0, col=0, count=COUNT)
    assert caught.value.verdict is Verdict.UNKNOWN
    assert not caught.value.retryable


def test_a_refused_operation_says_that_nothing_was_sent() -> None:
    with (
        pytest.raises(SafetyError) as caught,
        hwloop.connect(
            "emulator:native,shape=8x8", limits=hwloop.Limits(pulses_per_operation=2)
        ) as chip,
    ):
        chip[0].pulse(row=0, col=0, count=COUNT)
    assert caught.value.verdict is Verdict.NOT_APPLIED
    assert "nothing was sent" in caught.value.message
