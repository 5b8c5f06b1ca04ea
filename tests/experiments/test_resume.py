"""Interrupted runs, by whatever: resumed, they give the tape of an undisturbed run."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import arguments, command, tiny

import hwloop
from hwloop.errors import ConfigurationError, ReplayError
from hwloop.experiments.data import Dataset, load_data
from hwloop.experiments.train import resume_run, train_run
from hwloop.run import Run

TESTS = Path(__file__).parents[1]

KILLER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_runs import tiny
from hwloop.experiments import loop, run_folder, train
from hwloop.experiments.progress import Silence
from hwloop.tape import FileTape

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def nth(owner, name, number, last):
    # Let `last` take the place of the number-th call.
    whole, calls = getattr(owner, name), []
    def counting(*arguments, **options):
        calls.append(None)
        return (last if len(calls) == number else whole)(*arguments, **options)
    setattr(owner, name, counting)

def half_a_record(tape, operations):
    FileTape._hold(tape, operations)
    tape._encode()
    raw = b"".join(tape._parts)
    os.write(tape._file, raw[: len(raw) - 9])
    die()

def half_a_row(folder, row):
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "batch", "ba')
    die()

POINTS = {
    "before the tape": lambda: nth(train, "FileTape", 1, die),
    "while weights are written": lambda: nth(FileTape, "operations", 2, half_a_record),
    "before the first checkpoint": lambda: nth(loop, "train_batch", 5, die),
    "in the first checkpoint": lambda: nth(run_folder.os, "replace", 3, die),
    "behind the first checkpoint": lambda: nth(loop, "train_batch", 9, die),
    "in a record": lambda: nth(FileTape, "operations", 110, half_a_record),
    "in a row of metrics": lambda: nth(run_folder.RunFolder, "add_metrics", 4, half_a_row),
    "in the test of an epoch": lambda: nth(loop, "accuracy", 3, die),
    "before the summary": lambda: nth(run_folder.RunFolder, "finish", 1, die),
}

out, children = Path(sys.argv[2]), {}
train.train_run(tiny(schedule__limit=1), out=out / "first")  # loads what all of them need
for number, (point, arm) in enumerate(POINTS.items()):
    child = os.fork()
    if not child:
        arm()
        train.train_run(tiny(), out=out / str(number))
        os._exit(0)
    children[child] = point
for child, point in children.items():
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (point, status)
    print(point)
"""


class Notes:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done: int | None = None

    def begin(self, plan: object) -> None:
        self.done = plan.done

    def batch(self, state: object) -> None:
        pass

    def epoch(self, row: object) -> None:
        pass

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(tiny(), out=tmp_path_factory.mktemp("undisturbed") / "1")


def assert_equal_runs(run: Run, undisturbed: Run) -> None:
    assert run.summary["tape_hash"] == undisturbed.summary["tape_hash"]
    assert run.tape.hash() == undisturbed.tape.hash()
    times = {"seconds"}
    rows = [
        [{k: v for k, v in row.items() if k not in times} for row in r.metrics]
        for r in (run, undisturbed)
    ]
    assert rows[0] == rows[1]
    for name in ("test_accuracy", "float_test_accuracy", "pulses", "operations", "chip_seconds"):
        assert run.summary[name] == undisturbed.summary[name]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a folder of runs that were killed, and where."""
    out = tmp_path_factory.mktemp("killed")
    result = subprocess.run(
        [sys.executable, "-c", KILLER, TESTS, out], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return out, result.stdout.splitlines()


@pytest.mark.parametrize("number", range(9))
def test_killed_runs_go_on(killed: tuple[Path, list[str]], undisturbed: Run, number: int) -> None:
    folder, point = killed[0] / str(number), killed[1][number]
    notes = Notes()
    had_checkpoints = bool(hwloop.load_run(folder).checkpoints)
    run = resume_run(folder, observer=notes)
    assert_equal_runs(run, undisturbed)
    assert had_checkpoints == (number > 3), point
    assert bool(notes.done) == had_checkpoints, point
    if not had_checkpoints:
        assert "starts over" in notes.texts[0]


def test_a_run_killed_from_outside_goes_on(tmp_path: Path, undisturbed: Run) -> None:
    with start(tmp_path / "1") as process:
        wait_for(process, lambda: list((tmp_path / "1").glob("checkpoints/batch*")))
        process.kill()
    assert_equal_runs(resume_run(tmp_path / "1"), undisturbed)


def test_ctrl_c_idles_the_array_and_says_how_to_go_on(tmp_path: Path) -> None:
    longer = {"schedule__epochs": 10}  # so that the signal comes in time on any machine
    undisturbed = train_run(tiny(**longer), out=tmp_path / "undisturbed")
    with start(tmp_path / "1", longer) as process:
        wait_for(process, lambda: list((tmp_path / "1").glob("checkpoints/batch*")))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert f"hwloop train --resume {tmp_path / '1'}" in err
    assert "Traceback" not in err
    events = hwloop.load_run(tmp_path / "1").tape.events
    assert any("abort" in event for event in events)
    assert_equal_runs(resume_run(tmp_path / "1"), undisturbed)


def test_a_full_disk_stops_the_run_and_it_goes_on(tmp_path: Path, undisturbed: Run) -> None:
    most = 3 * (undisturbed.folder / "tape.bin").stat().st_size // 4

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with start(tmp_path / "1", preexec_fn=small_disk) as process:
        _, err = process.communicate()
    assert process.returncode == 2
    assert "cannot be written" in err
    assert f"hwloop train --resume {tmp_path / '1'}" in err
    assert "Traceback" not in err
    assert_equal_runs(resume_run(tmp_path / "1"), undisturbed)


def start(
    out: Path, changes: dict[str, object] | None = None, **options: object
) -> "subprocess.Popen[str]":
    words = command(*arguments(**(changes or {})), "--out", out)
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for(process: "subprocess.Popen[str]", seen: Callable[[], object]) -> None:
    while not seen():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def test_other_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(tmp_path)

    def other(source: str, **options: object) -> Dataset:
        return load_data(source, **{**options, "test_share": 0.3})

    monkeypatch.setattr("hwloop.experiments.rig.load_data", other)
    with pytest.raises(ConfigurationError, match="not those"):
        resume_run(folder)


def test_a_tape_that_differs_is_refused(tmp_path: Path) -> None:
    folder = interrupted(tmp_path)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.1", "lr: 0.1\n  eta0: 0.7"))
    text = config.read_text().split("\n")
    config.write_text("\n".join(line for line in text if line.strip() != "eta0: 0.5"))
    with pytest.raises(ReplayError, match="differs from its tape"):
        resume_run(folder)


def test_other_versions_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(tmp_path)
    monkeypatch.setattr("hwloop.experiments.train.versions", lambda: {"torch": "0.1"})
    notes = Notes()
    resume_run(folder, observer=notes)
    assert "torch" in notes.texts[0]


def interrupted(tmp_path: Path) -> Path:
    """Return the folder of a run that stopped behind its second checkpoint."""

    class Stop(Notes):
        def batch(self, state: object) -> None:
            if state.progress.batches == 18:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(tiny(schedule__limit=24), out=tmp_path / "1", observer=Stop())
    return tmp_path / "1"


def test_what_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a run"):
        resume_run(tmp_path)
    assert os.listdir(tmp_path) == []
