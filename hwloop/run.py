"""A run, finished or interrupted, as its folder shows it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hwloop.capabilities import Capabilities
from hwloop.device_file.text import parse
from hwloop.errors import ConfigurationError
from hwloop.tape import Tape
from hwloop.tape.stream import FILE
from hwloop.untrusted import parse_json

CONFIG = "config.yaml"
CHIP = "chip.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
REPORT = "report.html"
TAPE = FILE


def load_run(folder: str | Path) -> Run:
    """Open the folder of a run.

    Args:
        folder: for example `runs/7`.

    Raises:
        ConfigurationError: the folder holds no run.
    """
    path = Path(folder)
    if not (path / CONFIG).is_file():
        known = sorted((p.parent for p in path.glob(f"*/{CONFIG}")), key=lambda p: p.name)
        remedy = (
            f"name one of {', '.join(map(str, known))}" if known else "name the folder of a run"
        )
        raise ConfigurationError(f"{path} is not a run: it holds no {CONFIG}", remedy=remedy)
    return Run(path)


class Run:
    """The folder of a run; everything is read when it is asked for.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        state = "complete" if self.complete else "not complete"
        return f"<Run {self.folder}: {state}>"

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return (self.folder / SUMMARY).is_file()

    @property
    def command(self) -> str:
        """The command that made the run."""
        return "hwloop device measure" if "plans" in self.config else "hwloop train"

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as it reruns the run: `hwloop train runs/7/config.yaml`."""
        path = self.folder / CONFIG
        try:
            loaded = parse(self._text(CONFIG))
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{path} is not YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigurationError(f"{path} holds no mapping")
        return loaded

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics; `kind` is `batch` or `epoch`. A torn last one is left out."""
        rows: list[dict[str, Any]] = []
        for line in self._text(METRICS).splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            rows.append(parse_json(line, f"{self.folder / METRICS}, row {len(rows) + 1}"))
        return rows

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The rows of metrics that close an epoch."""
        return [row for row in self.metrics if row["kind"] == "epoch"]

    @property
    def summary(self) -> dict[str, Any]:
        """What came out of the run.

        Raises:
            ConfigurationError: the run is not complete.
        """
        if not self.complete:
            raise ConfigurationError(
                f"{self.folder} is not complete: it holds no {SUMMARY}",
                remedy=f"{self.command} --resume {self.folder}",
            )
        return parse_json(self._text(SUMMARY), str(self.folder / SUMMARY))

    @property
    def chip(self) -> Capabilities:
        """What the array was able to do."""
        try:
            return Capabilities.model_validate_json(self._text(CHIP))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigurationError(f"{self.folder / CHIP}: {where}: {first['msg']}") from error

    @property
    def tape_path(self) -> Path:
        """The file of the tape."""
        return self.folder / TAPE

    @property
    def report(self) -> Path | None:
        """The report, if there is one."""
        path = self.folder / REPORT
        return path if path.is_file() else None

    @cached_property
    def tape(self) -> Tape:
        """Operations with their results: `run.tape[10:20]`."""
        return Tape(self.tape_path)

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return sorted((self.folder / CHECKPOINTS).glob("batch-*.npz"))

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(f"{self.folder / name} cannot be read: {why}") from error
