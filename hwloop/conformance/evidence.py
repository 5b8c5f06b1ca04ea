"""What a check saw, what it expected, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Judgement(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class SkippedError(Exception):
    """The array has said that it lacks what a check is about; the message names it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One comparison of a check, or, without an expectation, something worth knowing.

    Attributes:
        what: what was looked at.
        seen: what was there.
        expected: what should have been there; empty for a note.
        fine: whether it was.
    """

    what: str
    seen: str
    expected: str = ""
    fine: bool = True


class Evidence:
    """Collects the observations of one check."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []

    def expect(self, fine: bool, what: str, seen: object, expected: object) -> bool:
        """Enter a comparison and return whether it was fine."""
        fine = bool(fine)
        self.observations.append(Observation(what, str(seen), str(expected), fine))
        return fine

    def note(self, what: str, seen: object) -> None:
        """Enter something worth knowing."""
        self.observations.append(Observation(what, str(seen)))

    @property
    def fine(self) -> bool:
        """Whether all comparisons were fine."""
        return all(observation.fine for observation in self.observations)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a check.

    Attributes:
        name: of the check.
        what: what it checks.
        judgement: passed, failed or skipped.
        reason: why it was skipped, or what failed first.
        evidence: what was seen and expected.
        most_pulses_per_cell: most pulses that any one cell may have had by it.
        pulses: that all cells together may have had.
        seconds: wall time.
    """

    name: str
    what: str
    judgement: Judgement
    reason: str = ""
    evidence: tuple[Observation, ...] = field(default=())
    most_pulses_per_cell: int = 0
    pulses: int = 0
    seconds: float = 0.0

    def content(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        return {
            "name": self.name,
            "checks": self.what,
            "verdict": self.judgement.value,
            "reason": self.reason,
            "evidence": [
                {"what": o.what, "seen": o.seen, "expected": o.expected, "fine": o.fine}
                for o in self.evidence
            ],
            "most_pulses_per_cell": self.most_pulses_per_cell,
            "pulses": self.pulses,
            "seconds": round(self.seconds, 3),
        }
