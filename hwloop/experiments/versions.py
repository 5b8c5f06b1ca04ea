"""What has to be equal for a run to repeat to the same bits."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch

PACKAGES = ("hwloop", "numpy", "torch")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute, kind and number of CPUs."""
    cores = len(os.sched_getaffinity(0))
    found = {"python": platform.python_version(), "cpu": _cpu(), "threads": str(cores)}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a source tree that is not installed
            found[name] = "unknown"
    return found


def _cpu() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
