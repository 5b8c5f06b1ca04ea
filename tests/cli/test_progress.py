"""What is shown of a run while it goes on."""

import sys
from pathlib import Path

import pytest
from tiny_runs import tiny

from hwloop.cli.progress import Lines, Live, describe, display
from hwloop.experiments.progress import Plan, Progress, State, Tally

PLAN = Plan(
    config=tiny(),
    folder=Path("runs/1"),
    url="sim:reram-om",
    array="simulated reram-om",
    data="digits, 1438 samples",
    epoch_batches=20,
    batches=40,
    done=10,
)
STATE = State(
    Progress(epoch=1, batch=5, batches=25, epoch_tally=Tally(360, 180.0, 90)),
    pulses=1_234_567,
    chip_seconds=0.0025,
    test_accuracy=0.875,
)
EPOCH = {
    "epoch": 1,
    "loss": 0.5,
    "accuracy": 0.25,
    "test_accuracy": 0.875,
    "float_test_accuracy": 0.9,
    "pulses": 1_234_567,
    "chip_seconds": 0.0025,
}


def test_figures() -> None:
    assert describe(PLAN, STATE, seconds=3.0) == {
        "epoch": "2/2",
        "batch": "5/20",
        "loss": "0.500",
        "accuracy": "25.0 %",
        "test": "87.5 %",
        "pulses": "1.23 M",
        "chip": "2.5 ms",
        "samples/s": "360",
        "left": "3 s",
    }


def test_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with display() as shown:
        assert type(shown) is Lines
        shown.begin(PLAN)
        shown.batch(STATE)  # too early for another line
        monkeypatch.setattr("hwloop.cli.progress.time.monotonic", lambda: 1e12)
        shown.batch(STATE)
        shown.epoch(EPOCH)
        shown.note("something")
    out, err = capsys.readouterr()
    assert out == ""
    head, batch, epoch, note = err.splitlines()
    assert head.startswith("resuming with c-ttv2 on simulated reram-om")
    assert "batch 5/20, loss 0.500" in batch
    assert "test accuracy 87.5 % (float 90.0 %), 1.23 M pulses, 2.5 ms chip time" in epoch
    assert note == "something"
    assert shown.folder == Path("runs/1")


def test_live(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with display() as shown:
        assert type(shown) is Live
        shown.begin(PLAN)
        shown.batch(STATE)
        shown.epoch(EPOCH)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2" in err
    assert "pulses 1.23 M" in err
    assert "epoch 1: loss 0.500" in err
