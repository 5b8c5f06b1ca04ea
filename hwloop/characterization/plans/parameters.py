"""Plans by name, and what their parameters may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hwloop.characterization.plans.amplitude_response import AmplitudeResponse
from hwloop.characterization.plans.array_map import ArrayMap
from hwloop.characterization.plans.base import Plan
from hwloop.characterization.plans.converter_calibration import ConverterCalibrationPlan
from hwloop.characterization.plans.endurance import Endurance
from hwloop.characterization.plans.forming import Forming
from hwloop.characterization.plans.pulse_response import PulseResponse
from hwloop.characterization.plans.read_noise import ReadNoise
from hwloop.characterization.plans.retention import Retention
from hwloop.characterization.plans.symmetry_point import SymmetryPoint
from hwloop.characterization.plans.write_verify import WriteVerifyPlan
from hwloop.device_file.explain import nearest, short
from hwloop.errors import ConfigurationError

PLANS: dict[str, type[Plan]] = {
    plan.kind: plan
    for plan in (
        PulseResponse,
        AmplitudeResponse,
        SymmetryPoint,
        ReadNoise,
        Retention,
        Endurance,
        Forming,
        ArrayMap,
        WriteVerifyPlan,
        ConverterCalibrationPlan,
    )
}
"""Plans by their names, the kinds of data that they give."""


def make_plan(name: str, parameters: Mapping[str, Any], where: str = "") -> Plan:
    """Return a plan with parameters.

    Args:
        name: a key of `PLANS`.
        parameters: what differs from the defaults.
        where: where they were given, for messages.

    Raises:
        ConfigurationError: no such plan or parameter, or a value that it cannot have.
    """
    before = f"{where}: " if where else ""
    if name not in PLANS:
        near = nearest(name, PLANS)
        raise ConfigurationError(
            f"{before}plan {name!r} is unknown",
            remedy=f"did you mean {near}?" if near else f"plans: {', '.join(PLANS)}",
        )
    known = list(PLANS[name].model_fields)
    try:
        return PLANS[name].model_validate(dict(parameters))
    except ValidationError as error:
        lines, remedy = [], f"parameters of {name}: {', '.join(known)}"
        for problem in error.errors(include_url=False):
            path = ".".join(str(part) for part in problem["loc"])
            what = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            if problem["type"] == "extra_forbidden":
                what = "is no parameter"
                near = nearest(path, known)
                remedy = f"did you mean {near}?" if near else remedy
            elif problem["type"] != "missing":
                what = f"is {short(problem['input'])}, {what}"
            lines.append(f"{before}{name}: {path}: {what}" if path else f"{before}{name}: {what}")
        raise ConfigurationError("\n".join(lines), remedy=remedy) from None
