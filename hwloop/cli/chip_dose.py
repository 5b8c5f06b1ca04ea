"""`hwloop chip dose`: what chips have been given in their lives, as this host has noted it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwloop.backend import keeps_doses, open_backend
from hwloop.cli.output import JsonFlag, print_json, print_table
from hwloop.errors import ConfigurationError
from hwloop.guard import Recorded, all_recorded, chip_folder, holder_text, is_held, recorded


def dose(
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="URL", help="The chip at the end of a URL.")
    ] = None,
    chip: Annotated[
        str | None, typer.Option("--chip", metavar="CHIP_ID", help="The chip with this id.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the pulses that chips have had in their lives; without options, of every chip."""
    if backend is not None and chip is not None:
        raise ConfigurationError("--backend and --chip are two ways to say the same: give one")
    if backend is not None:
        chip = _chip_at(backend)
    if chip is None:
        found = all_recorded()
    else:
        one = recorded(chip)
        if one is None:
            known = ", ".join(repr(r.chip_id) for r in all_recorded())
            raise ConfigurationError(
                f"there is no record of chip {chip!r}: no file in {chip_folder(chip)}",
                remedy=f"chips with a record: {known or 'none'}; a chip has one once it was armed",
            )
        found = [one]
    if as_json:
        print_json({"chips": [_content(one) for one in found]})
        return
    if not found:
        print(f"no chip has been armed: there is nothing in {chip_folder('x').parent}")
    for one in found:
        _show(one)


def _chip_at(url: str) -> str:
    opened = open_backend(url)
    try:
        if keeps_doses(opened):
            raise ConfigurationError(
                f"the doses of the chip at {url} are written down where it is served",
                remedy="run hwloop chip dose on that machine",
            )
        return opened.describe().chip_id
    finally:
        opened.close()


def _content(one: Recorded) -> dict[str, Any]:
    counts = one.counts
    return {
        "chip_id": one.chip_id,
        "file": str(one.path),
        "settled": one.settled,
        "in_use": is_held(one.path.parent),
        "pulses": sum(int(row.sum()) for row in counts.row),
        "tiles": [
            {
                "rows": rows,
                "cols": cols,
                "row": counts.row[i].tolist(),
                "col": counts.col[i].tolist(),
                "cells": None if counts.cells is None else counts.cells[i].tolist(),
            }
            for i, (rows, cols) in enumerate(one.tiles)
        ],
    }


def _show(one: Recorded) -> None:
    rows: list[tuple[Any, ...]] = []
    for i, (tile_rows, tile_cols) in enumerate(one.tiles):
        row, col = one.counts.row[i], one.counts.col[i]
        cell = "-"
        if one.counts.cells is not None:
            cells = one.counts.cells[i]
            r, c = divmod(int(cells.argmax()), tile_cols)
            cell = f"{int(cells.max())} (row {r}, col {c})"
        rows.append(
            (
                i,
                f"{tile_rows} x {tile_cols}",
                int(row.sum()),
                f"{int(row.max())} (row {int(row.argmax())})",
                f"{int(col.max())} (col {int(col.argmax())})",
                cell,
            )
        )
    head = ("tile", "size", "pulses", "most on a row", "on a column", "on a cell")
    print_table(f"chip {one.chip_id}: pulses at most, in its life", head, rows)
    for line in _remarks(one, one.path.parent):
        print(line)


def _remarks(one: Recorded, folder: Path) -> list[str]:
    remarks = [f"file: {one.path}"]
    if one.counts.cells is None:
        remarks.append("counted per line: the chip is too large to count its cells")
    if is_held(folder):
        remarks.append(f"in use by {holder_text(folder)}: pulses reserved ahead are counted")
    elif not one.settled:
        remarks.append("its last user was cut off: pulses that it had reserved are counted")
    return remarks
