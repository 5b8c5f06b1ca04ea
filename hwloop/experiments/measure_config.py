"""The configuration of a measuring run: the array, its cells, and the plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwloop.capabilities import Capabilities, Limits
from hwloop.characterization.plans import PLANS, Plan, make_plan
from hwloop.device_file.explain import nearest, short
from hwloop.device_file.text import parse
from hwloop.errors import ConfigurationError
from hwloop.procedures.cells import Cells, LineChoice, choose_cells

Lines = str | int | tuple[int, ...] | None
"""Lines of an axis: `0:4`, a number, a list of numbers; None is every line."""

Pair = tuple[int, int]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MeasureConfig(_Section):
    """Everything that determines a measuring run.

    Attributes:
        backend: URL of the array.
        device: name or path of a device file, in place of the one that the URL names.
        station: path of the station file of the bench, with its limits.
        limits: further limits; the tightest of all holds.
        lowerings: names of lowerings that build missing capabilities.
        tile: index of the tile.
        rows, cols: lines of the block of cells, as `0:4`, a number or a list; every line by
            default.
        cells: pairs of row and column, in place of a block.
        plans: the plans in order; each has its name as `plan`, and parameters.
        report: whether `report.html` is made.
    """

    backend: str = "sim:reram-om"
    device: str | None = None
    station: str | None = None
    limits: Limits = Limits()
    lowerings: tuple[str, ...] = ()
    tile: int = Field(default=0, ge=0)
    rows: Lines = None
    cols: Lines = None
    cells: tuple[Pair, ...] | None = None
    plans: tuple[dict[str, Any], ...] = Field(min_length=1)
    report: bool = True

    def made_plans(self, where: str = "") -> list[Plan]:
        """Return the plans.

        Raises:
            ConfigurationError: no such plan or parameter, or a value that it cannot have.
        """
        made = []
        for number, entry in enumerate(self.plans, start=1):
            place = f"{where}: plans, entry {number}" if where else ""
            if not isinstance(entry.get("plan"), str):
                raise ConfigurationError(
                    f"{place or 'plans'}: names no plan", remedy=f"plan: {', '.join(PLANS)}"
                )
            parameters = {key: value for key, value in entry.items() if key != "plan"}
            made.append(make_plan(entry["plan"], parameters, place))
        return made

    def chosen_cells(self, chip: Capabilities) -> Cells:
        """Return the cells that are measured.

        Raises:
            ConfigurationError: there are no such.
        """
        if self.tile >= len(chip.tiles):
            raise ConfigurationError(
                f"tile {self.tile} does not exist: {chip.name} has {len(chip.tiles)}"
            )
        tile = chip.tiles[self.tile]
        rows, cols = line_choice("rows", self.rows), line_choice("cols", self.cols)
        return choose_cells(tile, self.tile, rows=rows, cols=cols, cells=self.cells)


def line_choice(name: str, lines: Lines) -> LineChoice:
    """Return lines as `choose_cells` takes them.

    Raises:
        ConfigurationError: the text is no range, number or list.
    """
    if not isinstance(lines, str):
        return None if lines is None else lines
    try:
        if ":" in lines:
            parts = [int(part) if part.strip() else None for part in lines.split(":")]
            if len(parts) <= 3:
                return slice(*parts)
        else:
            return [int(part) for part in lines.split(",")]
    except ValueError:
        pass
    raise ConfigurationError(
        f"{name}: {lines!r} names no lines", remedy="write for example 0:4, 7 or 0,3,5"
    )


def parse_cells(text: str) -> tuple[Pair, ...]:
    """Return the pairs of `0,0;3,5`.

    Raises:
        ConfigurationError: the text is no list of pairs.
    """
    try:
        pairs = [tuple(int(n) for n in pair.split(",")) for pair in text.split(";") if pair.strip()]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ConfigurationError(
            f"cells: {text!r} names no cells", remedy="write row,col pairs as 0,0;3,5"
        )
    return tuple((pair[0], pair[1]) for pair in pairs)


def load_measure_config(
    what: str | Path, assignments: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> MeasureConfig:
    """Return the configuration of a run: a plan by its name, or a file of plans.

    Args:
        what: name of a plan, or path of a YAML file.
        assignments: `key=value`, a parameter of the plan; with a file `plan.key=value`, one of all
            plans of this name.
        flags: fields of the configuration that replace those of the file.

    Raises:
        ConfigurationError: what is wrong.
    """
    name = str(what)
    file = name.endswith((".yaml", ".yml"))
    if file:
        content = _read(Path(name))
    elif name in PLANS:
        content = {"plans": [{"plan": name}]}
    else:
        near = nearest(name, PLANS)
        raise ConfigurationError(
            f"{name!r} is neither a plan nor a YAML file of plans",
            remedy=f"did you mean {near}?" if near else f"plans: {', '.join(PLANS)}",
        )
    content = {**content, **(flags or {})}
    where = name if file else ""
    try:
        config = MeasureConfig.model_validate(content)
        plans = [dict(entry) for entry in config.plans]
        _assign(plans, assignments, file)
        config = config.model_copy(update={"plans": tuple(plans)})
    except ValidationError as error:
        raise _explain(error, where) from None
    config.made_plans(where)
    return config


def dump_measure_config(config: MeasureConfig) -> str:
    """Return a configuration as YAML that `load_measure_config` reads."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True), sort_keys=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"{path}: should be a mapping with a list of plans")
    return loaded


def _assign(plans: list[dict[str, Any]], assignments: Sequence[str], file: bool) -> None:
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigurationError(
                f"--set {text!r} is not key=value", remedy="write for example pulses=200"
            )
        try:
            parsed = parse(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--set {text!r}: the value is not YAML") from error
        if isinstance(parsed, str) and "," in parsed:
            parsed = [parse(part) for part in parsed.split(",")]
        name, dot, parameter = key.strip().partition(".")
        chosen = [plan for plan in plans if not dot or plan["plan"] == name]
        if (file and not dot) or not chosen:
            names = ", ".join(dict.fromkeys(str(plan["plan"]) for plan in plans))
            raise ConfigurationError(
                f"--set {text!r} names no plan of the file",
                remedy=f"write plan.key=value with one of {names}",
            )
        for plan in chosen:
            plan[parameter if dot else name] = parsed


def _explain(error: ValidationError, where: str) -> ConfigurationError:
    known = list(MeasureConfig.model_fields)
    lines, remedy = [], f"fields: {', '.join(known)}"
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"][:2])
        what = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if problem["type"] == "extra_forbidden":
            near = nearest(key, known)
            what, remedy = "unknown key", f"did you mean {near}?" if near else remedy
        elif problem["type"] != "missing":
            what = f"is {short(problem['input'])}, {what}"
        lines.append(f"{where}: {key}: {what}" if where else f"{key}: {what}")
    return ConfigurationError("\n".join(dict.fromkeys(lines)), remedy=remedy)
