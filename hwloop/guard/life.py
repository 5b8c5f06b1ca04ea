"""The dose of a chip's whole life, on the disk of whoever moves it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import Capabilities, Limits
from hwloop.errors import ConfigurationError
from hwloop.guard.book import (
    BOOK,
    CELL,
    COL,
    ROW,
    SETTLED,
    Book,
    Indices,
    Section,
    Values,
    read_book,
)
from hwloop.guard.check import Charge
from hwloop.guard.doses import CountArray, Ledger
from hwloop.guard.lease import Lease
from hwloop.guard.state import chip_folder, chips_folder

MOST_CELLS = 1 << 16
"""Cells of the largest chip whose doses are kept per cell without a limit that asks for it."""

AHEAD = 64
"""Doses of the size of the present one that are reserved at once."""

SHARE_AHEAD = 64
"""A reservation is at least this fraction, one in so many, of what has been given."""

_LARGEST_BOOK = 8 << 20


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the file of a chip says.

    Attributes:
        chip_id: id of the chip.
        tiles: shapes of its tiles.
        counts: pulses at most, for life; after a crash, with what had been reserved.
        settled: whether the last user of the chip has closed it, so that nothing is reserved.
        path: the file.
    """

    chip_id: str
    tiles: tuple[tuple[int, int], ...]
    counts: Ledger
    settled: bool
    path: Path


class Rehearsed:
    """Counts of a life for operations that are not sent.

    Attributes:
        counts: what has been given, at most, and what would be.
    """

    def __init__(self, counts: Ledger) -> None:
        self.counts = counts

    def charge(self, charges: Sequence[Charge]) -> None:
        """Add doses."""
        for tile, dose in charges:
            self.counts.charge(tile, dose)


