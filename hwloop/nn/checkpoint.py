"""Checkpoints: everything that a training needs to go on to the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError
from hwloop.nn.linear import CrossbarLinear
from hwloop.nn.optimizer import AnalogOptimizer

VERSION = 1

Arrays = dict[str, NDArray[Any]]


def save(
    path: str | os.PathLike[str],
    chip: Chip,
    model: torch.nn.Module,
    optimizer: AnalogOptimizer,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Save a training, between two steps; the file is complete or not there at all.

    It is a `.npz` without pickles: tiles (of virtual arrays), controllers, digital parameters and
    buffers, learning rates, torch's random state, ids, totals and the guard's ledger.

    Args:
        path: file that is written or replaced.
        chip: the array.
        model: the converted model.
        optimizer: its optimizer.
        extra: what else belongs to the training, as JSON allows, for example the epoch.
    """
    arrays: Arrays = {"torch_random": torch.get_rng_state().numpy()}
    virtual = _shows_state(chip)
    if virtual:
        arrays |= {f"tile/{i}": state for i, state in enumerate(chip.snapshot())}
    else:
        chip.flush()
    for i, layer in enumerate(_layers(model)):
        arrays |= {f"layer/{i}/{k}": v for k, v in layer.controller.state().items()}
    arrays |= {f"model/{k}": v.cpu().numpy() for k, v in model.state_dict().items()}
    arrays |= {f"ledger/{k}": v for k, v in chip.guard.ledger.state().items()}
    totals = chip.totals
    about = {
        "version": VERSION,
        "chip_id": chip.capabilities.chip_id,
        "virtual": virtual,
        "next_id": chip.next_id,
        "next_ordinal": chip.next_ordinal,
        "totals": [totals.operations, totals.pulses, totals.ticks],
        "groups": [
            {k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups
        ],
        "extra": dict(extra or {}),
    }
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    _write(Path(path), arrays)


def load(
    path: str | os.PathLike[str],
    chip: Chip,
    model: torch.nn.Module,
    optimizer: AnalogOptimizer,
) -> dict[str, Any]:
    """Load a training into a freshly opened array and a freshly converted model.

    Args:
        path: file that `save` wrote.
        chip: the same array, opened again; a physical one is taken as it is.
        model: the same model, converted again.
        optimizer: its optimizer.

    Returns:
        `extra` of `save`.

    Raises:
        ConfigurationError: the file is no checkpoint, or one of another array or model.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        about: dict[str, Any] = json.loads(arrays["about"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ConfigurationError(f"{path} cannot be read as a checkpoint: {error}") from error
    if about["version"] > VERSION:
        raise ConfigurationError(
            f"{path} is a checkpoint of version {about['version']}, this library knows {VERSION}",
            remedy="use the newer hwloop that wrote it",
        )
    if about["chip_id"] != chip.capabilities.chip_id:
        raise ConfigurationError(
            f"{path} is a checkpoint of chip {about['chip_id']!r}, "
            f"but {chip.capabilities.chip_id!r} is connected"
        )
    layers = _layers(model)
    digital = model.state_dict()
    expected = {f"layer/{i}/{k}": v for i, x in enumerate(layers) for k, v in _state(x).items()}
    expected |= {f"model/{k}": v.cpu().numpy() for k, v in digital.items()}
    _check_fit(path, arrays, expected)

    chip.flush()
    if about["virtual"]:
        chip.restore([arrays[f"tile/{i}"] for i in range(len(chip))])
    for i, layer in enumerate(layers):
        layer.controller.load_state(_below(arrays, f"layer/{i}/"))
    model.load_state_dict({k: torch.from_numpy(v) for k, v in _below(arrays, "model/").items()})
    chip.guard.ledger.restore(_below(arrays, "ledger/"))
    chip.next_id, chip.next_ordinal = about["next_id"], about["next_ordinal"]
    chip.totals.operations, chip.totals.pulses, chip.totals.ticks = about["totals"]
    for group, saved in zip(optimizer.param_groups, about["groups"], strict=True):
        group.update(saved)
    optimizer.zero_grad()
    torch.set_rng_state(torch.from_numpy(arrays["torch_random"]))
    extra: dict[str, Any] = about["extra"]
    return extra


def _layers(model: torch.nn.Module) -> list[CrossbarLinear]:
    return [m for m in model.modules() if isinstance(m, CrossbarLinear)]


def _state(layer: CrossbarLinear) -> Arrays:
    return layer.controller.state()


def _shows_state(chip: Chip) -> bool:
    return {"snapshot", "restore"} <= chip.capabilities.operations


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _check_fit(path: str | os.PathLike[str], arrays: Arrays, expected: Arrays) -> None:
    held = {k: v for k, v in arrays.items() if k.startswith(("layer/", "model/"))}
    for name in sorted(held.keys() | expected.keys()):
        have = held[name].shape if name in held else "nothing"
        want = expected[name].shape if name in expected else "nothing"
        if have != want:
            raise ConfigurationError(
                f"{path} does not fit the model: {name} is {have} in the file, {want} in the model",
                remedy="convert the same model with the same algorithm",
            )


def _write(path: Path, arrays: Arrays) -> None:
    """Write a file under another name, then give it its own."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
