"""The command line: outputs, exit codes, and what it does not load."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import arguments, command, hwloop, tiny

from hwloop import __version__
from hwloop.cli import main
from hwloop.cli.output import si
from hwloop.experiments.train import train_run

Json = Callable[..., dict[str, object]]


@pytest.fixture
def as_json(capsys: pytest.CaptureFixture[str]) -> Json:
    """Run a command with --json and return its one object."""

    def run(*words: str | Path, code: int = 0) -> dict[str, object]:
        assert main([*map(str, words), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run."""
    out = tmp_path_factory.mktemp("run") / "1"
    return train_run(tiny(schedule__limit=4), out=out).folder


def test_train(tmp_path: Path, as_json: Json) -> None:
    out = tmp_path / "1"
    summary = as_json(*arguments(schedule__limit=4), "--out", out)
    assert summary["run"] == str(out)
    on_disk = json.loads((out / "summary.json").read_text())
    needed = ["test_accuracy", "float_test_accuracy", "wall_seconds", "chip_seconds", "pulses"]
    for key in [*needed, "bytes_sent", "seed"]:
        assert summary[key] == on_disk[key]


def test_train_shows_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments(schedule__limit=25, report__html=True), "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "training with c-ttv2 on simulated reram-om" in err
    assert "epoch 1: loss" in err
    assert "test accuracy" in out
    assert "report.html" in out


def test_flags_go_before_assignments_before_the_file(tmp_path: Path, as_json: Json) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("schedule: {epochs: 3, limit: 5, batch: 100}\nseed: 5\n")
    words = ["train", config, "--dry-run", "--data", "digits", "--limit", "2"]
    words += ["--set", "schedule.epochs=4", "--set", "schedule.limit=7"]
    costs = as_json(*words, "--set", "network.hidden=[8]")
    settings = costs["config"]
    assert settings["seed"] == 5
    assert settings["schedule"]["epochs"] == 4
    assert settings["schedule"]["limit"] == 2
    assert costs["batches"] == 2
    assert costs["samples"] == 200


def test_dry_runs_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments(schedule__limit=2), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "most pulses per cell" in out
    assert "weight_gain: 16.0" in out
    assert list(tmp_path.iterdir()) == []


def test_resume_takes_no_other_settings(run: Path, as_json: Json) -> None:
    error = as_json("train", "--resume", run, "--epochs", "3", code=2)["error"]
    assert "--resume takes all settings" in error["message"]


