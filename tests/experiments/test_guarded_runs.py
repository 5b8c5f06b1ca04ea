"""Limits, arming and doses in runs by the command line; dry runs move nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hwloop
from hwloop.cli import main
from hwloop.guard import recorded, state_folder

TINY = ["--data", "digits", "--limit", "4", "--set", "network.hidden=[6]"]
QUIET = ["--set", "report.html=false", "--set", "schedule.float_lr=null"]
SHAPE = "shape=2x6x64+2x10x6,seed=3"
CHIP = "sim-reram-om-3"


def station(folder: Path, limits: str) -> str:
    path = folder / "bench.yaml"
    path.write_text(
        "schema_version: 1\nkind: station\nname: bench 3\nbias_scheme: 1T1R\n"
        f"limits: {{{limits}}}\n"
    )
    return str(path)


def train(*words: str) -> int:
    return main(["train", *TINY, *QUIET, *words])


def refused(capsys: pytest.CaptureFixture[str], limit: str, origin: str) -> None:
    """What is printed says what was sent, the limit, where it comes from, and what to do."""
    shown = capsys.readouterr().err
    assert limit in shown
    assert f"from {origin}" in shown
    assert "nothing was sent" in shown
    assert "remedy: " in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("dose_per_cell", ["--set", "backend.limits={dose_per_cell: 3}"]),
        ("voltage_max", ["--set", "backend.limits.voltage_max=0.1"]),
        ("dose_per_line", ["--station"]),
    ],
)
def test_training_keeps_the_limits_of_settings_and_station(
    limit: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = "the settings (backend.limits)"
    if words == ["--station"]:
        words, origin = ["--station", station(tmp_path, f"{limit}: 9")], "station file bench.yaml"
    assert train("--out", str(tmp_path / "run"), *words) == 4
    refused(capsys, limit, origin)


def test_a_run_on_a_simulator_leaves_no_state(tmp_path: Path) -> None:
    assert train("--out", str(tmp_path / "run")) == 0
    assert not state_folder().exists()


def test_measuring_keeps_the_limits_of_the_station(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["device", "measure", "pulse_response", "--backend", "sim:reram-om,shape=4x4"]
    words += ["--rows", "0", "--cols", "0:2", "--set", "pulses=10", "--out", str(tmp_path / "run")]
    words += ["--station", station(tmp_path, "dose_per_cell: 30")]
    for more in (["--dry-run"], []):
        assert main([*words, *more]) == 4
        refused(capsys, "dose_per_cell of 30", "station file bench.yaml")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def served() -> Iterator[str]:
    """Serve a simulated array as another process, that this one has not started."""
    command = [sys.executable, "-m", "hwloop.cli", "chip", "serve"]
    options = ["--backend", f"sim:reram-om,{SHAPE}", "--on", "zmq:tcp://127.0.0.1:*"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"zmq:{json.loads(process.stdout.readline())['address']}"
        finally:
            process.terminate()


def counted(url: str) -> int:
    """The pulses that the served array has counted itself."""
    with hwloop.connect(url) as chip:
        return sum(int(state[3].astype(np.int64).sum()) for state in chip.snapshot())


def test_dry_runs_move_nothing_and_name_the_limits(
    served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = station(tmp_path, "dose_per_cell: 1500, life_dose_per_line: 1000000")
    words = ["--backend", served, "--station", file, "--dry-run", "--limit", "40"]
    assert train(*words, "--json", "--out", str(tmp_path / "run")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "dose_per_cell of 1500 from station file bench.yaml" in shown["limits"]
    assert shown["may_pass"] == "dose_per_cell"
    assert shown["pulses"] > 0
    measure = ["device", "measure", "pulse_response", "--backend", served, "--rows", "0"]
    measure += ["--cols", "0:2", "--set", "pulses=10", "--set", "repeats=1", "--json", "--dry-run"]
    assert main(measure) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["exact"]
    assert counted(served) == 0
    assert not (tmp_path / "run").exists()
    assert not state_folder().exists()
    # And the run itself gives what the dry run says.
    measure = [word for word in measure if word != "--dry-run"]
    assert main([*measure, "--out", str(tmp_path / "measured")]) == 4  # it is not armed
    assert "--arm sim-reram-om-3" in capsys.readouterr().err
    assert counted(served) == 0
    assert main([*measure, "--out", str(tmp_path / "measured"), "--arm", CHIP]) == 0
    assert counted(served) == planned["pulses"] == json.loads(capsys.readouterr().out)["pulses"]


def test_what_another_process_has_started_is_trained_on_by_its_id_only(
    served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train("--backend", served, "--out", str(run)) == 4
    assert f"--arm {CHIP}" in capsys.readouterr().err
    assert train("--backend", served, "--out", str(run), "--arm", "another") == 2
    assert f"armed chip 'another', but '{CHIP}' is connected" in capsys.readouterr().err
    assert counted(served) == 0
    assert train("--backend", served, "--out", str(run), "--arm", CHIP) == 0
    assert counted(served) > 0
    assert recorded(CHIP) is None


@pytest.mark.parametrize("url", ["serial:/dev/no-such-port", "zmq:tcp://127.0.0.1:9,timeout=0.3"])
def test_a_chip_that_is_absent_trains_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--dry-run"]):
        code = train("--backend", url, "--device", "reram-om", "--out", str(tmp_path / "r"), *words)
        assert code in (2, 5)
        assert "remedy" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
