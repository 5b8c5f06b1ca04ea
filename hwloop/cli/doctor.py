"""`hwloop doctor`: whether everything that training needs is there."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer

from hwloop import __version__
from hwloop.backend import open_backend, schemes
from hwloop.cli.output import JsonFlag, print_error, print_json, print_table
from hwloop.errors import CrossbarError

PACKAGES = ("numpy", "pydantic", "typer", "rich", "torch", "matplotlib", "mlxtend", "scipy", "h5py")
COMPILERS = ("gcc", "cmake", "arm-none-eabi-gcc", "qemu-system-arm")


def doctor(as_json: JsonFlag = False) -> None:
    """Check Python, packages, the compiled core and compilers; opens no chip."""
    findings = examine()
    if as_json:
        print_json(findings)
    else:
        _show(findings)
    if findings["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Return what was found, and the problems in it."""
    core, problem = _core()
    problems = [] if problem is None else [problem]
    missing = [name for name in PACKAGES if _version(name) is None]
    if missing:
        problems.append(
            f"missing packages: {', '.join(missing)}; install them with pip install 'hwloop[train]'"
        )
    return {
        "hwloop": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: _version(name) for name in PACKAGES},
        "backends": sorted(schemes()),
        "core": core,
        "compilers": {name: _program(name) for name in COMPILERS},
        "problems": problems,
    }


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


def _show(findings: dict[str, Any]) -> None:
    core = findings["core"]
    rows = [
        ("hwloop", findings["hwloop"]),
        ("Python", f"{findings['python']}, {findings['executable']}"),
        ("platform", f"{findings['platform']}, {findings['cores']} cores"),
        ("backends", ", ".join(findings["backends"]) or "none"),
        ("core library", core.get("library") or "missing"),
        ("core's source hash", core.get("source_hash") or "-"),
    ]
    rows += [(name, version or "missing") for name, version in findings["packages"].items()]
    rows += [(name, found or "not installed") for name, found in findings["compilers"].items()]
    print_table("", ("", ""), rows)
    for problem in findings["problems"]:
        print_error(f"problem: {problem}")
    if not findings["problems"]:
        print("everything that training needs is there")
