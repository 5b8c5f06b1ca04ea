"""Backends that are broken on purpose, each in one thing, and the checks that have to find it.

All are the bench of `tests.conformance.bench` but for one method; those that need a state to save
stand in front of a simulated array.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import AbortReport, CrossbarBackend, Ticket, open_backend
from hwloop.capabilities import Capabilities, Configuration, Limits
from hwloop.errors import ConfigurationError, CrossbarError, DeviceError
from hwloop.operations import (
    Configure,
    Direction,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Restore,
    Result,
    Vmm,
    Wait,
)
from tests.conformance.bench import Bench


@dataclass(frozen=True)
class Broken:
    """A broken backend and the checks that fail on it, no more and no less."""

    make: Callable[[], CrossbarBackend]
    fails: frozenset[str]


BROKEN: dict[str, Broken] = {}


def fails(*checks: str) -> Callable[[type[Bench]], type[Bench]]:
    """Enter a backend with the checks that find it."""

    def enter(broken: type[Bench]) -> type[Bench]:
        broken.remembered = 0
        BROKEN[broken.__name__] = Broken(broken, frozenset(checks))
        return broken

    return enter


# --- reads ----------------------------------------------------------------------------------------


@fails("forward")
class SwapsAxes(Bench):
    """Reads forward through the transposed array."""

    rows = cols = 4

    def vmm(self, operation: Vmm) -> Result:
        forward = operation.direction is Direction.FORWARD
        turned = dataclasses.replace(operation, direction=Direction.BACKWARD)
        return super().vmm(turned if forward else operation)


@fails("backward", "saturation")
class OffByOneOutput(Bench):
    """Answers backward reads one line further."""

    def vmm(self, operation: Vmm) -> Result:
        result = super().vmm(operation)
        if operation.direction is Direction.FORWARD:
            return result
        assert result.values is not None and result.saturated is not None
        turned = np.roll(result.values, 1, axis=1)
        return dataclasses.replace(
            result, values=turned, saturated=np.roll(result.saturated, 1, axis=1)
        )


@fails("forward")
class PermutesOneHots(Bench):
    """Drives the columns of a forward read in another order."""

    def driven(self, operation: Vmm) -> NDArray[Any]:
        codes = operation.codes / 63
        return codes[:, ::-1] if operation.direction is Direction.FORWARD else codes


@fails("vector_sign", "saturation")
class IgnoresSigns(Bench):
    """Drives lines by the magnitudes of codes."""

    def driven(self, operation: Vmm) -> NDArray[Any]:
        return np.abs(operation.codes) / 63


@fails("forward", "backward", "vector_batch", "vector_sign", "saturation", "results", "noise",
       "repeated_reads")  # fmt: skip
class DropsTheLastSample(Bench):
    """Leaves out the last vector of a batch of more than one."""

    def vmm(self, operation: Vmm) -> Result:
        return super().vmm(dataclasses.replace(operation, codes=operation.codes[:-1]))


@fails("vector_batch", "saturation", "forward", "backward")
class RepeatsTheFirstSample(Bench):
    """Answers all vectors of a batch by the first."""

    def vmm(self, operation: Vmm) -> Result:
        codes = np.repeat(operation.codes[:1], len(operation.codes), axis=0)
        return super().vmm(dataclasses.replace(operation, codes=codes))


@fails("forward", "backward")
class WrongFullScale(Bench):
    """Says that vector reads reach four times as far as they do."""

    def describe(self) -> Capabilities:
        said = super().describe()
        wide = said.tiles[0].adc_forward.model_copy(
            update={"full_scale": 4 * said.tiles[0].adc_forward.full_scale}
        )
        tile = said.tiles[0].model_copy(
            update={"adc_forward": wide, "adc_backward": wide, "output_noise": None}
        )
        return said.model_copy(update={"tiles": (tile,) * self.tiles})


@fails("cell_reads", "cell_read_order")
class OffByOneRead(Bench):
    """Answers reads of a block one row further."""

    def read(self, operation: ReadCells) -> Result:
        result = super().read(operation)
        assert result.values is not None and result.saturated is not None
        values, saturated = (np.roll(a, 1, axis=0) for a in (result.values, result.saturated))
        return dataclasses.replace(result, values=values, saturated=saturated)


@fails("cell_read_order")
class SortsLines(Bench):
    """Answers reads of cells in the order of the lines, not in the order asked for."""

    def lines(self, operation: ReadCells | Pulse) -> tuple[NDArray[Any], NDArray[Any]]:
        rows, cols = super().lines(operation)
        if isinstance(operation, Pulse):
            return rows, cols
        return np.sort(rows), np.sort(cols)


@fails("planes")
class WrongPlane(Bench):
    """Answers the main plane where the reference is asked for."""

    def seen(self, tile: int, plane: Plane) -> NDArray[Any]:
        return super().seen(tile, Plane.MAIN if plane is Plane.REFERENCE else plane)


@fails("forward")
class StaleCache(Bench):
    """Remembers what a forward read of the same codes gave."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[bytes, Result] = {}

    def vmm(self, operation: Vmm) -> Result:
        if operation.direction is not Direction.FORWARD:
            return super().vmm(operation)
        key = operation.codes.tobytes()
        if key not in self.cache:
            self.cache[key] = super().vmm(operation)
        return dataclasses.replace(self.cache[key], id=operation.id)


