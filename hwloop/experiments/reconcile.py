"""What became of the operations that an interrupted run left open, and what is to be done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from hwloop.backend import CrossbarBackend, KeepsJournal
from hwloop.capabilities import Capabilities
from hwloop.crossbar.chip import ID_GAP
from hwloop.errors import ConfigurationError, OutcomeUnknownError
from hwloop.experiments.interrupted import Interrupted, Taped, append_event
from hwloop.experiments.read_back import Account, Values, follow, planes_of, read_back, share_of
from hwloop.operations import Operation, Result, Verdict
from hwloop.tape.text import what

Policy = Literal["stop", "accept", "verify"]
POLICIES: tuple[Policy, ...] = ("stop", "accept", "verify")

NEAR_NOTHING, NEAR_ALL = 0.25, 0.65
"""Shares of an operation, to be kept by two standard errors: less in magnitude than the first shows
nothing of it, more than the second all."""


@dataclass(frozen=True, slots=True)
class Open:
    """A consuming operation without a result.

    Attributes:
        operation: what was asked, by its id on the tape.
        verdict: what is known of it.
        fired: pulses that it gave, None if nobody knows.
        evidence: what the verdict rests on.
        decided: what the user decided, None if nothing.
    """

    operation: Operation
    verdict: Verdict
    fired: int | None
    evidence: str
    decided: Verdict | None = None

    @property
    def clear(self) -> bool:
        """Whether a run can go on without a decision of the user."""
        return self.decided is not None or self.verdict in (Verdict.APPLIED, Verdict.NOT_APPLIED)

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "id": self.operation.id,
            "kind": self.operation.kind,
            "tile": self.operation.tile,
            "what": what(self.operation),
            "verdict": self.verdict.name.lower(),
            "fired": self.fired,
            "evidence": self.evidence,
            "decided": None if self.decided is None else self.decided.name.lower(),
        }


@dataclass(slots=True)
class Examined:
    """What an array says of an interrupted run.

    Attributes:
        interrupted: the tape.
        open: consuming operations without a result.
        reads: other operations without one; they are repeated.
        unrecorded: ids that the array has begun beyond the tape's, 0 for none.
        others: whether that was another run, rather than this one behind the end of its tape.
    """

    interrupted: Interrupted
    open: list[Open]
    reads: int
    unrecorded: int
    others: bool

    @property
    def clear(self) -> bool:
        """Whether the run can go on."""
        return not self.unrecorded and all(entry.clear for entry in self.open)

    def settled(self) -> dict[int, tuple[Verdict, int | None]]:
        """Return what a run that goes on takes each open operation for."""
        return {
            o.operation.id: (o.verdict if o.decided is None else o.decided, o.fired)
            for o in self.open
        }

    def entries(self, offset: int) -> list[Taped]:
        """Return the tape's operations behind a place; open ones that were applied count."""
        applied = {o.operation.id for o in self.open if o.verdict is Verdict.APPLIED}
        return [
            replace(taped, result=Result())
            if taped.result is None and taped.consuming and taped.operation.id in applied
            else taped
            for taped in self.interrupted.behind(offset)
        ]

    def trouble(self) -> str:
        """Return what keeps the run from going on."""
        parts = [
            f"operation {o.operation.id} ({o.operation.kind} on tile {o.operation.tile}) is "
            f"{o.verdict.name.lower().replace('_', ' ')}: {o.evidence}"
            for o in self.open
            if not o.clear
        ]
        if self.unrecorded:
            who = "another run" if self.others else "this run, whose tape has lost its end,"
            parts.append(f"{who} has moved the array {self.unrecorded} ids beyond the tape")
        return "; ".join(parts)


def same_chip(interrupted: Interrupted, array: Capabilities) -> Capabilities:
    """Return what the run's array said of itself; refuse another one.

    Raises:
        ConfigurationError: it is another one.
    """
    recorded = interrupted.chip or array
    if recorded.chip_id != array.chip_id:
        raise ConfigurationError(
            f"the run is of chip {recorded.chip_id!r}, but {array.chip_id!r} is connected",
            remedy="connect the run's chip, by --backend if its port has another name now",
        )
    return recorded


def examine(interrupted: Interrupted, array: CrossbarBackend) -> Examined:
    """Ask an array, before it is moved, what became of an interrupted run's operations."""
    consuming = [taped for taped in interrupted.open if taped.consuming]
    reads = len(interrupted.open) - len(consuming)
    last = interrupted.on_chip(interrupted.last_id + 1) - 1  # ids up to here are accounted for
    beyond = 0
    if isinstance(array, KeepsJournal):
        beyond = max(0, array.last_id - last)
    others = beyond >= ID_GAP
    found = [_open(taped, interrupted, array, others) for taped in consuming]
    return Examined(interrupted, found, reads, beyond, others)


