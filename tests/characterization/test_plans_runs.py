"""Measuring runs: their folders, dry runs, interruptions, and what is left of a killed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hwloop
from hwloop import characterization
from hwloop.characterization.plans import Progress
from hwloop.cli import main
from hwloop.errors import ConfigurationError, SafetyError
from hwloop.experiments import measure as measuring
from hwloop.experiments.measure import measure_run, resume_run, salvage
from hwloop.experiments.measure_config import MeasureConfig, load_measure_config
from hwloop.experiments.measure_cost import measure_cost
from hwloop.run import Run, load_run
from hwloop.tape.format import MAGIC, RecordType, split_records
from tests.seam.bench_array import BenchArray

PLANS = """\
backend: sim:reram-om,shape=8x8,seed=6
rows: 0:4
plans:
  - {plan: pulse_response, pulses: 20}
  - {plan: symmetry_point, pulses_max: 128, pairs: 2, lead: 8}
  - {plan: converter_calibration, vectors: 64, average: 64}
report: false
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    path = tmp_path / "plans.yaml"
    path.write_text(PLANS)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "plans.yaml").write_text(PLANS)
    return measure_run(load_measure_config(folder / "plans.yaml"), out=folder / "1")


def stop_after(steps: int) -> object:
    left = iter(range(steps))

    def watch(progress: Progress) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return watch


def test_a_run_leaves_everything(undisturbed: Run) -> None:
    summary = undisturbed.summary
    assert summary["tape_hash"] == undisturbed.tape.hash()
    assert summary["pulses"] == sum(plan["pulses"] for plan in summary["plans"]) > 0
    assert all(plan["dose_agrees"] for plan in summary["plans"])
    assert [row["plan"] for row in undisturbed.metrics] == [p["plan"] for p in summary["plans"]]
    for plan in summary["plans"]:
        data = characterization.load(undisturbed.folder / plan["file"])
        assert (data.kind, data.rows) == (plan["plan"], plan["rows"])
        assert "partial" not in data.header.notes
    calibration = yaml.safe_load((undisturbed.folder / "calibration.yaml").read_text())
    station = {
        "schema_version": 1,
        "kind": "station",
        "name": "bench",
        "bias_scheme": "V/2",
        **calibration,
    }
    station_file = undisturbed.folder / "station.yaml"
    station_file.write_text(yaml.safe_dump(station, default_flow_style=None))
    loaded = hwloop.device_file.load_station(station_file)
    assert loaded.calibration("sim-reram-om-6", 0, "backward") is not None


def test_a_run_is_run_again_from_its_configuration(undisturbed: Run, tmp_path: Path) -> None:
    config = load_measure_config(undisturbed.folder / "config.yaml")
    again = measure_run(config, out=tmp_path / "again")
    assert again.summary["tape_hash"] == undisturbed.summary["tape_hash"]


def test_a_run_can_be_replayed(undisturbed: Run, tmp_path: Path) -> None:
    config = load_measure_config(undisturbed.folder / "config.yaml")
    replayed = config.model_copy(update={"backend": f"replay:{undisturbed.folder},mode=strict"})
    run = measure_run(replayed, out=tmp_path / "again")
    assert run.summary["tape_hash"] == undisturbed.summary["tape_hash"]


def test_a_dry_run_tells_exactly_what_happens(undisturbed: Run) -> None:
    costs = measure_cost(load_measure_config(undisturbed.folder / "config.yaml"))
    summary = undisturbed.summary
    fixed, adaptive, _ = costs["plans"]
    assert fixed["exact"] and not adaptive["exact"] and not costs["exact"]
    assert fixed["pulses"] == summary["plans"][0]["pulses"]
    assert fixed["rows"] == summary["plans"][0]["rows"]
    assert adaptive["pulses"] >= summary["plans"][1]["pulses"] == adaptive["copy_pulses"]
    assert costs["copy_operations"] == summary["operations"]
    assert costs["copy_pulses"] == summary["pulses"]
    assert costs["copy_chip_seconds"] == pytest.approx(summary["chip_seconds"])
    raw = undisturbed.tape_path.read_bytes()
    ends = [len(MAGIC), *(end for end, _, _ in split_records(raw, len(MAGIC)))]
    kinds = [kind for _, kind, _ in split_records(raw, len(MAGIC))]
    sizes = {RecordType.OPERATION: 0, RecordType.RESULT: 0}
    for kind, begin, end in zip(kinds, ends, ends[1:], strict=False):
        sizes[kind] = sizes.get(kind, 0) + end - begin
    assert costs["copy_tape_bytes"] == sizes[RecordType.OPERATION] + sizes[RecordType.RESULT]


