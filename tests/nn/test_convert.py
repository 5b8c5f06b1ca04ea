"""Conversion of models: what moves, what stays, what is refused."""

import pytest
import torch
from ideal_backend import ideal_chip
from torch import nn

from hwloop.controllers import AnalogSGD, ChoppedTTv2
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn import CrossbarLinear, convert, shape_option, tile_shapes

SGD = AnalogSGD(granularity=0.01)
TTV2 = ChoppedTTv2(granularity=0.01)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.head(self.norm(x + self.body(x)))


def test_any_tree_of_modules():
    torch.manual_seed(0)
    net = Residual()
    chip, _ = ideal_chip(tile_shapes(net, SGD))
    model = convert(net, chip, SGD)
    assert isinstance(model.body[0], CrossbarLinear)
    assert isinstance(model.head, CrossbarLinear)
    assert model.head.bias is None
    assert isinstance(net.head, nn.Linear)
    x = torch.randn(3, 4)
    assert (model(x) - net(x)).abs().max() < 1e-5


def test_a_single_layer():
    layer = convert(nn.Linear(3, 2), ideal_chip([(2, 3)])[0], SGD)
    assert isinstance(layer, CrossbarLinear)


def test_tile_shapes_and_their_option():
    net = nn.Sequential(nn.Linear(784, 256), nn.Tanh(), nn.Linear(256, 10))
    shapes = tile_shapes(net, TTV2)
    assert shapes == [(256, 784), (256, 784), (10, 256), (10, 256)]
    assert shape_option(shapes) == "2x256x784+2x10x256"


def test_each_layer_takes_its_tiles_in_order():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 3))
    chip, backend = ideal_chip([(2, 3), (2, 3), (3, 2), (3, 2)])
    for cells in backend.cells:
        cells[...] = 0.5
    model = convert(net, chip, TTV2)
    assert [layer.controller.forward_tile.index for layer in model] == [0, 2]
    assert [layer.controller.fast.tile.index for layer in model] == [1, 3]
    assert (backend.cells[1] == 0).all()
    assert (backend.cells[3] == 0).all()


def test_weights_that_a_cell_cannot_hold_are_reported():
    net = nn.Linear(4, 1, bias=False)
    net.weight.data[:] = torch.tensor([[0.1, 8.0, -0.2, -5.0]])
    layer = convert(net, ideal_chip([(1, 4)], bound=1.0)[0], SGD, weight_gain=2.0)
    assert layer.written.cut.tolist() == [[False, True, False, True]]


def test_write_error_is_in_device_units():
    net = nn.Linear(100, 100, bias=False)
    net.weight.data[:] = 0
    chip, backend = ideal_chip([(100, 100), (100, 100)])
    convert(net, chip, TTV2, write_error=0.1)
    assert backend.cells[0].std() == pytest.approx(0.1, rel=0.05)
    assert (backend.cells[1] == 0).all()


def test_physical_arrays_keep_what_they_hold():
    chip, backend = ideal_chip([(2, 3)], virtual=False)
    backend.cells[0][...] = 0.5
    with pytest.raises(CapabilityError, match="initial_weights='keep'"):
        convert(nn.Linear(3, 2), chip, SGD)
    layer = convert(nn.Linear(3, 2), chip, SGD, initial_weights="keep")
    assert (backend.cells[0] == 0.5).all()
    assert layer.written is None


