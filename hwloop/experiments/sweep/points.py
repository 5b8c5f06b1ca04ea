"""The points of a study: their settings, their configurations, and what identifies them."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from hwloop.backend import split_url
from hwloop.errors import ConfigurationError
from hwloop.experiments.address import SIMULATOR, absolute
from hwloop.experiments.config import DEFAULT_ALGORITHM, TrainConfig, load_config
from hwloop.experiments.network_config import DEFAULT_KIND
from hwloop.experiments.sweep.study import ARRAY, CASE, SEED, Draw, Study
from hwloop.random import host_generator

Settings = dict[str, JsonValue]
"""Values by dotted keys."""

SIGNIFICANT_DIGITS = 6
"""Digits of a drawn value, so that a table shows the value that was used."""

FORMS = (("algorithm", "name", DEFAULT_ALGORITHM), ("network", "kind", DEFAULT_KIND))
"""Sections whose keys depend on one of them, that key, and its usual value."""

MOST_PROBLEMS = 5
HASH_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Point:
    """One training run of a study.

    Attributes:
        hash: what identifies it: equal for equal runs, in this study and in any other.
        settings: what tells it from the other points, seed included.
        config: its configuration.
    """

    hash: str
    settings: Mapping[str, JsonValue]
    config: TrainConfig

    @property
    def text(self) -> str:
        """Its settings on one line."""
        return describe(self.settings)


def points_of(
    study: Study, where: str, changes: Mapping[str, JsonValue] | None = None
) -> list[Point]:
    """Return the points of a study, one seed after the other, each once.

    Args:
        study: the study.
        where: name of the study in messages.
        changes: settings in place of those of the base, by dotted keys.

    Raises:
        ConfigurationError: unknown keys or values that do not fit, of any point.
    """
    base = {**flat(study.base), **(changes or {})}
    for key in changes or {}:
        if any(key == varied or _overlap(key, varied) for axis in study.axes() for varied in axis):
            raise ConfigurationError(
                f"{where}: --set {key}: the study varies it",
                remedy=f"choose some of its points with --only {key}=VALUE",
            )
    found: dict[str, Point] = {}
    problems: dict[str, str] = {}
    for labels, settings in combinations(study):
        try:
            config = configuration(base, settings)
        except ConfigurationError as error:
            for line in error.message.splitlines():
                problems.setdefault(line.removeprefix("command line: "), error.remedy)
            continue
        point = Point(identity(config), labels, config)
        found.setdefault(point.hash, point)
    if problems:
        lines = [f"{where}: {problem}" for problem in list(problems)[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            lines.append(f"{where}: and {len(problems) - MOST_PROBLEMS} more problems")
        raise ConfigurationError("\n".join(lines), remedy=next(iter(problems.values())))
    return list(found.values())


def combinations(study: Study) -> Iterator[tuple[Settings, Settings]]:
    """Yield labels and settings of every combination, one seed after the other."""
    axes: list[list[tuple[Settings, Settings]]] = [[({SEED: s}, {SEED: s}) for s in study.seeds]]
    axes += [[({key: v}, {key: v}) for v in values] for key, values in study.grid.items()]
    for group in study.zip:
        axes.append([(row, row) for row in _rows(group)])
    if study.cases:
        axes.append([({CASE: name}, settings) for name, settings in study.cases.items()])
    if study.random is not None:
        random = study.random
        columns = {
            key: drawn(draw, random.points, random.seed, key)
            for key, draw in random.settings.items()
        }
        axes.append([(place, place) for place in _rows(columns)])
    for choice in itertools.product(*axes):
        labels = _joined(labels for labels, _ in choice)
        settings = _joined(settings for _, settings in choice)
        seed = labels.pop(SEED)
        yield {**labels, SEED: seed}, settings


def drawn(draw: Draw, points: int, seed: int, key: str) -> list[JsonValue]:
    """Return the values of a key at random places; those of fewer points are the first of them."""
    shares = host_generator(seed, f"sweep of {key}").random(points)
    if draw.choice is not None:
        return [draw.choice[int(share * len(draw.choice))] for share in shares]
    if draw.uniform is not None:
        low, high = draw.uniform
        values = [low + (high - low) * share for share in shares]
    else:
        assert draw.log_uniform is not None
        low, high = (math.log(limit) for limit in draw.log_uniform)
        values = [math.exp(low + (high - low) * share) for share in shares]
    return [float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values]


def configuration(base: Settings, settings: Settings) -> TrainConfig:
    """Return the configuration of a point: the base, and above it the point's own settings.

    Options of the base's algorithm are left out where the point has another one, and so are those
    of its network.

    Raises:
        ConfigurationError: an unknown key or a value that does not fit.
    """
    own = flat(settings)
    for section, form, usual in FORMS:
        key = f"{section}.{form}"
        if key in own and own[key] != base.get(key, usual):
            base = {name: v for name, v in base.items() if not name.startswith(f"{section}.")}
    merged = {**base, **own}
    options = {
        key.removeprefix(f"{ARRAY}."): merged.pop(key)
        for key in list(merged)
        if key.startswith(f"{ARRAY}.")
    }
    config = load_config(flags=merged)
    return absolute(with_array_options(config, options) if options else config)


def with_array_options(
    config: TrainConfig, options: Mapping[str, JsonValue], *, missing_only: bool = False
) -> TrainConfig:
    """Return a configuration whose array has options in place of those that its URL names.

    Args:
        config: the configuration.
        options: options of the URL; None takes one away.
        missing_only: whether options that the URL names stay.
    """
    scheme, address, present = split_url(config.backend.url)
    device = config.backend.device
    texts = {name: _option(name, value) for name, value in options.items()}
    if device is not None and scheme == SIMULATOR:  # its options would win over those of the URL
        _, name, of_device = split_url(f"{SIMULATOR}:{device}")
        if not missing_only:
            of_device = {key: value for key, value in of_device.items() if key not in texts}
        device = ",".join([name, *(f"{key}={value}" for key, value in of_device.items())])
    merged = {**texts, **present} if missing_only else {**present, **texts}
    pairs = [f"{name}={value}" for name, value in merged.items() if value is not None]
    url = ",".join([f"{scheme}:{address}", *pairs])
    backend = config.backend.model_copy(update={"url": url, "device": device})
    return config.model_copy(update={"backend": backend})


def identity(config: TrainConfig) -> str:
    """Return what identifies a run: the hash of everything that determines its result.

    Device files count by what is in them, and what is written beside the result does not count.
    Settings that are not given do not count either, so that new ones leave old runs as they are.
    """
    content = config.model_dump(mode="json", exclude={"report"})
    backend = content["backend"]
    scheme, address, options = split_url(backend["url"])
    if scheme == SIMULATOR:
        backend["url"] = [scheme, _content(address), sorted(options.items())]
    if backend["device"] is not None:
        _, name, options = split_url(f"{SIMULATOR}:{backend['device']}")
        backend["device"] = [_content(name), sorted(options.items())]
    text = json.dumps(_given(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def flat(settings: Mapping[str, JsonValue], prefix: str = "") -> Settings:
    """Return nested settings by dotted keys."""
    found: Settings = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def describe(settings: Mapping[str, JsonValue]) -> str:
    """Return settings on one line."""
    return ", ".join(f"{key}={plain(value)}" for key, value in settings.items())


def plain(value: object) -> str:
    """Return a setting as it is written in a study file."""
    return value if isinstance(value, str) else json.dumps(value)


def _overlap(one: str, other: str) -> bool:
    return one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _rows(columns: Mapping[str, Sequence[JsonValue]]) -> list[Settings]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _joined(parts: Iterator[Settings]) -> Settings:
    return {key: value for part in parts for key, value in part.items()}


def _option(name: str, value: JsonValue) -> str | None:
    if value is None:
        return None
    text = plain(value)
    if not text or (isinstance(value, Sequence | Mapping) and not isinstance(value, str)):
        raise ConfigurationError(f"{ARRAY}.{name}: {text} is no option of an array")
    if any(sign in text or sign in name for sign in ",="):
        raise ConfigurationError(f"{ARRAY}.{name}: {text} has a comma or a = in it")
    return text


def _content(name: str) -> str:
    """Return a device's name, or the hash of what is in its file."""
    path = Path(name)
    if not path.is_absolute() or not path.is_file():
        return name
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def _given(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _given(value) for key, value in content.items() if value is not None}
    return content
