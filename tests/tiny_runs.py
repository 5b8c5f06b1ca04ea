"""Training runs of a second, for the tests of everything that reads or writes run folders."""

import subprocess
import sys
from pathlib import Path

from hwloop.experiments.config import TrainConfig, load_config

SETTINGS = {
    "data.source": "digits",
    "network.hidden": [8],
    "algorithm.name": "c-ttv2",
    "algorithm.n_s": 12,
    "schedule.epochs": 2,
    "schedule.batch": 72,
    "schedule.checkpoint_batches": 8,
    "report.every": 4,
    "report.html": False,
}
"""Two epochs of 20 batches, with checkpoints behind the batches 8, 16, 20, 24, 32 and 40."""

BATCHES = 40


def tiny(**changes: object) -> TrainConfig:
    """Return the configuration of a tiny run; `schedule__epochs=3` changes `schedule.epochs`."""
    return load_config(flags=_settings(changes))


def arguments(**changes: object) -> list[str]:
    """Return the arguments of `hwloop train` for a tiny run."""
    pairs = [f"{key}={_yaml(value)}" for key, value in _settings(changes).items()]
    return ["train", *(word for pair in pairs for word in ("--set", pair))]


def hwloop(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(command(*words), capture_output=True, text=True, **options)  # type: ignore[call-overload]


def command(*words: str | Path) -> list[str]:
    """Return how the command line is started."""
    start = "import sys; from hwloop.cli import main; sys.exit(main())"
    return [sys.executable, "-c", start, *map(str, words)]


def _settings(changes: dict[str, object]) -> dict[str, object]:
    settings = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    if settings["algorithm.name"] != SETTINGS["algorithm.name"]:
        del settings["algorithm.n_s"]
    if "network.kind" in changes or "network__kind" in changes:
        del settings["network.hidden"]
    return settings


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
