"""The Swin transformer: its sizes, what its tokens see, its training.

`benchmarks/swin_reference.py` compares it with the one in transformers.
"""

import pytest
import torch

from hwloop.controllers import AnalogSGD
from hwloop.errors import ConfigurationError
from hwloop.experiments.data import load_data
from hwloop.experiments.networks import accuracy
from hwloop.experiments.rig import one_torch_thread
from hwloop.experiments.swin import Merging, SwinBlock, SwinShape, pretrain, swin
from hwloop.nn import tile_shapes


def test_the_reference_size():
    net = swin()
    analog = sum(rows * cols for rows, cols in tile_shapes(net, AnalogSGD()))
    assert (analog, net.shape.tokens) == (91_264, 49)
    assert net(torch.rand(2, 784)).shape == net(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_the_seed_makes_the_weights():
    one, same, other = (swin(seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def seen_by(block, row, col, size):
    """Return which tokens an output token depends on, as a grid of characters."""
    x = torch.randn(1, size, size, 4, requires_grad=True)
    block(x)[0, row, col].sum().backward()
    seen = x.grad[0].abs().sum(dim=-1) > 1e-12
    return ["".join(".x"[int(s)] for s in line) for line in seen]


def test_tokens_see_their_windows():
    torch.manual_seed(0)
    plain = SwinBlock(4, 2, 6, 2, False, 2)
    assert seen_by(plain, 1, 2, 6) == ["..xx..", "..xx..", *["......"] * 4]
    shifted = SwinBlock(4, 2, 6, 2, True, 2)
    assert seen_by(shifted, 1, 2, 6) == ["......", ".xx...", ".xx...", *["......"] * 3]
    # Beyond the edge the shift wraps around, and the mask keeps what meets there apart.
    assert seen_by(shifted, 0, 0, 6) == ["x.....", *["......"] * 5]
    assert seen_by(shifted, 0, 5, 6) == [".....x", *["......"] * 5]
    # Grids no larger than a window are one window, which is never shifted.
    assert seen_by(SwinBlock(4, 2, 3, 4, True, 2), 0, 0, 3) == ["xxx"] * 3


def test_grids_that_windows_do_not_divide_are_padded():
    torch.manual_seed(0)
    block = SwinBlock(4, 2, 5, 2, False, 2)
    assert block(torch.randn(1, 5, 5, 4)).shape == (1, 5, 5, 4)
    assert seen_by(block, 0, 4, 5) == ["....x", "....x", *["....."] * 3]


def test_the_bias_is_by_relative_position():
    attention = SwinBlock(4, 2, 6, 3, False, 2).attention
    assert attention.bias.shape == (25, 2)
    relative = attention.relative.reshape(3, 3, 3, 3)
    assert (relative[0, 0, 1, 2] == relative[1, 0, 2, 2]).item()
    assert len(relative.unique()) == 25


def test_merging_halves_the_grid():
    assert Merging(4)(torch.randn(2, 7, 7, 4)).shape == (2, 4, 4, 8)


@pytest.mark.parametrize(
    "sizes", [{"depths": (2,)}, {"patch": 5}, {"heads": (3, 3)}], ids=["stages", "patch", "heads"]
)
def test_sizes_that_do_not_go_together_are_refused(sizes):
    with pytest.raises(ConfigurationError):
        SwinShape(**sizes)


def test_pretraining_learns_digits():
    data = load_data("digits")
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    x, y = x[y < 2][:160], y[y < 2][:160]
    shape = SwinShape(image=8, patch=2, width=8, window=2, depths=(2, 1), classes=2)
    net, losses = swin(shape), []
    with one_torch_thread():
        pretrain(net, x, y, epochs=4, batch=16, lr=1e-2, progress=lambda _, x: losses.append(x))
    assert len(losses) == 4
    assert not net.training
    assert accuracy(net, x, y) > 0.9
