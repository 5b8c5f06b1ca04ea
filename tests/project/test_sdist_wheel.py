"""What users install: a wheel built from the sdist, tried outside the tree."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SMOKE = """
import ctypes, os, sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import hwloop
import hwloop_sim
from hwloop_sim.source_hash import check_editable_tree

prefix = Path(sys.prefix)
assert Path(hwloop.__file__).is_relative_to(prefix), hwloop.__file__
assert Path(hwloop_sim.__file__).is_relative_to(prefix), hwloop_sim.__file__

core = files("hwloop_sim") / "_core"
ctypes.CDLL(str(core / "libhwloop_core.so"))
assert os.access(core / "hwloop-chip", os.X_OK)
assert any(file.suffix == ".h" for file in (core / "include").iterdir())
check_editable_tree("not asked for, outside a source tree")

assert (files("hwloop") / "py.typed").is_file()
assert (files("hwloop_sim") / "py.typed").is_file()
assert "sim" in entry_points(group="hwloop.backends").names
"""


def run(*command: str | Path, cwd: Path) -> str:
    # Neither the tree nor what the tests run under may help the installed package.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    build = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=ROOT)
    return next(folder.glob("hwloop-*.tar.gz"))


@pytest.fixture
def wheel(sdist: Path, tmp_path: Path, requires: Callable[[str, str], None]) -> Path:
    requires("cmake", "it builds the wheel")
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", tmp_path]
    run(sys.executable, "-m", "pip", "wheel", *offline, sdist, cwd=tmp_path)
    return next(tmp_path.glob("hwloop-*.whl"))


def test_sdist_holds_what_git_holds(sdist: Path, requires: Callable[[str, str], None]) -> None:
    requires("git", "it lists the project's files")
    with tarfile.open(sdist) as archive:
        shipped = {name.split("/", 1)[1] for name in archive.getnames()}
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    files = {name for name in listed.splitlines() if not name.startswith(".")}
    assert shipped == files | {"PKG-INFO"}


def test_wheel_works_outside_the_tree(wheel: Path, tmp_path: Path) -> None:
    distribution = f"hwloop-{version('hwloop')}"
    assert wheel.name.startswith(f"{distribution}-py3-none-")
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    packages = {"hwloop", "hwloop_replay", "hwloop_sim", "hwloop_wire"}
    assert top == {*packages, f"{distribution}.dist-info"}

    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    offline = ["--no-deps", "--no-index", "--no-compile"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, wheel, cwd=tmp_path)
    # The dependencies are those of the tests' environment. Python reads no .pth files in folders
    # named by one, so the editable install of the tree stays out.
    borrowed = [entry for entry in sys.path if Path(entry).name == "site-packages"]
    site_packages = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    (site_packages / "dependencies.pth").write_text("\n".join(borrowed))

    run(python, "-c", SMOKE, cwd=tmp_path)
    assert "Usage" in run(home / "bin" / "hwloop", "--help", cwd=tmp_path)
