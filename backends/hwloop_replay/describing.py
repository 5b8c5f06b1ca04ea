"""What a replay says of itself."""

from __future__ import annotations

from hwloop.capabilities import Capabilities
from hwloop.tape.recording import Recording


def replayed(recording: Recording, operations: frozenset[str] | None = None) -> Capabilities:
    """Return what a replay can do: what its array could, with no device file and nothing to arm.

    Args:
        recording: the tape.
        operations: kinds that are understood, those of the array by default.
    """
    array = recording.array
    return array.model_copy(
        update={
            "name": f"replay of {array.name}",
            "kind": "virtual",
            "chip_id": f"replay-{array.chip_id}",
            "device": None,
            "device_overrides": {},
            "operations": array.operations if operations is None else operations,
        }
    )
