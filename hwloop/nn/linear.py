"""A linear layer whose weights are the cells of a tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from hwloop.controllers import Controller, ReadTerm
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import Direction
from hwloop.procedures import Management, Written, managed_vmm
from hwloop.weights import WeightMap

Vectors = NDArray[np.float32]

TRACE_BYTES_MAX = 2**30
"""Most memory that a layer's recorded vectors may take before a step."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What one backward pass leaves for the optimizer.

    Attributes:
        x: activations, shape (samples, n_in).
        gradient: gradient of the loss by the outputs, shape (samples, n_out).
        batch: examples that a mean loss averages over: the first axis of the layer's input.
    """

    x: Vectors
    gradient: Vectors
    batch: int


class CrossbarLinear(torch.nn.Module):
    """`y = W x + b`, W in a tile and read through its converters, b digital.

    Forward and backward passes read the tile and are as noisy as it is, in evaluation too. A
    backward pass records activations and gradients; `AnalogOptimizer.step` makes pulses of them.
    There is no dense weight, and no gradient of one.

    Args:
        chip: the array.
        controller: the layer's controller.
        weights: mapping of its tiles.
        bias: initial bias, shape (n_out,), or None for a layer without.
        management: how vectors are fitted to the converters.

    Attributes:
        trace: what backward passes have recorded since the last step.
        written: what `convert` wrote into the tile of the weights, or None.
    """

    def __init__(
        self,
        chip: Chip,
        controller: Controller,
        weights: WeightMap,
        bias: Tensor | None = None,
        management: Management | None = None,
    ) -> None:
        super().__init__()
        self.chip = chip
        self.controller = controller
        self.weights = weights
        self.management = management or Management()
        self.trace: list[Recorded] = []
        self.written: Written | None = None
        self.bias: torch.nn.Parameter | None
        if bias is None:
            self.register_parameter("bias", None)
        else:
            self.bias = torch.nn.Parameter(bias.detach().to(torch.float32).clone())
        # Autograd calls backward only if some input asks for a gradient; the first layer's data do
        # not. The optimizer lists the anchor as the layer's analog parameter.
        self.anchor = torch.zeros(0, requires_grad=True)

    @property
    def in_features(self) -> int:
        """Number of inputs, the columns of the tile."""
        return self.controller.forward_tile.cols

    @property
    def out_features(self) -> int:
        """Number of outputs, the rows of the tile."""
        return self.controller.forward_tile.rows

    def forward(self, x: Tensor) -> Tensor:
        """Return `W x + b` for vectors along the last axis, shape (..., n_in) to (..., n_out)."""
        y: Tensor = _Read.apply(x, self.anchor, self)  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias

    def read(self, direction: Direction, vectors: Vectors) -> Vectors:
        """Return the weights' products with vectors, as the converters give them.

        Args:
            direction: forward gives `W x` per vector, backward `W^T d`.
            vectors: float32, shape (samples, driven lines).
        """
        total: Vectors | None = None
        for term in self.controller.read_terms():
            part = self._read_term(term, direction, vectors)
            total = part if total is None else total + part
        assert total is not None
        return total

    def read_weights(self, average: int = 1) -> Tensor:
        """Read the weights cell by cell through the converters, shape (n_out, n_in).

        Args:
            average: number of reads of each cell that the array averages.
        """
        total = torch.zeros(self.out_features, self.in_features)
        for term in self.controller.read_terms():
            operation = term.tile.new_read_cells(average=average)
            values = self.chip.submit([operation]).results()[0].values
            assert values is not None
            scale = term.factor * self.weights.cell_lsb(term.tile.capabilities) / average
            cells = values * np.float32(scale)
            if term.out_signs is not None:
                cells *= term.out_signs[:, None]
            if term.in_signs is not None:
                cells *= term.in_signs
            total += torch.from_numpy(cells.astype(np.float32))
        return total

    def record(self, x: Vectors, gradient: Vectors, batch: int) -> None:
        """Add vectors to the trace."""
        self.trace.append(Recorded(x, gradient, batch))
        held = sum(r.x.nbytes + r.gradient.nbytes for r in self.trace)
        if held > TRACE_BYTES_MAX:
            raise ConfigurationError(
                f"backward passes without a step have recorded {held} bytes in one layer",
                remedy="call step(), or zero_grad() to forget them; evaluate under torch.no_grad()",
            )

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        tile = self.controller.forward_tile.index
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, tile={tile}"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise CapabilityError(
            "a layer on an array cannot be copied: its weights are cells",
            remedy="convert the model once for each array",
        )

    def _read_term(self, term: ReadTerm, direction: Direction, vectors: Vectors) -> Vectors:
        forward = direction is Direction.FORWARD
        before, after = term.in_signs, term.out_signs
        if not forward:
            before, after = after, before
        if before is not None:
            vectors = vectors * before.astype(np.float32)
        products = managed_vmm(
            self.chip, term.tile, self.weights, direction, vectors, self.management
        )
        if term.factor != 1:
            products *= np.float32(term.factor)
        if after is not None:
            products *= after.astype(np.float32)
        return products


class _Read(torch.autograd.Function):
    """Reads of a layer, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, layer: CrossbarLinear) -> Tensor:
        if x.shape[-1] != layer.in_features:
            raise ConfigurationError(
                f"the layer's input has shape {tuple(x.shape)}, expected (..., {layer.in_features})"
            )
        ctx.layer = layer
        ctx.save_for_backward(x)
        y = layer.read(Direction.FORWARD, _vectors(x))
        return torch.from_numpy(y).reshape(*x.shape[:-1], layer.out_features).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (x,) = ctx.saved_tensors
        layer: CrossbarLinear = ctx.layer
        vectors = _vectors(gradient)
        # Copied, since the caller may reuse the memory before the step.
        batch = x.shape[0] if x.dim() > 1 else 1
        layer.record(_vectors(x).copy(), vectors.copy(), batch)
        if not ctx.needs_input_grad[0]:
            return None, None, None
        back = layer.read(Direction.BACKWARD, vectors)
        return torch.from_numpy(back).reshape(x.shape).to(x.dtype), None, None


def _vectors(tensor: Tensor) -> Vectors:
    """Return vectors along the last axis as float32, shape (samples, lines)."""
    array = tensor.detach().to(torch.float32).reshape(-1, tensor.shape[-1]).contiguous().numpy()
    return array
