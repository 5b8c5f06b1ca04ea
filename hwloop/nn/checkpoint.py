"""Checkpoints: everything that a training needs to go on to the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError
from hwloop.nn.layer import controllers_state, load_controllers, matrices
from hwloop.nn.optimizer import AnalogOptimizer
from hwloop.untrusted import parse_json, read_arrays

VERSION = 1

Arrays = dict[str, NDArray[Any]]


class _About(BaseModel):
    """What a checkpoint says of itself, beside its arrays."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int
    chip_id: str
    virtual: bool
    next_id: int = Field(ge=1)
    next_ordinal: int = Field(ge=1)
    totals: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=3, max_length=3)]
    groups: list[dict[str, Any]]
    extra: dict[str, Any]


def save(
    path: str | os.PathLike[str],
    chip: Chip,
    model: torch.nn.Module,
    optimizer: AnalogOptimizer,
    extra: Mapping[str, Any] | None = None,
    more: Mapping[str, NDArray[Any]] | None = None,
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
        more: further arrays, which `load` leaves alone.
    """
    chosen = matrices(model)
    if any(matrix.chip is not chip for matrix in chosen):
        raise ConfigurationError(
            "the model is on several arrays, a checkpoint holds one",
            remedy="keep model.state_dict(), which holds the state of all of them",
        )
    arrays: Arrays = {"torch_random": torch.get_rng_state().numpy()}
    virtual = _shows_state(chip)
    if virtual:
        arrays |= {f"tile/{i}": state for i, state in enumerate(chip.snapshot())}
    else:
        chip.flush()
    arrays |= {f"layer/{k}": v for k, v in controllers_state(chosen).items()}
    arrays |= {f"model/{k}": v.detach().cpu().numpy() for k, v in _digital(model).items()}
    arrays |= {f"optimizer/{k}": v for k, v in _momenta(optimizer).items()}
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
    arrays |= more or {}
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
    arrays = read_arrays(path)
    about = _about(path, arrays)
    if about.chip_id != chip.capabilities.chip_id:
        raise ConfigurationError(
            f"{path} is a checkpoint of chip {about.chip_id!r}, "
            f"but {chip.capabilities.chip_id!r} is connected"
        )
    chosen = matrices(model)
    expected = {f"layer/{k}": v for k, v in controllers_state(chosen).items()}
    expected |= {f"model/{k}": v.detach().cpu().numpy() for k, v in _digital(model).items()}
    expected |= {f"ledger/{k}": v for k, v in chip.guard.ledger.state().items()}
    expected["torch_random"] = torch.get_rng_state().numpy()
    if about.virtual:
        for i, tile in enumerate(chip.capabilities.tiles):
            shape = (tile.state_words, tile.rows, tile.cols)
            expected[f"tile/{i}"] = np.broadcast_to(np.uint32(0), shape)
    _check_fit(path, arrays, expected)

    chip.flush()
    if about.virtual:
        chip.restore([arrays[f"tile/{i}"] for i in range(len(chip))])
    load_controllers(chosen, _below(arrays, "layer/"))
    saved = _below(arrays, "model/")
    with torch.no_grad():
        for name, tensor in _digital(model).items():
            tensor.copy_(torch.from_numpy(saved[name]))
    chip.guard.ledger.restore(_below(arrays, "ledger/"))
    # Ids rise also where what follows the checkpoint has been executed before; noise repeats.
    chip.next_id = max(chip.next_id, about.next_id)
    chip.next_ordinal = about.next_ordinal
    chip.totals.operations, chip.totals.pulses, chip.totals.ticks = about.totals
    for group, rates in zip(optimizer.param_groups, about.groups, strict=True):
        # JSON has no tuples, which some optimizers' options are.
        group.update({k: tuple(v) if isinstance(v, list) else v for k, v in rates.items()})
    _load_momenta(optimizer, _below(arrays, "optimizer/"))
    optimizer.zero_grad()
    torch.set_rng_state(torch.from_numpy(arrays["torch_random"]))
    return about.extra


def _digital(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and persistent buffers: `state_dict` without the state of arrays."""
    return {
        f"{path}.{name}".lstrip("."): tensor
        for path, module in model.named_modules()
        for name, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None and name not in module._non_persistent_buffers_set
    }


def _momenta(optimizer: AnalogOptimizer) -> Arrays:
    """Return what the digital optimizer remembers, such as momenta."""
    arrays: Arrays = {}
    for i, parameter in enumerate(_parameters(optimizer)):
        state = {} if optimizer.digital is None else optimizer.digital.state.get(parameter, {})
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                arrays[f"{i}/{name}"] = value.detach().cpu().numpy()
            elif isinstance(value, int | float):
                arrays[f"{i}/{name}"] = np.array(value)
            elif value is not None:
                raise ConfigurationError(
                    f"a checkpoint cannot hold {name} of {type(optimizer.digital).__name__}",
                    remedy="keep optimizer.state_dict() and model.state_dict()",
                )
    return arrays


def _load_momenta(optimizer: AnalogOptimizer, arrays: Arrays) -> None:
    for i, parameter in enumerate(_parameters(optimizer)):
        own = _below(arrays, f"{i}/")
        if own and optimizer.digital is not None:
            optimizer.digital.state[parameter] = {
                name: torch.from_numpy(np.array(value)) for name, value in own.items()
            }


def _parameters(optimizer: AnalogOptimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups[1:] for p in group["params"]]


def _shows_state(chip: Chip) -> bool:
    return {"snapshot", "restore"} <= chip.capabilities.operations


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _about(path: str | os.PathLike[str], arrays: Arrays) -> _About:
    """Return what a checkpoint says of itself."""
    raw = arrays.get("about")
    if raw is None:
        raise ConfigurationError(f"{path} is no checkpoint: it lacks the array 'about'")
    content = parse_json(raw.tobytes(), f"{path}: about")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ConfigurationError(
            f"{path} is a checkpoint of version {version}, this library knows {VERSION}",
            remedy="use the newer hwloop that wrote it",
        )
    try:
        return _About.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{path}: about.{where}: {first['msg']}") from error


_FITTING = ("layer/", "model/", "ledger/", "tile/", "torch_random")


def _check_fit(path: str | os.PathLike[str], arrays: Arrays, expected: Arrays) -> None:
    held = {k: v for k, v in arrays.items() if k.startswith(_FITTING)}
    for name in sorted(held.keys() | expected.keys()):
        have = _kind(held[name]) if name in held else "nothing"
        want = _kind(expected[name]) if name in expected else "nothing"
        if have != want:
            raise ConfigurationError(
                f"{path} does not fit the model: {name} is {have} in the file, {want} in the model",
                remedy="convert the same model with the same algorithm",
            )


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _write(path: Path, arrays: Arrays) -> None:
    """Write a file under another name, then give it its own."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
