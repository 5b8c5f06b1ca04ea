"""CSV files of ArC ONE: two free lines, a line of names, then a row per pulse or read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.fields import Layout, Reader
from hwloop.characterization.importers.history import finish_history
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.measurement import Measurement
from hwloop.device_file.problems import FileError, Problem

NAMES = (
    "Wordline",
    "Bitline",
    "Resistance",
    "Amplitude (V)",
    "Pulse width (s)",
    "Tag",
    "ReadTag",
    "ReadVoltage",
)
"""Names of the columns, which begin in line 3."""


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return the histories of all cells of a file; lines count from 1 in it, from 0 in hwloop.

    Raises:
        ConfigurationError: another form, or `--unit` or `--kind` is not given.
    """
    (source,) = sources
    reader = Reader(source, Layout(skip=2, named=True, decimal=facts.layout_decimal()))
    numeric = [reader.index(name) for name in NAMES if name not in ("Tag", "ReadTag")]
    values = reader.numbers(numeric)
    word, bit, state, amplitude, width, read_volts = values.T
    for name, lines in (("Wordline", word), ("Bitline", bit)):
        wrong = np.flatnonzero((lines < 1) | (lines != np.floor(lines)))
        if wrong.size:
            problem = Problem(
                f"row {wrong[0] + 1}, column {name}", f"{lines[wrong[0]]:g}", "should count from 1"
            )
            raise FileError(source.name, [problem])
    return finish_history(
        facts,
        row=word.astype(np.int64) - 1,
        col=bit.astype(np.int64) - 1,
        amplitude=amplitude,
        width=width,
        state=facts.state(state, lambda row: reader.place(row, numeric[2])),
        read_volts=read_volts,
    )
