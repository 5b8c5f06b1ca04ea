"""The journal of a served array: what survives a restart of its server."""

from __future__ import annotations

import operator
import os
import struct
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

from hwloop.errors import ConfigurationError

_RECORD = struct.Struct("<8sQIIQQQHHB3x")
_CHECK = struct.Struct("<I")
_MAGIC = b"hwlwire1"
_SLOT = 64


@dataclass(slots=True)
class Evidence:
    """What a journal holds.

    Attributes:
        boot: counts the starts of the server.
        epoch: of the last session.
        intent_id, intent_part: last consuming part begun.
        commit_id, commit_part, commit_verdict, commit_fired: last one ended.
    """

    boot: int = 0
    epoch: int = 0
    intent_id: int = 0
    commit_id: int = 0
    commit_fired: int = 0
    intent_part: int = 0
    commit_part: int = 0
    commit_verdict: int = 0


_values = operator.attrgetter(*(field.name for field in fields(Evidence)))


class Journal:
    """Keeps evidence, in a file if there is one.

    A file has two slots that are written in turn, each with its number and check, so a torn write
    leaves the record before it. What is written is in the operating system's hands when a method
    returns: it survives the process, not a loss of power.

    Args:
        path: of the file; without one the evidence ends with the server.

    Raises:
        ConfigurationError: the file is no journal, cannot be used, or another server uses it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.evidence = Evidence()
        self._number = 0
        self._file = -1
        if path is None:
            self.evidence.boot = int.from_bytes(os.urandom(4), "little")
            self.evidence.epoch = int.from_bytes(os.urandom(4), "little")
            return
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            os.lockf(self._file, os.F_TLOCK, 0)
        except OSError as error:
            raise ConfigurationError(f"journal {path}: {error.strerror}") from error
        raw = os.pread(self._file, 2 * _SLOT, 0)
        self._load(raw)
        if raw.strip(b"\0") and not self._number:
            raise ConfigurationError(f"{path} is not a journal", remedy="name another file")
        self.evidence.boot += 1
        self._write()

    @property
    def retained(self) -> bool:
        """Whether the evidence survives a restart."""
        return self._file >= 0

    def begin(self) -> int:
        """Return a new epoch."""
        self.evidence.epoch = self.evidence.epoch % 0xFFFFFFFF + 1
        self._write()
        return self.evidence.epoch

    def intend(self, identity: int, part: int) -> None:
        """Note that a consuming part begins."""
        self.evidence.intent_id, self.evidence.intent_part = identity, part
        self._write()

    def commit(self, identity: int, part: int, verdict: int, fired: int) -> None:
        """Note that a consuming part has ended."""
        evidence = self.evidence
        evidence.commit_id, evidence.commit_part = identity, part
        evidence.commit_verdict, evidence.commit_fired = verdict, fired
        self._write()

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _load(self, raw: bytes) -> None:
        for at in (0, _SLOT):
            record = raw[at : at + _RECORD.size]
            check = raw[at + _RECORD.size : at + _RECORD.size + _CHECK.size]
            if len(check) < _CHECK.size or _CHECK.unpack(check)[0] != zlib.crc32(record):
                continue
            magic, number, *values = _RECORD.unpack(record)
            if magic == _MAGIC and number > self._number:
                self._number = number
                self.evidence = Evidence(*values)

    def _write(self) -> None:
        if self._file < 0:
            return
        self._number += 1
        record = _RECORD.pack(_MAGIC, self._number, *_values(self.evidence))
        raw = record + _CHECK.pack(zlib.crc32(record))
        os.pwrite(self._file, raw.ljust(_SLOT, b"\0"), self._number % 2 * _SLOT)
