"""Pulse responses of the compiled array against those of aihwkit, on an excerpt with fewer cells.

With 4,000 cells the test sees in every case a mean that is off by 2.5 % of the range and a standard
deviation that is off by 20 %, and it tells additive from multiplicative noise; `test_power_*` hold
it to that. The full comparison is `benchmarks/pulse_response.py`.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "benchmarks" / "pulse_response.py"
EXCERPT = ROOT / "tests" / "data" / "aihwkit" / "pulse_reference.json"
REFERENCE = json.loads(EXCERPT.read_text())
CASES = list(REFERENCE["cases"])
CELLS = 4_000


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pulse_response", COMMAND)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pulse_response"] = module
    spec.loader.exec_module(module)
    return module


def passes(benchmark: ModuleType, case: dict[str, Any], name: str, seed: int = 1) -> bool:
    found = benchmark.compare(
        case,
        benchmark.device_of(name, case["params"]),
        pulses_up=REFERENCE["n_up"],
        others=REFERENCE["rows"] * REFERENCE["cols"],
        cells=CELLS,
        seed=seed,
    )
    assert len(found) == 2 * len(case["pulse"])
    return all(c.ratio <= 1 for c in found)


@pytest.mark.parametrize("name", CASES)
def test_responses_are_those_of_aihwkit(benchmark: ModuleType, name: str) -> None:
    assert passes(benchmark, REFERENCE["cases"][name], name)


@pytest.mark.parametrize("name", CASES)
def test_power_of_the_mean(benchmark: ModuleType, name: str) -> None:
    case = REFERENCE["cases"][name]
    model = benchmark.device_of(name, case["params"]).model
    shift = 0.025 * (model.bound_max - model.bound_min)
    assert not passes(benchmark, case | {"mean": [m + shift for m in case["mean"]]}, name)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_power_of_the_spread(benchmark: ModuleType, name: str, factor: float) -> None:
    case = REFERENCE["cases"][name]
    largest = max(case["std"])
    # A spread within 0.2 % of the range is not compared, so a tenfold smaller case needs more.
    grown = [s * factor if largest > 0.05 else s + 0.02 * factor for s in case["std"]]
    assert not passes(benchmark, case | {"std": grown}, name)


def test_power_of_the_kind_of_noise(benchmark: ModuleType) -> None:
    name = "fixed:SoftBoundsReferenceDevice:mult_noise=False"
    case = REFERENCE["cases"][name]
    other = case | {"params": case["params"] | {"mult_noise": True}}
    assert not passes(benchmark, other, name)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, COMMAND, *arguments], capture_output=True, text=True, check=False
    )


def test_command_prints_a_verdict_per_case() -> None:
    result = run("--reference", EXCERPT, "--cells", str(CELLS), "--only", "SoftBoundsReference")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("  ok   ") == 4
    assert result.stdout.splitlines()[-1] == "4 ok, 0 FAIL, 0 not expressible"


def test_command_fails_if_a_case_fails(tmp_path: Path) -> None:
    name = "fixed:SoftBoundsReferenceDevice:mult_noise=False"
    case = REFERENCE["cases"][name]
    wrong = REFERENCE | {"cases": {name: case | {"mean": [m + 0.1 for m in case["mean"]]}}}
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(wrong))
    result = run("--reference", path, "--cells", str(CELLS))
    assert result.returncode == 1
    assert "FAIL   fixed:SoftBoundsReference" in result.stdout
