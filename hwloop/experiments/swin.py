"""A small Swin transformer, hierarchical and with shifted windows, and its float pre-training.

Liu et al., "Swin Transformer: hierarchical vision transformer using shifted windows" (ICCV 2021,
arXiv 2103.14030). Weights and outputs are those of the model in the library transformers
(`benchmarks/swin_reference.py` compares them).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwloop.errors import ConfigurationError

HIDDEN = -100.0
"""What is added to the scores of tokens that are neighbours only because windows were shifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinShape:
    """Sizes of a Swin transformer; those by default have 49 tokens and 91,264 weights.

    Attributes:
        image: height and width of the images, pixels.
        channels: channels of the images.
        patch: height and width of a patch, which becomes a token.
        width: channels of the first stage; each stage has twice those of the one before.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        window: height and width of a window, tokens.
        mlp_ratio: width of the hidden layer of a block, as a multiple of its channels.
        classes: number of classes.
    """

    image: int = 28
    channels: int = 1
    patch: int = 4
    width: int = 32
    depths: tuple[int, ...] = (2, 2)
    heads: tuple[int, ...] = (2, 4)
    window: int = 4
    mlp_ratio: int = 2
    classes: int = 10

    def __post_init__(self) -> None:
        """Refuse sizes that do not go together."""
        if len(self.depths) != len(self.heads):
            raise ConfigurationError("depths and heads are of different length")
        if self.image % self.patch:
            raise ConfigurationError(
                f"image is {self.image}, expected a multiple of the patch, {self.patch}"
            )
        for stage, heads in enumerate(self.heads):
            if self.width * 2**stage % heads:
                raise ConfigurationError(
                    f"stage {stage} has {self.width * 2**stage} channels, which {heads} heads do "
                    "not divide"
                )

    @property
    def tokens(self) -> int:
        """Tokens of the first stage."""
        return (self.image // self.patch) ** 2


class WindowAttention(nn.Module):
    """Attention among the tokens of each window, with a bias by relative position."""

    relative: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        place = torch.stack(
            torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        ).flatten(1)
        apart = place[:, :, None] - place[:, None] + window - 1
        self.register_buffer("relative", apart[0] * (2 * window - 1) + apart[1], persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return the attended tokens.

        Args:
            x: shape (images, windows, tokens, channels).
            mask: added to the scores, shape (windows, 1, tokens, tokens), or None.
        """
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        scores = scores + self.bias[self.relative].permute(2, 0, 1)
        if mask is not None:
            scores = scores + mask
        y: Tensor = self.projection((scores.softmax(dim=-1) @ v).transpose(2, 3).flatten(3))
        return y


class SwinBlock(nn.Module):
    """Window attention, then a perceptron, each with a residual connection.

    Args:
        channels: channels of a token.
        heads: attention heads.
        size: height and width of the grid of tokens.
        window: height and width of a window; grids that are no larger are one window.
        shifted: whether windows are shifted by half.
        mlp_ratio: width of the hidden layer, as a multiple of the channels.
    """

    mask: Tensor | None

    def __init__(
        self, channels: int, heads: int, size: int, window: int, shifted: bool, mlp_ratio: int
    ) -> None:
        super().__init__()
        self.window = min(window, size)
        self.shift = window // 2 if shifted and size > window else 0
        self.padding = -size % self.window
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, self.window)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels),
            nn.GELU(),
            nn.Linear(mlp_ratio * channels, channels),
        )
        self.register_buffer("mask", self._mask(size + self.padding), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens for tokens, shape (images, height, width, channels)."""
        size = x.shape[1]
        y = F.pad(self.norm1(x), (0, 0, 0, self.padding, 0, self.padding))
        y = y.roll((-self.shift, -self.shift), (1, 2))
        y = self._joined(self.attention(self._windows(y), self.mask), y.shape[1])
        y = y.roll((self.shift, self.shift), (1, 2))[:, :size, :size]
        x = x + y
        result: Tensor = x + self.mlp(self.norm2(x))
        return result

    def _windows(self, x: Tensor) -> Tensor:
        """Return (images, height, width, channels) as (images, windows, tokens, channels)."""
        images, size, _, channels = x.shape
        along, w = size // self.window, self.window
        x = x.reshape(images, along, w, along, w, channels).transpose(2, 3)
        return x.reshape(images, along * along, w * w, channels)

    def _joined(self, windows: Tensor, size: int) -> Tensor:
        """Undo `_windows`."""
        images, _, _, channels = windows.shape
        along, w = size // self.window, self.window
        x = windows.reshape(images, along, along, w, w, channels).transpose(2, 3)
        return x.reshape(images, size, size, channels)

    def _mask(self, size: int) -> Tensor | None:
        """Return what keeps apart tokens that the shift has wrapped around."""
        if not self.shift:
            return None
        line = torch.zeros(size)
        line[-self.window :] = 1
        line[-self.shift :] = 2
        regions = (3 * line[:, None] + line)[None, :, :, None]
        tokens = self._windows(regions)[0, :, :, 0]
        apart = tokens[:, :, None] != tokens[:, None]
        return (HIDDEN * apart)[:, None]


class Merging(nn.Module):
    """Halves the grid: four neighbours become one token of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (images, height / 2, width / 2, 2 * channels); odd grids are padded."""
        odd = x.shape[1] % 2
        x = F.pad(x, (0, 0, 0, odd, 0, odd))
        four = [x[:, row::2, col::2] for col in (0, 1) for row in (0, 1)]
        y: Tensor = self.reduction(self.norm(torch.cat(four, dim=-1)))
        return y


class Swin(nn.Module):
    """A Swin transformer that classifies images.

    Args:
        shape: its sizes.
    """

    def __init__(self, shape: SwinShape | None = None) -> None:
        super().__init__()
        self.shape = s = shape or SwinShape()
        self.embedding = nn.Conv2d(s.channels, s.width, s.patch, s.patch)
        self.embedding_norm = nn.LayerNorm(s.width)
        self.stages = nn.ModuleList()
        size, channels = s.image // s.patch, s.width
        for stage, (depth, heads) in enumerate(zip(s.depths, s.heads, strict=True)):
            parts: list[nn.Module] = [
                SwinBlock(channels, heads, size, s.window, block % 2 == 1, s.mlp_ratio)
                for block in range(depth)
            ]
            if stage < len(s.depths) - 1:
                parts.append(Merging(channels))
                size, channels = (size + 1) // 2, 2 * channels
            self.stages.append(nn.Sequential(*parts))
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, s.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, shape (images, classes), of images or of their pixels in one vector."""
        s = self.shape
        x = x.reshape(len(x), s.channels, s.image, s.image)
        x = self.embedding_norm(self.embedding(x).permute(0, 2, 3, 1))
        for stage in self.stages:
            x = stage(x)
        scores: Tensor = self.head(self.norm(x).mean(dim=(1, 2)))
        return scores


def swin(shape: SwinShape | None = None, *, seed: int = 1) -> Swin:
    """Return a Swin transformer with initial weights; the same ones for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Swin(shape)


def pretrain(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    seed: int = 1,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train a float network in place, by AdamW with a rate that rises and then falls to zero.

    Args:
        net: the network.
        x: inputs, shape (samples, ..).
        y: classes, shape (samples,).
        epochs: passes over the samples.
        batch: samples per step.
        lr: largest learning rate.
        weight_decay: of AdamW.
        seed: seed of the order of the samples.
        progress: called after each epoch with its number, from 1, and its mean loss.
    """
    steps = epochs * -(-len(x) // batch)
    if not steps:
        return
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps + 1)
    order = torch.Generator().manual_seed(seed)
    net.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for chosen in torch.randperm(len(x), generator=order).split(batch):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[chosen]), y[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            total += float(loss.detach()) * len(chosen)
        if progress is not None:
            progress(epoch, total / len(x))
    net.eval()
