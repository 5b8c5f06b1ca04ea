"""Devices of IBM's aihwkit as device files, so that its settings and results can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hwloop.device_file.explain import explain, nearest
from hwloop.device_file.schema import ASSUMED, DeviceFile
from hwloop.errors import ConfigurationError

_COMMON = {
    "dw_min": "step",
    "dw_min_dtod": "step_spread",
    "dw_min_std": "cycle_noise",
    "up_down": "up_down",
    "up_down_dtod": "up_down_spread",
    "w_max": "bound_max",
    "w_min": "bound_min",
    "w_max_dtod": "bound_max_spread",
    "w_min_dtod": "bound_min_spread",
    "write_noise_std": "write_noise",
    "corrupt_devices_prob": "corrupt_probability",
    "corrupt_devices_range": "corrupt_range",
}
_DEFAULTS = {
    "dw_min": 0.001,
    "dw_min_dtod": 0.3,
    "dw_min_std": 0.3,
    "up_down": 0.0,
    "up_down_dtod": 0.01,
    "w_max": 0.6,
    "w_min": -0.6,
    "w_max_dtod": 0.3,
    "w_min_dtod": 0.3,
    "write_noise_std": 0.0,
    "corrupt_devices_prob": 0.0,
    "corrupt_devices_range": 1000.0,
}
_LINEAR = {
    "gamma_up": 0.0,
    "gamma_down": 0.0,
    "gamma_up_dtod": 0.05,
    "gamma_down_dtod": 0.05,
    "allow_increasing": False,
    "mean_bound_reference": True,
    "mult_noise": True,
}
_REFERENCE = {
    "mult_noise": False,
    "slope_up_dtod": 0.0,
    "slope_down_dtod": 0.0,
    "reference_mean": 0.0,
    "reference_std": 0.0,
    "subtract_symmetry_point": False,
}
_EXPONENTIAL = {
    "A_up": 0.00081,
    "A_down": 0.36833,
    "gamma_up": 12.44625,
    "gamma_down": 12.78785,
    "a": 0.244,
    "b": 0.2425,
}
_POWER = {"pow_gamma": 1.0, "pow_gamma_dtod": 0.1, "pow_up_down": 0.0, "pow_up_down_dtod": 0.0}
_OWN: dict[str, dict[str, Any]] = {
    "ConstantStepDevice": {},
    "LinearStepDevice": _LINEAR,
    "SoftBoundsDevice": {"mult_noise": True},
    "SoftBoundsReferenceDevice": _REFERENCE,
    "ExpStepDevice": _EXPONENTIAL,
    "PowStepDevice": _POWER,
    "PiecewiseStepDevice": {"piecewise_up": [1.0], "piecewise_down": [1.0]},
}


def from_aihwkit(device: str, parameters: Mapping[str, Any]) -> DeviceFile:
    """Return the device file of an aihwkit device.

    Values that are not given are aihwkit's defaults; pulse shapes and siemens are assumed. What
    aihwkit does between mini-batches (decay, diffusion, reset) is not part of a step model.

    Args:
        device: name of the class, for example `SoftBoundsReferenceDevice`.
        parameters: its keyword arguments.

    Raises:
        ConfigurationError: a class or an argument that has no counterpart.
    """
    if device not in _OWN:
        raise ConfigurationError(
            f"aihwkit device {device!r} has no counterpart",
            remedy=f"use one of {', '.join(sorted(_OWN))}",
        )
    where = f"aihwkit device {device}"
    values: dict[str, Any] = _DEFAULTS | {"dw_min_dtod_log_normal": False} | _OWN[device]
    for name, value in parameters.items():
        if name not in values:
            near = nearest(name, values)
            raise ConfigurationError(
                f"{where}: {name}={value!r} has no counterpart",
                remedy=f"did you mean {near}?" if near else "",
            )
        values[name] = value
    model = {ours: values[theirs] for theirs, ours in _COMMON.items()}
    model["step_distribution"] = "log_normal" if values["dw_min_dtod_log_normal"] else "normal"
    model["cycle_noise_kind"] = "multiplicative" if values.get("mult_noise", True) else "additive"
    model |= _family(device, values, where)
    try:
        return DeviceFile.model_validate(_file(device, model))
    except ValidationError as error:
        raise explain(error, where) from None


def _family(device: str, values: dict[str, Any], where: str) -> dict[str, Any]:
    if device == "ConstantStepDevice":
        return {"kind": "constant_step"}
    if device == "LinearStepDevice":
        return {"kind": "linear_step"} | {
            name.replace("_dtod", "_spread"): values[name]
            for name in _LINEAR
            if name != "mult_noise"
        }
    if device == "SoftBoundsDevice":
        return {"kind": "soft_bounds"}
    if device == "SoftBoundsReferenceDevice":
        return {
            "kind": "soft_bounds",
            "slope_up_spread": values["slope_up_dtod"],
            "slope_down_spread": values["slope_down_dtod"],
            "reference": {
                "mean": values["reference_mean"],
                "std": values["reference_std"],
                "subtract_symmetry_point": values["subtract_symmetry_point"],
            },
        }
    if device == "ExpStepDevice":
        return {"kind": "exponential_step"} | {name: values[name] for name in _EXPONENTIAL}
    if device == "PowStepDevice":
        if values["pow_gamma_dtod"] or values["pow_up_down_dtod"]:
            raise ConfigurationError(
                f"{where}: pow_gamma_dtod and pow_up_down_dtod have no counterpart: one table "
                "serves all cells",
                remedy="set both to 0",
            )
        gamma, up_down = values["pow_gamma"], values["pow_up_down"]
        return {
            "kind": "power_step",
            "gamma_up": gamma * (1 + min(up_down, 0.0)),
            "gamma_down": gamma * (1 - max(up_down, 0.0)),
        }
    return {
        "kind": "piecewise_step",
        "up": values["piecewise_up"],
        "down": values["piecewise_down"],
    }


def _file(device: str, model: dict[str, Any]) -> dict[str, Any]:
    pulse = {"amplitude_volts": 1.0, "width_seconds": 1e-6}
    return {
        "name": device,
        "sources": {"aihwkit": f"IBM aihwkit, class {device}"},
        "provenance": {
            "model": "aihwkit",
            "conductance": f"{ASSUMED}: aihwkit has normalised weights",
            "shapes": f"{ASSUMED}: aihwkit's pulses have no voltage",
        },
        "conductance": {
            "middle_siemens": 5e-5,
            "half_range_siemens": 2.5e-5,
            "read_volts": 0.2,
            "normalised": True,
        },
        "shapes": {"set": {"up": pulse, "down": pulse | {"amplitude_volts": -1.0}}},
        "model": model,
    }
