"""Ramps of CrossSim: `set.csv` and `reset.csv`, one ramp per column, ragged at the end.

The order of the ramps is not in the files; it follows from where one ends and the next begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.fields import Layout, Reader
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.measurement import Measurement
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

CLEARER = 1.5
"""How many times larger the jumps of the other order have to be for this one to be taken."""

Ramps = list[NDArray[np.float64]]


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return the pulse response of one cell; a repeat is a ramp and the opposite one after it.

    Raises:
        ConfigurationError: not one file of set and one of reset ramps, an order that the data
            contradicts or leaves open, or a fact that is not given.
    """
    down, up = sorted(sources, key=lambda source: "reset" not in source.name.lower())
    if facts.sign() < 0:
        down, up = up, down
    ramps = {"up": _ramps(up, facts), "down": _ramps(down, facts)}
    first = _first(ramps, facts, sources)
    second = "down" if first == "up" else "up"
    trains = [
        (k, direction, ramps[direction][k])
        for k in range(max(map(len, ramps.values())))
        for direction in (first, second)
        if k < len(ramps[direction])
    ]
    lengths = [len(train) for _, _, train in trains]
    repeat = np.repeat([k for k, _, _ in trains], lengths)
    direction = np.repeat([1 if side == "up" else -1 for _, side, _ in trains], lengths)
    pulse = np.concatenate([np.arange(1, n + 1) for n in lengths])
    state = facts.state(
        np.concatenate([train for _, _, train in trains]),
        lambda row: (
            f"{'set' if direction[row] > 0 else 'reset'} ramp {repeat[row] + 1}, pulse {pulse[row]}"
        ),
    )
    columns: dict[str, Any] = {
        "cell": 0,
        "repeat": repeat,
        "sequence": np.arange(sum(lengths)),
        "direction": direction,
        "pulse": pulse,
    }
    return facts.finish("pulse_response", {**columns, **state})


def pair(sources: Sequence[Source]) -> None:
    """Refuse anything but one file of set ramps and one of reset ramps.

    Raises:
        ConfigurationError: the names do not tell them.
    """
    resets = ["reset" in source.name.lower() for source in sources]
    if len(sources) != 2 or sum(resets) != 1:
        names = ", ".join(source.name for source in sources)
        raise ConfigurationError(
            f"{names}: the format crosssim takes two files, one with `reset` in its name",
            remedy="give both: set.csv reset.csv",
        )


def _ramps(source: Source, facts: Facts) -> Ramps:
    layout = Layout(facts.layout_delimiter(","), named=True, decimal=facts.layout_decimal())
    reader = Reader(source, layout)
    everywhere = range(len(reader.names))
    values = reader.numbers(everywhere, frozenset(everywhere))
    ramps, problems = [], []
    for i, column in enumerate(values.T):
        measured = np.isfinite(column)
        length = int(np.count_nonzero(measured))
        if length == 0 or not measured[:length].all():
            row = 0 if length == 0 else int(np.flatnonzero(~measured)[0])
            problems.append(
                Problem(
                    f"row {row + 1}, column {reader.names[i]}",
                    "",
                    "is empty; only the end of a ramp may be",
                )
            )
        ramps.append(column[:length])
    if problems:
        raise FileError(source.name, problems)
    return ramps


def _first(
    ramps: dict[str, Ramps], facts: Facts, sources: Sequence[Source]
) -> Literal["up", "down"]:
    jumps = {"up": _jump(ramps["up"], ramps["down"]), "down": _jump(ramps["down"], ramps["up"])}
    smooth: Literal["up", "down"] = "up" if jumps["up"] < jumps["down"] else "down"
    other = "down" if smooth == "up" else "up"
    said = (
        f"mean jump between ramps {jumps[smooth]:.3g} if {smooth} is first, {jumps[other]:.3g} if "
        f"{other} is (in the unit of the file)"
    )
    given: Literal["up", "down"] | None = facts.get("first")
    clear = jumps[other] > CLEARER * jumps[smooth]
    if given is None and not clear:
        raise ConfigurationError(
            f"{sources[0].name}: does not say which ramp is first, nor do the values: {said}",
            remedy="say it: --first up or --first down",
        )
    if given is not None and clear and given != smooth:
        raise ConfigurationError(
            f"--first {given}: contradicts the values: {said}",
            remedy=f"--first {smooth}, or check that both files belong together",
        )
    how = "by continuity, " + said if given is None else f"--first {given} at import; {said}"
    facts.found("columns.sequence", f"assumed: order of the ramps {how}")
    return given or smooth


def _jump(first: Ramps, second: Ramps) -> float:
    """Return the mean distance from the end of a ramp to the start of the next."""
    gaps = [abs(b[0] - a[-1]) for a, b in zip(first, second, strict=False)]
    gaps += [abs(a[0] - b[-1]) for b, a in zip(second, first[1:], strict=False)]
    return float(np.mean(gaps)) if gaps else 0.0
