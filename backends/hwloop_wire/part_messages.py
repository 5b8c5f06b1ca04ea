"""Parts of operations, and the answer to a part."""

from __future__ import annotations

from typing import Annotated

from hwloop_wire.layout import C16, U8, U16, U32, U64, Array, Body, body

LISTED_ROWS, LISTED_COLS = 1, 2
"""Bits of `listed`: lines are listed in the tail instead of being a range."""


@body()
class Part(Body):
    """Begins every part of an operation."""

    id: Annotated[U64, "id of the operation"]
    ordinal: Annotated[U64, "noise ordinal of the operation"]
    tile: Annotated[U16, "index of the tile"]
    part: Annotated[U16, "number of the part, from 0"]
    parts: Annotated[U16, "number of parts"]


@body(16)
class Vmm(Part):
    """Vector-matrix read of some samples."""

    TAIL = (Array("codes", "i8, i16 or i32 by `width`", "samples x driven lines", "DAC codes"),)

    samples: Annotated[U32, "samples of this part"]
    sample_offset: Annotated[U32, "samples of the operation before them"]
    direction: Annotated[U8, "0 forward (columns driven), 1 backward (rows driven)"]
    plane: Annotated[U8, "0 main, 1 reference, 2 difference"]
    width: Annotated[U8, "bytes of a code: 1, 2 or 4"]


_LISTS = (
    Array("row_list", "u16", "row_count if bit 0 of `listed`, else none", "rows of the block"),
    Array("col_list", "u16", "col_count if bit 1 of `listed`, else none", "columns of the block"),
)


@body(17)
class ReadCells(Part):
    """Reads the cells of a block one by one, `average` times, and sums the codes of each."""

    TAIL = _LISTS

    average: Annotated[U32, "reads that are summed"]
    row_first: Annotated[U16, "first row, 0 if they are listed"]
    row_count: Annotated[U16, "rows of the block"]
    col_first: Annotated[U16, "first column, 0 if they are listed"]
    col_count: Annotated[U16, "columns of the block"]
    listed: Annotated[U8, "bit 0: rows are listed, bit 1: columns are"]
    plane: Annotated[U8, "0 main, 1 reference, 2 difference"]


@body(18)
class Pulse(Part):
    """Whole pulses on the cells of a block."""

    TAIL = (
        *_LISTS,
        Array(
            "counts",
            "i8, i16 or i32 by `width`",
            "row_count x col_count",
            "pulses per cell, positive ones raise the conductance",
        ),
    )

    configuration: Annotated[U64, "hash of the configuration in force"]
    row_first: Annotated[U16, "first row, 0 if they are listed"]
    row_count: Annotated[U16, "rows of the block"]
    col_first: Annotated[U16, "first column, 0 if they are listed"]
    col_count: Annotated[U16, "columns of the block"]
    shape: Annotated[U16, "number of the pulse shape in the table"]
    listed: Annotated[U8, "bit 0: rows are listed, bit 1: columns are"]
    width: Annotated[U8, "bytes of a count: 1, 2 or 4"]


@body(19)
class OuterUpdate(Part):
    """Rank-1 stochastic updates, one per sample, whose trains the chip draws."""

    TAIL = (
        Array("x_gains", "u16", "samples", "gain of the columns' side, minus one"),
        Array("d_gains", "u16", "samples", "gain of the rows' side, minus one"),
        Array("train_lengths", "u16", "samples", "slots"),
        Array("x_codes", "i8, i16 or i32 by `width`", "samples x columns", "codes of the columns"),
        Array("d_codes", "i8, i16 or i32 by `width`", "samples x rows", "codes of the rows"),
    )

    configuration: Annotated[U64, "hash of the configuration in force"]
    samples: Annotated[U32, "samples of this part"]
    sample_offset: Annotated[U32, "samples of the operation before them"]
    shape: Annotated[U16, "number of the pulse shape in the table"]
    width: Annotated[U8, "bytes of a code: 1, 2 or 4"]


@body(20)
class OuterTrains(Part):
    """Rank-1 updates whose trains the host has drawn, as bits: line i is bit i % 8 of byte i / 8.

    A part holds all slots of some samples, or some slots of one sample. No line fires both ways in
    one slot.
    """

    TAIL = (
        Array("x_plus", "u8", "samples x slots x ceil(columns / 8)", "columns that fire upwards"),
        Array("x_minus", "u8", "samples x slots x ceil(columns / 8)", "... downwards"),
        Array("d_plus", "u8", "samples x slots x ceil(rows / 8)", "rows that fire upwards"),
        Array("d_minus", "u8", "samples x slots x ceil(rows / 8)", "... downwards"),
    )

    configuration: Annotated[U64, "hash of the configuration in force"]
    samples: Annotated[U32, "samples of this part"]
    sample_offset: Annotated[U32, "samples of the operation before them"]
    slots: Annotated[U16, "slots of this part"]
    slot_offset: Annotated[U16, "slots of the sample before them"]
    shape: Annotated[U16, "number of the pulse shape in the table"]


@body(21)
class Form(Part):
    """Forms the cells of a block by a recipe of the chip."""

    TAIL = _LISTS

    configuration: Annotated[U64, "hash of the configuration in force"]
    row_first: Annotated[U16, "first row, 0 if they are listed"]
    row_count: Annotated[U16, "rows of the block"]
    col_first: Annotated[U16, "first column, 0 if they are listed"]
    col_count: Annotated[U16, "columns of the block"]
    listed: Annotated[U8, "bit 0: rows are listed, bit 1: columns are"]
    recipe: Annotated[C16, "name of the recipe"]


@body(22)
class Reset(Form):
    """Resets the cells of a block by a recipe of the chip."""


@body(23)
class Wait(Part):
    """Lets the chip's clock run."""

    ticks: Annotated[U64, "chip time"]


@body(24)
class Snapshot(Part):
    """Reads the state of some cells of a virtual array, as RESTORE writes it."""

    first: Annotated[U32, "first cell, row-major"]
    cells: Annotated[U32, "number of cells"]


@body(25)
class Restore(Snapshot):
    """Writes the state of some cells of a virtual array."""

    TAIL = (
        Array(
            "state",
            "u32",
            "state_words x cells",
            "bits of the f32 planes persistent, visible, reference; pulses counted per cell; of 8 "
            "words tick of the last pulse and tick that it is, low words before high words",
        ),
    )


@body(144)
class Result(Body):
    """Answers a part."""

    TAIL = (
        Array("values", "i16, i32 or u32 by `value_bytes`", "values", "what was read"),
        Array("saturated", "u8", "ceil(values / 8), none of a SNAPSHOT", "value i: bit i % 8"),
    )

    id: Annotated[U64, "id of the operation"]
    fired: Annotated[U64, "pulses fired, all cells together"]
    ticks: Annotated[U64, "chip time it took"]
    values: Annotated[U32, "number of values"]
    part: Annotated[U16, "number of the part"]
    error: Annotated[U16, "why it was not applied or cut short, else 0"]
    verdict: Annotated[U8, "0 applied, 1 not applied, 2 partial, 3 unknown"]
    value_bytes: Annotated[U8, "bytes of a value: 2 or 4; 0 without values"]
