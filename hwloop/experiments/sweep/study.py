"""What a study file says: what all points share, what varies, and what is looked at."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from hwloop.device_file.models import Frozen

SEED = "seed"
CASE = "case"
ARRAY = "array"
"""Section whose keys are options of the array's URL."""

MOST_POINTS = 20_000

Scale = Literal["linear", "log", "symlog"]
Values = Annotated[tuple[JsonValue, ...], Field(min_length=1)]
Keys = Annotated[dict[str, Values], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Entry(Frozen):
    """Base of everything in a study file: immutable, no unknown keys, names in both spellings."""

    model_config = ConfigDict(populate_by_name=True)


class Draw(Entry):
    """How a value is drawn; one of the three is given.

    Attributes:
        uniform: lowest and highest value.
        log_uniform: the same, drawn evenly in the logarithm; written `log-uniform`.
        choice: values that are equally likely.
    """

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = Field(default=None, alias="log-uniform")
    choice: Values | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Draw:
        given = [v for v in (self.uniform, self.log_uniform, self.choice) if v is not None]
        if len(given) != 1:
            raise ValueError("should have one of uniform, log-uniform, choice")
        for limits in (self.uniform, self.log_uniform):
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError("the lowest value should come first, the highest second")
        if self.log_uniform is not None and not self.log_uniform[0] > 0:
            raise ValueError("log-uniform values should be above 0")
        return self


class Random(Entry):
    """Points at random places.

    Attributes:
        points: how many.
        seed: seed of the places; more points of the same seed keep those that were there.
        settings: how the value of each dotted key is drawn.
    """

    points: int = Field(ge=1, le=MOST_POINTS)
    seed: Seed = 1
    settings: dict[str, Draw] = Field(min_length=1)


class Plot(Entry):
    """A picture: one metric over one key, with the standard error of the seeds.

    Attributes:
        x: varied key of the abscissa.
        y: metric of the ordinate.
        curves: varied keys; each combination of their values is a curve of its own.
        name: name of the PNG file, without its ending; made of `y` and `x` by default.
        title: what is written above it.
        x_label, y_label: names of the axes; the keys by default.
        x_scale, y_scale: `linear`, `log`, or `symlog`.
    """

    x: str
    y: str = "test_accuracy"
    curves: tuple[str, ...] = ()
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    x_label: str | None = None
    y_label: str | None = None
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"

    @field_validator("curves", mode="before")
    @classmethod
    def _one_key_or_several(cls, curves: Any) -> Any:
        return (curves,) if isinstance(curves, str) else curves

    @property
    def file(self) -> str:
        """Name of the picture."""
        return f"{self.name or f'{self.y}-over-{self.x}'}.png"


class Study(Entry):
    """A study: training runs that share a base and differ in what is varied.

    The points are all combinations of the values of `grid`, the rows of each group of `zip`, the
    `cases`, the places of `random`, and the `seeds`.

    Attributes:
        name: its name.
        description: what it asks.
        base: settings of all points, as in the configuration of a training run.
        grid: values by dotted keys, every one combined with every other.
        zip: groups of dotted keys whose values vary together; their lists are equally long.
        cases: named sets of settings, for what has options of its own, such as algorithms.
        random: random places.
        seeds: seeds of each point; a count stands for 1, 2, and so on.
        metrics: keys of `summary.json` that go into tables.
        plots: pictures.
        keep_tapes: whether tapes and checkpoints of finished points are kept.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")
    description: str = ""
    base: dict[str, JsonValue] = Field(default_factory=dict)
    grid: Keys = Field(default_factory=dict)
    zip: tuple[Keys, ...] = ()
    cases: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    random: Random | None = None
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (1,)
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "test_accuracy",
        "float_test_accuracy",
    )
    plots: tuple[Plot, ...] = ()
    keep_tapes: bool = False

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_of_seeds(cls, seeds: Any) -> Any:
        whole = isinstance(seeds, int) and not isinstance(seeds, bool)
        return tuple(range(1, seeds + 1)) if whole and seeds <= MOST_POINTS else seeds

    @field_validator("zip", mode="before")
    @classmethod
    def _one_group_or_several(cls, groups: Any) -> Any:
        return (groups,) if isinstance(groups, Mapping) else groups

    @field_validator("zip")
    @classmethod
    def _equally_long(cls, groups: tuple[dict[str, Any], ...]) -> Any:
        for group in groups:
            if len({len(values) for values in group.values()}) > 1:
                lengths = ", ".join(f"{key} has {len(values)}" for key, values in group.items())
                raise ValueError(f"keys that vary together should have as many values: {lengths}")
        return groups

    @field_validator("grid")
    @classmethod
    def _each_value_once(cls, grid: dict[str, tuple[Any, ...]]) -> Any:
        for key, values in grid.items():
            _refuse_twins(key, values)
        return grid

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, seeds: tuple[int, ...]) -> Any:
        _refuse_twins(SEED, seeds)
        return seeds

    @model_validator(mode="after")
    def _keys_make_sense(self) -> Study:
        keys = [key for keys in self.axes() for key in keys]
        if not keys and not self.cases and len(self.seeds) == 1:
            raise ValueError("varies nothing: give grid, zip, cases, random, or several seeds")
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{key} is varied in two places")
            inside = [other for other in keys if other.startswith(f"{key}.")]
            if inside:
                raise ValueError(f"{inside[0]} lies inside {key}, which varies too")
        if any(key == SEED or key.startswith(f"{SEED}.") for key in [*keys, *self.base]):
            raise ValueError("seed is no setting of a study: give seeds, a list or a count")
        if self.size > MOST_POINTS:
            raise ValueError(f"has {self.size} points, more than {MOST_POINTS}")
        for plot in self.plots:
            self._check_plot(plot)
        files = [plot.file for plot in self.plots]
        if len(set(files)) < len(files):
            raise ValueError("two plots have the same name: give them names")
        return self

    def axes(self) -> Iterator[tuple[str, ...]]:
        """Yield the keys that vary, those that vary together at a time; without cases and seeds."""
        yield from ((key,) for key in self.grid)
        yield from (tuple(group) for group in self.zip)
        if self.cases:
            yield tuple(dict.fromkeys(key for case in self.cases.values() for key in case))
        if self.random is not None:
            yield tuple(self.random.settings)

    @property
    def labels(self) -> tuple[str, ...]:
        """What tells points apart, as columns of a table: varied keys and `case`, but the seed."""
        keys = [*self.grid, *(key for group in self.zip for key in group)]
        if self.cases:
            keys.append(CASE)
        return (*keys, *(self.random.settings if self.random is not None else ()))

    @property
    def size(self) -> int:
        """Number of points, if no two are the same."""
        lengths = [len(values) for values in self.grid.values()]
        lengths += [len(next(iter(group.values()))) for group in self.zip]
        lengths += [len(self.cases) or 1, len(self.seeds)]
        lengths.append(1 if self.random is None else self.random.points)
        return math.prod(lengths)

    def _check_plot(self, plot: Plot) -> None:
        known = ", ".join(self.labels)
        for key in (plot.x, *plot.curves):
            if key not in self.labels:
                raise ValueError(f"plots: {key} does not vary; these do: {known}")
        if self.random is not None:
            return  # every place is a dot of its own
        shown = {plot.x, *plot.curves}
        groups = [{key} for key in self.grid] + [set(group) for group in self.zip]
        groups += [{CASE}] if self.cases else []
        for group in groups:
            values = {len(self.grid[key]) for key in group if key in self.grid}
            if not group & shown and values != {1}:
                raise ValueError(
                    f"plots: points that differ in {' and '.join(sorted(group))} would fall "
                    "together; add it to curves"
                )


def _refuse_twins(key: str, values: tuple[Any, ...]) -> None:
    seen: set[str] = set()
    for value in values:
        text = json.dumps(value, sort_keys=True)
        if text in seen:
            raise ValueError(f"{key} has the value {text} twice")
        seen.add(text)
