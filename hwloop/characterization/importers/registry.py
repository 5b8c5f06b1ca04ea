"""The forms that are read, and the import of one or several files of a form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwloop.characterization.checks import check
from hwloop.characterization.importers import (
    aihwkit,
    arc1,
    arc2,
    crosssim,
    digitised,
    pymeasure,
    table,
    xlsx,
)
from hwloop.characterization.importers.facts import Facts, Options
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.measurement import Measurement
from hwloop.device_file.explain import nearest
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Format:
    """A form of measured data.

    Attributes:
        meaning: what it is.
        read: what reads its sources.
        pair: what checks sources that belong together; None where each stands for itself.
    """

    meaning: str
    read: Callable[[Sequence[Source], Facts], Measurement]
    pair: Callable[[Sequence[Source]], None] | None = None


FORMATS: dict[str, Format] = {
    "aihwkit": Format("CSV with two columns, up and down", aihwkit.read),
    "arc1": Format("CSV of ArC ONE", arc1.read),
    "arc2": Format("HDF5 of ArC TWO's control program", arc2.read),
    "crosssim": Format("set.csv and reset.csv of CrossSim", crosssim.read, crosssim.pair),
    "digitised": Format("points read off a plot, with the calibration", digitised.read),
    "pymeasure": Format("CSV of PyMeasure", pymeasure.read),
    "table": Format("any table of text or HDF5, with a mapping", table.read),
    "xlsx": Format("a sheet of a workbook: array map or forming voltages", xlsx.read),
}
"""Forms that are read, by their names."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import gave.

    Attributes:
        measurement: the data.
        format: name of the form that it was read in.
        warnings: what whoever imports should know.
    """

    measurement: Measurement
    format: str
    warnings: tuple[str, ...]


def detect(path: Path) -> str | None:
    """Return the form of a file if its content can be no other, else None."""
    source = Source(path)
    first = source.first_bytes()
    if first.startswith(b"\x89HDF"):
        return "arc2" if arc2.is_format(path) else None
    if first.startswith(b"PK\x03\x04"):
        return "xlsx" if path.suffix.lower() == ".xlsx" else None
    lines = first.removeprefix(b"\xef\xbb\xbf").decode("latin-1").splitlines()
    if lines and lines[0].startswith("#Procedure:"):
        return "pymeasure"
    if lines and lines[0].strip() == "# CALIBRATION_METADATA":
        return "digitised"
    if len(lines) > 2 and tuple(name.strip() for name in lines[2].split(",")) == arc1.NAMES:
        return "arc1"
    if lines and lines[0].startswith("rmp1,rmp2"):
        return "crosssim"
    return None


def import_files(
    paths: Sequence[Path], format_name: str | None = None, options: Options | None = None
) -> Imported:
    """Return the measured data of one or several files of a form, checked.

    Args:
        paths: the files; several are cells or repeats, as `Options.each` says, or belong together.
        format_name: key of `FORMATS`; None where the content can be no other.
        options: what the files do not say.

    Raises:
        ConfigurationError: what is wrong with the files, or which fact is missing.
    """
    options = options or Options()
    name = format_name or _only_format(paths)
    if name not in FORMATS:
        near = nearest(name, FORMATS)
        raise ConfigurationError(
            f"format {name!r}: is not known",
            remedy=(f"did you mean {near}? " if near else "") + f"formats: {', '.join(FORMATS)}",
        )
    form = FORMATS[name]
    sources = [Source(path) for path in paths]
    if form.pair is not None:
        form.pair(sources)
        groups = [sources]
    else:
        groups = [[source] for source in sources]
    if len(groups) == 1 and options.each is not None:
        raise ConfigurationError(
            f"--each {options.each}: is for several files of a format that keeps one cell in each",
            remedy="leave it out",
        )
    if len(groups) > 1 and options.each is None:
        raise ConfigurationError(
            f"{len(groups)} files: are they different cells or repeats on the same?",
            remedy="say it: --each cell or --each repeat",
        )
    warnings: list[str] = []
    parts = []
    for group in groups:
        facts = Facts(options, name, group)
        parts.append(form.read(group, facts))
        warnings += facts.warnings
    measurement = parts[0] if len(parts) == 1 else _stacked(parts, options)
    problems = check(measurement)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise FileError(", ".join(source.name for source in sources), errors)
    warnings += [_said(problem) for problem in problems]
    return Imported(measurement, name, tuple(dict.fromkeys(warnings)))


def _only_format(paths: Sequence[Path]) -> str:
    found = {detect(path) for path in paths}
    name = found.pop() if len(found) == 1 else None
    if name is None:
        raise ConfigurationError(
            f"{', '.join(path.name for path in paths)}: the content may be of several formats",
            remedy=f"say which: --format {'|'.join(FORMATS)}",
        )
    return name


def _stacked(parts: list[Measurement], options: Options) -> Measurement:
    """Return several measurements as cells, or as repeats on the same cells."""
    by = options.each
    assert by is not None  # as the caller has seen
    header = parts[0].header
    for part in parts[1:]:
        if (part.kind, part.header.column_names) != (header.kind, header.column_names):
            raise ConfigurationError("the files hold different columns, so they cannot be joined")
    if by not in header.column_names:
        raise ConfigurationError(
            f"--each {by}: {header.kind} data of this form has no column {by}",
            remedy="import the files one by one",
        )
    columns: dict[str, list[np.ndarray]] = {name: [] for name in header.column_names}
    start = 0
    for part in parts:
        for column in header.column_names:
            values = part.columns[column]
            columns[column].append(values + start if column == by else values)
        start += int(part.columns[by].max()) + 1
    sources = {k: v for k, v in header.sources.items() if k != "file"}
    sources |= {f"file{i}": p.header.sources["file"] for i, p in enumerate(parts, start=1)}
    provenance = {k: v.replace("file:", "file1:", 1) for k, v in header.provenance.items()}
    provenance[f"columns.{by}"] = f"assumed: --each {by} at import"
    joined = header.model_copy(update={"sources": sources, "provenance": provenance})
    # model_copy checks nothing.
    joined = type(header).model_validate(joined.model_dump())
    return replace(
        parts[0],
        header=joined,
        columns={name: np.concatenate(values) for name, values in columns.items()},
    )


def _said(problem: Problem) -> str:
    return f"{problem}; {problem.remedy}" if problem.remedy else str(problem)