@pytest.mark.parametrize("steps", [3, 60, 90, 101])
def test_interrupted_runs_keep_what_was_measured_and_go_on(
    steps: int, plans: Path, tmp_path: Path, undisturbed: Run
) -> None:
    config = load_measure_config(plans)
    with pytest.raises(KeyboardInterrupt):
        measure_run(config, out=tmp_path / "1", watch=stop_after(steps))  # type: ignore[arg-type]
    run = load_run(tmp_path / "1")
    assert not run.complete
    with pytest.raises(ConfigurationError) as unfinished:
        run.summary  # noqa: B018
    assert unfinished.value.remedy == f"hwloop device measure --resume {run.folder}"
    partial = characterization.load(run.folder / "1-pulse_response.yaml")
    assert ("partial" in partial.header.notes) == (steps < 82)
    resumed = resume_run(run.folder)
    assert resumed.summary["tape_hash"] == undisturbed.summary["tape_hash"]
    for plan in resumed.summary["plans"]:
        mine, other = (
            r.folder / plan["file"].replace("yaml", "table.csv") for r in (run, undisturbed)
        )
        assert mine.read_bytes() == other.read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from hwloop.experiments.measure import measure_run
from hwloop.experiments.measure_config import load_measure_config

def die(progress):
    if progress.steps == 60:
        os.kill(os.getpid(), signal.SIGKILL)

