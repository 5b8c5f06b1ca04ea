"""Named, opt-in wrappers that build a missing capability out of present ones.

A lowering promises equal statistics, not equal bits: it spends other pulses, reads and random
numbers than a chip that has the capability. Without being named in `connect(lowerings=...)` none is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from hwloop import random
from hwloop.capabilities import Capabilities, TileCapabilities
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import (
    Direction,
    IntArray,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Result,
    Vmm,
)

L = TypeVar("L")
Combine = Callable[[list[Result]], Result]
Identify = Callable[[], dict[str, int]]
"""Gives a fresh id and ordinal for an operation that a lowering adds."""


HOST_SEED = 0
"""Seed of trains that the host draws; the operation's ordinal tells them apart."""


class Lowering(Protocol):
    """One wrapper."""

    def offered(self, capabilities: Capabilities) -> Capabilities:
        """Return what the array can do with the wrapper, or raise `CapabilityError`."""
        ...

    def rewrite(
        self, operation: Operation, identify: Identify
    ) -> tuple[list[Operation], Combine] | None:
        """Return the operations that stand for one and how to combine their results."""
        ...


class Lowered:
    """Capabilities with the named lowerings, and the rewriting of submissions."""

    def __init__(self, capabilities: Capabilities, names: Iterable[str]) -> None:
        self._steps: list[Lowering] = []
        for name in names:
            if name not in LOWERINGS:
                raise ConfigurationError(
                    f"unknown lowering {name!r}",
                    remedy=f"use one of {', '.join(sorted(LOWERINGS))}",
                )
            step = LOWERINGS[name](capabilities)
            capabilities = step.offered(capabilities)
            self._steps.append(step)
        self.capabilities = capabilities

    def step(self, kind: type[L]) -> L:
        """Return the lowering of a class, to be told what it needs to know."""
        for step in self._steps:
            if isinstance(step, kind):
                return step
        raise CapabilityError(f"the lowering {kind.__name__} is not in use")

    def rewrite(
        self, operations: Sequence[Operation], identify: Identify
    ) -> tuple[Sequence[Operation], Callable[[list[Result]], list[Result]] | None]:
        """Rewrite a submission; the second part turns its results into those asked for."""
        combiners: list[Callable[[list[Result]], list[Result]]] = []
        for step in reversed(self._steps):
            operations, combine = _apply(step, operations, identify)
            if combine is not None:
                combiners.append(combine)
        if not combiners:
            return operations, None

        def combine_all(results: list[Result]) -> list[Result]:
            for combine in reversed(combiners):
                results = combine(results)
            return results

        return operations, combine_all


def _apply(
    step: Lowering, operations: Sequence[Operation], identify: Identify
) -> tuple[Sequence[Operation], Callable[[list[Result]], list[Result]] | None]:
    lowered: list[Operation] = []
    spans: list[tuple[int, int, Combine | None]] = []
    for operation in operations:
        rewritten = step.rewrite(operation, identify)
        made, combine = ([operation], None) if rewritten is None else rewritten
        spans.append((len(lowered), len(lowered) + len(made), combine))
        lowered += made
    if all(combine is None for _, _, combine in spans):
        return operations, None

    def combine_all(results: list[Result]) -> list[Result]:
        return [
            results[begin] if combine is None else combine(results[begin:end])
            for begin, end, combine in spans
        ]

    return lowered, combine_all


def _merged(results: list[Result], values: IntArray | None = None, **fields: Any) -> Result:
    return Result(
        id=results[0].id,
        verdict=max(r.verdict for r in results),
        values=values,
        fired=sum(r.fired for r in results),
        ticks=sum(r.ticks for r in results),
        distance=max((r.distance for r in results if r.distance is not None), default=None),
        **fields,
    )


def _with_tiles(
    capabilities: Capabilities, change: Callable[[TileCapabilities], dict[str, Any]], *kinds: str
) -> Capabilities:
    tiles = tuple(t.model_copy(update=change(t)) for t in capabilities.tiles)
    operations = capabilities.operations | frozenset(kinds)
    return capabilities.model_copy(update={"tiles": tiles, "operations": operations})


