"""The arena of an emulated chip: a file with its cells, its journal and what it says of itself.

The chip maps it, so that both survive `kill -9`. `firmware_stubs/core/arena.h` has the same layout;
a test compares the two. Cells are given as plain arrays in device units (docs/array-model.md,
section 1).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import Capabilities, Configuration
from hwloop.errors import ConfigurationError
from hwloop_wire import messages as m
from hwloop_wire.describing import describe_answer, hello_fields, limit_fields, shape_entries
from hwloop_wire.layout import U32, U64, Body, body

Plane = NDArray[np.float32]

MAGIC, LAYOUT = 0x414C5748, 2
RECORD_SLOTS, RECORD_BYTES = 6, 32
CLOCK_BYTES = 16
MOST_TILES, MOST_SHAPES = 64, 32
MOST_LINES = 10240
"""Most rows and columns of a tile together: the longest trains fill the work space of the chip."""

QEMU_BYTES = 16 * 2**20
"""Memory of the emulated Cortex-M7 board that its arena has to fit in."""

_ALIGNMENT = 64
_PARAMETERS = ("up_a", "up_b", "down_a", "down_b", "bound_max", "bound_min", "write_noise")
_PULSES = 7  # word of a cell's parameters that counts its pulses


@body()
class Head(Body):
    """Begins the arena: `hwl_arena` up to its records, which the clock follows."""

    magic: Annotated[U32, "HWLA"]
    layout: Annotated[U32, "version of this layout"]
    dictionary: Annotated[U32, "of the messages in the arena"]
    check: Annotated[U32, "CRC-32 of all behind the clock, up to the cells"]


@body()
class Facts(Body):
    """Follows the clock: `hwl_arena` from `tiles` to `seed`."""

    tiles: Annotated[U32, "number of tiles"]
    shapes: Annotated[U32, "number of pulse shapes"]
    size: Annotated[U64, "bytes of the arena"]
    seed: Annotated[U64, "of the array's random numbers"]


TILE = struct.Struct("<18Q4I8f")
"""`hwl_arena_tile` behind its `about`: offsets, read ticks, and the numbers of the model."""

TILE_BYTES = m.DescribeAnswer.STRUCT.size + TILE.size
"""Bytes of a tile behind the header."""

_SHAPES_AT = (
    Head.STRUCT.size
    + RECORD_SLOTS * RECORD_BYTES
    + CLOCK_BYTES
    + Facts.STRUCT.size
    + m.HelloAnswer.STRUCT.size
    + m.Configure.STRUCT.size
)
HEADER_BYTES = _SHAPES_AT + MOST_SHAPES * m.ShapeEntry.STRUCT.size
"""Bytes before the first tile."""


class Terms(Protocol):
    """What changes with time in a tile."""

    def pack(self) -> bytes:
        """Return the bytes of `hwl_terms`."""


class Population(Protocol):
    """What is taken of the cells of a tile; all planes are float32, shape (rows, cols)."""

    @property
    def write_noise(self) -> Plane: ...
    @property
    def reference(self) -> Plane: ...
    @property
    def initial(self) -> Plane: ...
    @property
    def initial_visible(self) -> Plane: ...
    @property
    def up_table(self) -> Plane | None: ...
    @property
    def down_table(self) -> Plane | None: ...
    @property
    def additive(self) -> bool: ...
    @property
    def cycle_noise(self) -> float: ...
    @property
    def full_scale(self) -> float: ...
    @property
    def write_memory(self) -> float: ...
    @property
    def terms(self) -> Terms | None: ...


class Periphery(Protocol):
    """What is taken of the converters of a tile, beside its capabilities."""

    @property
    def cell_bits(self) -> int: ...
    @property
    def adc_range_forward(self) -> float: ...
    @property
    def adc_range_backward(self) -> float: ...
    @property
    def cell_adc_range(self) -> float: ...
    @property
    def output_noise(self) -> float: ...
    def line_errors(
        self, rows: int, cols: int, *, seed: int, tile: int
    ) -> Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]] | None:
        """Return gains and offsets of the converters, by kind of read, or None for none."""

    @property
    def input_noise(self) -> float: ...
    @property
    def read_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TileImage:
    """One tile of an arena.

    Attributes:
        population: its cells; beside the named properties it has the planes of a cell's parameters.
        periphery: its converters.
    """

    population: Population
    periphery: Periphery


@dataclass(frozen=True, slots=True)
class _Array:
    """An array of a tile and where it lies."""

    name: str
    values: NDArray[Any]
    offset: int


def write_arena(
    path: Path,
    chip: Capabilities,
    tiles: Sequence[TileImage],
    *,
    seed: int,
    capacity: int | None = None,
) -> None:
    """Write the arena of a chip that was never booted.

    Args:
        path: the file; it is replaced.
        chip: what the chip says of itself; its configuration is the one that it offers.
        tiles: the tiles, as many as in `chip`.
        seed: of the array's random numbers.
        capacity: bytes of the chip's memory, which the file fills; None makes it as long as needed.

    Raises:
        ConfigurationError: the chip cannot hold it.
    """
    _check_numbers(chip, tiles)
    layouts: list[list[_Array]] = []
    end = HEADER_BYTES + len(tiles) * TILE_BYTES
    for n, tile in enumerate(tiles):
        arrays, end = _arrays(tile, _line_errors(tile, seed, n), end)
        layouts.append(arrays)
    if capacity is not None and end > capacity:
        shapes = " + ".join(f"{t.rows}x{t.cols}" for t in chip.tiles)
        raise ConfigurationError(
            f"tiles of {shapes} cells need {end} bytes, the memory of the chip has {capacity}",
            remedy=f"use fewer cells, about {(capacity - HEADER_BYTES) // 48} at most, "
            "or a chip with more memory",
        )
    facts = Facts(tiles=len(tiles), shapes=len(chip.configuration.shapes), size=end, seed=seed)
    checked = (
        facts.pack()
        + _about(chip).pack()
        + _offer(chip.configuration)
        + b"".join(
            describe_answer(c).pack() + _numbers(t, arrays, chip.tick_seconds)
            for c, t, arrays in zip(chip.tiles, tiles, layouts, strict=True)
        )
    )
    head = Head(magic=MAGIC, layout=LAYOUT, dictionary=m.DICTIONARY, check=zlib.crc32(checked))
    with path.open("wb") as file:
        file.write(head.pack() + bytes(RECORD_SLOTS * RECORD_BYTES + CLOCK_BYTES) + checked)
        for array in (a for arrays in layouts for a in arrays):
            file.seek(array.offset)
            file.write(array.values.tobytes())
        file.truncate(end if capacity is None else capacity)


def pulses(path: Path, tile: int) -> NDArray[np.uint32]:
    """Return the pulses that each cell of a tile has had, shape (rows, cols), as they stand now."""
    at = HEADER_BYTES + tile * TILE_BYTES
    with path.open("rb") as file:
        file.seek(at)
        about = m.DescribeAnswer.unpack(file.read(m.DescribeAnswer.STRUCT.size))
        offsets = TILE.unpack(file.read(TILE.size))
        shape = (about.rows, about.cols, len(_PARAMETERS) + 1)
        file.seek(offsets[3])
        words = np.fromfile(file, "<u4", int(np.prod(shape)))
    return words.reshape(shape)[:, :, _PULSES].astype(np.uint32)


def _check_numbers(chip: Capabilities, tiles: Sequence[TileImage]) -> None:
    assert len(tiles) == len(chip.tiles)
    lines = max((t.rows + t.cols for t in chip.tiles), default=0)
    for what, have, most in (
        ("tiles", len(tiles), MOST_TILES),
        ("pulse shapes", len(chip.configuration.shapes), MOST_SHAPES),
        ("rows and columns together", lines, MOST_LINES),
    ):
        if have > most:
            raise ConfigurationError(f"an emulated chip has at most {most} {what}, not {have}")


def _about(chip: Capabilities) -> m.HelloAnswer:
    """Return what does not change of HELLO_ANSWER; the chip fills in the rest."""
    state = {p.name: 0 for p in m.HelloAnswer.PLACES if p.type[0] not in "cx"}
    return m.HelloAnswer(**{**state, "firmware": "", **hello_fields(chip)})


def _offer(configuration: Configuration) -> bytes:
    """Return limits and pulse shapes of the chip itself."""
    entries = shape_entries(configuration)
    limits = m.Configure(configuration=0, shapes=len(entries), **limit_fields(configuration.limits))
    table = b"".join(entry.pack() for entry in entries)
    return limits.pack() + table.ljust(MOST_SHAPES * m.ShapeEntry.STRUCT.size, b"\0")


def _cells(population: Population) -> NDArray[np.float32]:
    rows, cols = population.reference.shape
    cells = np.zeros((rows, cols, len(_PARAMETERS) + 1), "<f4")
    for n, name in enumerate(_PARAMETERS):
        cells[:, :, n] = getattr(population, name)
    return cells


def _line_errors(tile: TileImage, seed: int, index: int) -> NDArray[np.float32] | None:
    """Return gains and offsets of the converters of a tile, shape (2, lines of all reads)."""
    rows, cols = tile.population.reference.shape
    errors = tile.periphery.line_errors(rows, cols, seed=seed, tile=index)
    if errors is None:
        return None
    return np.stack([np.concatenate(values) for values in zip(*errors, strict=True)])


def _time_arrays(population: Population) -> list[tuple[str, NDArray[Any] | None]]:
    rows, cols = population.reference.shape
    names = ("terms", "pulsed", "counted", "seen", "seen_at", "seen_of", "seen_versions", "ahead")
    if population.terms is None:
        return [(name, None) for name in names]
    arrays: tuple[NDArray[Any], ...] = (
        np.frombuffer(population.terms.pack(), np.uint8),
        np.zeros((rows, cols), "<u8"),
        np.zeros((rows, cols), "<u4"),
        np.zeros((rows, cols), "<f4"),
        np.zeros(rows, "<u8"),
        np.zeros(rows, "<u4"),
        np.ones(rows, "<u4"),
        np.zeros(1, "<u8"),
    )
    return list(zip(names, arrays, strict=True))


def _arrays(
    tile: TileImage, line_errors: NDArray[np.float32] | None, end: int
) -> tuple[list[_Array], int]:
    """Return the arrays of a tile and where they lie behind `end`, and the end behind them."""
    p = tile.population
    rows, cols = p.reference.shape
    contents: Iterator[tuple[str, NDArray[Any] | None]] = iter(
        (
            ("persistent", p.initial),
            ("visible", p.initial_visible),
            ("reference", p.reference),
            ("cells", _cells(p)),
            ("versions", np.ones(rows, "<u4")),
            ("dose", np.zeros((rows, cols), "<u4")),
            ("up_table", p.up_table),
            ("down_table", p.down_table),
            ("line_errors", line_errors),
            *_time_arrays(p),
        )
    )
    arrays: list[_Array] = []
    for name, values in contents:
        if values is None:
            arrays.append(_Array(name, np.empty(0, "<f4"), 0))
            continue
        offset = end + -end % _ALIGNMENT
        arrays.append(_Array(name, values, offset))
        end = offset + values.nbytes
    return arrays, end


def _numbers(tile: TileImage, arrays: Sequence[_Array], tick_seconds: float) -> bytes:
    population, periphery = tile.population, tile.periphery
    return TILE.pack(
        *(array.offset for array in arrays),
        max(1, round(periphery.read_seconds / tick_seconds)),
        0 if population.up_table is None else len(population.up_table),
        population.additive,
        bool(np.any(population.write_noise != 0)),
        periphery.cell_bits,
        population.cycle_noise,
        population.full_scale,
        periphery.input_noise,
        periphery.output_noise,
        periphery.adc_range_forward,
        periphery.adc_range_backward,
        periphery.cell_adc_range,
        population.write_memory,
    )
