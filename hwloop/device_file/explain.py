"""What pydantic finds wrong with a device file, one line per problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import ValidationError

from hwloop.device_file.models import Model
from hwloop.errors import ConfigurationError

_FAMILIES = {family.model_fields["kind"].default for family in get_args(get_args(Model)[0])}
_LONGEST_VALUE = 60
_GUIDE = "docs/devices.md lists every field with its unit"


def explain(error: ValidationError, where: str, fields: Iterable[str] = ()) -> ConfigurationError:
    """Return a configuration error that names file, field, value and what was expected.

    Args:
        error: what pydantic found.
        where: file or device that was read.
        fields: names that a mistyped field may have been meant for.
    """
    lines = []
    remedy = _GUIDE
    for problem in error.errors(include_url=False):
        path = _path(problem["loc"])
        expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        value = short(problem["input"])
        if problem["type"] == "missing":
            value, expected = "", "is missing"
        elif problem["type"] == "union_tag_not_found":
            path, value = f"{path}.kind", ""
            expected = f"is missing; should be one of {', '.join(sorted(_FAMILIES))}"
        elif problem["type"] == "union_tag_invalid":
            path, value = f"{path}.kind", short(problem["ctx"]["tag"])
            expected = f"should be one of {', '.join(sorted(_FAMILIES))}"
        elif problem["type"] == "extra_forbidden":
            expected = "is no field of a device file"
            near = nearest(str(problem["loc"][-1]), fields)
            remedy = f"did you mean {near}?" if near else remedy
        elif problem["type"] == "value_error":
            value = ""  # the message names the value itself
        lines.append(": ".join(part for part in (where, path, value, expected) if part))
    return ConfigurationError("\n".join(lines), remedy=remedy)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a mistyped one was probably meant for."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return near[0] if near else None


def short(value: object) -> str:
    """Return a value as it is shown in a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def _path(location: tuple[Any, ...]) -> str:
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] == "model" and parts[1] in _FAMILIES:
        del parts[1]  # pydantic names the family that it chose; the file has no such level
    return ".".join(parts)