def _open(taped: Taped, interrupted: Interrupted, array: CrossbarBackend, others: bool) -> Open:
    operation = taped.operation
    known = interrupted.verdicts.get(operation.id)
    decided = interrupted.decided.get(operation.id)
    if known is not None and known is not Verdict.UNKNOWN:
        return Open(operation, known, None, "as the array told before the run stopped", decided)
    if isinstance(array, KeepsJournal) and not others:
        on_chip = replace(operation, id=interrupted.on_chip(operation.id))
        outcome = array.outcome(on_chip, interrupted.boot)
        return Open(operation, outcome.verdict, outcome.fired, outcome.evidence, decided)
    why = "another run has used the array since" if others else "the array keeps no journal"
    return Open(operation, Verdict.UNKNOWN, None, why, decided)


def reconcile(
    examined: Examined,
    policy: Policy,
    array: CrossbarBackend,
    chip: Capabilities,
    start: dict[int, Values],
    offset: int,
) -> Examined:
    """Decide by a policy, and write the decision on the tape.

    Args:
        examined: what is known.
        policy: stop decides nothing; accept goes on with the cells as they are; verify reads the
            cells, and goes on where they show that an operation was applied or was not. Whatever is
            decided, an operation of which a part may have been applied is never sent again.
        array: the array.
        chip: what the run recorded of it.
        start: conductances at the last checkpoint, by tile.
        offset: bytes of the tape up to that checkpoint.

    Returns:
        what is known and decided then.
    """
    if policy == "stop" or examined.clear:
        return examined
    interrupted = examined.interrupted
    entries = examined.entries(offset)
    planes = planes_of(chip, entries, start)
    now = read_back(array, planes) if policy == "verify" else []
    found = []
    for entry in examined.open:
        if entry.clear:
            found.append(entry)
        elif policy == "accept":
            found.append(replace(entry, decided=entry.verdict))
        else:
            others = [taped for taped in entries if taped.operation.id != entry.operation.id]
            found.append(_verified(entry, follow(chip, others, start, planes), chip, now))
    shift = None
    if policy == "accept" and examined.unrecorded:
        shift = {"above": interrupted.last_id, "by": examined.unrecorded}
    decided = {str(o.operation.id): o.decided.name.lower() for o in found if o.decided is not None}
    append_event(
        interrupted.path,
        {
            "reconciled": {
                "policy": policy,
                "decided": decided,
                "evidence": {str(o.operation.id): o.evidence for o in found},
                "shift": shift,
            }
        },
    )
    unrecorded = examined.unrecorded if shift is None else 0
    return Examined(interrupted, found, examined.reads, unrecorded, examined.others)


def raise_ids(examined: Examined, array: CrossbarBackend) -> None:
    """Give operations that are sent again ids that the array takes.

    An array executes no id that is not above the last one begun, whatever has become of that one.
    The change goes on the tape.
    """
    interrupted = examined.interrupted
    again = [n for n, (verdict, _) in examined.settled().items() if verdict is Verdict.NOT_APPLIED]
    if not again or not isinstance(array, KeepsJournal):
        return
    by = array.last_id + 1 - interrupted.on_chip(again[0])
    if by > 0:
        shift = {"above": again[0] - 1, "by": by}
        append_event(interrupted.path, {"reconciled": {"decided": {}, "shift": shift}})
        interrupted.shifts.append((shift["above"], shift["by"]))


def _verified(entry: Open, before: list[Account], chip: Capabilities, now: list[Values]) -> Open:
    """Decide on an operation by the cells that it was to change."""
    operation = entry.operation
    found = share_of(chip, operation, before[operation.tile], now[operation.tile])
    if found is None:
        evidence = (
            "the cells cannot tell: none has been read behind the last pulse before it, or their "
            "step is not known"
        )
        return replace(entry, evidence=f"{entry.evidence}; {evidence}")
    decided, shown = None, "neither nothing nor all"
    if abs(found.share) + 2 * found.error < NEAR_NOTHING:
        decided, shown = Verdict.UNKNOWN, "nothing: it is not sent again"
    elif found.share - 2 * found.error > NEAR_ALL:
        decided, shown = Verdict.APPLIED, "all"
    text = (
        f"{found.cells} cells show {found.share:.2f} +- {found.error:.2f} of it, {shown} (nothing: "
        f"within {NEAR_NOTHING} of 0 by two errors; all: two errors above {NEAR_ALL})"
    )
    return replace(entry, decided=decided, evidence=f"{entry.evidence}; {text}")


def require_clear(examined: Examined, folder: Any) -> None:
    """Refuse to go on while the user has to decide something.

    Raises:
        OutcomeUnknownError: something is not decided.
    """
    if examined.clear:
        return
    first = next((o for o in examined.open if not o.clear), None)
    raise OutcomeUnknownError(
        f"{examined.trouble()}; nothing was sent",
        operation_id=0 if first is None else first.operation.id,
        verdict=Verdict.UNKNOWN if first is None else first.verdict,
        remedy=f"decide: hwloop run reconcile {folder} --policy verify, or --policy accept",
    )
