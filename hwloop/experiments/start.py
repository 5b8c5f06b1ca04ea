"""The state of an array before a run, from which the run can be repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwloop.backend import split_url
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.experiments.address import REPLAY, SIMULATOR
from hwloop.experiments.run_folder import RunFolder, replace_atomically
from hwloop.run import CHECKPOINTS
from hwloop.untrusted import read_arrays

START = "start.npz"
"""The state of a virtual array before the first operation, among the checkpoints."""


def outlives(url: str) -> bool:
    """Return whether an array keeps its state when the process ends that uses it."""
    scheme, _, options = split_url(url)
    if scheme == "emulator":
        return "cells" in options
    return scheme not in (SIMULATOR, REPLAY)


def store_start(chip: Chip, folder: RunFolder) -> None:
    """Store the state of a virtual array, once, so that the run can be repeated."""
    path = folder.path / CHECKPOINTS / START
    if path.is_file() or not {"snapshot", "restore"} <= chip.capabilities.operations:
        return
    try:
        states = {f"tile{i}": state for i, state in enumerate(chip.snapshot())}
    except CapabilityError:  # a replay of an array that has a state, which the replay has not
        chip.backend.clear()
        return

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, **states)  # type: ignore[arg-type]

    replace_atomically(path, write)


def restore_start(chip: Chip, folder: RunFolder) -> None:
    """Set a virtual array to its stored state, if there is one."""
    path = folder.path / CHECKPOINTS / START
    if path.is_file():
        stored = read_arrays(path)
        names = [f"tile{i}" for i in range(len(chip))]
        if missing := set(names) - stored.keys():
            raise ConfigurationError(
                f"{path} lacks {', '.join(sorted(missing))}",
                remedy="it is damaged, or of another array: start a new run",
            )
        chip.restore([stored[name] for name in names])
