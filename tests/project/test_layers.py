"""Who may import whom, and what driving a chip loads."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]


def test_import_contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


def test_driving_a_chip_loads_nothing_of_training() -> None:
    heavy = "{'torch', 'scipy', 'matplotlib', 'h5py', 'mlxtend'}"
    code = f"import sys, hwloop, hwloop_sim; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
