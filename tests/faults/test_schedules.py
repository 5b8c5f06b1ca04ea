"""A short form of the fault schedules: three of every fault."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_thirty_fault_schedules(tmp_path: Path) -> None:
    words = ["--schedules", "30", "--json", tmp_path / "out.json", "--keep", tmp_path / "kept"]
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "faults.py", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    names = ("schedules", "twice", "missing", "over", "not_complete", "problems")
    assert [found[name] for name in names] == [30, 0, 0, 0, 0, 0]
    assert found["unknown_at_once"] <= 1
    assert sum(run["rounds"] > 0 for run in found["runs"]) >= 10  # they did go wrong
