"""Who may import whom, and what driving a chip loads."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_import_contracts() -> None:
    # In a process of its own, as it switches the loggers of everything off.
    code = "import sys, importlinter.cli as c; sys.exit(c.lint_imports(no_cache=True))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_driving_a_chip_loads_nothing_of_training() -> None:
    heavy = "{'torch', 'scipy', 'matplotlib', 'h5py', 'mlxtend'}"
    code = f"import sys, hwloop, hwloop_sim; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
