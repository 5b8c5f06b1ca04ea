"""What a replay says of itself."""

from __future__ import annotations

from hwloop.capabilities import Capabilities
from hwloop.tape.recording import Recording


def replayed(recording: Recording, operations: frozenset[str] | None = None) -> Capabilities:
    """Return what a replay can do: what its array could, with nothing to arm or to wear out.

    Args:
        recording: the tape.
        operations: kinds that are understood, those of the array by default.
    """
    array = recording.array
    known = array.operations if operations is None else operations
    encodings = {"outer_update": "seeded", "outer_trains": "trains"}
    taken = {encoding for kind, encoding in encodings.items() if kind in known}
    tiles = tuple(
        tile.model_copy(
            update={"update_encodings": tuple(e for e in tile.update_encodings if e in taken)}
        )
        for tile in array.tiles
    )
    return array.model_copy(
        update={
            "name": f"replay of {array.name}",
            "kind": "virtual",
            "chip_id": f"replay-{array.chip_id}",
            "device": None,
            "device_overrides": {},
            "operations": known,
            "tiles": tiles,
            "configuration": array.configuration.model_copy(
                update={"limits": array.configuration.limits.installed()}
            ),
        }
    )
