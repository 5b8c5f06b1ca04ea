"""Sheets of .xlsx workbooks, read as a stream: values only, formulas by their cached values."""

from __future__ import annotations

import re
import zipfile
from pathlib import PurePosixPath
from typing import IO, Protocol
from xml.etree.ElementTree import ParseError, XMLParser

from hwloop.characterization.importers.sources import Source
from hwloop.device_file.explain import short
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

LARGEST_PART = 1 << 28
"""Bytes that a part of a workbook may unpack to."""

MOST_CELLS = 1 << 22
"""Cells of the largest sheet that is read."""

_BLOCK = 1 << 16
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6})")
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

Cells = dict[tuple[int, int], float | str]


class Sheet:
    """What a sheet holds.

    Attributes:
        name: its name.
        cells: numbers and texts by row and column, from 0.
        formulas: how many cells are formulas, whose cached values are taken.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.cells: Cells = {}
        self.formulas = 0


def reference(row: int, col: int) -> str:
    """Return how a spreadsheet calls a cell, from 0: `B3` for (2, 1)."""
    letters, col = "", col + 1
    while col:
        col, digit = divmod(col - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return f"{letters}{row + 1}"


def sheet_names(source: Source) -> list[str]:
    """Return the names of a workbook's sheets.

    Raises:
        ConfigurationError: the file is no workbook.
    """
    with _open(source) as archive:
        return list(_parts(archive, source))


def read_sheet(source: Source, name: str) -> Sheet:
    """Return a sheet of a workbook.

    Raises:
        ConfigurationError: the file is no workbook, has no such sheet, or cells that no value can
            be had of.
    """
    with _open(source) as archive:
        parts = _parts(archive, source)
        if name not in parts:
            raise ConfigurationError(
                f"{source.name}: has no sheet {name!r}",
                remedy=f"its sheets are {', '.join(map(repr, parts))}",
            )
        strings = _Strings()
        if "xl/sharedStrings.xml" in archive.namelist():
            _parse(archive, "xl/sharedStrings.xml", strings, source)
        sheet = Sheet(name)
        target = _SheetTarget(sheet, strings.texts)
        _parse(archive, parts[name], target, source)
    if target.problems:
        raise FileError(f"{source.name}: sheet {name}", target.problems)
    return sheet


def _open(source: Source) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(source.path)
    except (zipfile.BadZipFile, OSError):
        raise ConfigurationError(
            f"{source.name}: is no .xlsx workbook, or a damaged one",
            remedy="save it as .xlsx, or export the sheet as CSV",
        ) from None
    names = archive.namelist()
    if "xl/workbook.xml" not in names:
        archive.close()
        if any(name.endswith(".npy") for name in names):
            raise ConfigurationError(
                f"{source.name}: is an archive of numpy, no workbook",
                remedy="save plain columns as CSV or HDF5; object arrays can run programs and are "
                "never opened",
            )
        raise ConfigurationError(f"{source.name}: is a zip archive, no workbook")
    return archive


def _parts(archive: zipfile.ZipFile, source: Source) -> dict[str, str]:
    sheets, targets = _Attributes("sheet"), _Attributes("Relationship")
    _parse(archive, "xl/workbook.xml", sheets, source)
    _parse(archive, "xl/_rels/workbook.xml.rels", targets, source)
    paths = {item.get("Id", ""): item.get("Target", "") for item in targets.found}
    parts = {}
    for item in sheets.found:
        target = paths.get(item.get(f"{{{_RELATION}}}id", ""), "")
        path = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
        if path in archive.namelist():
            parts[item.get("name", "")] = path
    if not parts:
        raise ConfigurationError(f"{source.name}: has no sheets")
    return parts


class _Target(Protocol):
    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def end(self, tag: str) -> None: ...
    def data(self, text: str) -> None: ...
    def doctype(self, name: str, public: str, system: str) -> None: ...
    def close(self) -> None: ...


def _parse(archive: zipfile.ZipFile, path: str, target: _Target, source: Source) -> None:
    try:
        if archive.getinfo(path).file_size > LARGEST_PART:
            raise ConfigurationError(f"{source.name}: {path}: is larger than what is read")
        parser = XMLParser(target=target)
        with archive.open(path) as part:
            _feed(parser, part)
    except (ParseError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise ConfigurationError(
            f"{source.name}: {path}: cannot be read: {short(str(error))}",
            remedy="open it in a spreadsheet program and save it again",
        ) from None


def _feed(parser: XMLParser, part: IO[bytes]) -> None:
    while block := part.read(_BLOCK):
        parser.feed(block)
    parser.close()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


class _Base:
    def doctype(self, name: str, public: str, system: str) -> None:
        raise ParseError("document types, whose entities can grow without bound, are refused")

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def end(self, tag: str) -> None: ...
    def data(self, text: str) -> None: ...
    def close(self) -> None: ...


class _Attributes(_Base):
    """Collects the attributes of the elements of a name."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.found: list[dict[str, str]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == self._tag:
            self.found.append(attributes)


class _Strings(_Base):
    """Collects the shared texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == "si":
            self.texts.append("")
        self._inside = _local(tag) == "t"

    def end(self, tag: str) -> None:
        self._inside = False

    def data(self, text: str) -> None:
        if self._inside and self.texts:
            self.texts[-1] += text


class _SheetTarget(_Base):
    """Collects the cells of a sheet."""

    def __init__(self, sheet: Sheet, texts: list[str]) -> None:
        self.problems: list[Problem] = []
        self._sheet, self._texts = sheet, texts
        self._cell: dict[str, str] = {}
        self._formula = False
        self._value = ""
        self._inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "c":
            self._cell, self._formula, self._value = attributes, False, ""
        elif name == "f":
            self._formula = True
        self._inside = name in ("v", "t")

    def data(self, text: str) -> None:
        if self._inside:
            self._value += text

    def end(self, tag: str) -> None:
        self._inside = False
        if _local(tag) == "c" and len(self.problems) < 20:
            self._take()

    def _take(self) -> None:
        name, kind = self._cell.get("r", ""), self._cell.get("t", "n")
        if self._formula and not self._value:
            remedy = "open it in a spreadsheet program, copy and paste as values, and save it"
            self.problems.append(Problem(name, "", "is a formula without a cached value", remedy))
            return
        if not self._value:
            return
        match = _REFERENCE.fullmatch(name)
        if match is None or len(self._sheet.cells) >= MOST_CELLS:
            self.problems.append(Problem(short(name), "", f"is no cell among {MOST_CELLS}"))
            return
        col = 0
        for letter in match[1]:
            col = 26 * col + ord(letter) - ord("A") + 1
        self._sheet.formulas += self._formula
        value = self._of_kind(kind, name)
        if value is not None:
            self._sheet.cells[int(match[2]) - 1, col - 1] = value

    def _of_kind(self, kind: str, name: str) -> float | str | None:
        text = self._value
        if kind == "e":
            self.problems.append(Problem(name, short(text), "is an error of the spreadsheet"))
            return None
        if kind in ("str", "inlineStr"):
            return text
        try:
            if kind == "s":
                return self._texts[int(text)]
            return float(text)
        except (ValueError, IndexError):
            self.problems.append(Problem(name, short(text), "should be a number"))
            return None
