"""A part of a model put into a device file that has the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hwloop.characterization.fits.result import block
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate


def merged(
    base: DeviceFile,
    changes: Mapping[str, Any],
    measurement: Measurement,
    parameters: Mapping[str, Estimate],
    warnings: tuple[str, ...],
) -> DeviceFile:
    """Return the base with fields of its model changed, their source and intervals noted.

    Args:
        base: the device file.
        changes: values of fields of the model, by name.
        measurement: the data that they come from.
        parameters: intervals, by the path of the field.
        warnings: what whoever uses the numbers should know.
    """
    made = block(measurement, parameters=parameters, warnings=warnings)
    key = f"fit_{measurement.kind}"
    table = base.measured_cells
    content = base.with_cells(None).content()
    before = content.get("fit") or {}
    content["model"] = {**content["model"], **changes}
    content["sources"] = {**content["sources"], key: f"fit of {made.data}"}
    content["provenance"] = {
        **content["provenance"],
        **{f"model.{name}": f"{key}: hwloop device fit" for name in changes},
    }
    own = made.model_dump(mode="json")
    content["fit"] = {
        **own,
        "data": f"{before['data']}; {made.data}"[:1000] if before else made.data,
        "cells": max(before.get("cells", 0), made.cells),
        "rows": before.get("rows", 0) + made.rows,
        "parameters": {**before.get("parameters", {}), **own["parameters"]},
        "figures": before.get("figures", {}),
        "goodness": before.get("goodness", {}),
        "warnings": [*before.get("warnings", []), *made.warnings],
    }
    device = DeviceFile.model_validate_json(json.dumps(content), strict=True)
    return device if table is None else device.with_cells(table)
