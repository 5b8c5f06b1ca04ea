"""Hypothesis strategies for messages, operations and results."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwloop.capabilities import Converter, TileCapabilities
from hwloop.operations import (
    Direction,
    Form,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Snapshot,
    Vmm,
    Wait,
)
from hwloop_wire.layout import Body, Place

WIDTHS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}


def values(place: Place) -> st.SearchStrategy[Any]:
    """Values of a field."""
    if place.type in WIDTHS:
        return st.integers(0, 2 ** WIDTHS[place.type] - 1)
    if place.type == "f64":
        return st.floats()
    characters = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
    return st.text(characters, max_size=place.size).filter(
        lambda text: len(text.encode()) <= place.size
    )


def bodies(body: type[Body]) -> st.SearchStrategy[Body]:
    """Bodies of one message."""
    fields = {place.name: values(place) for place in body.PLACES if place.type[0] != "x"}
    return st.builds(body, **fields)


@st.composite
def tiles(draw: st.DrawFn) -> TileCapabilities:
    """Tiles of a few lines, with converters of any width."""
    converters = {
        name: Converter(
            code_max=draw(st.sampled_from([1, 127, 128, 2047, 40000, 2**23])), full_scale=1
        )
        for name in ("dac", "adc_forward", "adc_backward", "adc_cells")
    }
    return TileCapabilities(
        rows=draw(st.integers(1, 20)),
        cols=draw(st.integers(1, 20)),
        reference="cell",
        cell_siemens=1e-6,
        middle_siemens=draw(st.sampled_from([0.0, 2e-6])),
        update_code_max=draw(st.sampled_from([1, 127, 32767, 2**23])),
        longest_train=255,
        update_encodings=("seeded", "trains"),
        average_max=1000,
        **converters,
    )


def codes(shape: tuple[int, ...], largest: int, dtype: Any = np.int32) -> st.SearchStrategy[Any]:
    """Arrays of codes up to a magnitude, often small ones."""
    return st.sampled_from([1, 100, largest]).flatmap(
        lambda most: hnp.arrays(
            dtype, shape, elements=st.integers(-min(most, largest), min(most, largest))
        )
    )


@st.composite
def lines(draw: st.DrawFn, size: int) -> Any:
    """Lines of one axis: all, some, or a range."""
    match draw(st.integers(0, 2)):
        case 0:
            return None
        case 1:
            chosen = draw(st.lists(st.integers(0, size - 1), min_size=1, unique=True))
            return np.array(chosen, np.int32)
    first = draw(st.integers(0, size - 1))
    return np.arange(first, draw(st.integers(first, size - 1)) + 1, dtype=np.int32)


@st.composite
def operations(draw: st.DrawFn, tile: TileCapabilities) -> Operation:
    """Well-formed operations on a tile."""
    common: dict[str, Any] = {
        "tile": 0,
        "id": draw(st.integers(1, 2**64 - 1)),
        "ordinal": draw(st.integers(0, 2**64 - 1)),
    }
    consuming = {**common, "configuration": draw(st.integers(0, 2**63 - 1))}
    samples = draw(st.integers(0, 9))
    rows, cols = draw(lines(tile.rows)), draw(lines(tile.cols))
    plane = draw(st.sampled_from(Plane))
    match draw(st.integers(0, 9)):
        case 0:
            direction = draw(st.sampled_from(Direction))
            driven = tile.cols if direction is Direction.FORWARD else tile.rows
            array = draw(codes((samples, driven), tile.dac.code_max))
            return Vmm(direction=direction, codes=array, plane=plane, **common)
        case 1:
            average = draw(st.integers(1, 100))
            return ReadCells(rows=rows, cols=cols, average=average, plane=plane, **common)
        case 2:
            shape = (
                tile.rows if rows is None else len(rows),
                tile.cols if cols is None else len(cols),
            )
            counts = draw(codes(shape, 32767, np.int16))
            return Pulse(rows=rows, cols=cols, counts=counts, shape="b", **consuming)
        case 3:
            return OuterUpdate(
                x_codes=draw(codes((samples, tile.cols), tile.update_code_max)),
                d_codes=draw(codes((samples, tile.rows), tile.update_code_max)),
                train_lengths=draw(hnp.arrays(np.int32, samples, elements=st.integers(0, 255))),
                x_gains=draw(hnp.arrays(np.int32, samples, elements=st.integers(1, 65536))),
                d_gains=draw(hnp.arrays(np.int32, samples, elements=st.integers(1, 65536))),
                shape="a",
                **consuming,
            )
        case 4:
            slots = draw(st.integers(0, 12))
            return OuterTrains(
                x_trains=draw(codes((samples, slots, tile.cols), 1, np.int8)),
                d_trains=draw(codes((samples, slots, tile.rows), 1, np.int8)),
                shape="a",
                **consuming,
            )
        case 5:
            return Form(rows=rows, cols=cols, recipe="soft", **consuming)
        case 6:
            return Reset(rows=rows, cols=cols, recipe="", **consuming)
        case 7:
            return Wait(ticks=draw(st.integers(0, 2**63)), **common)
        case 8:
            return Snapshot(**common)
    state = hnp.arrays(np.uint32, (4, tile.rows, tile.cols))
    return Restore(state=draw(state), **common)
