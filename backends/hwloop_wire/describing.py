"""Capabilities and configurations as messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from typing import Any

from pydantic import ValidationError

from hwloop.capabilities import (
    Capabilities,
    Configuration,
    Converter,
    Limits,
    PolarityShape,
    PulseShape,
    TileCapabilities,
)
from hwloop.errors import ConfigurationError
from hwloop_wire import messages as m
from hwloop_wire.codes import OPERATION_BITS, Bias, Encoding, Flag, Reference
from hwloop_wire.layout import MessageError

PICO = 10**12
CHIP_ID_BYTES, NAME_BYTES, FIRMWARE_BYTES, DEVICE_BYTES = 64, 64, 64, 128

_REAL_LIMITS = ("voltage_max", "half_select_max", "width_max_seconds", "compliance_max_amperes")
_COUNT_LIMITS = ("pulses_per_operation", "dose_per_cell", "dose_per_line")


def limit_fields(limits: Limits) -> dict[str, Any]:
    """Return limits as fields of CONFIGURE and READ_CONFIGURATION_ANSWER."""
    fields: dict[str, Any] = {"forming": int(limits.forming)}
    for name in _REAL_LIMITS:
        value = getattr(limits, name)
        fields[name] = nan if value is None else value
    for name in _COUNT_LIMITS:
        value = getattr(limits, name)
        fields[name] = m.NO_LIMIT if value is None else value
    return fields


def shape_entries(configuration: Configuration) -> list[m.ShapeEntry]:
    """Return the table of pulse shapes in the order that numbers them, by their names' bytes."""
    entries = []
    for name in sorted(configuration.shapes, key=str.encode):
        shape = configuration.shapes[name]
        up, down = (
            (p.amplitude_volts, p.width_seconds, _or_nan(p.compliance_amperes))
            for p in (shape.up, shape.down)
        )
        entries.append(m.ShapeEntry(*up, *down, name))
    return entries


def configure_body(configuration: Configuration) -> bytes:
    """Return the body of a CONFIGURE.

    Raises:
        MessageError: the name of a shape is too long.
    """
    entries = shape_entries(configuration)
    head = m.Configure(
        configuration=configuration.hash(),
        shapes=len(entries),
        **limit_fields(configuration.limits),
    )
    return head.pack() + b"".join(entry.pack() for entry in entries)


def parse_shapes(body: bytes, at: int, count: int) -> list[m.ShapeEntry]:
    """Return the entries of a table behind `at` bytes of fixed fields.

    Raises:
        MessageError: there are more or fewer.
    """
    size = m.ShapeEntry.STRUCT.size
    if len(body) != at + count * size:
        raise MessageError(f"{len(body) - at} bytes of shapes, expected {count} x {size}")
    return [m.ShapeEntry.unpack(body, at + i * size) for i in range(count)]


def configuration(
    head: m.Configure | m.ReadConfigurationAnswer, entries: Sequence[m.ShapeEntry]
) -> Configuration:
    """Return the configuration of a CONFIGURE or READ_CONFIGURATION_ANSWER.

    Raises:
        MessageError: a value is not allowed.
    """
    limits: dict[str, Any] = {"forming": bool(head.forming)}
    for name in _REAL_LIMITS:
        limits[name] = _or_none(getattr(head, name))
    for name in _COUNT_LIMITS:
        value = getattr(head, name)
        limits[name] = None if value == m.NO_LIMIT else value
    try:
        shapes = {
            entry.name: PulseShape(
                up=_polarity(entry.up_volts, entry.up_seconds, entry.up_amperes),
                down=_polarity(entry.down_volts, entry.down_seconds, entry.down_amperes),
            )
            for entry in entries
        }
        if len(shapes) != len(entries):
            raise MessageError("two pulse shapes have one name")
        return Configuration(shapes=shapes, limits=Limits.model_validate(limits))
    except ValidationError as error:
        raise MessageError(f"not a configuration: {error}") from error


def describe_answer(tile: TileCapabilities) -> m.DescribeAnswer:
    """Return a tile as a message."""
    encodings = [Encoding[name.upper()] for name in tile.update_encodings]
    return m.DescribeAnswer(
        dac_full_scale=tile.dac.full_scale,
        forward_full_scale=tile.adc_forward.full_scale,
        backward_full_scale=tile.adc_backward.full_scale,
        cells_full_scale=tile.adc_cells.full_scale,
        cell_siemens=tile.cell_siemens,
        middle_siemens=tile.middle_siemens,
        output_noise=_or_nan(tile.output_noise),
        dac_code_max=tile.dac.code_max,
        forward_code_max=tile.adc_forward.code_max,
        backward_code_max=tile.adc_backward.code_max,
        cells_code_max=tile.adc_cells.code_max,
        update_code_max=tile.update_code_max,
        average_max=tile.average_max,
        rows=tile.rows,
        cols=tile.cols,
        longest_train=tile.longest_train,
        reference=Reference[tile.reference.upper()],
        encodings=sum(encodings),
        state_words=tile.state_words,
        generator=tile.generator,
    )


