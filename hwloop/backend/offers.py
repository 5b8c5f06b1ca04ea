"""What a backend may offer beside its protocol: each is asked for by `isinstance`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hwloop.backend.protocol import CrossbarBackend
from hwloop.capabilities import Configuration
from hwloop.operations import Operation, Verdict


@runtime_checkable
class RemembersIds(Protocol):
    """What a backend offers beside the rest if its array remembers ids from run to run."""

    @property
    def last_id(self) -> int:
        """Largest id of a consuming operation that the array has ever begun, 0 for none.

        New ids lie above it, so that ids are unique per array for life.
        """
        ...


@runtime_checkable
class Elsewhere(Protocol):
    """What a backend offers beside the rest if its array is not a part of this process."""

    @property
    def started_here(self) -> bool:
        """Whether this process started the array; one that it found has to be armed."""
        ...

    @property
    def keeps_doses(self) -> bool:
        """Whether the array's end has the chip's lease and counts its doses for life."""
        ...


@runtime_checkable
class StandIn(Protocol):
    """What a backend offers beside the rest if no array is behind it, as in a rehearsal."""

    @property
    def moves_nothing(self) -> bool:
        """Whether nothing is moved, so that nothing has to be armed and no dose counts."""
        ...


@runtime_checkable
class TellsConfiguration(Protocol):
    """What a backend offers beside the rest if its array can say what is installed in it."""

    def installed(self) -> Configuration:
        """Return pulse shapes and limits as the array holds them."""
        ...


def started_here(backend: CrossbarBackend) -> bool:
    """Return whether this process started an array."""
    return backend.started_here if isinstance(backend, Elsewhere) else True


def keeps_doses(backend: CrossbarBackend) -> bool:
    """Return whether an array's other end keeps the lease and the doses of the chip."""
    return backend.keeps_doses if isinstance(backend, Elsewhere) else False


def moves_nothing(backend: CrossbarBackend) -> bool:
    """Return whether a backend only stands in for an array."""
    return backend.moves_nothing if isinstance(backend, StandIn) else False


@runtime_checkable
class KnowsVerdicts(Protocol):
    """What a backend offers beside the rest if it tells each lost operation's fate by itself."""

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """What is known of the operations of submissions that failed or were lost, by id."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a consuming operation, as the array's journal has it.

    Attributes:
        verdict: applied, not applied, partial or unknown.
        fired: pulses that it gave, None where the journal does not say.
        evidence: what the verdict rests on, for people.
    """

    verdict: Verdict
    fired: int | None
    evidence: str


@runtime_checkable
class KeepsJournal(Protocol):
    """What a backend offers beside the rest if its array remembers what it was doing."""

    @property
    def last_id(self) -> int:
        """Largest id of a consuming operation that the array has ever begun, 0 for none."""
        ...

    @property
    def boot(self) -> int:
        """A number that changes whenever the array boots."""
        ...

    def outcome(self, operation: Operation, boot: int | None) -> Outcome:
        """Return what became of an operation of an earlier session, before anything is moved.

        Args:
            operation: as it was sent, by its id.
            boot: `boot` of the session in which it was sent, None if nobody knows.
        """
        ...
