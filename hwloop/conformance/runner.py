"""Carries out the checks on an array, one after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwloop.backend import moves_nothing, open_backend, started_here
from hwloop.capabilities import Capabilities
from hwloop.conformance.check import Check
from hwloop.conformance.dose import Counts
from hwloop.conformance.evidence import Evidence, Judgement, Outcome, SkippedError
from hwloop.conformance.marks import kinds, marks
from hwloop.conformance.region import Region
from hwloop.conformance.rig import Opener, Rig
from hwloop.conformance.scope import Scope, plan_scope
from hwloop.conformance.suite import CHECKS
from hwloop.errors import CrossbarError

Watch = Callable[[Outcome, int, int], None]
"""Is told each outcome, its number from 1 on, and how many there will be."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the checks has found.

    Attributes:
        backend: what was checked, as the user called it.
        capabilities: what the array says of itself.
        scope: what was allowed.
        outcomes: one per check.
        most_pulses_per_cell: most pulses that any one cell may have had.
        pictures: what checks left for pictures, by name.
        seconds: wall time.
    """

    backend: str
    capabilities: Capabilities
    scope: Scope
    outcomes: tuple[Outcome, ...]
    most_pulses_per_cell: int
    pictures: dict[str, Any]
    seconds: float

    def count(self, judgement: Judgement) -> int:
        """Return how many checks came out so."""
        return sum(outcome.judgement is judgement for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether no check has failed."""
        return self.count(Judgement.FAILED) == 0

    def failed(self) -> list[str]:
        """Return the names of the checks that failed."""
        return [o.name for o in self.outcomes if o.judgement is Judgement.FAILED]

    def content(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        import hwloop

        return {
            "hwloop": hwloop.__version__,
            "backend": self.backend,
            "chip_id": self.capabilities.chip_id,
            "name": self.capabilities.name,
            "kind": self.capabilities.kind,
            "firmware": self.capabilities.firmware,
            "region": str(self.scope.region),
            "verdict": "passed" if self.passed else "failed",
            "passed": self.count(Judgement.PASSED),
            "failed": self.count(Judgement.FAILED),
            "skipped": self.count(Judgement.SKIPPED),
            "dose": {
                "allowed_per_cell": self.scope.dose,
                "bound_per_cell": self.scope.most_pulses_per_cell,
                "most_pulses_per_cell": self.most_pulses_per_cell,
                "pulses": sum(outcome.pulses for outcome in self.outcomes),
            },
            "seconds": round(self.seconds, 3),
            "checks": [outcome.content() for outcome in self.outcomes],
        }


def plan(
    backend: str | Opener,
    *,
    region: Region | None = None,
    dose: int | None = None,
    arm: str | None = None,
    form: str | None = None,
) -> tuple[Capabilities, Scope]:
    """Return what an array says of itself, and what `conform` would do to it; moves nothing.

    Args:
        backend, region, dose, arm, form: as of `conform`.

    Raises:
        CrossbarError: the array cannot be opened, or may not be moved.
    """
    opened_array = opener(backend)()
    try:
        capabilities = opened_array.describe()
        exempt = started_here(opened_array)
    finally:
        with contextlib.suppress(CrossbarError):  # a check of its own looks at that
            opened_array.close()
    scope = plan_scope(
        capabilities, region=region, dose=dose, arm=arm, form=form, exempt=exempt
    )  # fmt: skip
    return capabilities, scope


def opener(backend: str | Opener) -> Opener:
    """Return what opens the array behind a URL, or the function itself."""
    if not isinstance(backend, str):
        return backend
    return lambda: open_backend(backend)


def conform(
    backend: str | Opener,
    *,
    region: Region | None = None,
    dose: int | None = None,
    arm: str | None = None,
    form: str | None = None,
    checks: Sequence[Check] = CHECKS,
    watch: Watch | None = None,
) -> Report:
    """Check a backend, and return what was found.

    Args:
        backend: URL of the array, or a function that opens it; it is opened more than once, one
            after the other.
        region: cells that may be pulsed and are looked at; compulsory on a physical array.
        dose: most pulses on any one cell; compulsory on a physical array.
        arm: id of the physical array that may be moved.
        form: recipe of forming that may be asked for; without it forming is never asked for.
        checks: what is checked.
        watch: is told each outcome.

    Raises:
        CrossbarError: the array cannot be opened, or may not be moved.
    """
    began = time.monotonic()
    open_array = opener(backend)
    capabilities, scope = plan(backend, region=region, dose=dose, arm=arm, form=form)
    outcomes: list[Outcome] = []
    pictures: dict[str, Any] = {}
    most = 0
    with opened(open_array, scope, arm) as rig:
        for number, check in enumerate(checks, start=1):
            outcome = examine(check, rig)
            outcomes.append(outcome)
            if watch is not None:
                watch(outcome, number, len(checks))
        if isinstance(rig, Rig):
            pictures = _pictures(rig)
            most = max(int(spent.max(initial=0)) for spent in rig.budget.spent)
    name = backend if isinstance(backend, str) else capabilities.name
    seconds = time.monotonic() - began
    return Report(name, capabilities, scope, tuple(outcomes), most, pictures, seconds)


@contextlib.contextmanager
def opened(open_array: Opener, scope: Scope, arm: str | None) -> Iterator[Rig | str]:
    """Give the open array, or why it takes no configuration; it is closed in the end."""
    try:
        rig = Rig(open_array, scope, arm=arm)
    except Exception as error:  # a backend under test may raise anything
        yield f"the array takes no configuration: {_told(error)}"
        return
    try:
        yield rig
    except BaseException:  # Ctrl-C above all
        with contextlib.suppress(Exception):
            rig.chip.abort()
        raise
    finally:
        with contextlib.suppress(Exception):
            rig.close()


def examine(check: Check, rig: Rig | str) -> Outcome:
    """Carry out one check; whatever the array does, this returns."""
    if isinstance(rig, str):
        return Outcome(check.name, check.what, Judgement.FAILED, rig)
    if check.needs_array and moves_nothing(rig.backend):
        reason = "moves_nothing: no array is behind it"
        return Outcome(check.name, check.what, Judgement.SKIPPED, reason)
    missing = [kind for kind in check.needs if kind not in rig.capabilities.operations]
    if missing:
        reason = f"operations: the array has no {', '.join(missing)}"
        return Outcome(check.name, check.what, Judgement.SKIPPED, reason)
    evidence, began, before = Evidence(), time.monotonic(), rig.budget.copy()
    judgement, reason = Judgement.PASSED, ""
    try:
        check.run(rig, evidence)
    except SkippedError as skipped:
        judgement, reason = Judgement.SKIPPED, str(skipped)
    except Exception as error:  # a backend under test may raise anything
        evidence.expect(False, "the check itself", _told(error), "no error")
        rig.clear()
    if not evidence.fine:
        first = next(o for o in evidence.observations if not o.fine)
        judgement = Judgement.FAILED
        reason = f"{first.what}: {first.seen}; expected: {first.expected}"
    most, pulses = _spent(before, rig.budget.spent)
    return Outcome(
        check.name,
        check.what,
        judgement,
        reason,
        tuple(evidence.observations),
        most,
        pulses,
        time.monotonic() - began,
    )


def _told(error: Exception) -> str:
    if isinstance(error, CrossbarError):
        return f"{type(error).__name__}: {error.message}"
    return f"{type(error).__name__}, which is no error of hwloop.errors: {error}"


def _spent(before: list[Counts], after: list[Counts]) -> tuple[int, int]:
    """Return the most pulses on any one cell, and those on all of them."""
    spent = [b - a for a, b in zip(before, after, strict=True)]
    return max(int(s.max(initial=0)) for s in spent), sum(int(np.sum(s)) for s in spent)


def _pictures(rig: Rig) -> dict[str, Any]:
    pictures = dict(rig.pictures)
    made = rig.kept("marks", list)
    if made:
        pictures["marks"] = [
            {
                "cell": mark.cell,
                "swings": {
                    kind: swing
                    for kind in kinds(rig)[:4]
                    if (swing := mark.swing(kind)) is not None
                },
            }
            for mark in marks(rig)
        ]
        pictures["rows"], pictures["cols"] = rig.rows, rig.cols
    return pictures