class BackwardByReads:
    """Backward reads made of a read of all cells and a digital product."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._tiles = capabilities.tiles

    def offered(self, capabilities: Capabilities) -> Capabilities:
        """Return the capabilities with `vmm`; needs `read_cells`."""
        if "read_cells" not in capabilities.operations:
            raise CapabilityError("backward_by_reads needs the operation read_cells")
        return _with_tiles(capabilities, lambda t: {}, "vmm")

    def rewrite(
        self, operation: Operation, identify: Identify
    ) -> tuple[list[Operation], Combine] | None:
        """Replace backward reads."""
        if not isinstance(operation, Vmm) or operation.direction is not Direction.BACKWARD:
            return None
        tile = self._tiles[operation.tile]
        read = ReadCells(
            tile=operation.tile, plane=operation.plane, id=operation.id, ordinal=operation.ordinal
        )
        # cell code -> siemens x full scale -> ADC code of a backward read, per DAC code
        factor = tile.adc_cells.lsb / tile.dac.code_max / tile.adc_backward.lsb
        most = tile.adc_backward.code_max

        def combine(results: list[Result]) -> Result:
            cells = results[0].values
            assert cells is not None
            exact = operation.codes.astype(np.float64) @ cells.astype(np.float64) * factor
            codes = np.clip(np.rint(exact), -most, most).astype(np.int32)
            return _merged(results, codes, saturated=np.abs(exact) >= most)

        return [read], combine


class OuterByTrains:
    """Seeded outer-product updates made of pulse trains that the host draws."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._tiles = capabilities.tiles

    def offered(self, capabilities: Capabilities) -> Capabilities:
        """Return the capabilities with the seeded encoding; needs the encoding `trains`."""
        if not all("trains" in t.update_encodings for t in capabilities.tiles):
            raise CapabilityError("outer_by_trains needs the update encoding trains")
        return _seeded(capabilities)

    def rewrite(
        self, operation: Operation, identify: Identify
    ) -> tuple[list[Operation], Combine] | None:
        """Replace seeded updates."""
        if not isinstance(operation, OuterUpdate):
            return None
        x_trains, d_trains = host_trains(operation, self._tiles[operation.tile])
        trains = OuterTrains(
            tile=operation.tile,
            x_trains=x_trains,
            d_trains=d_trains,
            shape=operation.shape,
            configuration=operation.configuration,
            id=operation.id,
            ordinal=operation.ordinal,
        )
        return [trains], _merged


