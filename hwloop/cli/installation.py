"""What is installed here: packages, the compiled core, tools, and ports with their permissions."""

from __future__ import annotations

import getpass
import grp
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from hwloop import __version__
from hwloop.backend import open_backend, schemes
from hwloop.errors import CrossbarError

TOOLS: dict[str, str] = {
    "gcc": "builds the emulated chip: sudo apt install gcc",
    "cmake": "builds the core from sources: sudo apt install cmake",
    "clang": "fuzzes the firmware: sudo apt install clang",
    "arm-none-eabi-gcc": "builds firmware for boards: sudo apt install gcc-arm-none-eabi",
    "qemu-system-arm": "runs emulator:qemu-m7: sudo apt install qemu-system-arm",
}
"""Programs, what they are for, and how to get them; nothing here needs them all."""


def installation(packages: Sequence[str]) -> dict[str, Any]:
    """Return what was found, and the problems in it, each with its remedy."""
    core, problem = _core()
    problems = [] if problem is None else [problem]
    missing = [name for name in packages if _version(name) is None]
    if missing:
        problems.append(
            f"missing packages: {', '.join(missing)}; install them with pip install 'hwloop[train]'"
        )
    ports = [_port(device, text) for device, text in _serial_ports()]
    return {
        "hwloop": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: _version(name) for name in packages},
        "backends": sorted(schemes()),
        "core": core,
        "compilers": {name: _program(name) for name in TOOLS},
        "ports": ports,
        "problems": problems,
    }


def port_problem(device: str) -> str:
    """Return why a user may not use a port, with the remedy, or nothing."""
    try:
        group = grp.getgrgid(os.stat(device).st_gid).gr_name
    except (OSError, KeyError) as error:
        return f"cannot be looked at: {error}; plug it in again, and look at dmesg"
    if os.access(device, os.R_OK | os.W_OK):
        return ""
    return (
        f"no permission to read and write; sudo usermod -aG {group} {getpass.getuser()}, then log "
        "in again"
    )


def _serial_ports() -> list[tuple[str, str]]:
    try:
        from serial.tools import list_ports
    except ImportError:
        return []
    return [(port.device, port.description) for port in sorted(list_ports.comports())]


def _port(device: str, description: str) -> dict[str, str]:
    return {"device": device, "description": description, "problem": port_problem(device)}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _core() -> tuple[dict[str, Any], str | None]:
    """Return where the compiled core is and from which sources, and what is wrong with it."""
    point = schemes().get("sim")
    if point is None:
        return {}, "the simulated array is not installed: pip install hwloop"
    folder = files(point.module) / "_core"
    libraries = [str(file) for file in folder.iterdir()] if folder.is_dir() else []
    library = next((name for name in libraries if Path(name).suffix == ".so"), None)
    core: dict[str, Any] = {"library": library, "source_hash": None}
    try:
        array = open_backend("sim:ideal,shape=1x1")
        core["source_hash"] = array.describe().firmware
        array.close()
    except CrossbarError as error:
        return core, f"{error.message}; {error.remedy}"
    return core, None


def _program(name: str) -> str | None:
    path = shutil.which(name)
    if path is None:
        return None
    try:
        run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return path
    lines = run.stdout.splitlines()
    return lines[0] if lines else path
