"""`hwloop sweep`, with workers that only pretend to train."""

import io
import json
from pathlib import Path

import pytest

from hwloop.cli import main, sweep_display
from hwloop.experiments import sweep
from hwloop.experiments.sweep import points_of
from hwloop.experiments.sweep.engine import EngineMaker

from .studies import QUICK, Pretence, quick


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None) -> Path:
    """Work beside a study file, with an engine that pretends."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.yaml").write_text(QUICK)
    engines(monkeypatch, Pretence())
    return tmp_path


def engines(monkeypatch: pytest.MonkeyPatch, engine: Pretence) -> None:
    def maker(workers: int | None = None) -> EngineMaker:
        return lambda folder, points: engine

    monkeypatch.setattr(sweep, "local_workers", maker)


def test_a_study_from_beginning_to_end(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "quick.yaml", "--limit", "1"]) == 0
    out, err = capsys.readouterr()
    assert "1 of 6 points finished" in out
    assert "1 of 1: algorithm.lr=0.05, seed=1: test accuracy 6.0 %, 0.5 s" in err
    assert main(["sweep", "quick.yaml", "--json", "--csv", "copy.csv"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert (content["points"], content["finished"], content["failed"]) == (6, 6, 0)
    assert content["groups"][0]["settings"] == {"algorithm.lr": 0.05}
    mean = content["groups"][0]["metrics"]["test_accuracy"]
    assert mean == {
        "mean": pytest.approx(0.065),
        "standard_error": pytest.approx(0.005),
        "seeds": 2,
    }
    folder = place / "runs" / "sweep-quick"
    assert (place / "copy.csv").read_text() == (folder / "points.csv").read_text()
    assert len((place / "copy.csv").read_text().splitlines()) == 7


def test_failed_points_show_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engines(monkeypatch, Pretence(failing=[points_of(quick(), "a")[0].hash]))
    assert main(["sweep", "quick.yaml"]) == 1
    out, err = capsys.readouterr()
    assert "failed: algorithm.lr=0.05, seed=1: its worker died" in err
    assert "5 of 6 points finished, 1 failed (--retry-failed" in out


def test_an_interruption_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Pretence):
        def poll(self, seconds: float) -> list[object]:
            raise KeyboardInterrupt

    engine = Interrupted()
    engines(monkeypatch, engine)
    assert main(["sweep", "quick.yaml", "--json"]) == 130
    out, err = capsys.readouterr()
    assert engine.closed
    assert json.loads(out) == {"interrupted": True, "folder": "runs/sweep-quick"}
    assert "interrupted; what is finished is kept in runs/sweep-quick: the same command" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["quik.yaml"], "quik.yaml: neither a file nor the name of a study"),
        (["quick.yaml", "--only", "lr"], "--only 'lr' is not key=value"),
        (["quick.yaml", "--only", "algorithm.lr=7"], "no point has algorithm.lr=7"),
        (["quick.yaml", "--set", "schedule.limt=7"], "schedule.limt: unknown key"),
        (["quick.yaml", "--set", "algorithm.lr=7"], "--set algorithm.lr: the study varies it"),
        (["quick.yaml", "--dask", "a", "--workers", "2"], "--workers and --dask exclude"),
        (["quick.yaml", "--csv", "no/where.csv"], "--csv no/where.csv: there is no folder no"),
        (["quick.yaml", "--out", "quick.yaml"], "the folder quick.yaml cannot be made: Not a dir"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_shipped_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["studies"]
    assert {study["name"] for study in listed} == set(sweep.shipped())
    assert main(["sweep"]) == 0
    out = capsys.readouterr().out
    assert all(study["name"] in out for study in listed)


def test_a_terminal_shows_a_table(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sweep_display, "SECONDS_BETWEEN_UPDATES", -1.0)
    monkeypatch.setattr(sweep_display, "QUIET_SECONDS", -1.0)
    monkeypatch.setattr("sys.stderr", screen)
    assert main(["sweep", "quick.yaml", "--json"]) == 0
    shown = screen.getvalue()
    assert "3 finished, 2 running, 1 waiting of 6" in shown
    assert "algorithm.lr=0.1, seed=1: test accuracy 11.0 %" in shown
