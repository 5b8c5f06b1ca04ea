"""An interrupted run as its tape shows it: what was asked, what was answered, what stayed open."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwloop.capabilities import Capabilities
from hwloop.errors import ReplayError
from hwloop.operations import Operation, OperationClass, Result, Verdict
from hwloop.tape.format import (
    MAGIC,
    RecordType,
    decode_operation,
    decode_result,
    frame,
    split_records,
)
from hwloop.untrusted import parse_json


@dataclass(frozen=True, slots=True)
class Taped:
    """An operation on a tape.

    Attributes:
        operation: what was asked.
        result: what was answered, None if nothing was.
        end: bytes of the tape up to the end of the operation's record.
    """

    operation: Operation
    result: Result | None
    end: int

    @property
    def consuming(self) -> bool:
        """Whether it may be executed only once."""
        return self.operation.repeat is OperationClass.CONSUMING


@dataclass(slots=True)
class Interrupted:
    """The tape of an interrupted run.

    Attributes:
        path: the tape.
        header_end: bytes of the tape's header.
        operations: all operations in order.
        chip: what the array said of itself, None if the tape does not reach that far.
        boot: of the chip in the last session, None if it does not tell.
        verdicts: what hosts have found out about operations, by id; void once they were sent again.
        decided: what the user has decided about operations, by id.
        shifts: (id, by): ids of the tape above `id` are ids of the chip plus `by`.
    """

    path: Path
    header_end: int = 0
    operations: list[Taped] = field(default_factory=list)
    chip: Capabilities | None = None
    boot: int | None = None
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    decided: dict[int, Verdict] = field(default_factory=dict)
    shifts: list[tuple[int, int]] = field(default_factory=list)

    @property
    def open(self) -> list[Taped]:
        """Operations without a result."""
        return [taped for taped in self.operations if taped.result is None]

    @property
    def last_id(self) -> int:
        """Largest id of a consuming operation on the tape, 0 for none."""
        return max((t.operation.id for t in self.operations if t.consuming), default=0)

    @property
    def first_id(self) -> int:
        """Id of the first operation that has one, 0 for none."""
        return next((t.operation.id for t in self.operations if t.operation.id), 0)

    def on_chip(self, identity: int) -> int:
        """Return the id that an operation of the tape has on the chip."""
        return identity + sum(by for above, by in self.shifts if identity > above)

    def behind(self, offset: int) -> list[Taped]:
        """Return the operations behind a place of the tape."""
        return [taped for taped in self.operations if taped.end > offset]

    def take(self, event: dict[str, Any]) -> None:
        """Enter an event of the tape."""
        if "chip" in event:
            self.chip = Capabilities.model_validate(event["chip"])
        if "chip" in event or "resumed" in event:
            self.boot = event.get("boot", event.get("resumed", {}).get("boot", self.boot))
        if "verdicts" in event:
            self.verdicts |= {int(n): Verdict[v.upper()] for n, v in event["verdicts"].items()}
        for identity in event.get("resumed", {}).get("sent", ()):
            self.verdicts.pop(identity, None)
            self.decided.pop(identity, None)
        if "reconciled" in event:
            decisions = event["reconciled"]["decided"]
            self.decided |= {int(n): Verdict[v.upper()] for n, v in decisions.items()}
            if (shift := event["reconciled"].get("shift")) is not None:
                self.shifts.append((shift["above"], shift["by"]))


def read_interrupted(path: Path) -> Interrupted:
    """Return the tape of an interrupted run, up to its last whole record.

    Raises:
        ReplayError: the file is no tape.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"tape {path} cannot be read: {error.strerror}") from error
    if not raw.startswith(MAGIC):
        raise ReplayError(f"{path} is not a tape", remedy="start a new run")
    found = Interrupted(path)
    asked: list[tuple[Operation, int]] = []
    results: dict[int, list[Result]] = {}
    for end, kind, payload in split_records(raw, len(MAGIC)):
        if kind is RecordType.HEADER:
            found.header_end = end
        elif kind is RecordType.OPERATION:
            asked.append((decode_operation(payload), end))
        elif kind is RecordType.RESULT:
            result = decode_result(payload)
            results.setdefault(result.id, []).append(result)
        else:
            found.take(parse_json(payload, f"{path}: event", ReplayError))
    for operation, end in asked:
        answers = results.get(operation.id)
        found.operations.append(Taped(operation, answers.pop(0) if answers else None, end))
    return found


def append_event(path: Path, event: dict[str, Any]) -> None:
    """Put an event behind the last whole record of a tape."""
    raw = path.read_bytes()
    end = len(MAGIC)
    for end, _, _ in split_records(raw, len(MAGIC)):  # noqa: B007
        pass
    with path.open("r+b") as file:
        file.truncate(end)
        file.seek(end)
        file.write(frame(RecordType.EVENT, json.dumps(event).encode()))
