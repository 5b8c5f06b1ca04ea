"""`hwloop chip conform`, the pytest plugin, and `hwloop doctor --backend`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwloop.backend import urls
from hwloop.capabilities import Capabilities
from hwloop.cli import installation, main
from hwloop.conformance import CHECKS
from hwloop.conformance.self_test import self_test
from hwloop.errors import DeviceError
from hwloop.operations import Operation, Pulse, Result, Vmm
from tests.conformance.bench import Bench
from tests.conformance.broken import ClipsSilently

Json = Callable[..., dict[str, Any]]


@pytest.fixture
def as_json(capsys: pytest.CaptureFixture[str]) -> Json:
    def run(*words: str, code: int = 0) -> dict[str, Any]:
        assert main([*words, "--json"]) == code
        content: dict[str, Any] = json.loads(capsys.readouterr().out)
        return content

    return run


class Chip(Bench):
    """A physical bench."""

    kind = "physical"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Bench]], None]:
    """Let `bench:` name a class."""

    def name(make: type[Bench]) -> None:
        class Point:
            value = "tests:make"
            module = "tests"

            def load(self) -> Callable[..., Bench]:
                return lambda address, options: make()

        known = {**urls.schemes(), "bench": Point()}
        monkeypatch.setattr(urls, "schemes", lambda: known)
        make.remembered = 0

    return name


def test_the_command_passes_and_writes_its_reports(as_json: Json, tmp_path: Path) -> None:
    out = tmp_path / "report"
    said = as_json("chip", "conform", "--backend", "sim:reram-om,shape=3x4", "--out", str(out))
    assert said["verdict"] == "passed"
    assert said["chip_id"] == "sim-reram-om-1"
    assert 0 < said["dose"]["most_pulses_per_cell"] <= said["dose"]["bound_per_cell"]
    assert [check["name"] for check in said["checks"]] == [check.name for check in CHECKS]
    written = json.loads((out / "conformance.json").read_text())
    assert written == {key: value for key, value in said.items() if key != "files"}
    page = (out / "conformance.html").read_text()
    assert "Where the one-hots came out" in page
    assert "Averaged reads" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    for check in CHECKS:
        assert check.name in page


def test_a_failure_is_told_and_exits_with_1(
    bench: Callable[[type[Bench]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    bench(ClipsSilently)
    assert main(["chip", "conform", "--backend", "bench:"]) == 1
    shown = capsys.readouterr()
    assert "1 failed" in shown.out
    assert "flags of saturation" in re.sub(r"\s+", " ", shown.out)
    assert "at most" in shown.err  # the dose, before anything is sent


def test_a_dry_run_moves_nothing(bench: Callable[[type[Bench]], None], as_json: Json) -> None:
    opened: list[Bench] = []

    class Watched(Chip):
        def __init__(self) -> None:
            super().__init__()
            opened.append(self)

        def execute(self, operation: Operation) -> Result:
            raise AssertionError("executed")

    bench(Watched)
    words = ("--arm", "bench-7", "--region", "0:0-1,0-1", "--dose", "500", "--dry-run")
    plan = as_json("chip", "conform", "--backend", "bench:", *words)
    assert opened
    assert plan["bound_per_cell"] <= plan["allowed_per_cell"] == 500
    assert {check["name"] for check in plan["checks"] if check["skipped"]} == {"snapshot"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--arm bench-7, --region TILE:R0-R1,C0-C1, --dose N"),
        (["--arm", "bench-7", "--region", "0:0-1,0-1"], "--dose N"),
        (["--arm", "bench-7", "--region", "0:0-9,0-1", "--dose", "500"], "3 rows and 4 columns"),
        (["--arm", "bench-7", "--region", "0-9", "--dose", "500"], "TILE:R0-R1,C0-C1"),
        (["--arm", "bench-8", "--region", "0:0-1,0-1", "--dose", "500"], "'bench-8'"),
        (["--arm", "bench-7", "--region", "0:0-1,0-1", "--dose", "20"], "too small"),
    ],
)
def test_a_chip_is_asked_for_by_name_place_and_dose(
    words: list[str],
    message: str,
    bench: Callable[[type[Bench]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench(Chip)
    assert main(["chip", "conform", "--backend", "bench:", *words]) == 2
    assert message in capsys.readouterr().err
    assert Chip.remembered == 0


def pytest_of(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in a folder of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "hwloop.conformance.plugin", *words]
    environment = {**os.environ, "PYTEST_ADDOPTS": "", "HWLOOP_REQUIRE": ""}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120
    )


def test_the_plugin_makes_a_test_of_each_check(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    url = "sim:reram-om,shape=2x2x3,adc_range_forward=0.5,adc_range_backward=0.5"
    run = pytest_of(tmp_path, "--backend", url, "-rA", "-q")
    assert run.returncode == 0, run.stdout
    assert "PASSED conformance::averaging" in run.stdout
    skipped = 3  # duplicates, limits_of_its_own, limits_of_forming
    assert f"{len(CHECKS) - skipped + 1} passed, {skipped} skipped" in run.stdout


def test_the_plugin_does_nothing_without_an_array(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    run = pytest_of(tmp_path, "-q")
    assert "1 passed" in run.stdout


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_looks_at_an_array(as_json: Json) -> None:
    found = as_json("doctor", "--backend", "emulator:native,shape=3x4")
    states = {one["what"]: one["state"] for one in found["chip"]}
    assert states == dict.fromkeys(
        (
            "hello",
            "capabilities",
            "idle",
            "configuration",
            "select lines, tile 0",
            "zeros, tile 0",
            "clock",
            "idle again",
            "link",
            "close",
        ),
        "ok",
    )


def test_doctor_gives_a_chip_no_pulse(bench: Callable[[type[Bench]], None]) -> None:
    asked: list[Operation] = []

    class Watched(Chip):
        def execute(self, operation: Operation) -> Result:
            asked.append(operation)
            return super().execute(operation)

    bench(Watched)
    found = self_test("bench:")
    assert {one.state for one in found} == {"ok", "note"}
    assert {operation.kind for operation in asked} == {"configure", "read_cells", "vmm", "wait"}
    assert not any(isinstance(operation, Pulse) for operation in asked)


def test_doctor_tells_what_is_wrong_and_what_to_do(
    bench: Callable[[type[Bench]], None], as_json: Json
) -> None:
    class Ill(Chip):
        asked = 0

        def describe(self) -> Capabilities:
            self.asked += 1
            return super().describe().model_copy(update={"firmware": str(self.asked)})

        def vmm(self, operation: Vmm) -> Result:
            raise DeviceError("the selector does not answer", remedy="switch it on")

    bench(Ill)
    found = as_json("doctor", "--backend", "bench:", code=1)
    wrong = {one["what"]: one for one in found["chip"] if one["state"] == "problem"}
    assert set(wrong) == {"capabilities", "zeros, tile 0", "zeros, tile 1"}
    assert wrong["zeros, tile 0"]["remedy"] == "switch it on"
    assert all(one["remedy"] for one in wrong.values())
    assert any("switch it on" in problem for problem in found["problems"])


def test_doctor_names_a_port_that_is_not_there(as_json: Json) -> None:
    found = as_json("doctor", "--backend", "serial:/dev/no-such-port", code=1)
    assert [one["what"] for one in found["chip"]] == ["hello"]
    assert found["chip"][0]["remedy"]


def test_a_port_without_permission_names_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "ttyACM0"
    port.touch()
    assert installation.port_problem(str(port)) == ""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "sudo usermod -aG" in installation.port_problem(str(port))
    assert "cannot be looked at" in installation.port_problem(str(tmp_path / "gone"))
