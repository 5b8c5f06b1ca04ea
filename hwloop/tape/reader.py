"""Reader of tapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

from hwloop.errors import ReplayError
from hwloop.tape.entry import Entry
from hwloop.tape.format import (
    MAGIC,
    TAPE_VERSION,
    RecordType,
    decode_operation,
    decode_result,
    split_records,
)
from hwloop.tape.hashing import RunningHash
from hwloop.untrusted import parse_json


class Tape:
    """The operations and results of a run, readable up to the last whole record.

    `len(tape)` is the number of operations, `tape[i]` and `tape[i:j]` give entries.

    Attributes:
        header: what the run is.
        events: what was recorded beside operations and results.
        end: offset behind the last whole record.
        torn: whether bytes follow it.
    """

    def __init__(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ReplayError(
                f"tape {path} cannot be read: {error.strerror}",
                remedy="name the run folder, or the tape file in it",
            ) from error
        self._parse(raw, str(path))

    @classmethod
    def from_bytes(cls, raw: bytes, name: str = "tape") -> Tape:
        """Return the tape held in `raw`."""
        tape = cls.__new__(cls)
        tape._parse(raw, name)
        return tape

    def _parse(self, raw: bytes, name: str) -> None:
        if not raw.startswith(MAGIC):
            raise ReplayError(f"{name} is not a tape of version {TAPE_VERSION}")
        self.header: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self._operations: list[bytes] = []
        self._results: dict[int, bytes] = {}
        self._result_order: list[bytes] = []
        self.end = len(MAGIC)
        for self.end, kind, payload in split_records(raw, len(MAGIC)):
            if kind is RecordType.OPERATION:
                self._operations.append(payload)
            elif kind is RecordType.RESULT:
                self._results[int.from_bytes(payload[:8], "little")] = payload
                self._result_order.append(payload)
            elif kind is RecordType.HEADER:
                self.header = parse_json(payload, f"{name}: header", ReplayError)
            elif kind is RecordType.EVENT:
                self.events.append(parse_json(payload, f"{name}: event", ReplayError))
        self.torn = self.end != len(raw)

    def __len__(self) -> int:
        """Return the number of operations."""
        return len(self._operations)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        """Return an operation with its result, or several."""
        if isinstance(index, slice):
            return [self._entry(payload) for payload in self._operations[index]]
        return self._entry(self._operations[index])

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over the entries in order."""
        return (self._entry(payload) for payload in self._operations)

    def _entry(self, payload: bytes) -> Entry:
        operation = decode_operation(payload)
        result = self._results.get(operation.id)
        return Entry(operation, None if result is None else decode_result(result))

    def feed(self, digest: RunningHash) -> None:
        """Update a running hash with all operations and results."""
        for payload in self._operations:
            digest.operations.update(payload[8:])
        for payload in self._result_order:
            digest.results.update(payload[16:])

    def hash(self) -> str:
        """Return the SHA-256 over operations and results alone: no ids, times or events."""
        running = RunningHash()
        self.feed(running)
        return running.hexdigest()
