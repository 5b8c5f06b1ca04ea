"""The URL of the array that a training run opens."""

from __future__ import annotations

import os
from pathlib import Path

from hwloop import device_file
from hwloop.backend import split_url
from hwloop.errors import ConfigurationError
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.data import DATA_SETS
from hwloop.experiments.data_cifar import find_cifar
from hwloop.testing import FaultSpec

SIMULATOR = "sim"
REPLAY = "replay"


def is_simulator(url: str) -> bool:
    """Return whether a URL names a simulated array, whose address is its device file."""
    return split_url(url)[0] == SIMULATOR


def is_replay(url: str) -> bool:
    """Return whether a URL names a tape, which has what is needed of its device on it."""
    return split_url(url)[0] == REPLAY


def absolute(config: TrainConfig) -> TrainConfig:
    """Return a configuration whose files and folders are found from any working folder."""
    device, station = config.backend.device, config.backend.station
    backend = config.backend.model_copy(
        update={
            "station": None if station is None else absolute_name(station),
            "url": absolute_url(config.backend.url),
            "device": None if device is None else absolute_name(device),
        }
    )
    archive = find_cifar(config.data.source)
    source = config.data.source if archive is None else str(archive[1])
    data = config.data.model_copy(update={"source": absolute_name(source)})
    transfer = config.transfer
    if transfer is not None and transfer.cache is not None:
        cache = str(Path(transfer.cache).expanduser().absolute())
        transfer = transfer.model_copy(update={"cache": cache})
    return config.model_copy(update={"backend": backend, "data": data, "transfer": transfer})


def absolute_url(url: str) -> str:
    """Return a URL whose device file or tape, if it names one, is found from any folder."""
    scheme, address, options = split_url(url)
    files = scheme in (SIMULATOR, REPLAY)
    return _join(scheme, absolute_name(address), options) if files else url


def absolute_name(name: str) -> str:
    """Return a path as it is from the root; names of presets and data sets stay names."""
    known = (*device_file.presets(), *DATA_SETS, "")
    return name if name in known or not Path(name).exists() else str(Path(name).absolute())


def _join(scheme: str, address: str, options: dict[str, str]) -> str:
    return ",".join([f"{scheme}:{address}", *(f"{k}={v}" for k, v in options.items())])


def complete_url(
    url: str,
    *,
    device: str | None = None,
    shape: str | None = None,
    seed: int | None = None,
) -> str:
    """Return a URL in which what a simulated array can be told is filled in.

    URLs of other arrays are returned as they are.

    Args:
        url: for example `sim:reram-om`.
        device: device file in place of the one that the URL names; options of a device may follow,
            as in `reram-om,reference_std=0.5`.
        shape: shapes of the tiles, where the URL gives no `shape`.
        seed: seed of the array, where the URL gives none.
    """
    scheme, address, options = split_url(url)
    if scheme != SIMULATOR:
        return url
    if device is not None:
        _, address, changes = split_url(f"{SIMULATOR}:{device}")
        options |= changes
    if shape is not None:
        options.setdefault("shape", shape)
        # Threads change no bit of a result, so they are no part of the configuration.
        options.setdefault("threads", str(min(len(os.sched_getaffinity(0)), 8)))
    if seed is not None:
        options.setdefault("seed", str(seed))
    return _join(scheme, address, options)


def with_faults(url: str, faults: FaultSpec | None) -> str:
    """Return the URL of an array whose link has faults.

    Raises:
        ConfigurationError: there is no link to spoil.
    """
    if faults is None:
        return url
    scheme, address, options = split_url(url)
    if scheme in (SIMULATOR, REPLAY):
        raise ConfigurationError(
            f"--faults: {url} has no link on which anything could go wrong",
            remedy="use emulator:native, or an array behind serial: or zmq:",
        )
    return _join(scheme, address, {**options, "faults": faults.in_url()})
