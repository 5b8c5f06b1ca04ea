"""A tape that answers by position: the same operations in the same order."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Sequence

from hwloop.backend import BlockingBackend
from hwloop.capabilities import Capabilities
from hwloop.errors import CapabilityError, ReplayError
from hwloop.operations import Operation, Restore, Result, Snapshot
from hwloop.tape.differences import FieldDifference, Tally, excerpt, field_differences
from hwloop.tape.format import operation_content
from hwloop.tape.recording import Recording
from hwloop.tape.stream import entries
from hwloop_replay.describing import replayed

SHOWN = 2
"""Neighbours that are shown on either side of a difference."""

Forgives = Callable[[Sequence[FieldDifference]], bool]


def nothing(found: Sequence[FieldDifference]) -> bool:
    """Forgive nothing: any difference stops the replay."""
    return False


def other_values(found: Sequence[FieldDifference]) -> bool:
    """Forgive other values in the same operation, as another host's arithmetic gives them."""
    return not any(difference.structural for difference in found)


class TapeReplay(BlockingBackend):
    """Answers the n-th operation with the n-th result of a tape.

    Args:
        recording: the tape.
        forgives: says of what differs whether the taped answer is given nevertheless.

    Attributes:
        differences: counts of operations and of what differed in them.
        ended: whether more was asked for than the tape holds answers to.
    """

    def __init__(self, recording: Recording, forgives: Forgives = nothing) -> None:
        super().__init__()
        self.differences = Tally()
        self.ended = False
        self._path = recording.path
        self._capabilities = replayed(recording)
        self._forgives = forgives
        self._entries = entries(recording.path)
        self._before: deque[Operation] = deque(maxlen=SHOWN)
        self._position = 0

    @property
    def moves_nothing(self) -> bool:
        """Whether no array is behind it: a tape is none."""
        return True

    def describe(self) -> Capabilities:
        """Return what the array said of itself."""
        return self._capabilities

    def idle(self) -> None:
        """Do nothing: a tape has no lines."""

    def execute(self, operation: Operation) -> Result:
        """Return the taped result, if the operation is the taped one."""
        if not operation.id and isinstance(operation, Snapshot | Restore):
            raise CapabilityError(
                "a replay has no state that could be saved or set",
                remedy="replay the run from its beginning, without checkpoints",
            )
        entry = next(self._entries, None)
        if entry is None:
            self.ended = True
            raise ReplayError(
                f"{self._path} ends after {self._position} operations, but {operation.kind} on "
                f"tile {operation.tile} was asked for",
                remedy="end the replay there, or record a longer run",
            )
        taped = entry.operation
        found: list[FieldDifference] = []
        if operation_content(operation) != operation_content(taped):
            found = field_differences(operation, taped)
            if not self._forgives(found):
                raise self._differs(operation, taped)
        if entry.result is None:
            self.ended = True
            raise ReplayError(
                f"{self._path}: operation {self._position}, {taped.kind} on tile {taped.tile}, has "
                "no result: the run was interrupted there",
                remedy="end the replay before it, or record the run to its end",
            )
        self.differences.count(self._position, operation, found)
        self._before.append(taped)
        self._position += 1
        return dataclasses.replace(entry.result, id=operation.id)

    def _differs(self, asked: Operation, taped: Operation) -> ReplayError:
        after = [entry.operation for entry in itertools.islice(self._entries, SHOWN)]
        text = excerpt(self._position, asked, taped, tuple(self._before), after)
        return ReplayError(
            f"operation {self._position} differs from {self._path}\n{text}",
            remedy="replay with the settings, data and versions of the recorded run",
        )