@fails("averaging")
class LiesAboutAveraging(Bench):
    """Reads once and multiplies."""

    def read(self, operation: ReadCells) -> Result:
        one = super().read(dataclasses.replace(operation, average=1))
        assert one.values is not None
        return dataclasses.replace(
            one, values=one.values * operation.average, ticks=operation.average
        )


@fails("averaging")
class LosesAReading(Bench):
    """Sums one read less than it was asked for."""

    def read(self, operation: ReadCells) -> Result:
        return super().read(dataclasses.replace(operation, average=max(1, operation.average - 1)))


@fails("noise")
class TooQuiet(Bench):
    """Declares the noise of an array, and answers without any."""

    def noise(self, shape: tuple[int, ...]) -> NDArray[Any]:
        return np.zeros(shape)


@fails("saturation")
class ClipsSilently(Bench):
    """Never says that a converter was at its bound."""

    def flags(self, codes: NDArray[Any], most: int) -> NDArray[np.bool_]:
        return np.zeros(codes.shape, np.bool_)


@fails("saturation", "vector_sign")
class WrapsAtSaturation(Bench):
    """Turns over at the bound of the converter."""

    def bounded(self, codes: NDArray[Any], most: int) -> NDArray[np.int32]:
        return ((codes.astype(np.int32) + most) % (2 * most + 1) - most).astype(np.int32)

    def flags(self, codes: NDArray[Any], most: int) -> NDArray[np.bool_]:
        return np.zeros(codes.shape, np.bool_)


# --- pulses and updates ---------------------------------------------------------------------------


@fails("pulses", "pulse_blocks", "order")
class OffByOneLine(Bench):
    """Pulses the next column."""

    def pulse(self, operation: Pulse) -> Result:
        _, cols = self.lines(operation)
        return super().pulse(dataclasses.replace(operation, cols=(cols + 1) % self.cols))


@fails("pulses", "pulse_blocks", "order")
class WrongSign(Bench):
    """Lowers cells by positive counts."""

    def pulse(self, operation: Pulse) -> Result:
        return super().pulse(dataclasses.replace(operation, counts=-operation.counts))


@fails("pulse_blocks")
class SortsPulsedLines(Bench):
    """Gives the counts of a block in the order of its lines."""

    def pulse(self, operation: Pulse) -> Result:
        rows, cols = self.lines(operation)
        return super().pulse(dataclasses.replace(operation, rows=np.sort(rows), cols=np.sort(cols)))


@fails("pulses", "pulse_blocks")
class MiscountsPulses(Bench):
    """Reports one pulse too few of long trains."""

    def pulse(self, operation: Pulse) -> Result:
        result = super().pulse(operation)
        return dataclasses.replace(result, fired=result.fired - (result.fired > 40))


@fails("seeded_updates", "train_updates")
class IgnoresSignsOfUpdates(Bench):
    """Moves cells by the sign of the column alone."""

    def sign(self, x: int, d: int) -> int:
        return x


@fails("train_updates")
class LosesSlots(Bench):
    """Leaves out the last slot of given trains."""

    def trains(self, operation: Operation, x: NDArray[Any], d: NDArray[Any]) -> Result:
        if isinstance(operation, OuterTrains):
            x, d = x[:, :-1], d[:, :-1]
        return super().trains(operation, x, d)


