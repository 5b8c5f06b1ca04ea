"""One version everywhere, and a compiled core that belongs to the sources."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from hwloop.errors import ConfigurationError
from hwloop_sim import source_hash

ROOT = Path(__file__).parents[2]
CORE = ROOT / "firmware_stubs" / "core"


def test_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()
    assert importlib.metadata.version("hwloop") == version


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a source tree of which only the names and contents of core files matter."""
    core = tmp_path / "firmware_stubs" / "core"
    core.mkdir(parents=True)
    for name in ["b.c", "B.h", "a_b.c", "ab.c", "a.h", "a.c", "a-b.h", "notes.md"]:
        (core / name).write_bytes(f"{name}\r\n;[x]\n".encode())
    package = tmp_path / "backends" / "hwloop_sim"
    package.mkdir(parents=True)
    (package / "source_hash.py").write_bytes(Path(source_hash.__file__).read_bytes())
    return tmp_path


@pytest.fixture
def copied_module(tree: Path) -> ModuleType:
    """Load ``source_hash`` as it runs from that tree."""
    path = tree / "backends" / "hwloop_sim" / "source_hash.py"
    spec = importlib.util.spec_from_file_location("copied_source_hash", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["libhwloop_core.so", "hwloop-chip"])
def test_binaries_carry_the_hash_of_this_tree(name: str) -> None:
    with as_file(files("hwloop_sim") / "_core" / name) as binary:
        assert source_hash.source_hash(CORE).encode() in binary.read_bytes()


def test_cmake_and_python_hash_alike(tree: Path, requires: Callable[[str, str], None]) -> None:
    requires("cmake", "its rule is compared with Python's")
    core = tree / "firmware_stubs" / "core"
    script = tree / "hash.cmake"
    script.write_text(
        f'include("{ROOT}/firmware_stubs/source_hash.cmake")\n'
        f'hwl_source_hash("{core}" hash)\n'
        'message("${hash}")\n'
    )
    result = subprocess.run(["cmake", "-P", script], check=True, capture_output=True, text=True)
    assert result.stderr.strip() == source_hash.source_hash(core)


def test_hash_follows_names_and_contents(tree: Path) -> None:
    core = tree / "firmware_stubs" / "core"
    hashes = [source_hash.source_hash(core)]
    (core / "a.c").write_text("edited")
    hashes.append(source_hash.source_hash(core))
    (core / "a.c").rename(core / "c.c")
    hashes.append(source_hash.source_hash(core))
    (core / "notes.md").write_text("edited")
    assert len(set(hashes)) == 3
    assert source_hash.source_hash(core) == hashes[-1]


def test_editable_tree_accepts_its_own_core(tree: Path, copied_module: ModuleType) -> None:
    copied_module.check_editable_tree(source_hash.source_hash(tree / "firmware_stubs" / "core"))


def test_editable_tree_refuses_another_core(tree: Path, copied_module: ModuleType) -> None:
    core = tree / "firmware_stubs" / "core"
    built_from = source_hash.source_hash(core)
    (core / "a.c").write_text("edited after the build")
    with pytest.raises(ConfigurationError) as refusal:
        copied_module.check_editable_tree(built_from)
    text = str(refusal.value)
    assert built_from in text
    assert source_hash.source_hash(core) in text
    assert f"{sys.executable} -m pip install -c constraints.txt -e '.[train]'" in text


def test_installed_package_has_nothing_to_check(tree: Path, copied_module: ModuleType) -> None:
    core = tree / "firmware_stubs" / "core"
    core.rename(tree / "elsewhere")
    copied_module.check_editable_tree("any hash")
