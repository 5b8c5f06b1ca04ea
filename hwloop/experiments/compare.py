"""A live array against a tape: the taped operations again, their results within a tolerance."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import BlockingBackend
from hwloop.capabilities import Capabilities, Converter, TileCapabilities
from hwloop.crossbar import Chip, Submission
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import (
    Configure,
    Direction,
    Operation,
    ReadCells,
    Result,
    Snapshot,
    Vmm,
)
from hwloop.tape import Entry, entries
from hwloop.tape.recording import Recording

UNDER_WAY = 32
"""Operations that are sent ahead of the results that are compared."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a code of a read may be from the taped one.

    Attributes:
        codes: a number of codes; averaged reads are compared by their means.
        noise: alternatively, multiples of the standard deviation that the stated noise of the
            converters gives the difference of two reads, and one code for rounding.
    """

    codes: float | None = None
    noise: float | None = None

    def of(self, tile: TileCapabilities, adc: Converter, average: int) -> float:
        """Return the tolerance for the mean code of a read."""
        if self.codes is not None:
            return self.codes
        assert self.noise is not None and tile.output_noise is not None
        sigma = tile.output_noise / adc.lsb
        return self.noise * sigma * float(np.sqrt(2 / average)) + 1


@dataclass(slots=True)
class Compared:
    """Results of the operations of one kind.

    Attributes:
        operations: operations compared.
        values, outside: codes of reads, or counts of pulses, and how many of them are outside.
        worst: largest magnitude of a difference.
        first: what was the first one outside, or empty.
    """

    operations: int = 0
    values: int = 0
    outside: int = 0
    worst: float = 0.0
    first: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        kinds: by kind of operation.
        pulses: pulses given to the live array.
        without_result: operations at whose first the comparison ended, since the tape holds no
            result of it; None where all were compared.
    """

    kinds: dict[str, Compared]
    pulses: int
    without_result: int | None

    @property
    def outside(self) -> int:
        """Values outside, all kinds together."""
        return sum(row.outside for row in self.kinds.values())