def test_all_layers_that_cannot_move_are_listed():
    class Odd(nn.Linear):
        pass

    net = nn.Sequential(nn.ConvTranspose2d(1, 2, 3), Odd(3, 3), nn.Linear(3, 3), nn.LSTM(3, 3))
    net.add_module("grouped", nn.Conv2d(4, 4, 3, groups=2))
    net.add_module("lazy", nn.LazyLinear(3))
    net.add_module("normed", nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    net.add_module("attention", nn.MultiheadAttention(4, 2, add_bias_kv=True))
    with pytest.raises(CapabilityError) as refusal:
        tile_shapes(net, SGD)
    text = str(refusal.value)
    assert "0 (ConvTranspose2d): torch.nn.ConvTranspose2d is not supported; take Upsample" in text
    assert "1 (Odd): it is a class of its own, only torch.nn.Linear itself moves" in text
    assert "3 (LSTM): torch.nn.LSTM is not supported; write it out with torch.nn.Linear" in text
    assert "grouped (Conv2d): convolutions of 2 groups" in text
    assert "lazy (LazyLinear): its shape is not known yet; run a batch" in text
    assert "normed (ParametrizedLinear): it has parametrizations; remove them" in text
    assert "attention (MultiheadAttention): add_bias_kv" in text
    assert "rules={'0': 'digital'}" in text
    assert "2 (Linear)" not in text


def test_quantised_and_wrapped_layers_are_refused():
    class Quantised(nn.Module):
        __module__ = "torch.ao.nn.quantized.modules.linear"

    net = nn.Sequential(Quantised(), nn.DataParallel(nn.Linear(2, 2)))
    with pytest.raises(CapabilityError) as refusal:
        tile_shapes(net, SGD)
    assert "0 (Quantised): it is quantised; convert the float model" in str(refusal.value)
    assert "1 (DataParallel): copies of a model cannot share an array" in str(refusal.value)


def test_parameters_of_ones_own_modules_stay_digital():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.scale * self.layer(x)

    model = convert(Scaled(), ideal_chip([(3, 3)])[0], SGD)
    assert [name for name, _ in model.named_parameters()] == ["scale", "layer.bias"]


def test_hooks_are_refused():
    net = nn.Sequential(nn.Linear(3, 3))
    net[0].register_forward_hook(lambda *a: None)
    with pytest.raises(CapabilityError, match="it has forward or backward hooks"):
        tile_shapes(net, SGD)


def test_nothing_to_move():
    with pytest.raises(CapabilityError, match="no layer that moves"):
        tile_shapes(nn.Sequential(nn.Tanh()), SGD)


def test_all_tiles_that_do_not_suffice_are_listed():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5))
    chip, backend = ideal_chip([(2, 3), (4, 3), (5, 2)])
    with pytest.raises(CapabilityError) as refusal:
        convert(net, chip, TTV2)
    text = str(refusal.value)
    assert "layer 0: needs 2 tiles of one shape, 2x3 or larger" in text
    assert "layer 1: needs 2 tiles of one shape, 5x2 or larger" in text
    assert "shape=2x2x3+2x5x2" in text
    assert backend.kinds == ["configure"]


def test_weights_that_two_layers_share_are_one_matrix():
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3, bias=False))
    net[2].weight = net[0].weight
    assert tile_shapes(net, SGD) == [(3, 3)]
    chip, _ = ideal_chip([(3, 3)])
    model = convert(net, chip, SGD)
    assert model[0].matrix is model[2].matrix
    assert model[2].bias is None
    x = torch.randn(4, 3)
    for m in (net, model):
        m(x).square().sum().backward()
    assert (model(x) - net(x)).abs().max() < 1e-5
    assert len(model[0].trace) == 2
    x, d = next(model[0].matrix.recorded_chunks())
    assert d.T @ x == pytest.approx(net[0].weight.grad.numpy(), abs=1e-4)


def test_a_bias_that_two_layers_share_stays_one():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].bias = net[0].bias
    model = convert(net, ideal_chip([(3, 3)] * 2)[0], SGD)
    assert model[0].bias is model[1].bias


def test_weights_shared_with_a_digital_layer_are_refused():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5))
    net[1].weight = net[0].weight
    with pytest.raises(CapabilityError, match=r"1 \(Linear\): it shares a parameter with 0"):
        tile_shapes(net, SGD)
    assert tile_shapes(nn.Sequential(net, nn.Linear(5, 2)), SGD, rules={"0": "digital"}) == [(2, 5)]


def test_frozen_weights_are_read_but_not_recorded():
    net = nn.Linear(3, 2)
    net.weight.requires_grad_(False)
    layer = convert(net, ideal_chip([(2, 3)])[0], SGD)
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.trace == []
    assert layer.bias.grad is not None


def test_wrong_initial_weights():
    with pytest.raises(ConfigurationError, match="'write' or 'keep'"):
        convert(nn.Linear(3, 2), ideal_chip([(2, 3)])[0], SGD, initial_weights="guess")
