"""Where a host keeps what it has to remember of chips."""

from __future__ import annotations

import hashlib
import os
import string
from pathlib import Path

from hwloop.errors import ConfigurationError

STATE = "HWLOOP_STATE"
"""Environment variable that names the folder."""

_PLAIN = frozenset((string.ascii_letters + string.digits + "_-.").encode())
_LONGEST_NAME = 120


def state_folder() -> Path:
    """Return the folder of what outlives runs: `$HWLOOP_STATE`, or the user's state folder.

    Raises:
        ConfigurationError: neither the folder nor the user's home is known.
    """
    named = os.environ.get(STATE, "")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "hwloop"
    except RuntimeError as error:
        raise ConfigurationError(
            f"there is no folder for the doses of chips: {error}", remedy=f"set {STATE}"
        ) from error


def chips_folder() -> Path:
    """Return the folder that has one folder for each chip."""
    return state_folder() / "chips"


def chip_folder(chip_id: str) -> Path:
    """Return the folder of a chip: another one for each id, whatever characters it has."""
    raw = chip_id.encode()
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if not name.strip("."):  # nothing, or what means another folder
        name = "%" + name.replace(".", "%2E")
    if len(name) > _LONGEST_NAME:
        # "%~" is no escape, so this is the name of no other id.
        name = f"{name[: _LONGEST_NAME // 2]}%~{hashlib.sha256(raw).hexdigest()}"
    return chips_folder() / name