@fails("repeated_seeds")
class ForgetsSeeds(Bench):
    """Draws seeded trains anew each time."""

    def drawn(self, operation: OuterUpdate) -> tuple[NDArray[Any], NDArray[Any]]:
        fresh = int(self.random.integers(1 << 30))
        return super().drawn(dataclasses.replace(operation, ordinal=fresh))


@fails("tiles")
class IgnoresTheTile(Bench):
    """Pulses all tiles at once."""

    def give(self, tile: int, row: int, col: int, count: int) -> int:
        for each in range(self.tiles):
            fired = super().give(each, row, col, count)
        return fired


@fails("chip_time")
class NoTime(Bench):
    """Does not say how long anything took."""

    def execute(self, operation: Operation) -> Result:
        return dataclasses.replace(super().execute(operation), ticks=0)


@fails("chip_time")
class NoTimeForWaits(Bench):
    """Waits for no time."""

    def execute(self, operation: Operation) -> Result:
        result = super().execute(operation)
        return dataclasses.replace(result, ticks=0) if isinstance(operation, Wait) else result


# --- order, identity, refusals --------------------------------------------------------------------


@fails("order")
class LosesOrder(Bench):
    """Executes the reads of a submission before its pulses."""

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        reads = [o for o in operations if isinstance(o, ReadCells)]
        others = [o for o in operations if not isinstance(o, ReadCells)]
        return super().submit([*reads, *others])


@fails("duplicates")
class ExecutesDuplicates(Bench):
    """Executes an operation whose id was used, though it says that it remembers ids."""

    def remember(self, operation: Operation) -> None:
        type(self).remembered = max(operation.id, type(self).remembered)


@fails("configuration_hash")
class IgnoresTheHash(Bench):
    """Executes operations that were made under another configuration."""

    def admit(self, operation: Operation) -> None:
        if isinstance(operation, Pulse | OuterTrains | OuterUpdate) and self.guard is not None:
            operation = dataclasses.replace(operation, configuration=self.guard.configuration_hash)
        super().admit(operation)


class _Lenient(Bench):
    """Installs another configuration than it is asked for, and says nothing."""

    forgotten: tuple[str, ...] = ()

    def configure(self, operation: Configure) -> Result:
        asked = Configuration.model_validate_json(operation.content_json)
        limits = asked.limits.model_copy(update=dict.fromkeys(self.forgotten))
        kept = asked.model_copy(update={"limits": limits.tightened(self.limits)})
        result = super().configure(dataclasses.replace(operation, content_json=kept.canonical()))
        assert self.guard is not None
        self.guard.configuration_hash = asked.hash()
        self.asked = asked
        return result

    def installed(self) -> Configuration:
        return self.asked


@fails("limits_of_pulses", "limits_of_its_own")
class IgnoresTheLimitOfPulses(_Lenient):
    """Gives more pulses in an operation than it was told."""

    forgotten = ("pulses_per_operation",)


@fails("limits_of_pulses", "reopening", "limits_of_its_own")
class IgnoresTheDose(_Lenient):
    """Counts no dose."""

    forgotten = ("dose_per_cell", "dose_per_line")


@fails("limits_of_shapes", "limits_of_its_own")
class IgnoresVoltages(_Lenient):
    """Takes pulse shapes beyond its limits."""

    forgotten = ("voltage_max", "half_select_max", "width_max_seconds", "compliance_max_amperes")


@fails("limits_of_its_own")
class TakesLooserLimits(Bench):
    """Lets a host loosen its own limits."""

    def configure(self, operation: Configure) -> Result:
        own, self.limits = self.limits, Limits()
        try:
            return super().configure(operation)
        finally:
            self.limits = own


@fails("limits_read_back")
class ShowsOtherLimits(Bench):
    """Shows limits that are not those in force, but for those that it began with."""

    def installed(self) -> Configuration:
        held = super().installed()
        return held.model_copy(update={"limits": self.limits})


@fails("limits_of_forming")
class FormsNevertheless(_Lenient):
    """Forms cells where its limits forbid it."""

    def admit(self, operation: Operation) -> None:
        if operation.kind != "form":
            super().admit(operation)

    def configure(self, operation: Configure) -> Result:
        return Bench.configure(self, operation)

    def installed(self) -> Configuration:
        return Bench.installed(self)


