"""Tapes read from their files one record after the other, in memory that does not grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hwloop.errors import ReplayError
from hwloop.operations import Operation
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

FILE = "tape.bin"
"""Name of the tape in the folder of a run."""

CHUNK = 1 << 20


def records(
    path: Path, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[RecordType, bytes]]:
    """Yield (type, payload) of each record of a tape, up to the last whole one.

    Args:
        path: the file.
        progress: is told now and then how many bytes are done.

    Raises:
        ReplayError: there is no such file, or it is no tape.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ReplayError(f"{path} is not a tape of version {TAPE_VERSION}")
            raw, done, more = b"", len(MAGIC), CHUNK
            while chunk := file.read(more):
                raw += chunk
                end = 0
                for end, kind, payload in split_records(raw, 0):  # noqa: B007
                    yield kind, payload
                done += end
                raw = raw[end:]
                # A record longer than what is there is looked at again when there is twice as much.
                more = max(CHUNK, len(raw))
                if progress is not None:
                    progress(done)
    except OSError as error:
        raise ReplayError(
            f"tape {path} cannot be read: {error.strerror}",
            remedy="name the run folder, or the tape file in it",
        ) from error


def entries(path: Path, progress: Callable[[int], None] | None = None) -> Iterator[Entry]:
    """Yield each operation of a tape with its result, in the order of the operations.

    A result follows its operation after at most what an array has under way; an operation whose
    result is missing while a later one's is there never gets one.

    Raises:
        ReplayError: there is no such file, or it is no tape.
    """
    waiting: deque[Operation] = deque()
    for kind, payload in records(path, progress):
        if kind is RecordType.OPERATION:
            waiting.append(decode_operation(payload))
        elif kind is RecordType.RESULT:
            result = decode_result(payload)
            if not any(operation.id == result.id for operation in waiting):
                raise ReplayError(f"{path}: result {result.id} has no operation before it")
            while (operation := waiting.popleft()).id != result.id:
                yield Entry(operation, None)
            yield Entry(operation, result)
    for operation in waiting:
        yield Entry(operation, None)


def resolve(name: str | Path) -> Path:
    """Return the tape that a name means: a run folder's, or the file itself."""
    path = Path(name)
    return path / FILE if path.is_dir() else path


def whole_bytes(path: Path) -> int:
    """Return the length of a tape up to the end of its last whole record.

    Raises:
        ReplayError: there is no such file, or it is no tape.
    """
    end = len(MAGIC)

    def passed(done: int) -> None:
        nonlocal end
        end = done

    for _ in records(path, passed):
        pass
    return end


@dataclass(frozen=True, slots=True)
class Summary:
    """A tape in numbers.

    Attributes:
        operations: operations on it.
        hash: SHA-256 over operations and results alone: no ids, times or events.
        torn: whether bytes follow the last whole record.
    """

    operations: int
    hash: str
    torn: bool


def summarise(path: Path, progress: Callable[[int], None] | None = None) -> Summary:
    """Return a tape in numbers, reading it once.

    Raises:
        ReplayError: there is no such file, or it is no tape.
    """
    running, operations, end = RunningHash(), 0, len(MAGIC)

    def passed(done: int) -> None:
        nonlocal end
        end = done
        if progress is not None:
            progress(done)

    for kind, payload in records(path, passed):
        if kind is RecordType.OPERATION:
            running.operations.update(payload[8:])
            operations += 1
        elif kind is RecordType.RESULT:
            running.results.update(payload[16:])
    return Summary(operations, running.hexdigest(), end != path.stat().st_size)
