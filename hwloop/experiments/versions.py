"""What has to be equal for a run to repeat to the same bits."""

from __future__ import annotations

import platform
from importlib import metadata

import torch

PACKAGES = ("hwloop", "numpy", "torch")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute, and the kind of CPU."""
    found = {"python": platform.python_version(), "cpu": _cpu()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a source tree that is not installed
            found[name] = "unknown"
    return found


def _cpu() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
