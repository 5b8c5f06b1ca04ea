"""What pydantic finds wrong with a device file, one line per problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import ValidationError

from hwloop.device_file.models import Model
from hwloop.device_file.problems import FileError, Problem

_FAMILIES = {family.model_fields["kind"].default for family in get_args(get_args(Model)[0])}
_LONGEST_VALUE = 60
_GUIDE = "docs/devices.md lists every field with its unit"


def explain(error: ValidationError, where: str, fields: Iterable[str] = ()) -> FileError:
    """Return an error that names file, field, value and what was expected, one line per problem.

    Args:
        error: what pydantic found.
        where: file or device that was read.
        fields: names that a mistyped field may have been meant for.
    """
    known = set(fields)
    problems = [p for found in error.errors(include_url=False) for p in _problems(found, known)]
    remedies = [problem.remedy for problem in problems if problem.remedy]
    return FileError(where, problems, remedy=remedies[-1] if remedies else _GUIDE)


def _problems(found: Any, fields: set[str]) -> list[Problem]:
    path = _path(found["loc"])
    expected = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    value = short(found["input"])
    if found["type"] == "missing":
        return [Problem(path, "", "is missing")]
    if found["type"] in ("union_tag_not_found", "union_tag_invalid"):
        families = f"should be one of {', '.join(sorted(_FAMILIES))}"
        if found["type"] == "union_tag_not_found":
            return [Problem(f"{path}.kind", "", f"is missing; {families}")]
        return [Problem(f"{path}.kind", short(found["ctx"]["tag"]), families)]
    if found["type"] == "extra_forbidden":
        near = nearest(str(found["loc"][-1]), fields)
        remedy = f"did you mean {near}?" if near else ""
        return [Problem(path, value, "is no field of a device file", remedy)]
    if found["type"] == "value_error":  # a line per problem, which names the values itself
        return [Problem(path, "", line) for line in expected.splitlines()]
    return [Problem(path, value, expected)]


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
