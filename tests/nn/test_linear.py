"""CrossbarLinear against torch.nn.Linear."""

import copy

import numpy as np
import pytest
import torch
from ideal_backend import ideal_chip
from torch.nn import functional as F

import hwloop
from hwloop.controllers import AnalogSGD, ChoppedTTv2, ERider
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn import AnalogOptimizer, CrossbarLinear, convert


@pytest.fixture(params=["backend of a lab", "simulator"])
def chip(request):
    if request.param == "simulator":
        with hwloop.connect("sim:ideal,periphery=ideal,adc_range_forward=16,shape=5x7+3x5") as chip:
            yield chip
    else:
        yield ideal_chip([(5, 7), (3, 5)], delta=1e-4)[0]


def net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))


SGD = AnalogSGD(granularity=1e-4)


@pytest.mark.parametrize("shape", [(7,), (4, 7), (2, 3, 7)], ids=str)
def test_outputs_and_gradients_are_those_of_torch(chip, shape):
    dense = net()
    model = convert(dense, chip, SGD, weight_gain=2.0)
    x = torch.randn(*shape, requires_grad=True)
    x2 = x.detach().clone().requires_grad_()
    y, y2 = dense(x), model(x2)
    assert (y - y2).abs().max() < 1e-5
    y.square().sum().backward()
    y2.square().sum().backward()
    assert (x.grad - x2.grad).abs().max() < 1e-4
    for i in (0, 2):
        assert (dense[i].bias.grad - model[i].bias.grad).abs().max() < 1e-4
        gradient = sum(r.gradient.T @ r.x for r in model[i].trace)
        assert np.abs(dense[i].weight.grad.numpy() - gradient).max() < 1e-4


def test_weights_are_read_through_the_converters(chip):
    dense = net()
    model = convert(dense, chip, SGD)
    assert (model[0].read_weights() - dense[0].weight).abs().max() < 1e-5
    assert (model[2].read_weights(average=4) - dense[2].weight).abs().max() < 1e-5


def test_first_layer_records_though_data_need_no_gradient():
    backend_chip, backend = ideal_chip([(5, 7), (3, 5)])
    model = convert(net(), backend_chip, SGD)
    backend.kinds.clear()
    F.cross_entropy(model(torch.randn(4, 7)), torch.tensor([0, 1, 2, 0])).backward()
    assert [len(layer.trace) for layer in (model[0], model[2])] == [1, 1]
    # Two forward reads and one backward read: nobody needs the gradient of the data.
    assert backend.kinds == ["vmm"] * 3


def test_evaluation_records_nothing():
    model = convert(net(), ideal_chip([(5, 7), (3, 5)])[0], SGD)
    with torch.no_grad():
        model(torch.randn(4, 7))
    model(torch.randn(4, 7))
    assert model[0].trace == model[2].trace == []


def test_recorded_activations_survive_reuse_of_their_memory():
    model = convert(net(), ideal_chip([(5, 7), (3, 5)])[0], SGD)
    x = torch.ones(4, 7)
    model(x).sum().backward()
    x.zero_()
    assert (model[0].trace[0].x == 1).all()


def test_a_layer_used_twice_records_twice():
    chip, _ = ideal_chip([(5, 5)])
    layer = torch.nn.Linear(5, 5)
    dense = torch.nn.Sequential(layer, torch.nn.Tanh(), layer)
    model = convert(dense, chip, SGD)
    assert model[0] is model[2]
    model(torch.randn(4, 5)).sum().backward()
    assert len(model[0].trace) == 2


def test_fast_array_with_a_share_is_read_too():
    chip, backend = ideal_chip([(5, 7), (5, 7)])
    algorithm = ChoppedTTv2(granularity=0.01, gamma=0.5)
    layer = convert(torch.nn.Linear(7, 5, bias=False), chip, algorithm)
    assert isinstance(layer, CrossbarLinear)
    rng = np.random.default_rng(0)
    backend.cells[1][...] = rng.normal(size=(5, 7))
    signs = layer.controller.fast.choppers.signs
    signs[[1, 4]] = -1
    weights = backend.cells[0] + 0.5 * backend.cells[1] * signs
    weights = torch.tensor(weights * layer.weights.weight_per_unit, dtype=torch.float32)
    x = torch.randn(3, 7, requires_grad=True)
    y = layer(x)
    assert (y - x @ weights.T).abs().max() < 1e-4
    y.sum().backward()
    assert (x.grad - weights.sum(dim=0)).abs().max() < 1e-4
    assert (layer.read_weights() - weights).abs().max() < 1e-4


@pytest.mark.parametrize("transfer", ["columns", "rows"])
def test_what_the_host_takes_away_from_a_tile_is_no_weight(transfer):
    chip, backend = ideal_chip([(5, 7), (5, 7)])
    algorithm = ERider(granularity=0.01, gamma=0.5, transfer=transfer)
    layer = convert(torch.nn.Linear(7, 5, bias=False), chip, algorithm)
    rng = np.random.default_rng(0)
    backend.cells[1][...] = rng.normal(size=(5, 7))
    references = layer.controller.references.reference
    references[...] = rng.normal(size=references.shape)
    signs = layer.controller.fast.choppers.signs
    signs[[1, 4]] = -1
    columns = transfer == "columns"
    residual = backend.cells[1] - (references.T if columns else references)
    weights = backend.cells[0] + 0.5 * residual * (signs if columns else signs[:, None])
    weights = torch.tensor(weights * layer.weights.weight_per_unit, dtype=torch.float32)
    x = torch.randn(3, 7, requires_grad=True)
    y = layer(x)
    assert (y - x @ weights.T).abs().max() < 1e-4
    y.sum().backward()
    assert (x.grad - weights.sum(dim=0)).abs().max() < 1e-4
    assert (layer.read_weights() - weights).abs().max() < 1e-4


def test_a_layer_is_no_dense_parameter_and_cannot_be_copied():
    model = convert(net(), ideal_chip([(5, 7), (3, 5)])[0], SGD)
    assert [name for name, _ in model.named_parameters()] == ["0.bias", "2.bias"]
    with pytest.raises(CapabilityError, match="cannot be copied"):
        copy.deepcopy(model)
    assert "in_features=7, out_features=5, bias=True, tiles=[0]" in repr(model)


def test_wrong_input_is_explained():
    model = convert(net(), ideal_chip([(5, 7), (3, 5)])[0], SGD)
    with pytest.raises(ConfigurationError, match=r"\(4, 6\), expected \(\.\.\., 7\)"):
        model(torch.randn(4, 6))


def test_endless_recording_is_stopped(monkeypatch):
    monkeypatch.setattr("hwloop.nn.matrix.TRACE_BYTES_MAX", 1000)
    model = convert(net(), ideal_chip([(5, 7), (3, 5)])[0], SGD)
    optimizer = AnalogOptimizer(model, lr=0.1)
    with pytest.raises(ConfigurationError, match="without a step"):
        for _ in range(50):
            model(torch.randn(4, 7)).sum().backward()
    optimizer.zero_grad()
    model(torch.randn(4, 7)).sum().backward()