class LifeLedger:
    """Doses of a chip for life, with the chip's lease.

    Pulses are reserved ahead in blocks: the file holds more than was given while the chip is in
    use, and exactly what was charged when it has been closed. After a crash it says too much, never
    too little.

    Args:
        capabilities: the chip.
        limits: in force; no more is reserved than they allow.

    Attributes:
        counts: pulses charged.

    Raises:
        SafetyError: another process holds the chip.
        ConfigurationError: the file cannot be written, has lost something, or is of other tiles.
    """

    def __init__(self, capabilities: Capabilities, limits: Limits) -> None:
        folder = chip_folder(capabilities.chip_id)
        self._capabilities = capabilities
        self._limits = limits
        self._closed = False
        self._lease = Lease(folder, capabilities.chip_id)
        try:
            self.counts = _counts(capabilities, limits)
            self._reserved = self.counts.state()
            self._about = _about(capabilities, per_cell=self.counts.cells is not None)
            self._path = folder / BOOK
            sections = _sections(self._reserved, settled=True)
            self._book = Book(self._path, self._about, sections)
        except BaseException:
            self._lease.release()
            raise

    def charge(self, charges: Sequence[Charge]) -> None:
        """Add doses; they are safe when this returns.

        Raises:
            ConfigurationError: they cannot be written; nothing is added.
        """
        added = Ledger(self._capabilities, per_cell=self.counts.cells is not None)
        for tile, dose in charges:
            added.charge(tile, dose)
        more = added.state()
        after = {name: array + more[name] for name, array in self.counts.state().items()}
        self._reserve(after, more)
        self.counts.restore(after)

    def __deepcopy__(self, memo: dict[int, Any]) -> Rehearsed:
        """Return a copy that counts and writes nothing, for a rehearsal."""
        return rehearsed(self.counts)

    def close(self) -> None:
        """Give back what was reserved and not charged, and let the chip go; once is enough."""
        if self._closed:
            return
        self._closed = True
        try:
            self._put(self.counts.state(), settled=True)
        finally:
            self._book.close()
            self._lease.release()

    def _reserve(self, after: dict[str, CountArray], more: dict[str, CountArray]) -> None:
        """Have at least some counts in the file."""
        wanted = dict(self._reserved)
        for name, needed in after.items():
            short = needed > self._reserved[name]
            if not short.any():
                continue
            ahead = np.maximum(AHEAD * more[name], needed // SHARE_AHEAD)
            limit = self._limit(name)
            if limit is not None:  # near its end a life is reserved in smaller blocks
                ahead = np.minimum(ahead, np.maximum(limit - needed, 0) // 2)
            wanted[name] = np.where(short, needed + ahead, self._reserved[name])
        if any(wanted[name] is not self._reserved[name] for name in wanted):
            self._put(wanted, settled=False)

    def _limit(self, name: str) -> int | None:
        limits = self._limits
        return limits.life_dose_per_cell if name.startswith("cells") else limits.life_dose_per_line

    def _put(self, counts: dict[str, CountArray], *, settled: bool) -> None:
        """Write counts that differ from those in the file."""
        sections = [Section(0, SETTLED, *_one(settled))]
        for name, array in counts.items():
            places = np.flatnonzero(array != self._reserved[name])
            if len(places):
                sections.append(_section(name, places, array))
        if self._book.size > _LARGEST_BOOK:
            smaller = Book(self._path, self._about, _sections(counts, settled=settled))
            self._book.close()
            self._book = smaller
        else:
            self._book.set(sections)
        self._reserved = {name: array.copy() for name, array in counts.items()}


def life_of(capabilities: Capabilities, limits: Limits) -> Rehearsed | None:
    """Return a chip's life so far for a rehearsal; None where nothing is kept of it.

    Raises:
        ConfigurationError: the file has lost something, or is of other tiles.
    """
    if not keeps_life(capabilities, limits):
        return None
    return rehearsed(_counts(capabilities, limits))


def keeps_life(capabilities: Capabilities, limits: Limits) -> bool:
    """Return whether doses are kept for life: of physical chips, and where a limit asks for it."""
    return capabilities.kind == "physical" or limits.for_life


def rehearsed(counts: Ledger) -> Rehearsed:
    """Return a copy of counts that is not kept."""
    return Rehearsed(copy.deepcopy(counts))


def recorded(chip_id: str) -> Recorded | None:
    """Return what the file of a chip says, or None if there is none.

    Raises:
        ConfigurationError: it cannot be read, or has lost something.
    """
    return _read(chip_folder(chip_id) / BOOK)


def all_recorded() -> list[Recorded]:
    """Return what the files of all chips say, by chip id.

    Raises:
        ConfigurationError: one cannot be read, or has lost something.
    """
    folder = chips_folder()
    paths = sorted(folder.glob(f"*/{BOOK}")) if folder.is_dir() else []
    found = [r for path in paths if (r := _read(path)) is not None]
    return sorted(found, key=lambda r: r.chip_id)


def _read(path: Path) -> Recorded | None:
    if not path.exists():
        return None
    about, sections = read_book(path)
    try:
        tiles = tuple((int(rows), int(cols)) for rows, cols in about["tiles"])
        counts = Ledger.of_shapes(tiles, per_cell=bool(about["per_cell"]))
        settled = False
        for section in sections:
            if section.axis == SETTLED:
                settled = bool(section.values[-1])
            else:
                _array(counts, section).reshape(-1)[section.indices] = section.values
        return Recorded(str(about["chip_id"]), tiles, counts, settled, path)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{path} is not a record of doses: {type(error).__name__}: {error}; nothing was sent",
            remedy="bring it back from a backup; or move it away, and the chip's doses begin at 0",
        ) from None


def _counts(capabilities: Capabilities, limits: Limits) -> Ledger:
    """Return what has been given to a chip, with the cells if they are to be counted."""
    known = recorded(capabilities.chip_id)
    tiles = tuple((t.rows, t.cols) for t in capabilities.tiles)
    few = sum(rows * cols for rows, cols in tiles) <= MOST_CELLS
    per_cell = few or limits.life_dose_per_cell is not None
    if known is None:
        return Ledger(capabilities, per_cell=per_cell)
    if (known.chip_id, known.tiles) != (capabilities.chip_id, tiles):
        raise ConfigurationError(
            f"{known.path} is of chip {known.chip_id!r} with tiles {known.tiles}, but "
            f"{capabilities.chip_id!r} with tiles {tiles} is connected; nothing was sent",
            remedy="give every chip an id of its own",
        )
    if per_cell:
        known.counts.bound_cells()
    return known.counts


def _array(counts: Ledger, section: Section) -> CountArray:
    if section.axis == CELL and counts.cells is None:
        raise ValueError("doses of cells in a record without cells")
    return (counts.row, counts.col, counts.cells or [])[section.axis][section.tile]


def _about(capabilities: Capabilities, *, per_cell: bool) -> dict[str, Any]:
    tiles = [[t.rows, t.cols] for t in capabilities.tiles]
    return {"chip_id": capabilities.chip_id, "tiles": tiles, "per_cell": per_cell}


def _sections(counts: dict[str, CountArray], *, settled: bool) -> list[Section]:
    sections = [_section(name, np.flatnonzero(array), array) for name, array in counts.items()]
    return [Section(0, SETTLED, *_one(settled)), *sections]


def _section(name: str, places: NDArray[np.intp], array: CountArray) -> Section:
    axis = next(axis for word, axis in _AXES.items() if name.startswith(word))
    tile = int(name.lstrip("rowcels"))
    return Section(tile, axis, places.astype(np.uint32), array.reshape(-1)[places])


def _one(value: bool) -> tuple[Indices, Values]:
    return np.zeros(1, np.uint32), np.full(1, value, np.int64)


_AXES = {"row": ROW, "col": COL, "cells": CELL}
"""Kinds of counts by the first part of their names in `Ledger.state`."""
