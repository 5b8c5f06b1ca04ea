"""The optimizer: pulses for the layers on arrays, plain SGD for what is digital."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwloop.controllers import Controller
from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError
from hwloop.nn.linear import CrossbarLinear, Recorded
from hwloop.operations import Operation

Vectors = NDArray[np.float32]


class AnalogOptimizer(torch.optim.Optimizer):
    """Makes pulses of what backward passes recorded, and trains digital parameters by plain SGD.

    A step takes two submissions, however many layers there are: array updates and line reads of
    all layers, whose answers are waited for, then the weight pulses, which nobody waits for. A
    step uses up what was recorded, gradients of digital parameters included, so that `zero_grad`
    is needed only to forget a backward pass. Learning-rate schedulers of torch work as usual: the
    first parameter group is the analog one, the second the digital one.

    Args:
        model: a model with `CrossbarLinear` layers.
        lr: learning rate of the layers on arrays, in weights.
        digital_lr: learning rate of the digital parameters; `lr` by default.
        reduction: whether the loss is a mean or a sum over the batch. Controllers see each
            sample's own gradient in either case.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        lr: float,
        digital_lr: float | None = None,
        *,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ConfigurationError(f"reduction is {reduction!r}, expected 'mean' or 'sum'")
        self.layers = [m for m in model.modules() if isinstance(m, CrossbarLinear)]
        if not self.layers:
            raise ConfigurationError(
                "the model has no layer on an array", remedy="convert it: hwloop.nn.convert"
            )
        self._mean = reduction == "mean"
        groups: list[dict[str, Any]] = [
            {"params": [layer.anchor for layer in self.layers], "lr": lr, "analog": True}
        ]
        digital = [p for p in model.parameters() if p.requires_grad]
        if digital:
            rate = lr if digital_lr is None else digital_lr
            groups.append({"params": digital, "lr": rate, "analog": False})
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step of what was recorded.

        Args:
            closure: evaluates the model anew and returns the loss, as torch allows.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_analog(self.param_groups[0]["lr"])
        for group in self.param_groups[1:]:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-group["lr"])
        self.zero_grad()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients and what backward passes recorded."""
        super().zero_grad(set_to_none)
        for layer in self.layers:
            layer.trace.clear()

    def _step_analog(self, rate: float) -> None:
        by_chip: dict[int, tuple[Chip, list[CrossbarLinear]]] = {}
        for layer in self.layers:
            if layer.trace:
                by_chip.setdefault(id(layer.chip), (layer.chip, []))[1].append(layer)
        for chip, layers in by_chip.values():
            plans: list[tuple[Controller, int, int]] = []
            operations: list[Operation] = []
            for layer in layers:
                x, d, share = _descent(layer.trace, self._mean)
                start = len(operations)
                operations += layer.controller.plan(x, d, rate, share)
                plans.append((layer.controller, start, len(operations)))
            results = chip.submit(operations).results() if operations else []
            pulses: list[Operation] = []
            for controller, start, stop in plans:
                pulses += controller.digest(results[start:stop])
            if pulses:
                chip.submit(pulses)


def _descent(trace: list[Recorded], mean: bool) -> tuple[Vectors, Vectors, float]:
    """Return activations and descent directions of a trace, and each sample's share in the loss.

    Directions times the share are minus the gradient of the loss, whatever was accumulated.
    """
    share = len(trace) / sum(r.batch for r in trace) if mean else 1.0
    if len(trace) == 1:
        x, gradient = trace[0].x, trace[0].gradient
    else:
        x = np.concatenate([r.x for r in trace])
        gradient = np.concatenate([r.gradient for r in trace])
    return x, gradient * np.float32(-1 / share), share
