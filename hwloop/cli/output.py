"""What commands print, and what becomes of errors."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from hwloop.untrusted import one_line, printable

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
BackendOption = Annotated[
    str, typer.Option("--backend", metavar="URL", help="The array, e.g. sim:reram-om,seed=1.")
]

_PREFIXES = {
    -15: "f",
    -12: "p",
    -9: "n",
    -6: "µ",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
    12: "T",
}


def print_json(content: dict[str, Any]) -> None:
    """Print the one object of a command's standard output."""
    print(json.dumps(content, indent=2))


def print_error(text: str) -> None:
    """Print a message on standard error; it may hold what a chip or a file says of itself."""
    typer.echo(printable(text), err=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table, its first column in bold; without column names, it has no head."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(one_line(title)) if title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
        pad_edge=False,
    )
    for i, name in enumerate(columns):
        table.add_column(Text(one_line(name)), style="bold" if i == 0 else "", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    # A file or a pipe has no width; lines of a hundred characters keep most values whole.
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def si(value: float | None, unit: str) -> str:
    """Return a value in SI units with three digits and a prefix; a dash for None."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(max(3 * math.floor(math.log10(abs(value)) / 3), -15), 12)
    scaled = float(f"{value / 10.0**power:.3g}")
    if abs(scaled) >= 1000 and power < 12:
        power, scaled = power + 3, scaled / 1000
    return f"{scaled:g} {_PREFIXES[power]}{unit}"