class Rehearsal(BlockingBackend):
    """An array that moves nothing: what is sent to it has passed the guard of the real one."""

    def __init__(self, array: Capabilities) -> None:
        super().__init__()
        self._array = array

    @property
    def moves_nothing(self) -> bool:
        """Whether no array is behind it: so it is."""
        return True

    def describe(self) -> Capabilities:
        """Return what the real array can do."""
        return self._array

    def execute(self, operation: Operation) -> Result:
        """Do nothing."""
        return Result()

    def idle(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a comparison does to an array.

    Attributes:
        operations: operations by kind.
        pulses: pulses that they gave on the tape.
        chip_seconds: chip time that they took on the tape.
    """

    operations: dict[str, int]
    pulses: int
    chip_seconds: float


def rehearse(
    recording: Recording, chip: Chip, watch: Callable[[int], None] | None = None
) -> Rehearsed:
    """Let every taped operation pass the guard of a chip whose backend is a `Rehearsal`.

    Raises:
        CrossbarError: the array cannot do an operation, or a limit forbids it.
    """
    check_comparable(recording, chip)
    kinds: dict[str, int] = {}
    pulses = ticks = 0
    for entry in entries(recording.path, watch):
        if entry.result is None:
            break
        operation = entry.operation
        if not isinstance(operation, Configure):
            chip.submit([_reissued(operation, chip)]).results()
            kinds[operation.kind] = kinds.get(operation.kind, 0) + 1
        pulses += entry.result.fired
        ticks += entry.result.ticks
    return Rehearsed(kinds, pulses, ticks * recording.array.tick_seconds)


def compare(
    recording: Recording,
    chip: Chip,
    tolerance: Tolerance,
    watch: Callable[[int], None] | None = None,
) -> Comparison:
    """Give a live array the operations of a tape and compare its results with the taped ones.

    Operations pass the guard as always. They keep the taped ordinals, so that a virtual array of
    the same seed gives the same noise.

    Args:
        recording: the tape.
        chip: the live array.
        tolerance: how far codes of reads may be apart; pulses and states have to be equal.
        watch: is told now and then how many bytes of the tape are done.

    Raises:
        CrossbarError: tape and array do not fit together, or the array fails.
    """
    check_comparable(recording, chip)
    if tolerance.codes is None and any(t.output_noise is None for t in chip.capabilities.tiles):
        raise CapabilityError(
            f"{chip.capabilities.name} does not state the noise of its converters",
            remedy="give the tolerance in codes",
        )
    table = _Table(chip.capabilities, tolerance)
    sent: deque[tuple[int, Entry, Submission]] = deque()
    without_result = None

    def take() -> None:
        position, entry, submission = sent.popleft()
        assert entry.result is not None
        table.enter(position, entry.operation, entry.result, submission.results()[0])

    for position, entry in enumerate(entries(recording.path, watch)):
        if entry.result is None:
            without_result = position
            break
        if isinstance(entry.operation, Configure):
            continue
        sent.append((position, entry, chip.submit([_reissued(entry.operation, chip)])))
        if len(sent) > UNDER_WAY:
            take()
    while sent:
        take()
    return Comparison(table.kinds, chip.totals.pulses, without_result)


def check_comparable(recording: Recording, chip: Chip) -> None:
    """Refuse an array whose codes or pulses mean something else than those on the tape.

    Raises:
        ConfigurationError: other tiles, converters or pulse shapes.
    """
    taped, live = recording.array, chip.capabilities
    faults = []
    for i, tile in enumerate(taped.tiles):
        if i >= len(live.tiles):
            faults.append(f"tile {i}: on the tape {tile.rows}x{tile.cols}, the array has none")
            continue
        for name in ("rows", "cols", "dac", "adc_forward", "adc_backward", "adc_cells"):
            there, here = getattr(tile, name), getattr(live.tiles[i], name)
            if there != here:
                faults.append(f"tile {i}: {name}: on the tape {there}, the array has {here}")
    mine = chip.configuration.shapes
    for name, shape in taped.configuration.shapes.items():
        if mine.get(name) != shape:
            have = mine.get(name)
            faults.append(f"pulse shape {name!r}: on the tape {shape}, the array has {have}")
    if faults:
        raise ConfigurationError(
            f"{recording.path} cannot be compared with {live.name}:\n  " + "\n  ".join(faults),
            remedy="open an array of the same tiles, converters and pulse shapes",
        )


def _reissued(operation: Operation, chip: Chip) -> Operation:
    changes: dict[str, Any] = {"id": chip.identity()["id"]}
    if hasattr(operation, "configuration"):
        changes["configuration"] = chip.configuration_hash
    return dataclasses.replace(operation, **changes)


class _Table:
    """Collects differences by kind of operation."""

    def __init__(self, live: Capabilities, tolerance: Tolerance) -> None:
        self.kinds: dict[str, Compared] = {}
        self._live = live
        self._tolerance = tolerance

    def enter(self, position: int, operation: Operation, taped: Result, live: Result) -> None:
        """Compare the results of one operation."""
        row = self.kinds.setdefault(operation.kind, Compared())
        row.operations += 1
        where = f"operation {position}, tile {operation.tile}"
        if live.verdict is not taped.verdict:
            row.outside += 1
            row.first = row.first or (
                f"{where}: {live.verdict.name.lower()}, taped {taped.verdict.name.lower()}"
            )
        elif taped.values is not None and live.values is not None:
            apart, outside = self._apart(operation, taped, live)
            self._add(row, apart, outside, where, taped.values, live.values)
        elif taped.fired or live.fired:
            fired = np.array([live.fired]), np.array([taped.fired])
            self._add(row, np.abs(fired[0] - fired[1]), fired[0] != fired[1], where, *fired[::-1])

    def _apart(
        self, operation: Operation, taped: Result, live: Result
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
        """Return magnitudes of differences, and where they are outside."""
        assert taped.values is not None and live.values is not None
        if isinstance(operation, Snapshot):
            unequal = taped.values != live.values
            return unequal.astype(float), unequal
        tile = self._live.tiles[operation.tile]
        adc, average = tile.adc_cells, 1
        if isinstance(operation, Vmm):
            forward = operation.direction is Direction.FORWARD
            adc = tile.adc_forward if forward else tile.adc_backward
        elif isinstance(operation, ReadCells):
            average = operation.average
        apart = np.abs(taped.values.astype(np.int64) - live.values) / average
        outside = apart > self._tolerance.of(tile, adc, average)
        if taped.saturated is not None and live.saturated is not None:
            outside &= ~(taped.saturated & live.saturated)  # both at the same bound
        return apart, outside

    @staticmethod
    def _add(
        row: Compared,
        apart: NDArray[Any],
        outside: NDArray[np.bool_],
        where: str,
        taped: NDArray[Any],
        live: NDArray[Any],
    ) -> None:
        row.values += outside.size
        row.worst = max(row.worst, float(apart.max(initial=0)))
        row.outside += int(np.count_nonzero(outside))
        if outside.any() and not row.first:
            place = tuple(int(i) for i in np.argwhere(outside)[0])
            row.first = f"{where}, {list(place)}: {int(live[place])}, taped {int(taped[place])}"
