"""Writers of tapes: to a file, over the tail of an interrupted run, or to a hash alone."""

from __future__ import annotations

import json
import os
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
    operation_payload,
    result_content,
    result_payload,
    split_records,
)
from hwloop.tape.hashing import RunningHash
from hwloop.tape.reader import Tape


class TapeSink(Protocol):
    """Where `Chip` puts operations before they are sent and results before they are handed on."""

    def operations(self, operations: Iterable[Operation]) -> None:
        """Record operations."""
        ...

    def results(self, results: Iterable[Result]) -> None:
        """Record results."""
        ...

    def event(self, event: dict[str, Any]) -> None:
        """Record an event that is neither."""
        ...

    def digest(self) -> str:
        """Return the hash over operations and results so far."""
        ...

    def close(self) -> None:
        """Finish the tape."""
        ...


class HashTape:
    """A tape of which only the hash is kept."""

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

    def digest(self) -> str:
        """Return the hash over operations and results so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Nothing to finish."""


class FileTape:
    """A tape in a file, each record handed to the operating system before the call returns.

    Args:
        path: file that must not exist yet.
        header: what the run is; JSON.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(path, flags, 0o644)
        self._hash = RunningHash()
        self._expected: list[tuple[RecordType, bytes]] = []
        self._matched = 0
        text = json.dumps({"tape_version": TAPE_VERSION, **header}, sort_keys=True)
        self._write(MAGIC + frame(RecordType.HEADER, text.encode()))

    @classmethod
    def resume(cls, path: Path, offset: int) -> FileTape:
        """Open the tape of an interrupted run for a repetition from a checkpoint.

        What is recorded from `offset` on has to repeat, record by record; a difference raises
        `ReplayError`. Behind the last whole record the tape grows again; a torn record is cut off.
        """
        tape = cls.__new__(cls)
        raw = path.read_bytes()
        tape._hash = RunningHash()
        before = Tape.from_bytes(raw[:offset], str(path))
        before.feed(tape._hash)
        if before.end != offset:
            raise ReplayError(f"{path}: offset {offset} is not the end of a record")
        end = offset
        tape._expected = []
        tape._matched = 0
        for end, kind, payload in split_records(raw, offset):  # noqa: B007
            if kind in (RecordType.OPERATION, RecordType.RESULT):
                tape._expected.append((kind, payload))
        os.truncate(path, end)
        tape._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        return tape

    @property
    def offset(self) -> int:
        """Number of bytes written."""
        return os.fstat(self._file).st_size

    @property
    def repeating(self) -> bool:
        """Whether the records of an interrupted run are still being repeated."""
        return self._matched < len(self._expected)

    def operations(self, operations: Iterable[Operation]) -> None:
        """Record operations; they are in the operating system's hands when this returns."""
        frames = []
        for operation in operations:
            content = operation_content(operation)
            self._hash.operations.update(content)
            payload = operation_payload(operation, content)
            frames.append(self._record(RecordType.OPERATION, payload, operation.id))
        self._write(b"".join(frames))

    def results(self, results: Iterable[Result]) -> None:
        """Record results; they are in the operating system's hands when this returns."""
        frames = []
        for result in results:
            content = result_content(result)
            self._hash.results.update(content)
            payload = result_payload(result, content)
            frames.append(self._record(RecordType.RESULT, payload, result.id))
        self._write(b"".join(frames))

    def event(self, event: dict[str, Any]) -> None:
        """Record an event, as JSON; a repeated run's events are on its tape already."""
        if not self.repeating:
            self._write(frame(RecordType.EVENT, json.dumps(event, sort_keys=True).encode()))

    def digest(self) -> str:
        """Return the hash over operations and results so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Hand the tape to the disk and close it."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _record(self, kind: RecordType, payload: bytes, operation_id: int) -> bytes:
        if not self.repeating:
            return frame(kind, payload)
        if self._expected[self._matched] != (kind, payload):
            raise ReplayError(
                f"the repeated run differs from its tape at record {self._matched + 1} behind the "
                f"checkpoint, {kind.name.lower()} {operation_id}",
                remedy="resume with the library versions, options and data of the interrupted run",
            )
        self._matched += 1
        return b""

    def _write(self, raw: bytes) -> None:
        view = memoryview(raw)
        while view:
            view = view[os.write(self._file, view) :]
