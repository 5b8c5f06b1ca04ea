"""Numbers out of delimited text: fast where all is well, exact about line and column where not."""

from __future__ import annotations

import csv
import re
import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.importers.sources import Source
from hwloop.characterization.tables import MOST_VALUES
from hwloop.device_file.explain import short
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

MOST_PROBLEMS = 20
"""Problems after which no further ones are looked for in a source."""

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "space": " "}
"""Delimiters by their names."""

_MISSING = frozenset(("", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--"))
_THOUSANDS = re.compile(r"[-+]?\d{1,3}([,' \u00a0\u202f.]\d{3})+([.,]\d*)?")
_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
_POINT = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_LEADING = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?\s*\D+")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text file is laid out.

    Attributes:
        delimiter: between the fields; a space stands for any white space.
        skip: lines before the names or numbers.
        named: whether a line of names comes before the numbers.
        comment: what lines that are no rows begin with; empty for none.
        decimal: point or comma of the numbers.
    """

    delimiter: str = ","
    skip: int = 0
    named: bool = False
    comment: str = ""
    decimal: str = "."


class Reader:
    """The rows of a delimited file.

    Attributes:
        source: the file.
        layout: how it is laid out.
        names: names of its fields, or numbers from 1 where it has none.
    """

    def __init__(self, source: Source, layout: Layout) -> None:
        self.source, self.layout = source, layout
        first = next(self._content(), None)
        if first is None:
            raise ConfigurationError(f"{source.name}: holds no rows")
        number, line = first
        fields = self._split(line)
        if layout.named:
            self.names = [field.strip() for field in fields]
            twice = {name for name in self.names if self.names.count(name) > 1 and name}
            if twice:
                raise FileError(
                    source.name,
                    [
                        Problem(
                            f"line {number}", short(sorted(twice)[0]), "is the name of two columns"
                        )
                    ],
                )
        else:
            self.names = [str(i + 1) for i in range(len(fields))]

    def index(self, column: str | int) -> int:
        """Return the place of a field by its name, or by its number from 1.

        Raises:
            FileError: there is no such field.
        """
        if isinstance(column, int):
            if 1 <= column <= len(self.names):
                return column - 1
        elif column in self.names:
            return self.names.index(column)
        expected = f"is no column; the file has {len(self.names)}: {short(', '.join(self.names))}"
        raise FileError(self.source.name, [Problem("", short(column), expected)])

    def numbers(self, columns: Sequence[int], gaps: frozenset[int] = frozenset()) -> NDArray[Any]:
        """Return some fields of all rows as float64, one row per line.

        Args:
            columns: places of the fields.
            gaps: places of those that may be empty, which become NaN.

        Raises:
            FileError: rows of another length, and fields that are no numbers, by line and column.
        """
        space = self.layout.delimiter == " "
        if self.layout.decimal == ".":
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # of a file without rows
                    values = np.loadtxt(
                        self._even(),
                        delimiter=None if space else self.layout.delimiter,
                        usecols=list(columns),
                        comments=None,
                        ndmin=2,
                    )
            except ValueError:
                values = np.empty(0)
            missing = np.array([column in gaps for column in columns])
            # Other words that numpy takes for numbers are for the slow way to judge.
            if values.size and (np.isfinite(values) | (np.isnan(values) & missing)).all():
                return values
        return self._numbers_one_by_one(columns, gaps)

    def texts(self, columns: Sequence[int]) -> list[list[str]]:
        """Return some fields of all rows as text."""
        problems: list[Problem] = []
        rows = []
        for number, line in self._rows():
            fields = self._split(line)
            if self._right_length(number, fields, problems):
                rows.append([fields[i].strip() for i in columns])
        if problems:
            raise FileError(self.source.name, problems)
        return rows

    def place(self, row: int, column: int) -> str:
        """Return line and column of a field, as messages call it."""
        line = next(number for i, (number, _) in enumerate(self._rows()) if i == row)
        return f"line {line}, column {self.names[column]}"

    def comments(self) -> Iterator[str]:
        """Yield the comment lines at the head, without their mark."""
        for line in self.source.lines():
            if not line.startswith(self.layout.comment):
                return
            yield line[len(self.layout.comment) :]

    def _numbers_one_by_one(self, columns: Sequence[int], gaps: frozenset[int]) -> NDArray[Any]:
        problems: list[Problem] = []
        values = array("d")
        for line_number, line in self._rows():
            fields = self._split(line)
            if self._right_length(line_number, fields, problems):
                for i in columns:
                    value, fault, remedy = number(fields[i], self.layout.decimal, i in gaps)
                    values.append(value)
                    if fault:
                        where = f"line {line_number}, column {self.names[i]}"
                        problems.append(Problem(where, short(fields[i].strip()), fault, remedy))
            if len(problems) >= MOST_PROBLEMS:
                break
        if problems:
            raise FileError(self.source.name, problems)
        if not values:
            raise ConfigurationError(f"{self.source.name}: holds no rows below its names")
        return np.array(values).reshape(-1, len(columns))

    def _right_length(self, number: int, fields: list[str], problems: list[Problem]) -> bool:
        if len(fields) == len(self.names):
            return True
        remedy = "mend or remove the line"
        if self.layout.delimiter == "," and len(fields) == 2 * len(self.names):
            remedy = "decimal commas? then give the delimiter and --decimal comma"
        if len(problems) < MOST_PROBLEMS:
            expected = f"should be {len(self.names)}, as in the first line"
            problems.append(Problem(f"line {number}", f"{len(fields)} fields", expected, remedy))
        return False

    def _even(self) -> Iterator[str]:
        """Yield the rows, as long as they have as many fields as there are names."""
        delimiter, skip, comment = self.layout.delimiter, self.layout.skip, self.layout.comment
        named, delimiters = self.layout.named, len(self.names) - 1
        values = 0
        for first, lines in self.source.blocks():
            rows = [
                line for line in lines[max(0, skip + 1 - first) :] if line and not line.isspace()
            ]
            if comment:
                rows = [line for line in rows if not line.startswith(comment)]
            if named and rows:
                del rows[0]
                named = False
            if delimiter != " " and any(row.count(delimiter) != delimiters for row in rows):
                raise ValueError("a row of another length needs a closer look")
            if any('"' in row for row in rows):
                raise ValueError("a row with quotes needs a closer look")
            values += len(rows) * len(self.names)
            if values > MOST_VALUES:
                raise ConfigurationError(
                    f"{self.source.name}: holds more than {MOST_VALUES} values", remedy="cut it"
                )
            yield from rows

    def _rows(self) -> Iterator[tuple[int, str]]:
        content = self._content()
        if self.layout.named:
            next(content)
        return content

    def _content(self) -> Iterator[tuple[int, str]]:
        comment = self.layout.comment
        for number, line in enumerate(self.source.lines(), start=1):
            if number <= self.layout.skip or not line.strip():
                continue
            if comment and line.startswith(comment):
                continue
            yield number, line

    def _split(self, line: str) -> list[str]:
        if self.layout.delimiter == " ":
            return line.split()
        if '"' in line:
            return next(csv.reader([line], delimiter=self.layout.delimiter))
        return line.split(self.layout.delimiter)


def number(text: str, decimal: str = ".", gap: bool = False) -> tuple[float, str, str]:
    """Return the value of a field, and what speaks against it with its remedy, if anything.

    Args:
        text: the field.
        decimal: point or comma.
        gap: whether an empty field or a word such as `NA` may stand for a missing value.
    """
    text = text.strip()
    nan = float("nan")
    if text.lower() in _MISSING:
        if gap:
            return nan, "", ""
        what = "is empty" if not text else "is not a number"
        return nan, f"{what}, where every row needs a value", "fill it in or remove the row"
    if text.startswith("="):
        return nan, "is a formula", "in the spreadsheet, copy and paste as values, then export"
    other = "comma" if decimal == "." else "point"
    if _THOUSANDS.fullmatch(text) and not (_POINT if decimal == "." else _COMMA).fullmatch(text):
        remedy = f"export without thousands separators, or give --decimal {other}"
        return nan, f"has a thousands separator or a decimal {other}", remedy
    if (_COMMA if decimal == "." else _POINT).fullmatch(text):
        return nan, f"has a decimal {other}", f"give --decimal {other}"
    plain = text.replace(",", ".") if decimal == "," else text
    try:
        value = float(plain) if "_" not in plain else nan
    except ValueError:
        value = nan
    if np.isinf(value):
        return nan, "is infinite", "an overflow of the instrument? remove the row or leave it empty"
    if np.isnan(value):
        remedy = (
            "write plain numbers; the unit belongs to the column" if _LEADING.match(text) else ""
        )
        return nan, "should be a number", remedy
    return value, "", ""
