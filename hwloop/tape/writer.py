"""Writers of tapes: to a file, over the tail of an interrupted run, or to a hash alone."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from hwloop.errors import ReplayError
from hwloop.operations import Operation, Result
from hwloop.tape.format import (
    MAGIC,
    TAPE_VERSION,
    RecordType,
    frame,
    operation_content,
    operation_frame,
    result_content,
    result_frame,
    result_payload,
    split_records,
)
from hwloop.tape.hashing import RunningHash
from hwloop.tape.reader import Tape

WEIGHED_CALLS = 16
"""Calls after which a tape that may hold records back looks at how much it holds."""

_ALWAYS_NEW = {"verdicts", "resumed"}
"""Keys of events that a repeated run's tape does not hold already."""


class TapeSink(Protocol):
    """Where `Chip` puts operations before they are sent and results before they are handed on.

    Attributes:
        repeating: whether what it is given has been recorded before.
    """

    @property
    def repeating(self) -> bool: ...

    def operations(self, operations: Iterable[Operation]) -> None:
        """Record operations."""
        ...

    def results(self, results: Iterable[Result]) -> None:
        """Record results."""
        ...

    def event(self, event: dict[str, Any]) -> None:
        """Record an event that is neither."""
        ...

    def flush(self) -> None:
        """Hand everything to the operating system."""
        ...

    def digest(self) -> str:
        """Return the hash over operations and results so far."""
        ...

    def close(self) -> None:
        """Finish the tape."""
        ...


class HashTape:
    """A tape of which only the hash is kept."""

    repeating = False

    def __init__(self) -> None:
        self._hash = RunningHash()

    def operations(self, operations: Iterable[Operation]) -> None:
        """Hash operations."""
        for operation in operations:
            self._hash.operations.update(operation_content(operation))

    def results(self, results: Iterable[Result]) -> None:
        """Hash results."""
        for result in results:
            self._hash.results.update(result_content(result))

    def event(self, event: dict[str, Any]) -> None:
        """Forget the event."""

    def flush(self) -> None:
        """Nothing is held back."""

    def digest(self) -> str:
        """Return the hash over operations and results so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Nothing to finish."""