measure_run(load_measure_config(sys.argv[1]), out=Path(sys.argv[2]), watch=die)
"""


def test_killed_runs_go_on_and_a_report_saves_their_data(
    plans: Path, tmp_path: Path, undisturbed: Run
) -> None:
    out = tmp_path / "killed"
    died = subprocess.run([sys.executable, "-c", KILLED, plans, out])
    assert died.returncode == -signal.SIGKILL
    assert not list(out.glob("*pulse_response*"))
    assert main(["run", "report", str(out)]) == 0
    saved = characterization.load(out / "1-pulse_response.yaml")
    assert saved.rows == 60 * 32
    assert saved.header.notes["partial"] == "stopped after 60 of 82 steps"
    assert "not complete" in (out / "report.html").read_text()
    assert main(["device", "measure", "--resume", str(out)]) == 0
    assert load_run(out).summary["tape_hash"] == undisturbed.summary["tape_hash"]
    assert main(["device", "measure", "--resume", str(out)]) == 0  # there is nothing left to do
    assert main(["run", "report", str(out)]) == 0
    assert "not complete" not in (out / "report.html").read_text()


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_physical_runs_are_not_repeated_but_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = BenchArray(tiles=1, kind="physical")
    monkeypatch.setattr(measuring, "open_backend", lambda url: array)
    config = MeasureConfig(backend="serial:/dev/x", plans=({"plan": "pulse_response"},))
    with pytest.raises(SafetyError, match="not armed"):
        measure_run(config, out=tmp_path / "1")
    assert not (tmp_path / "1").exists()
    with pytest.raises(KeyboardInterrupt):
        measure_run(config, out=tmp_path / "1", arm="bench-1", watch=stop_after(30))  # type: ignore[arg-type]
    assert array.idled > 0
    (tmp_path / "1" / "pulse_response.yaml").unlink()  # as if the run had been killed
    # The driver has told on the tape what became of each operation; nothing is left to decide.
    array = BenchArray(tiles=1, kind="physical")
    run = resume_run(tmp_path / "1", arm="bench-1")
    assert run.complete
    ids = [entry.operation.id for entry in run.tape]
    assert len(set(ids)) == len(ids)
    sent = [op.id for op in array.executed if op.kind == "pulse"]
    assert 0 < len(sent) < sum(entry.operation.kind == "pulse" for entry in run.tape)
    assert len(set(sent)) == len(sent)
    assert all(entry.result is not None for entry in run.tape)


def test_what_a_tape_saves_is_what_was_measured(undisturbed: Run, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in undisturbed.folder.glob("*.table.csv")}
    assert [path.name for path in salvage(undisturbed)] == [
        plan["file"] for plan in undisturbed.summary["plans"]
    ]
    assert before == {p.name: p.read_bytes() for p in undisturbed.folder.glob("*.table.csv")}


def test_the_command_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["device", "measure", "array_map", "--backend", "sim:reram-om,shape=6x6,corrupt=0.2"]
    words += ["--set", "pulses=50", "--cells", "0,0;1,5;3,2", "--json"]
    assert main([*words, "--dry-run"]) == 0
    costs = json.loads(capsys.readouterr().out)
    assert (costs["pulses"], costs["most_pulses_per_cell"], costs["exact"]) == (300, 100, True)
    assert not list(tmp_path.iterdir())
    assert main([*words, "--out", "run"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["run"], summary["pulses"]) == ("run", 300)
    assert main(["run", "tape", "run", "--hash"]) == 0
    assert capsys.readouterr().out.strip() == summary["tape_hash"]
    text = (tmp_path / "run" / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 1
    assert "Array map" in text and summary["tape_hash"] in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "no plan is given"),
        (["pulse_respons"], 2, "did you mean pulse_response?"),
        (["pulse_response", "--set", "pulsses=3"], 2, "did you mean pulses?"),
        (["pulse_response", "--set", "pulses"], 2, "is not key=value"),
        (["pulse_response", "--rows", "0:99"], 2, "is out of range"),
        (["pulse_response", "--rows", "a:b"], 2, "write for example 0:4"),
        (["pulse_response", "--cells", "1;2"], 2, "write row,col pairs"),
        (["pulse_response", "--tile", "3"], 2, "tile 3 does not exist"),
        (["pulse_response", "--set", "shape=sett"], 2, "did you mean set?"),
        (["forming", "--set", "recipes=[f]", "--set", "formed_siemens=1e-6"], 3, "needs form"),
        (["missing.yaml"], 2, "cannot be read"),
        (["plans.yaml", "--set", "pulses=3"], 2, "write plan.key=value"),
        (["broken.yaml"], 2, "did you mean plans?"),
        (["--resume", "nowhere"], 2, "is not a run"),
    ],
)
def test_mistakes_end_with_a_remedy_and_leave_nothing(
    words: list[str],
    code: int,
    message: str,
    plans: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plans.with_name("broken.yaml").write_text("plan: []\nplans: []\n")
    assert main(["device", "measure", *words]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert {path.name for path in plans.parent.iterdir()} == {"plans.yaml", "broken.yaml"} or (
        os.listdir("runs") == []
    )


def test_ctrl_c_says_how_to_go_on(
    plans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwloop.cli.device_measure import Display

    monkeypatch.setattr(Display, "__call__", lambda self, progress: stop_at_once())
    assert main(["device", "measure", str(plans), "--out", "run"]) == 130
    assert "continue with: hwloop device measure --resume run" in capsys.readouterr().err
    assert any("abort" in event for event in load_run("run").tape.events)


def stop_at_once() -> None:
    raise KeyboardInterrupt


def test_every_kind_has_a_picture(tmp_path: Path) -> None:
    from hwloop.report.measured_figures import CAPTIONS, figure_of

    plans = (
        {"plan": "pulse_response", "pulses": 20},
        {"plan": "read_noise", "reads": 32},
        {"plan": "symmetry_point", "pulses_max": 128, "pairs": 2, "lead": 8},
        {"plan": "retention", "points": 3},
        {"plan": "endurance", "cycles": 10, "points": 3},
        {"plan": "array_map", "pulses": 20},
        {"plan": "write_verify", "target_siemens": [5e-5], "tolerance_siemens": 4e-6},
        {"plan": "converter_calibration", "vectors": 64, "average": 64},
    )
    config = MeasureConfig(backend="sim:reram-om,shape=6x8", plans=plans)
    run = measure_run(config, out=tmp_path / "run")
    text = (run.folder / "report.html").read_text()
    assert text.count("data:image/png") == len(plans)
    for plan in run.summary["plans"]:
        assert CAPTIONS[plan["plan"]] in text.replace("&#39;", "'")
        figure = figure_of(characterization.load(run.folder / plan["file"]))
        assert all(axes.has_data() for axes in figure.axes)
