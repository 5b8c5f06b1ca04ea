"""The firmware of emulated chips: the native one, and an image for QEMU that is built when needed.

The image is not part of a wheel: it is built from the sources, which are, by Debian's compiler for
Cortex-M, and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from hwloop.errors import ConfigurationError

_TREE = Path(__file__).resolve().parents[2] / "firmware_stubs"
_TOOLS = "install it: apt-get install gcc-arm-none-eabi qemu-system-arm"


def native_chip() -> Path:
    """Return the program that is a chip on this machine.

    Raises:
        ConfigurationError: it is not installed.
    """
    path = _installed("hwloop-chip")
    if not path.is_file():
        raise ConfigurationError(
            f"the native chip is missing: {path}",
            remedy="install hwloop again; its build makes it",
        )
    return path


def qemu() -> Path:
    """Return the emulator that runs the Cortex-M7 image.

    Raises:
        ConfigurationError: it is not installed.
    """
    return _program("qemu-system-arm", "it runs the Cortex-M7 chip")


def qemu_image() -> Path:
    """Return the Cortex-M7 image of these sources; build it if it is not in the cache.

    Raises:
        ConfigurationError: there is no compiler, or the image cannot be built.
    """
    sources = firmware_sources()
    image = _cache() / f"chip-{_hash(sources)[:16]}.elf"
    if image.is_file():
        return image
    _program("arm-none-eabi-gcc", "it builds the Cortex-M7 chip")
    image.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be building the same: each makes its own, and the last one stays.
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        built = Path(folder) / "chip.elf"
        script = sources / "ports" / "qemu-m7" / "build.sh"
        environment = os.environ | {"HWL_SOURCE_HASH": core_hash(sources / "core")}
        result = subprocess.run(
            ["sh", str(script), str(built)], env=environment, capture_output=True, text=True
        )
        if result.returncode:
            raise ConfigurationError(
                f"the Cortex-M7 chip cannot be built: {result.stderr.strip()}", remedy=_TOOLS
            )
        built.replace(image)
    return image


def firmware_sources() -> Path:
    """Return the folder with `core` and `ports`: of the source tree, or installed."""
    return _TREE if (_TREE / "core").is_dir() else _installed("firmware")


def core_hash(core: Path) -> str:
    """Return the hash that a chip names as its firmware; `hwloop_sim.source_hash` has the rule."""
    sources = sorted((*core.glob("*.c"), *core.glob("*.h")), key=lambda file: file.name)
    lines = "".join(
        f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in sources
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def _hash(sources: Path) -> str:
    digest = hashlib.sha256()
    folders = (sources / "core", sources / "ports" / "qemu-m7")
    for file in sorted(f for folder in folders for f in folder.rglob("*") if f.is_file()):
        digest.update(f"{file.relative_to(sources)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _installed(name: str) -> Path:
    # One segment at a time: an editable install merges two directories here.
    return Path(str(files("hwloop_sim") / "_core" / name))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hwloop" / "firmware"


def _program(name: str, purpose: str) -> Path:
    path = shutil.which(name)
    if path is None:
        raise ConfigurationError(f"{name} is not installed: {purpose}", remedy=_TOOLS)
    return Path(path)
