"""One holder per chip among the processes of a host."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import platform
import sys
import weakref
from pathlib import Path

from hwloop.errors import ConfigurationError, SafetyError

LEASE = "lease"
"""Name of the file in a chip's folder."""


class Lease:
    """The right to move a chip; it ends with `release`, and with the process, however that ends.

    Args:
        folder: of the chip.
        chip_id: id of the chip, for people.

    Raises:
        SafetyError: another process holds it, or another chip of this process.
        ConfigurationError: the folder cannot be written.
    """

    def __init__(self, folder: Path, chip_id: str) -> None:
        path = folder / LEASE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror}; nothing was sent",
                remedy="set HWLOOP_STATE to a folder that can be written",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise SafetyError(
                f"chip {chip_id!r} is held by {holder_text(folder)}; nothing was sent",
                remedy="wait until it ends, or end it",
                retryable=True,
            ) from None
        holder = {
            "pid": os.getpid(),
            "host": platform.node(),
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
            "since": datetime.datetime.now().isoformat(timespec="seconds"),
        }
        self._finish = weakref.finalize(self, _let_go, descriptor)
        with contextlib.suppress(OSError):  # on a full disk, nobody is told who holds it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)

    def release(self) -> None:
        """Let others have the chip."""
        self._finish()


def holder_text(folder: Path) -> str:
    """Return who holds a chip, or held it last, for people."""
    about = {}
    with contextlib.suppress(OSError, ValueError):
        about = json.loads((folder / LEASE).read_text(encoding="utf-8"))
    if not isinstance(about, dict) or "pid" not in about:
        return "another process"
    return (
        f"process {about['pid']} on {about.get('host')} ({about.get('command')}, since "
        f"{about.get('since')})"
    )


def is_held(folder: Path) -> bool:
    """Return whether a process holds a chip."""
    try:
        descriptor = os.open(folder / LEASE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _let_go(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)
