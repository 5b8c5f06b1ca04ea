"""Convolutions: each patch of an image is a vector, and a rank-1 update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hwloop.errors import ConfigurationError
from hwloop.nn.layer import CrossbarLayer
from hwloop.nn.matrix import CrossbarMatrix, Vectors
from hwloop.operations import Direction


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution sees at once, over two axes; that of sequences has a height of 1.

    Attributes:
        channels: channels of the input.
        size, stride, dilation: pairs (vertical, horizontal).
    """

    channels: int
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def length(self) -> int:
        """Length of a patch as a vector."""
        return self.channels * self.size[0] * self.size[1]

    def places(self, images: NDArray[Any]) -> tuple[int, int]:
        """Return how many patches an image has over both axes."""
        vertical, horizontal = (
            (extent - dilation * (size - 1) - 1) // stride + 1
            for extent, size, stride, dilation in zip(
                images.shape[2:], self.size, self.stride, self.dilation, strict=True
            )
        )
        return vertical, horizontal

    def patches(self, images: Vectors, start: int, stop: int) -> Vectors:
        """Return some patches of images as vectors, image by image and row by row.

        Args:
            images: padded, shape (images, channels, height, width).
            start, stop: which patches.

        Returns:
            Copies, shape (stop - start, channels * height * width of the window).
        """
        b, c, h, w = images.strides
        (sh, sw), (dh, dw) = self.stride, self.dilation
        everything = np.lib.stride_tricks.as_strided(
            images,
            (len(images), *self.places(images), self.channels, *self.size),
            (b, h * sh, w * sw, c, h * dh, w * dw),
            writeable=False,
        )
        chosen: Vectors = everything[self._where(images, start, stop)]
        return chosen.reshape(stop - start, self.length)

    def add(self, images: Vectors, start: int, patches: Vectors) -> None:
        """Add vectors to images, where `patches` cuts them out."""
        image, row, col = self._where(images, start, start + len(patches))
        parts = patches.reshape(len(patches), self.channels, *self.size)
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                # No two patches have the same pixel at the same place of the window.
                rows = row * self.stride[0] + i * self.dilation[0]
                cols = col * self.stride[1] + j * self.dilation[1]
                images[image, :, rows, cols] += parts[:, :, i, j]

    def _where(self, images: Vectors, start: int, stop: int) -> tuple[NDArray[np.intp], ...]:
        return np.unravel_index(np.arange(start, stop), (len(images), *self.places(images)))


@dataclass(frozen=True, slots=True, eq=False)
class RecordedImages:
    """What a backward pass of a convolution leaves: the patches are cut out only when needed.

    Attributes:
        images: padded inputs, shape (images, channels, height, width).
        gradient: gradient of the loss by the outputs, shape (patches, n_out).
        window: what cuts the patches.
        batch: number of images.
    """

    images: Vectors
    gradient: Vectors
    window: Window
    batch: int

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.images.nbytes + self.gradient.nbytes

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.gradient)

    def vectors(self, start: int, stop: int) -> tuple[Vectors, Vectors]:
        """Return some patches and their gradients."""
        return self.window.patches(self.images, start, stop), self.gradient[start:stop]


class CrossbarConv(CrossbarLayer):
    """`torch.nn.Conv1d` or `Conv2d` with its weights on tiles: a row per output channel.

    Every patch is a vector to be read and, in the backward pass, a rank-1 update. Patches exist
    `matrix.chunk` at a time only.

    Args:
        matrix: the weights, shape (channels out, channels in * size of the window).
        convolution: what the layer replaces; its shape and padding are taken.
    """

    def __init__(self, matrix: CrossbarMatrix, convolution: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__(matrix, convolution.bias)
        self.is_flat = isinstance(convolution, nn.Conv1d)
        self.window = Window(
            convolution.in_channels,
            _pair(convolution.kernel_size),
            _pair(convolution.stride),
            _pair(convolution.dilation),
        )
        # As torch keeps them, in the order of functional.pad.
        self.padding: list[int] = list(convolution._reversed_padding_repeated_twice)
        mode = convolution.padding_mode
        self.padding_mode = "constant" if mode == "zeros" else mode

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, shape ([images,] channels, places) or (.., height, width)."""
        axes = 2 if self.is_flat else 3
        if x.dim() not in (axes, axes + 1) or x.shape[-axes] != self.window.channels:
            places = "length" if self.is_flat else "height, width"
            raise ConfigurationError(
                f"the layer's input has shape {tuple(x.shape)}, "
                f"expected ([images,] {self.window.channels}, {places})"
            )
        images = x if x.dim() == axes + 1 else x[None]
        if any(self.padding):
            images = F.pad(images, self.padding, self.padding_mode)
        if self.is_flat:
            images = images[:, :, None]
        y: Tensor = _ReadPatches.apply(  # type: ignore[no-untyped-call]
            images, self.matrix.anchor, self.matrix, self.window
        )
        if self.bias is not None:
            y = y + self.bias[:, None, None]
        if self.is_flat:
            y = y[:, :, 0]
        return y if x.dim() == axes + 1 else y[0]

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        w = self.window
        return f"{super().extra_repr()}, window={w.size}, stride={w.stride}"


class _ReadPatches(torch.autograd.Function):
    """Reads of a convolution, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, anchor: Tensor, matrix: CrossbarMatrix, window: Window
    ) -> Tensor:
        images = _images(x)
        places = window.places(images)
        if min(places) < 1:
            raise ConfigurationError(
                f"images of {images.shape[2]}x{images.shape[3]} pixels are smaller than the window"
            )
        ctx.matrix, ctx.window = matrix, window
        ctx.save_for_backward(x)
        count = len(images) * places[0] * places[1]
        y = np.empty((count, matrix.out_features), np.float32)
        for start in range(0, count, matrix.chunk):
            stop = min(start + matrix.chunk, count)
            y[start:stop] = matrix.read(Direction.FORWARD, window.patches(images, start, stop))
        maps = torch.from_numpy(y).reshape(len(images), *places, matrix.out_features)
        return maps.permute(0, 3, 1, 2).contiguous().to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None]:
        (x,) = ctx.saved_tensors
        matrix: CrossbarMatrix = ctx.matrix
        window: Window = ctx.window
        images = _images(x)
        vectors = np.array(_images(gradient).transpose(0, 2, 3, 1), order="C")
        vectors = vectors.reshape(-1, matrix.out_features)
        matrix.record(RecordedImages(images.copy(), vectors, window, len(images)))
        if not ctx.needs_input_grad[0]:
            return None, None, None, None
        back = np.zeros_like(images)
        for start in range(0, len(vectors), matrix.chunk):
            chunk = vectors[start : start + matrix.chunk]
            window.add(back, start, matrix.read(Direction.BACKWARD, chunk))
        return torch.from_numpy(back).to(x), None, None, None


def _images(tensor: Tensor) -> Vectors:
    array: Vectors = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    return array


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])
