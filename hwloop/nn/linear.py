"""A linear layer whose weights are the cells of tiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hwloop.errors import ConfigurationError
from hwloop.nn.layer import CrossbarLayer, vectors_of
from hwloop.nn.matrix import CrossbarMatrix, Recorded
from hwloop.operations import Direction


class CrossbarLinear(CrossbarLayer):
    """`y = W x + b`, W on tiles and read through their converters, b digital.

    Forward and backward passes read the tiles and are as noisy as they are, in evaluation too. A
    backward pass records activations and gradients; `AnalogOptimizer.step` makes pulses of them.
    There is no dense weight, and no gradient of one.
    """

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return self.matrix.in_features

    @property
    def out_features(self) -> int:
        """Number of outputs."""
        return self.matrix.out_features

    def forward(self, x: Tensor) -> Tensor:
        """Return `W x + b` for vectors along the last axis, shape (..., n_in) to (..., n_out)."""
        y: Tensor = _Read.apply(x, self.matrix.anchor, self.matrix)  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias


class _Read(torch.autograd.Function):
    """Reads of a matrix, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, matrix: CrossbarMatrix) -> Tensor:
        if x.shape[-1] != matrix.in_features:
            raise ConfigurationError(
                f"the layer's input has shape {tuple(x.shape)}, "
                f"expected (..., {matrix.in_features})"
            )
        ctx.matrix = matrix
        ctx.save_for_backward(x)
        y = torch.from_numpy(matrix.read(Direction.FORWARD, vectors_of(x)))
        return y.reshape(*x.shape[:-1], matrix.out_features).to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (x,) = ctx.saved_tensors
        matrix: CrossbarMatrix = ctx.matrix
        vectors = vectors_of(gradient)
        # Copied, since the caller may reuse the memory before the step.
        batch = x.shape[0] if x.dim() > 1 else 1
        matrix.record(Recorded(vectors_of(x).copy(), vectors.copy(), batch))
        if not ctx.needs_input_grad[0]:
            return None, None, None
        back = torch.from_numpy(matrix.read(Direction.BACKWARD, vectors))
        return back.reshape(x.shape).to(x), None, None
