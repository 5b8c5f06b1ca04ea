"""What a tape says at its beginning: the run's header, and the array as it was configured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwloop.capabilities import Capabilities
from hwloop.errors import ReplayError
from hwloop.tape.format import RecordType
from hwloop.tape.stream import records, resolve
from hwloop.untrusted import parse_json


@dataclass(frozen=True, slots=True)
class Recording:
    """A tape and its array.

    Attributes:
        path: the tape.
        header: what the run is.
        array: what the array said of itself, with the pulse shapes and limits that were in force.
    """

    path: Path
    header: dict[str, Any]
    array: Capabilities


def open_recording(name: str | Path) -> Recording:
    """Open the tape of a run folder, or a tape by its file.

    Raises:
        ReplayError: it cannot be read, or does not say what it was made on.
    """
    path = resolve(name)
    header: dict[str, Any] = {}
    try:
        for kind, payload in records(path):
            if kind is RecordType.HEADER:
                header = parse_json(payload, f"{path}: header", ReplayError)
            elif kind is RecordType.EVENT:
                event = parse_json(payload, f"{path}: event", ReplayError)
                if "chip" in event:
                    return Recording(path, header, Capabilities.model_validate(event["chip"]))
            elif kind in (RecordType.OPERATION, RecordType.RESULT):
                break
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ReplayError(
            f"{path} describes its array in another way than this version reads: "
            f"{field}: {first['msg']}",
            remedy="replay it with the version of hwloop that recorded it",
        ) from error
    raise ReplayError(
        f"{path} does not begin with what its array is and how it was configured",
        remedy="record it again: hwloop.connect and hwloop.Chip write that first",
    )