class FileTape:
    """A tape in a file, each record handed to the operating system before the call returns.

    An array whose state ends with this process leaves nothing to look up on a tape when the process
    is killed, so that operations and results may be held back until there is a block of them
    (decision 0010).

    Args:
        path: file that must not exist yet.
        header: what the run is; JSON.
        block_bytes: bytes of operations and results in memory that are held back, weighed at every
            16th call; 0 but for arrays that end with the process.
    """

    def __init__(self, path: Path, header: dict[str, Any], *, block_bytes: int = 0) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._open(os.open(path, flags, 0o644), block_bytes)
        text = json.dumps({"tape_version": TAPE_VERSION, **header}, sort_keys=True)
        self._parts += [MAGIC, frame(RecordType.HEADER, text.encode())]
        self._write()

    def _open(self, file: int, block_bytes: int) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._held: list[Operation | Result] = []
        self._held_bytes, self._weighed, self._calls = 0, 0, 0
        self._parts: list[bytes] = []
        self._hash = RunningHash()
        self._operations: deque[bytes] = deque()
        self._results: deque[bytes] = deque()
        self._matched = 0
        self._taped: dict[int, int] = {}

    @classmethod
    def resume(cls, path: Path, offset: int, *, block_bytes: int = 0) -> FileTape:
        """Open the tape of an interrupted run for a repetition from a checkpoint.

        What is recorded from `offset` on has to repeat, operation by operation and result by result
        but for ids; a difference raises `ReplayError`. Behind the last whole record the tape grows
        again; a torn record is cut off. An array that remembers ids is given new ones for what it
        executes again; on the tape, an operation and its result keep the first.
        """
        tape = cls.__new__(cls)
        tape._open(-1, block_bytes)
        raw = path.read_bytes()
        before = Tape.from_bytes(raw[:offset], str(path))
        before.feed(tape._hash)
        if before.end != offset:
            raise ReplayError(f"{path}: offset {offset} is not the end of a record")
        end = offset
        for end, kind, payload in split_records(raw, offset):  # noqa: B007
            if kind is RecordType.OPERATION:
                tape._operations.append(payload)
            elif kind is RecordType.RESULT:
                tape._results.append(payload)
        os.truncate(path, end)
        tape._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        return tape

    @property
    def offset(self) -> int:
        """Number of bytes recorded."""
        self._encode()
        return os.fstat(self._file).st_size + sum(map(len, self._parts))

    @property
    def repeating(self) -> bool:
        """Whether the records of an interrupted run are still being repeated."""
        return bool(self._operations or self._results)

    def operations(self, operations: Iterable[Operation]) -> None:
        """Record operations, before they are sent."""
        self._hold(operations)

    def results(self, results: Iterable[Result]) -> None:
        """Record results, before they are handed on."""
        self._hold(results)

    def event(self, event: dict[str, Any]) -> None:
        """Record an event, as JSON; a repeated run's are on its tape already, but new verdicts."""
        self._encode()
        if not self.repeating or event.keys() & _ALWAYS_NEW:
            self._parts.append(frame(RecordType.EVENT, json.dumps(event).encode()))
            if not self._block_bytes:
                self._write()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._encode()
        self._write()

    def digest(self) -> str:
        """Return the hash over operations and results so far."""
        self._encode()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Hand the tape to the disk and close it."""
        if self._file >= 0:
            try:
                self.flush()
                os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1

    def _hold(self, items: Iterable[Operation] | Iterable[Result]) -> None:
        self._held += items
        self._calls += 1
        if not self._block_bytes or self.repeating or self._calls % WEIGHED_CALLS == 0:
            self._held_bytes += sum(item.nbytes for item in self._held[self._weighed :])
            self._weighed = len(self._held)
            if self._held_bytes > self._block_bytes or self.repeating:
                self.flush()

    def _encode(self) -> None:
        held, self._held = self._held, []
        self._held_bytes, self._weighed = 0, 0
        operations: list[bytes] = []
        results: list[bytes] = []
        for item in held:
            if isinstance(item, Operation):
                content = operation_content(item)
                operations.append(content)
                if self._operations:
                    self._repeat_operation(item.id, content)
                else:
                    self._parts += operation_frame(item.id, content)
            else:
                content = result_content(item)
                results.append(content)
                if self._results or self._taped:
                    self._repeat_result(item, content)
                else:
                    self._parts += result_frame(item.id, item.ticks, content)
        self._hash.operations.update(b"".join(operations))
        self._hash.results.update(b"".join(results))

    def _repeat_operation(self, identity: int, content: bytes) -> None:
        """Take an operation that is on the tape, maybe under another id."""
        taped = self._operations[0][:8]
        self._repeat(self._operations, taped + content, f"operation {identity}")
        if int.from_bytes(taped, "little") != identity:
            self._taped[identity] = int.from_bytes(taped, "little")

    def _repeat_result(self, result: Result, content: bytes) -> None:
        """Take the result of an operation that is on the tape, maybe under another id."""
        identity = self._taped.pop(result.id, result.id)
        if self._results:
            payload = result_payload(dataclasses.replace(result, id=identity), content)
            self._repeat(self._results, payload, f"result {identity}")
        else:
            self._parts += result_frame(identity, result.ticks, content)

    def _repeat(self, expected: deque[bytes], payload: bytes, what: str) -> None:
        if expected[0] != payload:
            raise ReplayError(
                f"the repeated run differs from its tape at record {self._matched + 1} behind the "
                f"checkpoint, {what}",
                remedy="resume with the library versions, options and data of the interrupted run",
            )
        expected.popleft()
        self._matched += 1

    def _write(self) -> None:
        rest = memoryview(b"".join(self._parts))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        finally:  # on a full disk nothing may follow a torn record but its rest
            self._parts = [bytes(rest)] if rest else []
