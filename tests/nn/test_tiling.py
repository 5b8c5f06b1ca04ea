"""Tiles and rules: how layers are divided, padded and placed."""

import numpy as np
import pytest
import torch
from ideal_backend import ideal_chip
from torch import nn

from hwloop.controllers import AnalogSGD, ChoppedTTv2, TTv2
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn import AnalogOptimizer, CrossbarLinear, Placement, convert, tile_shapes

DELTA = 1e-5
SGD = AnalogSGD(granularity=DELTA, l_max=255)
TTV2 = ChoppedTTv2(granularity=0.01)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 7), nn.Tanh(), nn.Linear(7, 3))


def test_large_layers_are_divided_evenly_over_both_axes():
    shapes = tile_shapes(net(), SGD, tile=(4, 4))
    assert shapes == [(4, 4), (4, 4), (4, 2), (3, 4), (3, 4), (3, 2), (3, 4), (3, 3)]
    assert len(tile_shapes(net(), TTV2, tile=(4, 4))) == 16


@pytest.mark.parametrize(
    "shapes",
    [tile_shapes(net(), SGD, tile=(4, 4)), [(4, 4)] * 8, [(16, 16)] * 2, [(7, 5)] * 4],
    ids=["as asked for", "larger than needed", "one each", "two and two"],
)
def test_divided_layers_compute_and_train_as_whole_ones(shapes):
    dense = net()
    chip, backend = ideal_chip(shapes, delta=DELTA)
    model = convert(dense, chip, SGD, weight_gain=2.0)
    assert (model[0].read_weights() - dense[0].weight).abs().max() < 1e-5
    x = torch.randn(6, 10, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    y = dense(x)
    assert (model(twin) - y).abs().max() < 1e-5 * y.abs().max()
    y.square().mean(0).sum().backward()
    backend.submissions = 0
    model(twin).square().mean(0).sum().backward()
    assert backend.submissions == 4  # all tiles of a layer are read together
    assert (x.grad - twin.grad).abs().max() < 1e-4 * x.grad.abs().max()
    backend.submissions = 0
    AnalogOptimizer(model, lr=0.01).step()
    assert backend.submissions == 1
    moved = model[0].read_weights() - dense[0].weight.detach()
    wanted = -0.01 * dense[0].weight.grad
    assert float((moved * wanted).sum() / wanted.square().sum()) == pytest.approx(1, abs=0.1)
    assert (moved - wanted).norm() < 0.4 * wanted.norm()


def test_lines_that_hold_no_weight_get_no_pulses():
    chip, backend = ideal_chip([(5, 6)], delta=DELTA)
    layer = convert(nn.Linear(4, 3), chip, SGD)
    layer(torch.randn(8, 4)).square().sum().backward()
    AnalogOptimizer(layer, lr=0.1).step()
    assert (backend.cells[0][3:] == 0).all()
    assert (backend.cells[0][:, 4:] == 0).all()


def test_rules_choose_what_is_analog_and_what_trains_it():
    dense = nn.Sequential(net(), nn.Linear(3, 3), nn.Linear(3, 2))
    rules = {
        "0": Placement(algorithm=TTv2(granularity=0.01), weight_gain=3.0),
        "0.2": "digital",
        "2": "digital",
    }
    shapes = tile_shapes(dense, SGD, rules=rules)
    assert shapes == [(7, 10), (7, 10), (3, 3)]
    model = convert(dense, ideal_chip(shapes)[0], SGD, rules=rules)
    assert [len(layer.matrix.blocks[0].tiles) for layer in (model[0][0], model[1])] == [2, 1]
    assert model[0][0].weights.weight_per_unit == pytest.approx(3 / np.sqrt(10))
    assert type(model[0][2]) is type(model[2]) is nn.Linear


def test_rules_choose_the_array():
    dense = net()
    rules = {"2": Placement(array="second")}
    assert tile_shapes(dense, SGD, rules=rules) == [(7, 10)]
    assert tile_shapes(dense, SGD, rules=rules, array="second") == [(3, 7)]
    first, second = ideal_chip([(7, 10)])[0], ideal_chip([(3, 7)])[0]
    model = convert(dense, first, SGD, rules=rules, arrays={"second": second})
    assert (model[0].chip, model[2].chip) == (first, second)
    x = torch.randn(4, 10)
    assert (model(x) - dense(x)).abs().max() < 1e-5
    with pytest.raises(ConfigurationError, match="array 'second', which is not there"):
        convert(dense, first, SGD, rules=rules)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"heads": "digital"}, "rule 'heads' matches no module.*did you mean 'head'"),
        ({"head": "analog"}, "expected a Placement or 'digital'"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rules, message):
    dense = nn.Sequential()
    dense.add_module("head", nn.Linear(2, 2))
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        tile_shapes(dense, SGD, rules=rules)


def test_more_tiles_than_there_are():
    with pytest.raises(CapabilityError, match=r"needs 4; there is none left for\n  layer 2"):
        convert(net(), ideal_chip([(7, 5)] * 3)[0], AnalogSGD(granularity=0.01))


def test_shared_weights_have_one_rule():
    dense = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    dense[1].weight = dense[0].weight
    with pytest.raises(ConfigurationError, match="0 and 1 share their weights, but rules differ"):
        tile_shapes(dense, SGD, rules={"1": Placement(weight_gain=2.0)})


def test_a_layer_on_its_own():
    layer = convert(nn.Linear(10, 7), ideal_chip([(4, 6)] * 4)[0], SGD)
    assert isinstance(layer, CrossbarLinear)
    assert "in_features=10, out_features=7, bias=True, tiles=[0, 1, 2, 3]" in repr(layer)
