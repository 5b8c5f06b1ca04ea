"""Study files: found, read, and explained where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from hwloop.device_file.explain import nearest, short
from hwloop.device_file.text import dump, parse
from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep.study import Draw, Plot, Random, Study

_MODELS: dict[str, type[BaseModel]] = {"plots": Plot, "random": Random, "settings": Draw}
LARGEST_FILE = 1 << 20
GUIDE = "docs/tutorials/sweep.md lists all keys of a study file"


def shipped() -> dict[str, Path]:
    """Return the studies that come with the package, by name."""
    folder = Path(str(resources.files("hwloop.experiments") / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_study(name: str) -> Path:
    """Return the file of a study.

    Args:
        name: a path, or the name of a shipped study.

    Raises:
        ConfigurationError: there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    known = shipped()
    if name in known:
        return known[name]
    near = nearest(name, known)
    raise ConfigurationError(
        f"{name}: neither a file nor the name of a study",
        remedy=(f"did you mean {near}? " if near else "")
        + f"shipped studies: {', '.join(known) or '-'}",
    )


def load_study(path: str | Path) -> Study:
    """Return the study of a file, or a shipped one by its name.

    Raises:
        ConfigurationError: it is no study; file, line, value and remedy are named.
    """
    file = find_study(str(path))
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ConfigurationError(f"{file} is larger than a study file: {LARGEST_FILE} bytes")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as text: {error}") from error
    return parse_study(text, str(file))


def parse_study(text: str, where: str) -> Study:
    """Return the study that a text describes.

    Args:
        text: YAML or JSON.
        where: name of the text in messages.

    Raises:
        ConfigurationError: it is no study.
    """
    try:
        content = parse(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{where}: is not YAML: {error or 'too deep'}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{where}: should be a mapping with a name", remedy=GUIDE)
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise _explain(error, text, where) from None


def dump_study(study: Study) -> str:
    """Return a study as YAML that `parse_study` reads."""
    return dump(study.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def _explain(error: ValidationError, text: str, where: str) -> ConfigurationError:
    lines, remedy = [], GUIDE
    for problem in error.errors(include_url=False):
        place = [part for part in problem["loc"] if not _is_kind_of_value(part)]
        key = ".".join(map(str, place))
        line = _line_of(text, place)
        what = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if problem["type"] == "extra_forbidden":
            what = "unknown key"
            known = _keys_beside(place)
            near = nearest(str(place[-1]), known)
            remedy = f"did you mean {near}?" if near else f"keys: {', '.join(known)}"
        elif problem["type"] not in ("missing", "value_error"):
            what = f"is {short(problem['input'])}, {what}"
        elif problem["type"] == "missing":
            what = "is missing"
        at = where if line is None else f"{where}, line {line}"
        lines.append(f"{at}: {key}: {what}" if key else f"{at}: {what}")
    return ConfigurationError("\n".join(dict.fromkeys(lines)), remedy=remedy)


def _is_kind_of_value(part: int | str) -> bool:
    """Return whether pydantic put a part into a place that the file does not have."""
    return part in ("list[json-or-python[...]]", "list[...]", "dict[str,...]", "nullable")


def _keys_beside(place: Sequence[int | str]) -> list[str]:
    """Return the keys that there are in the mapping that a place lies in."""
    model: type[BaseModel] = Study
    for part in place[:-1]:
        model = _MODELS.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _line_of(text: str, place: Sequence[int | str]) -> int | None:
    """Return the line of the deepest part of a place that the file has."""
    found = None
    for node in _nodes(yaml.compose(text, yaml.SafeLoader), place):
        found = node.start_mark.line + 1
    return found


def _nodes(node: Any, place: Sequence[int | str]) -> Iterator[Any]:
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if getattr(k, "value", None) == str(part)]
            if not pairs:
                return
            yield pairs[0][0]
            node = pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if not part < len(node.value):
                return
            node = node.value[part]
            yield node
        else:
            return
