"""What the array says of itself: complete, consistent, and the same when asked again."""

from __future__ import annotations

from hwloop import device_file
from hwloop.backend import CrossbarBackend
from hwloop.capabilities import PROTOCOL_VERSION, Capabilities, TileCapabilities
from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError
from hwloop.guard import shape_faults
from hwloop.operations import KINDS

_PULSING = frozenset({"pulse", "outer_update", "outer_trains"})


def run(rig: Rig, evidence: Evidence) -> None:
    """Compare what the array says with itself."""
    examine(rig.backend, evidence)


def examine(backend: CrossbarBackend, evidence: Evidence) -> None:
    """Compare what a backend says with itself; moves nothing."""
    said = backend.describe()
    again = backend.describe()
    evidence.expect(said == again, "describe(), asked twice", "equal" if said == again else "other",
                    "equal")  # fmt: skip
    text = said.model_dump_json()
    back = Capabilities.model_validate_json(text)
    evidence.expect(
        back == said, "through JSON and back", "equal" if back == said else "other", "equal"
    )
    evidence.expect(
        said.protocol_version == PROTOCOL_VERSION,
        "protocol_version",
        said.protocol_version,
        PROTOCOL_VERSION,
    )
    evidence.expect(bool(said.chip_id), "chip_id", repr(said.chip_id), "a name of this one chip")
    evidence.expect(bool(said.name), "name", repr(said.name), "a name for people")
    _operations(said, evidence)
    _shapes(said, evidence)
    for index, tile in enumerate(said.tiles):
        _tile(said, index, tile, evidence)
    if said.device is not None:
        try:
            device_file.override(device_file.load(said.device), said.device_overrides)
            found = "found"
        except CrossbarError as error:
            found = error.message
        evidence.expect(found == "found", f"device file {said.device!r}", found, "found")


def _operations(said: Capabilities, evidence: Evidence) -> None:
    unknown = sorted(said.operations - set(KINDS))
    evidence.expect(not unknown, "operations that nobody knows", unknown or "none", "none")
    missing = sorted({"configure"} - said.operations)
    evidence.expect(not missing, "operations that every array has", missing or "all", "configure")
    reads = sorted(said.operations & {"vmm", "read_cells"})
    evidence.expect(bool(reads), "operations that read", reads or "none", "vmm, read_cells or both")
    pair = said.operations & {"snapshot", "restore"}
    evidence.expect(len(pair) != 1, "snapshot and restore", sorted(pair), "both or neither")
    if pair:
        evidence.expect(said.kind == "virtual", "kind of an array that shows its state", said.kind,
                        "virtual")  # fmt: skip


def _shapes(said: Capabilities, evidence: Evidence) -> None:
    shapes = said.configuration.shapes
    pulsing = sorted(said.operations & _PULSING)
    if pulsing and said.device is None:
        evidence.expect(bool(shapes), "pulse shapes", len(shapes), "one or more: it pulses")
    for name, shape in shapes.items():
        for side, polarity in (("up", shape.up), ("down", shape.down)):
            faults = shape_faults(polarity, said.configuration, said.bias_scheme)
            if faults:  # such a shape may be listed, but nobody can use it
                evidence.note(f"pulse shape {name!r}, {side}", faults[0])


def _tile(said: Capabilities, index: int, tile: TileCapabilities, evidence: Evidence) -> None:
    name = f"tile {index}: "
    encodings = set(tile.update_encodings)
    kinds = {"outer_update": "seeded", "outer_trains": "trains"}
    for kind, encoding in kinds.items():
        if (encoding in encodings) != (kind in said.operations):
            evidence.expect(
                False,
                f"{name}{kind} and the update encoding {encoding!r}",
                f"{sorted(said.operations & set(kinds))}, {sorted(encodings)}",
                "both or neither",
            )
    if "seeded" in encodings:
        evidence.expect(bool(tile.generator), f"{name}generator", repr(tile.generator),
                        "its name: updates are seeded")  # fmt: skip
    largest = tile.average_max * tile.adc_cells.code_max
    evidence.expect(largest < 2**31, f"{name}largest sum of cell reads", largest, "below 2**31")
    if "snapshot" in said.operations:
        evidence.expect(tile.state_words >= 4, f"{name}state_words", tile.state_words, "4 or more")
    if tile.output_noise is not None:
        noise = tile.output_noise
        evidence.expect(noise >= 0, f"{name}output_noise", noise, "0 or more")


CHECKS = (
    Check(
        "capabilities",
        "what the array says of itself is complete, consistent and stable",
        run,
        needs_array=False,
    ),
)