class OuterByCounts:
    """Seeded outer-product updates made of explicit pulses.

    The host draws trains and counts coincidences. The pulses of a sample reach a cell in one go;
    samples keep their order.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._tiles = capabilities.tiles

    def offered(self, capabilities: Capabilities) -> Capabilities:
        """Return the capabilities with the seeded encoding; needs the operation `pulse`."""
        if "pulse" not in capabilities.operations:
            raise CapabilityError("outer_by_counts needs the operation pulse")
        return _seeded(capabilities)

    def rewrite(
        self, operation: Operation, identify: Identify
    ) -> tuple[list[Operation], Combine] | None:
        """Replace seeded updates."""
        if not isinstance(operation, OuterUpdate):
            return None
        x_trains, d_trains = host_trains(operation, self._tiles[operation.tile])
        pulses: list[Operation] = []
        for x, d in zip(x_trains.astype(np.int32), d_trains.astype(np.int32), strict=True):
            identity = identify() if pulses else {"id": operation.id, "ordinal": operation.ordinal}
            pulses.append(
                Pulse(
                    tile=operation.tile,
                    counts=(d.T @ x).astype(np.int16),
                    shape=operation.shape,
                    configuration=operation.configuration,
                    id=identity["id"],
                    ordinal=identity["ordinal"],
                )
            )
        return pulses, _merged


class HostReference:
    """A reference plane held by the host.

    Differences are made digitally from codes of the main plane. `store` sets the reference of a
    tile, in siemens; it starts at zero.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._tiles = capabilities.tiles
        self._siemens = [np.zeros((t.rows, t.cols)) for t in capabilities.tiles]

    def store(self, tile: int, siemens: np.ndarray[Any, np.dtype[np.floating[Any]]]) -> None:
        """Set the reference of a tile, shape (rows, cols)."""
        mine = self._siemens[tile]
        if siemens.shape != mine.shape or not np.isfinite(siemens).all():
            raise ConfigurationError(
                f"reference of tile {tile} has shape {siemens.shape}, expected finite {mine.shape}"
            )
        self._siemens[tile] = siemens.astype(np.float64)

    def offered(self, capabilities: Capabilities) -> Capabilities:
        """Return the capabilities with a reference plane."""
        return _with_tiles(capabilities, lambda t: {"reference": "cell"})

    def rewrite(
        self, operation: Operation, identify: Identify
    ) -> tuple[list[Operation], Combine] | None:
        """Replace reads of the difference."""
        if not isinstance(operation, Vmm | ReadCells) or operation.plane is Plane.MAIN:
            return None
        if operation.plane is Plane.REFERENCE:
            raise CapabilityError("the reference is held by the host and cannot be read")
        tile = self._tiles[operation.tile]
        reference = self._siemens[operation.tile]
        main: Operation
        if isinstance(operation, Vmm):
            forward = operation.direction is Direction.FORWARD
            adc = tile.adc_forward if forward else tile.adc_backward
            volts = operation.codes.astype(np.float64) * tile.dac.lsb
            offset = volts @ (reference.T if forward else reference) / adc.lsb
            main = Vmm(
                tile=operation.tile,
                direction=operation.direction,
                codes=operation.codes,
                plane=Plane.MAIN,
                id=operation.id,
                ordinal=operation.ordinal,
            )
        else:
            rows = slice(None) if operation.rows is None else operation.rows
            cols = slice(None) if operation.cols is None else operation.cols
            volts_per_code = tile.dac.full_scale / tile.adc_cells.lsb
            offset = reference[rows][:, cols] * volts_per_code * operation.average
            main = ReadCells(
                tile=operation.tile,
                rows=operation.rows,
                cols=operation.cols,
                average=operation.average,
                plane=Plane.MAIN,
                id=operation.id,
                ordinal=operation.ordinal,
            )

        def combine(results: list[Result]) -> Result:
            values = results[0].values
            assert values is not None
            codes = values - np.rint(offset).astype(np.int32)
            return _merged(results, codes, saturated=results[0].saturated)

        return [main], combine


def host_trains(operation: OuterUpdate, tile: TileCapabilities) -> tuple[IntArray, IntArray]:
    """Draw the trains of a seeded update on the host; shapes (samples, slots, lines), int8."""
    samples, slots = len(operation.train_lengths), int(operation.train_lengths.max(initial=0))
    sides = []
    for codes, gains, purpose in (
        (operation.x_codes, operation.x_gains, random.Purpose.X_TRAINS),
        (operation.d_codes, operation.d_gains, random.Purpose.D_TRAINS),
    ):
        key = random.operation_key(HOST_SEED, operation.ordinal, operation.tile, purpose)
        trains = np.zeros((samples, slots, codes.shape[1]), np.int8)
        for sample, length in enumerate(operation.train_lengths):
            fires = random.train_bits(
                key,
                codes[sample],
                int(gains[sample]),
                int(length),
                sample=sample,
                code_max=tile.update_code_max,
            )
            trains[sample, :length] = fires * np.sign(codes[sample])
        sides.append(trains)
    return sides[0], sides[1]


def _seeded(capabilities: Capabilities) -> Capabilities:
    return _with_tiles(
        capabilities,
        lambda t: {
            "update_encodings": tuple({*t.update_encodings, "seeded"}),
            "generator": t.generator or "host",
        },
        "outer_update",
    )


LOWERINGS: dict[str, Callable[[Capabilities], Lowering]] = {
    "backward_by_reads": BackwardByReads,
    "outer_by_trains": OuterByTrains,
    "outer_by_counts": OuterByCounts,
    "host_reference": HostReference,
}
"""Lowerings by name."""
