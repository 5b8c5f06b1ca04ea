"""What a simulated array says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hwloop import random
from hwloop.capabilities import Capabilities, Configuration, Converter, TileCapabilities
from hwloop.device_file import DeviceFile
from hwloop.operations import (
    Configure,
    OuterTrains,
    OuterUpdate,
    Pulse,
    ReadCells,
    Restore,
    Snapshot,
    Vmm,
    Wait,
)
from hwloop_sim import core
from hwloop_sim.periphery import Periphery, code_max
from hwloop_sim.terms import TICK_SECONDS


def capabilities(
    device: DeviceFile,
    shapes: Sequence[tuple[int, int]],
    periphery: Periphery,
    configuration: Configuration,
    seed: int,
    address: str | None,
    overrides: dict[str, str],
    state_words: Sequence[int],
) -> Capabilities:
    """Return what an array says of itself.

    Args:
        device: the device file.
        shapes: rows and columns of each tile.
        periphery: the converters.
        configuration: what the array offers.
        seed: of the array.
        address: what the user called the device.
        overrides: values that replace some of the device's.
        state_words: of each tile, words per cell of its state.
    """
    volts = device.conductance.read_volts
    amperes = device.conductance.half_range_siemens * volts  # of one device unit at full input
    p = periphery
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", device.name)
    return Capabilities(
        name=f"simulated {device.name}",
        kind="virtual",
        chip_id=f"sim-{name}-{seed}",
        tiles=tuple(
            TileCapabilities(
                rows=rows,
                cols=cols,
                reference="cell",
                dac=Converter(code_max=code_max(p.dac_bits), full_scale=volts),
                adc_forward=Converter(
                    code_max=code_max(p.adc_bits), full_scale=p.adc_range_forward * amperes
                ),
                adc_backward=Converter(
                    code_max=code_max(p.adc_bits), full_scale=p.adc_range_backward * amperes
                ),
                adc_cells=Converter(
                    code_max=code_max(p.cell_adc_bits), full_scale=p.cell_adc_range * amperes
                ),
                cell_siemens=device.conductance.half_range_siemens,
                middle_siemens=device.conductance.middle_siemens,
                output_noise=p.output_noise * amperes,
                update_code_max=code_max(p.update_bits),
                longest_train=p.longest_train,
                update_encodings=("seeded", "trains"),
                generator=random.GENERATOR,
                average_max=p.average_max,
                state_words=words,
            )
            for (rows, cols), words in zip(shapes, state_words, strict=True)
        ),
        operations=frozenset(
            kind.kind
            for kind in (
                Vmm,
                ReadCells,
                Pulse,
                OuterUpdate,
                OuterTrains,
                Configure,
                Wait,
                Snapshot,
                Restore,
            )
        ),
        device=address,
        device_overrides=overrides,
        configuration=configuration,
        firmware=core.source_hash(),
        retained_evidence=False,
        tick_seconds=TICK_SECONDS,
    )
