"""Two columns without names: the state after each pulse up, and after each pulse down.

The form of aihwkit's example of a fitted pulse response, `examples/csv/gong_et_al.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.fields import Layout, Reader
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.measurement import Measurement
from hwloop.errors import ConfigurationError


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return the pulse response of one cell.

    Raises:
        ConfigurationError: other than two columns of numbers, or `--unit` is not given.
    """
    (source,) = sources
    layout = Layout(facts.layout_delimiter(","), decimal=facts.layout_decimal())
    reader = Reader(source, layout)
    if len(reader.names) != 2:
        raise ConfigurationError(
            f"{source.name}: has {len(reader.names)} columns; this form has two, up and down",
            remedy="give the --delimiter, or import it with --format table and a mapping",
        )
    values = reader.numbers([0, 1])
    pulses = len(values)
    order = [0, 1] if facts.sign() > 0 else [1, 0]
    columns: dict[str, Any] = {
        "cell": 0,
        "repeat": 0,
        "sequence": np.arange(2 * pulses),
        "direction": np.repeat([1, -1], pulses),
        "pulse": np.tile(np.arange(1, pulses + 1), 2),
        **facts.state(
            values[:, order].T.ravel(),
            lambda i: reader.place(i % pulses, order[i // pulses]),
        ),
    }
    facts.found("columns.sequence", "assumed: the pulses down come after those up")
    return facts.finish("pulse_response", columns)