@fails("errors")
class TakesAnyLine(Bench):
    """Takes lines that are not there for the last ones."""

    def admit(self, operation: Operation) -> None:
        if isinstance(operation, Pulse | ReadCells):
            rows, cols = super().lines(operation)
            operation = dataclasses.replace(operation, rows=rows % self.rows, cols=cols % self.cols)
        super().admit(operation)

    def lines(self, operation: ReadCells | Pulse) -> tuple[NDArray[Any], NDArray[Any]]:
        rows, cols = super().lines(operation)
        return rows % self.rows, cols % self.cols


@fails("errors", "latch")
class RaisesSomethingElse(Bench):
    """Lets the errors of its driver through."""

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[Result]:
        try:
            return super().wait(ticket, timeout)
        except CrossbarError as error:
            if "expected" in error.message:
                raise ValueError("bad value") from error
            raise


@fails("errors")
class SaysUnknown(Bench):
    """Does not know whether a malformed operation was executed."""

    def execute(self, operation: Operation) -> Result:
        try:
            return super().execute(operation)
        except ConfigurationError as error:
            raise IndexError("out of range") from error


class _Slow(Bench):
    """Takes its time for single pulses, so that an abort finds some of them waiting."""

    def pulse(self, operation: Pulse) -> Result:
        if np.abs(operation.counts).sum() == 1:
            self._aborted.wait(0.003)
        return super().pulse(operation)

    def abort(self) -> AbortReport:
        while self._current is None and (self._waiting or self._under_way):
            time.sleep(0.0001)
        return super().abort()


@fails("latch", "abort", "abort_queue")
class NeverLatches(_Slow):
    """Goes on after a failure or an abort."""

    def _begins(self, ticket: Ticket, operation: Operation) -> bool:
        self._latched = False
        return super()._begins(ticket, operation)


@fails("abort")
class IgnoresAbort(Bench):
    """Does nothing when it is told to stop."""

    def abort(self) -> AbortReport:
        return AbortReport(None, ())


@fails("abort_queue")
class ForgetsWhatItDropped(_Slow):
    """Drops the queue and does not say so."""

    def abort(self) -> AbortReport:
        return AbortReport(super().abort().partial, ())


@fails("idle")
class MovesWhenIdle(Bench):
    """Leaves a line at a voltage."""

    def idle(self) -> None:
        super().idle()
        self.cells[:, 0] = 0.9


@fails("results", "chip_time")
class WrongIds(Bench):
    """Answers waits under another id."""

    def execute(self, operation: Operation) -> Result:
        result = super().execute(operation)
        if not isinstance(operation, Wait):
            return result
        return dataclasses.replace(result, id=1)


@fails("capabilities")
class SaysSomethingElse(Bench):
    """Describes itself in another way each time."""

    asked = 0

    def describe(self) -> Capabilities:
        self.asked += 1
        return super().describe().model_copy(update={"firmware": str(self.asked)})


@fails("reopening")
class CannotClose(Bench):
    """Fails when it is closed."""

    def close(self) -> None:
        super().close()
        raise DeviceError("the lines do not go idle")


# --- in front of a simulated array ----------------------------------------------------------------


class _Front:
    """Passes all on to a simulated array."""

    url = "sim:reram-om,shape=4x5,seed=1"

    def __init__(self) -> None:
        self.array = open_backend(self.url)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.array, name)

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        return self.array.submit([self.changed(operation) for operation in operations])

    def changed(self, operation: Operation) -> Operation:
        return operation


class RestoresTooLittle(_Front):
    """Leaves one cell out of a restore."""

    def changed(self, operation: Operation) -> Operation:
        if not isinstance(operation, Restore):
            return operation
        state = operation.state.copy()
        state[1] = 0  # what is visible of the cells
        return dataclasses.replace(operation, state=state)


class DrawsNoiseByItself(_Front):
    """Keys noise by the number of operations so far, not by the ordinal."""

    count = 0

    def changed(self, operation: Operation) -> Operation:
        self.count += 1
        return dataclasses.replace(operation, ordinal=self.count)


BROKEN["RestoresTooLittle"] = Broken(RestoresTooLittle, frozenset({"snapshot"}))
BROKEN["DrawsNoiseByItself"] = Broken(
    DrawsNoiseByItself, frozenset({"repeated_reads", "repeated_seeds", "snapshot"})
)