def tile(answer: m.DescribeAnswer) -> TileCapabilities:
    """Return the tile of a message.

    Raises:
        MessageError: a value is not allowed.
    """
    try:
        return TileCapabilities.model_validate(
            {
                "rows": answer.rows,
                "cols": answer.cols,
                "reference": Reference(answer.reference).meaning,
                "dac": Converter(code_max=answer.dac_code_max, full_scale=answer.dac_full_scale),
                "adc_forward": Converter(
                    code_max=answer.forward_code_max, full_scale=answer.forward_full_scale
                ),
                "adc_backward": Converter(
                    code_max=answer.backward_code_max, full_scale=answer.backward_full_scale
                ),
                "adc_cells": Converter(
                    code_max=answer.cells_code_max, full_scale=answer.cells_full_scale
                ),
                "cell_siemens": answer.cell_siemens,
                "middle_siemens": answer.middle_siemens,
                "output_noise": _or_none(answer.output_noise),
                "update_code_max": answer.update_code_max,
                "longest_train": answer.longest_train,
                "update_encodings": tuple(e.meaning for e in Encoding if answer.encodings & e),
                "generator": answer.generator,
                "average_max": answer.average_max,
                "state_words": answer.state_words,
            }
        )
    except ValueError as error:
        raise MessageError(f"not a tile: {error}") from error


def capabilities(
    hello: m.HelloAnswer, tiles: Sequence[TileCapabilities], offered: Configuration
) -> Capabilities:
    """Return what a chip says of itself.

    Raises:
        MessageError: a value is not allowed.
    """
    device, *overrides = hello.device.split(",")
    try:
        return Capabilities.model_validate(
            {
                "name": hello.name,
                "kind": "virtual" if hello.flags & Flag.VIRTUAL else "physical",
                "chip_id": hello.chip_id,
                "tiles": tuple(tiles),
                "operations": frozenset(
                    kind for kind, bit in OPERATION_BITS.items() if hello.operations & bit
                ),
                "device": device or None,
                "device_overrides": dict(pair.split("=", 1) for pair in overrides),
                "configuration": offered,
                "bias_scheme": Bias(hello.bias).meaning,
                "retained_evidence": bool(hello.flags & Flag.RETAINED),
                "firmware": hello.firmware,
                "tick_seconds": hello.tick_picoseconds / PICO,
            }
        )
    except ValueError as error:
        raise MessageError(f"the chip describes itself wrongly: {error}") from error


def hello_fields(chip: Capabilities) -> dict[str, Any]:
    """Return what HELLO_ANSWER says of an array, but for its session and state.

    Raises:
        ConfigurationError: its id is too long: it may not be shortened, for it arms the chip.
    """
    if len(chip.chip_id.encode()) > CHIP_ID_BYTES:
        raise ConfigurationError(f"chip id {chip.chip_id!r} is over {CHIP_ID_BYTES} bytes")
    overrides = "".join(f",{key}={value}" for key, value in chip.device_overrides.items())
    device = f"{chip.device}{overrides}" if chip.device else ""
    return {
        "tick_picoseconds": max(1, round(chip.tick_seconds * PICO)),
        "operations": sum(OPERATION_BITS[kind] for kind in chip.operations),
        "bias": next(b for b in Bias if b.meaning == chip.bias_scheme),
        "tiles": len(chip.tiles),
        "chip_id": chip.chip_id,
        "name": shortened(chip.name, NAME_BYTES),
        "firmware": shortened(chip.firmware, FIRMWARE_BYTES),
        "device": device if len(device.encode()) <= DEVICE_BYTES else "",
    }


def shortened(text: str, size: int) -> str:
    """Return text that fits a field of `size` bytes."""
    return text.replace("\0", " ").encode()[:size].decode(errors="ignore")


def _polarity(volts: float, seconds: float, amperes: float) -> PolarityShape:
    return PolarityShape(
        amplitude_volts=volts, width_seconds=seconds, compliance_amperes=_or_none(amperes)
    )


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value