def test_resume_of_a_complete_run(run: Path, as_json: Json) -> None:
    assert as_json("train", "--resume", run)["batches"] == 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "--backend", "quux:x"], 2, "unknown scheme 'quux'"),
        (["train", "--backend", "sim:reram-om,quux=1"], 2, "quux"),
        (["train", "--device", "missing.yaml"], 2, "missing.yaml"),
        (["train", "--algorithm", "quux"], 2, "quux"),
        (["train", "--data", "quux"], 2, "neither a data set nor a folder"),
        (["train", "--set", "algorithm.ns=1"], 2, "did you mean algorithm.n_s?"),
        (["train", "--epochs", "0"], 2, "schedule.epochs: is 0"),
        (["train", "--epochs", "many"], 2, "--epochs"),
        (["train", "missing.yaml"], 2, "missing.yaml: cannot be read"),
        (["train", "--resume", "missing"], 2, "is not a run"),
        (["train", "--backend", "sim:reram-om,shape=8x8", "--data", "digits"], 3, "do not fit"),
        (["train", "--quux"], 2, "--quux"),
        (["quux"], 2, "quux"),
        (["chip", "describe", "--backend", "nothing"], 2, "has no scheme"),
        (["chip", "describe", "--backend", "sim:reram-omm"], 2, "did you mean reram-om?"),
        (["device", "validate", "missing.yaml"], 2, "missing.yaml"),
        (["run", "tape", "missing"], 2, "is not a run"),
        (["run", "report", "missing"], 2, "is not a run"),
    ],
)
def test_mistakes(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--json"]) == code
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert error["exit_code"] == code
    assert message in f"{error['message']}\n{error['remedy']}"
    assert error["message"] in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_unexpected_errors_are_short_unless_debugged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError("quux")

    monkeypatch.setattr("hwloop.device_file.load", fail)
    assert main(["device", "show", "reram-om"]) == 1
    err = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: quux" in err
    assert "--debug" in err
    assert "Traceback" not in err
    with pytest.raises(ZeroDivisionError):
        main(["device", "show", "reram-om", "--debug"])


def test_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwloop.device_file.load", interrupt)
    assert main(["device", "show", "reram-om"]) == 130


def test_describe(as_json: Json, capsys: pytest.CaptureFixture[str]) -> None:
    chip = as_json("chip", "describe", "--backend", "sim:reram-om,shape=2x8x16")
    assert [(tile["rows"], tile["cols"]) for tile in chip["tiles"]] == [(8, 16)] * 2
    assert main(["chip", "describe", "--backend", "sim:reram-om,shape=2x8x16"]) == 0
    out = capsys.readouterr().out
    for words in ("tile 0, 1: 8 x 16", "±200 mV", "1.35 V, 2.5 µs", "40 µS"):
        assert words in out


def test_describe_shows_the_link_where_there_is_one(
    as_json: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    chip = as_json("chip", "describe", "--backend", "emulator:native,shape=8x16")
    host, at_chip = chip["link"]["host"], chip["link"]["chip"]
    assert host["frames_sent"] - host["frames_resent"] >= 5
    assert 5 <= host["frames_received"] <= at_chip["frames_good"] <= host["frames_sent"]
    assert host["frames_bad"] == at_chip["frames_bad"] == 0
    assert host["round_trip"] > 0
    assert sum(host["round_trips"]) >= 1
    assert "link" not in as_json("chip", "describe", "--backend", "sim:")
    assert main(["chip", "describe", "--backend", "emulator:native,shape=8x16"]) == 0
    out = capsys.readouterr().out
    for words in ("counted by the host", "sent again", "wrong check", "round trip", "in flight"):
        assert words in out


def test_devices(as_json: Json, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [device["name"] for device in as_json("device", "list")["devices"]]
    assert "reram-om" in names
    assert as_json("device", "show", "reram-om")["name"] == "reram-om"
    assert as_json("device", "validate", "reram-om")["valid"] is True
    for words in (["list"], ["show", "reram-om"], ["validate", "reram-om"]):
        assert main(["device", *words]) == 0
        assert "reram-om" in capsys.readouterr().out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("schema_version: 1\nnaem: x\n")
    assert main(["device", "validate", str(wrong)]) == 2
    assert "did you mean name?" in capsys.readouterr().err


def test_tapes(run: Path, as_json: Json, capsys: pytest.CaptureFixture[str]) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert as_json("run", "tape", run, "--hash")["hash"] == summary["tape_hash"]
    assert main(["run", "tape", str(run), "--hash"]) == 0
    assert capsys.readouterr().out.strip() == summary["tape_hash"]
    shown = as_json("run", "tape", run, "--start", "20", "--limit", "3")
    assert shown["operations"] == summary["operations"]
    assert len(shown["entries"]) == 3
    assert shown["entries"][0]["result"]["verdict"] == "applied"
    assert main(["run", "tape", str(run), "--start", "15"]) == 0
    out = capsys.readouterr().out
    assert "outer_update" in out
    assert "pulses" in out


def test_report(run: Path, as_json: Json) -> None:
    assert as_json("run", "report", run)["report"] == str(run / "report.html")
    assert (run / "report.html").exists()


def test_doctor(as_json: Json, capsys: pytest.CaptureFixture[str]) -> None:
    findings = as_json("doctor")
    assert findings["hwloop"] == __version__
    assert findings["problems"] == []
    assert len(findings["core"]["source_hash"]) == 64
    assert "sim" in findings["backends"]
    assert main(["doctor"]) == 0
    assert "everything that training needs is there" in capsys.readouterr().out


def test_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, as_json: Json) -> None:
    from hwloop.cli import doctor

    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "quux"))
    findings = as_json("doctor", code=1)
    assert "quux" in findings["problems"][0]


@pytest.mark.parametrize("words", [[], ["chip"], ["device"], ["run"], ["train", "--help"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)
    assert "Usage: hwloop" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_describing_a_chip_loads_nothing_of_training() -> None:
    heavy = "{'torch', 'scipy', 'matplotlib', 'h5py', 'mlxtend', 'sklearn', 'pandas'}"
    code = (
        "import sys; from hwloop.cli import main; "
        "main(['chip', 'describe', '--backend', 'sim:', '--json']); "
        f"print(sorted({heavy} & sys.modules.keys()), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"
    assert json.loads(result.stdout)["kind"] == "virtual"


def test_the_installed_command(tmp_path: Path) -> None:
    result = hwloop("train", "--set", "quux=1", "--out", tmp_path / "1")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("hwloop: command line: quux: unknown key")


def test_a_reader_that_goes_away(run: Path) -> None:
    words = " ".join(command("run", "tape", run, "--limit", "100000", "--json")[3:])
    start = command()[2]
    shell = f"{sys.executable} -c '{start}' {words} | head -c 10"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.2, "V", "200 mV"),
        (2.5e-6, "s", "2.5 µs"),
        (0, "A", "0 A"),
        (999.9e-9, "s", "1 µs"),
        (-1.35, "V", "-1.35 V"),
        (None, "S", "-"),
        (591_337_622, "", "591 M"),
        (1e-18, "A", "0.001 fA"),
    ],
)
def test_si(value: float | None, unit: str, text: str) -> None:
    assert si(value, unit) == text
