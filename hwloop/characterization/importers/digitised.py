"""Points read off a plot: a triangle of potentiation and depression, with the axes' calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.fields import Layout, Reader
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import Column
from hwloop.device_file.problems import FileError, Problem

_SHARE = Column(
    name="axis_percent", unit="%", meaning="place on the axis of the plot, full scale 100"
)


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return the pulse response of one cell, split at its maximum; its values carry no noise.

    Raises:
        ConfigurationError: no such points, or `--unit` or `--pulses` is not given.
    """
    (source,) = sources
    reader = Reader(source, Layout(named=True, comment="#"))
    x, y = reader.numbers([reader.index("X_value"), reader.index("Y_value")]).T
    for line in reader.comments():
        key, equals, value = line.strip().partition("=")
        if equals:
            facts.notes[key] = f"{facts.notes[key]}; {value}" if key in facts.notes else value
    back = np.flatnonzero(np.diff(x) <= 0)
    if back.size:
        problem = Problem(f"point {back[0] + 2}", f"X_value {x[back[0] + 1]:g}", "should rise")
        raise FileError(source.name, [problem], remedy="one value per place on the axis")
    full = facts.need("pulses", "how many pulses its axis stands for", "100")
    top = int(np.argmax(y))
    pulse = np.rint(x * full / 100).astype(np.int64)
    pulse[top + 1 :] -= pulse[top]
    columns = {
        "cell": 0,
        "repeat": 0,
        "sequence": np.arange(len(x)),
        "direction": np.where(np.arange(len(x)) <= top, 1, -1),
        "pulse": pulse,
        "axis_percent": x,
        **facts.state(y, lambda row: reader.place(row, reader.index("Y_value"))),
    }
    facts.assumed("columns.pulse", "pulses")
    facts.put("conditions.noise_in_values", False)
    return facts.finish("pulse_response", columns, own={"axis_percent": _SHARE})
