"""Pre-training in float, whose weights are kept for the next run that needs the same ones."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hwloop.errors import ConfigurationError
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.dataset import Dataset
from hwloop.experiments.swin import pretrain
from hwloop.experiments.transfer_config import Transfer
from hwloop.experiments.versions import versions
from hwloop.untrusted import read_arrays

EPOCHS_PER_NOTE = 5


def pretrain_cached(
    net: nn.Module, data: Dataset, config: TrainConfig, note: Callable[[str], None]
) -> str:
    """Give a network the weights of its pre-training: kept ones, or those of a training now.

    The name of the kept file is the hash of all that determines them: network, initial weights,
    samples and their order, settings, versions of the libraries.

    Args:
        net: the network, with its initial weights.
        data: what it is pre-trained on.
        config: the configuration.
        note: is told how it goes on.

    Returns:
        SHA-256 over the weights.

    Raises:
        ConfigurationError: the folder of the kept weights cannot be written.
    """
    transfer = config.transfer
    assert transfer is not None
    path = cache_folder(transfer.cache) / f"{_identity(data, config, transfer)}.npz"
    if not _take(net, path):
        note(f"pre-training on {data.name}, {len(data.x_train)} samples, {transfer.epochs} epochs")

        def told(epoch: int, loss: float) -> None:
            if epoch % EPOCHS_PER_NOTE == 0:
                note(f"pre-training: epoch {epoch} of {transfer.epochs}, loss {loss:.4f}")

        pretrain(
            net,
            torch.from_numpy(data.x_train),
            torch.from_numpy(data.y_train),
            epochs=transfer.epochs,
            batch=transfer.batch,
            lr=transfer.lr,
            seed=config.seed,
            progress=told,
        )
        _keep(net, path)
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def cache_folder(named: str | None) -> Path:
    """Return the folder of pre-trained weights: the one named, or that of the user's cache."""
    if named is not None:
        return Path(named).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "hwloop" / "pretrained"


def _identity(data: Dataset, config: TrainConfig, transfer: Transfer) -> str:
    content = {
        "network": config.network.model_dump(mode="json"),
        "seed": config.seed,
        "data": data.fingerprint(),
        "classes": len(data.classes),
        "image": data.image,
        "pretraining": transfer.model_dump(mode="json", include={"epochs", "batch", "lr"}),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _take(net: nn.Module, path: Path) -> bool:
    """Load kept weights; return whether there are any that fit. Damaged ones are made anew."""
    try:
        state = {name: torch.from_numpy(array) for name, array in read_arrays(path).items()}
        net.load_state_dict(state)
    except (ConfigurationError, TypeError, RuntimeError):  # no file, no numbers, another network
        return False
    net.eval()
    return True


def _keep(net: nn.Module, path: Path) -> None:
    """Write weights; other processes find all of them or nothing."""
    partial: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=".partial-", suffix=".npz", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path.parent} cannot be written: {error.strerror or error}",
            remedy="name a folder for pre-trained weights: transfer.cache=FOLDER",
        ) from error
