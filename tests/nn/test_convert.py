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
    assert [layer.controller.fast_tile.index for layer in model] == [1, 3]
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

    net = nn.Sequential(nn.Conv2d(1, 2, 3), Odd(3, 3), nn.Linear(3, 3))
    net.add_module("attention", nn.MultiheadAttention(4, 2))
    with pytest.raises(CapabilityError) as refusal:
        tile_shapes(net, SGD)
    text = str(refusal.value)
    assert "0 (Conv2d): only torch.nn.Linear layers" in text
    assert "1 (Odd)" in text
    assert "attention (MultiheadAttention)" in text
    assert "attention.out_proj (NonDynamicallyQuantizableLinear)" in text


def test_shared_parameters_are_refused():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    with pytest.raises(CapabilityError, match=r"1 \(Linear\): it shares a parameter with 0"):
        tile_shapes(net, SGD)


def test_hooks_are_refused():
    net = nn.Sequential(nn.Linear(3, 3))
    net[0].register_forward_hook(lambda *a: None)
    with pytest.raises(CapabilityError, match="forward hooks"):
        tile_shapes(net, SGD)


def test_nothing_to_move():
    with pytest.raises(CapabilityError, match=r"no torch\.nn\.Linear"):
        tile_shapes(nn.Sequential(nn.Tanh()), SGD)


def test_all_tiles_that_do_not_fit_are_listed():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5))
    chip, _ = ideal_chip([(2, 3), (4, 3), (5, 2)])
    with pytest.raises(CapabilityError) as refusal:
        convert(net, chip, TTV2)
    text = str(refusal.value)
    assert "layer 0: tile 1 should be 2x3, it is 4x3" in text
    assert "layer 1: tile 3 should be 5x2, there is none" in text
    assert "shape=2x2x3+2x5x2" in text


def test_wrong_initial_weights():
    with pytest.raises(ConfigurationError, match="'write' or 'keep'"):
        convert(nn.Linear(3, 2), ideal_chip([(2, 3)])[0], SGD, initial_weights="guess")
