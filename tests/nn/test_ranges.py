"""Ranges set after training: what is cut, what is undone, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hwloop
from hwloop.controllers import AnalogSGD, TikiTaka
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn import convert, set_input_ranges, set_line_ranges
from hwloop.procedures import line_gains, percentile_range

EXACT = "sim:ideal,periphery=ideal,adc_range_forward=16,adc_range_backward=16,seed=1"


def network() -> torch.nn.Sequential:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 6, 6)),
        torch.nn.Conv2d(1, 3, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(48, 4),
    )


SHAPE = "shape=3x9+4x48"


def test_wide_ranges_of_fine_converters_change_nothing():
    net, x = network(), torch.rand(20, 36)
    with hwloop.connect(f"{EXACT},{SHAPE}") as chip:
        model = convert(net, chip, AnalogSGD(), weight_gain=2)
        set_input_ranges(model, x, 100)
        gains = set_line_ranges(model, x, deviations=20)
        assert any((g != 1).any() for g in gains)
        y = model(x)
    assert torch.allclose(y, net(x), atol=1e-4)
    assert torch.allclose(model[1].read_weights(), net[1].weight.reshape(3, 9), atol=1e-3)


def test_backward_reads_undo_the_gains_too():
    net, x = network(), torch.rand(20, 36, requires_grad=True)
    with hwloop.connect(f"{EXACT},{SHAPE}") as chip:
        model = convert(net, chip, AnalogSGD(), weight_gain=2)
        set_input_ranges(model, x.detach(), 100)
        set_line_ranges(model, x.detach(), deviations=20)
        for layer in (model[1], model[4]):
            layer.matrix.management = hwloop.procedures.Management()
        (mine,) = torch.autograd.grad(model(x).square().sum(), x)
        (its,) = torch.autograd.grad(net(x).square().sum(), x)
        assert not model[1].matrix.trace, "a network with ranges of its own is not trained"
    assert torch.allclose(mine, its, atol=1e-3)


def test_ranges_are_part_of_the_state():
    net, x = network(), torch.rand(20, 36)
    with hwloop.connect(f"{EXACT},{SHAPE}") as chip:
        model = convert(net, chip, AnalogSGD(), weight_gain=2)
        set_input_ranges(model, x, 90)
        set_line_ranges(model, x)
        state, y = model.state_dict(), model(x)
    with hwloop.connect(f"{EXACT},{SHAPE}") as chip:
        again = convert(network(), chip, AnalogSGD(), weight_gain=2)
        again.load_state_dict(state)
        assert torch.equal(again(x), y)


def test_inputs_beyond_the_range_are_cut():
    layer = torch.nn.Linear(2, 1, bias=False)
    with hwloop.connect(f"{EXACT},shape=1x2") as chip:
        model = convert(torch.nn.Sequential(layer), chip, AnalogSGD(), weight_gain=2)
        samples = torch.tensor([[0.5, -0.25]])
        assert set_input_ranges(model, samples, 100) == [0.5]
        y = model(torch.tensor([[3.0, -0.25]]))
    assert torch.allclose(y, layer(samples), atol=1e-4)


def test_layers_are_calibrated_behind_calibrated_layers():
    net = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(1, 1, bias=False))
    torch.nn.init.ones_(net[0].weight)
    with hwloop.connect(f"{EXACT},shape=1x2+1x1") as chip:
        model = convert(net, chip, AnalogSGD(), weight_gain=2)
        x = torch.tensor([[1.0, 0.0]] * 99 + [[9.0, 0.0]])
        first, second = set_input_ranges(model, x, 50)
    assert first == 1
    assert second == pytest.approx(1, abs=1e-3)  # the first layer cuts what would be 9


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-9, 9)),
    st.floats(0, 5),
)
def test_no_gain_takes_a_line_out_of_its_ranges(outputs, deviations):
    units = np.array([[0.5, -0.1], [0.0, 0.0], [1.0, 1.0]])
    gains = line_gains(outputs, units, full_output=6, reach=1, deviations=deviations)
    assert np.isfinite(gains).all() and (gains > 0).all()
    assert gains[1] == 1  # a line without conductances
    used = np.array([True, False, True])
    largest = np.abs(outputs.mean(axis=0)) + deviations * outputs.std(axis=0)
    assert (gains * largest <= 6 * (1 + 1e-6))[used].all()
    assert (np.abs(units).max(axis=1) * gains <= 1 + 1e-6)[used].all()


def test_a_percentile_is_one_of_the_inputs_that_are_not_zero():
    inputs = np.concatenate([np.zeros(900), np.arange(-50, 50) + 0.5])
    assert percentile_range(inputs, 100) == 49.5
    assert percentile_range(inputs, 50) == pytest.approx(25)
    assert percentile_range(np.zeros(5), 99) == 1


@pytest.mark.parametrize("percentile", [0, -1, 100.1, float("nan")])
def test_bad_percentiles_are_refused(percentile):
    with pytest.raises(ConfigurationError, match="percentile"):
        percentile_range(np.ones(3), percentile)


def test_what_has_no_fixed_range_is_refused():
    x = torch.rand(3, 36)
    with hwloop.connect(f"{EXACT},{SHAPE}") as chip:
        model = convert(network(), chip, AnalogSGD(), weight_gain=2)
        with pytest.raises(ConfigurationError, match="vector by vector"):
            set_line_ranges(model, x)
    with hwloop.connect("sim:reram-om,shape=2x3x9+2x4x48,seed=1") as chip:
        model = convert(network(), chip, TikiTaka(gamma=0.1), weight_gain=2)
        set_input_ranges(model, x)
        with pytest.raises(CapabilityError, match="several tiles"):
            set_line_ranges(model, x)
