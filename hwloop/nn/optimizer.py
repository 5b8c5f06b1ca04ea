"""The optimizer: pulses for the weights on arrays, any optimizer of torch for what is digital."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch

from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError
from hwloop.nn.layer import CrossbarLayer, matrices
from hwloop.nn.matrix import Block, CrossbarMatrix, Recording, Vectors
from hwloop.operations import Operation

Piece = tuple[Vectors, Vectors]


class AnalogOptimizer(torch.optim.Optimizer):
    """Makes pulses of what backward passes recorded, and lets digital parameters be trained.

    A step takes two submissions, however many layers there are: array updates and line reads of
    all layers, whose answers are waited for, then the weight pulses, which nobody waits for. A
    layer with more vectors than its `chunk`, as convolutions may have, takes one more for each
    further chunk. A step uses up what was recorded, gradients of digital parameters included, so
    that `zero_grad` is needed only to forget a backward pass. Learning-rate schedulers of torch
    work as usual: the first parameter group is the analog one, the others are those of `digital`.

    Args:
        model: a model with layers on arrays.
        lr: learning rate of the layers on arrays, in weights.
        digital_lr: learning rate of the digital parameters by plain SGD; `lr` by default.
        digital: an optimizer of the digital parameters in place of plain SGD, for example
            `torch.optim.AdamW(model.parameters())`: a converted model has no other parameters.
        reduction: whether the loss is a mean or a sum over the batch. Controllers see each
            sample's own gradient in either case.

    Attributes:
        layers: the layers on arrays.
        matrices: their weights, shared ones once.
        digital: what trains the digital parameters, or None if there are none.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        lr: float,
        digital_lr: float | None = None,
        *,
        digital: torch.optim.Optimizer | None = None,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ConfigurationError(f"reduction is {reduction!r}, expected 'mean' or 'sum'")
        if digital is not None and digital_lr is not None:
            raise ConfigurationError("digital_lr and digital are given; give one of both")
        if isinstance(digital, torch.optim.LBFGS):
            raise ConfigurationError(
                "LBFGS evaluates the model several times per step, which arrays would record",
                remedy="take SGD, Adam or the like",
            )
        self.layers = [m for m in model.modules() if isinstance(m, CrossbarLayer)]
        self.matrices = matrices(model)
        if not self.layers:
            raise ConfigurationError(
                "the model has no layer on an array", remedy="convert it: hwloop.nn.convert"
            )
        self._mean = reduction == "mean"
        parameters = [p for p in model.parameters() if p.requires_grad]
        if digital is None and parameters:
            digital = torch.optim.SGD(parameters, lr=lr if digital_lr is None else digital_lr)
        self.digital = digital
        anchors = [matrix.anchor for matrix in self.matrices]
        super().__init__([{"params": anchors, "lr": lr, "analog": True}], {"lr": lr})
        self._share_groups()

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
        if self.digital is not None:
            self.digital.step()
        self.zero_grad()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients and what backward passes recorded."""
        super().zero_grad(set_to_none)
        for matrix in self.matrices:
            matrix.trace.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the rates of the analog group, and the state of the digital optimizer."""
        analog = {k: v for k, v in self.param_groups[0].items() if k != "params"}
        digital = None if self.digital is None else self.digital.state_dict()
        return {"analog": analog, "digital": digital}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.param_groups[0].update(state_dict["analog"])
        if self.digital is not None:
            self.digital.load_state_dict(state_dict["digital"])
            self._share_groups()

    def _share_groups(self) -> None:
        """Have the groups of the digital optimizer as own ones, so that schedulers see them."""
        own = [] if self.digital is None else self.digital.param_groups
        self.param_groups[1:] = own

    def _step_analog(self, rate: float) -> None:
        by_chip: dict[int, tuple[Chip, list[CrossbarMatrix]]] = {}
        for matrix in self.matrices:
            if matrix.trace:
                by_chip.setdefault(id(matrix.chip), (matrix.chip, []))[1].append(matrix)
        for chip, chosen in by_chip.values():
            _update(chip, chosen, rate, self._mean)


def _update(chip: Chip, chosen: list[CrossbarMatrix], rate: float, mean: bool) -> None:
    """Make updates of what was recorded: a submission per chunk of vectors, and one of pulses."""
    shares = [_share(matrix.trace, mean) for matrix in chosen]
    streams: list[Iterator[Piece]] = [matrix.recorded_chunks() for matrix in chosen]
    pulses: list[Operation] = []
    while True:
        # What earlier vectors pulse does not depend on later ones, so it goes along with them.
        operations, pulses = pulses, []
        plans: list[tuple[Block, int, int]] = []
        for matrix, share, stream in zip(chosen, shares, streams, strict=True):
            piece = next(stream, None)
            if piece is None:
                continue
            x, gradient = piece
            # Directions times the share are minus the gradient of the loss, whatever was
            # accumulated.
            d = gradient * np.float32(-1 / share)
            for block in matrix.blocks:
                start = len(operations)
                operations += block.controller.plan(block.inputs(x), block.errors(d), rate, share)
                plans.append((block, start, len(operations)))
        if not plans:
            if operations:
                chip.submit(operations)
            return
        results = chip.submit(operations).results() if operations else []
        for block, start, stop in plans:
            pulses += block.controller.digest(results[start:stop])


def _share(trace: list[Recording], mean: bool) -> float:
    """Return the share of each example in the loss."""
    return len(trace) / sum(r.batch for r in trace) if mean else 1.0
