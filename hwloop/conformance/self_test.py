"""A first look at an array: whether it answers as it should. No pulse is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import CrossbarBackend, Linked, open_backend
from hwloop.capabilities import TileCapabilities
from hwloop.conformance.checks.capabilities import examine
from hwloop.conformance.evidence import Evidence
from hwloop.crossbar import Chip
from hwloop.errors import CrossbarError
from hwloop.operations import Direction, Plane, ReadCells, Vmm, Wait, code_dtype

OK, NOTE, PROBLEM = "ok", "note", "problem"

ZERO_VECTORS = 64
LARGEST_OFFSET = 0.05
"""Of full scale, of an output whose lines are not driven."""

WAITED_SECONDS = 1e-3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: what it was.
        state: `ok`, `note` or `problem`.
        seen: what was there.
        remedy: how to mend it, empty where there is nothing to mend.
    """

    what: str
    state: str
    seen: str
    remedy: str = ""


Findings = Iterator[Finding]


def self_test(url: str) -> list[Finding]:
    """Open the array behind a URL, look at it, and close it.

    It is asked for what it can do, idles its lines, takes its own configuration, reads cells over
    all of its lines, reads undriven outputs, and lets its clock run. It is not armed, so that the
    guard lets no pulse pass.
    """
    try:
        backend = open_backend(url)
    except CrossbarError as error:
        return [_failed("hello", error)]
    found = [Finding("hello", OK, f"{url} answers")]
    try:
        found += _look(backend)
    finally:
        try:
            backend.close()
            found.append(Finding("close", OK, "lines idle, array let go"))
        except CrossbarError as error:
            found.append(_failed("close", error))
    return found


def _look(backend: CrossbarBackend) -> Findings:
    look = partial(_guarded, backend)
    yield from look("capabilities", partial(_capabilities, backend))
    yield from look("idle", partial(_idle, backend))
    try:
        chip = Chip(backend)
    except CrossbarError as error:
        yield _failed("configuration", error)
        return
    yield Finding("configuration", OK, f"taken, hash {chip.configuration_hash:016x}")
    for index, tile in enumerate(chip.capabilities.tiles):
        yield from look(f"select lines, tile {index}", partial(_lines, chip, index, tile))
        yield from look(f"zeros, tile {index}", partial(_zeros, chip, index, tile))
    yield from look("clock", partial(_clock, chip))
    yield from look("idle again", partial(_idle, backend))
    yield from look("link", partial(_link, backend))


def _guarded(
    backend: CrossbarBackend, what: str, look: Callable[[], tuple[str, str, str] | None]
) -> Findings:
    """Give the finding of a look, or that it failed; nothing where there is nothing to look at."""
    try:
        found = look()
    except CrossbarError as error:
        yield _failed(what, error)
        with contextlib.suppress(CrossbarError):
            backend.clear()  # what follows may be well nevertheless
        return
    if found is not None:
        yield Finding(what, *found)


def _failed(what: str, error: CrossbarError) -> Finding:
    remedy = error.remedy or "look at the message, then run hwloop --log debug doctor"
    return Finding(what, PROBLEM, error.message, remedy)


def _capabilities(backend: CrossbarBackend) -> tuple[str, str, str]:
    evidence = Evidence()
    examine(backend, evidence)
    wrong = [
        f"{o.what}: {o.seen}, expected {o.expected}" for o in evidence.observations if not o.fine
    ]
    said = backend.describe()
    if wrong:
        return PROBLEM, "; ".join(wrong), "mend describe() of the backend, or the board's numbers"
    tiles = ", ".join(f"{tile.rows} x {tile.cols}" for tile in said.tiles[:8])
    return OK, f"{said.chip_id}, {said.name}, {said.kind}, {len(said.tiles)} tiles: {tiles}", ""


def _idle(backend: CrossbarBackend) -> tuple[str, str, str]:
    backend.idle()
    return OK, "lines idle", ""


def _lines(chip: Chip, index: int, tile: TileCapabilities) -> tuple[str, str, str] | None:
    """Read all cells, so that every line is selected."""
    if "read_cells" not in chip.capabilities.operations:
        return None
    average = min(16, tile.average_max)
    codes: NDArray[np.float64] = np.zeros((tile.rows, tile.cols))
    size = 64
    for begin in range(0, tile.rows, size):
        rows = np.arange(begin, min(begin + size, tile.rows), dtype=np.int32)
        read = ReadCells(
            tile=index,
            rows=rows,
            cols=None,
            average=average,
            plane=Plane.MAIN,
            **chip.identity(),
        )
        (result,) = chip.submit([read]).results()
        assert result.values is not None
        codes[rows] = result.values / average
    seen = f"{tile.rows} rows and {tile.cols} columns answer"
    if tile.middle_siemens:  # cells are read as differences, so that zero says nothing
        return OK, seen, ""
    dark = [f"row {n}" for n in np.flatnonzero((np.abs(codes) < 1).all(axis=1))]
    dark += [f"column {n}" for n in np.flatnonzero((np.abs(codes) < 1).all(axis=0))]
    if not dark:
        return OK, seen, ""
    some = ", ".join(dark[:6]) + (", ..." if len(dark) > 6 else "")
    remedy = "form the cells if they are fresh; else look at bonds and at the map of lines"
    return NOTE, f"{seen}, but {len(dark)} lines conduct nothing: {some}", remedy


def _zeros(chip: Chip, index: int, tile: TileCapabilities) -> tuple[str, str, str] | None:
    """Read outputs while no line is driven."""
    if "vmm" not in chip.capabilities.operations:
        return None
    codes = np.zeros((ZERO_VECTORS, tile.cols), code_dtype(tile.dac.code_max))
    vmm = Vmm(
        tile=index, direction=Direction.FORWARD, codes=codes, plane=Plane.MAIN, **chip.identity()
    )
    (result,) = chip.submit([vmm]).results()
    assert result.values is not None
    offset = float(np.abs(result.values.mean(axis=0)).max()) / tile.adc_forward.code_max
    noise = float(result.values.std(axis=0).mean())
    seen = f"largest offset {100 * offset:.2g} % of full scale, noise {noise:.2g} codes"
    if offset > LARGEST_OFFSET:
        return PROBLEM, seen, "look for lines that are not idle, or calibrate the converters"
    return OK, seen, ""


def _clock(chip: Chip) -> tuple[str, str, str] | None:
    if "wait" not in chip.capabilities.operations:
        return None
    tick = chip.capabilities.tick_seconds
    ticks = max(1, round(WAITED_SECONDS / tick))
    (result,) = chip.submit([Wait(ticks=ticks, **chip.identity())]).results()
    seen = f"{result.ticks} ticks of {tick:g} s for a wait of {ticks}"
    if result.ticks < ticks:
        return PROBLEM, seen, "count chip time in ticks of tick_seconds"
    return OK, seen, ""


def _link(backend: CrossbarBackend) -> tuple[str, str, str] | None:
    if not isinstance(backend, Linked):
        return None
    chip, host = backend.chip_counters(), backend.counters
    seen = (
        f"{host.frames_sent} frames sent, {host.frames_resent} of them again, wrong check "
        f"{host.frames_bad} here and {chip.frames_bad} there, round trip {host.round_trip:.2g} s"
    )
    if host.frames_bad or chip.frames_bad:
        remedy = "look at cable, ground and baud rate; what is spoilt is sent again and costs time"
        return NOTE, seen, remedy
    return OK, seen, ""
