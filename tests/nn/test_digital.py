"""The digital side: optimizers of torch, their schedulers, and state_dict."""

import pytest
import torch
from ideal_backend import ideal_chip
from torch.nn import functional as F

import hwloop
from hwloop.controllers import AnalogSGD, ChoppedTTv2
from hwloop.errors import ConfigurationError
from hwloop.nn import AnalogOptimizer, convert, load, save, shape_option, tile_shapes

ALGORITHM = ChoppedTTv2(n_s=3, rho=0.3, gamma0=100)


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
    )


def start(seed=1):
    shape = shape_option(tile_shapes(net(), ALGORITHM))
    chip = hwloop.connect(f"sim:reram-om,shape={shape},seed={seed}")
    model = convert(net(), chip, ALGORITHM)
    adam = torch.optim.AdamW(model.parameters(), lr=0.02)
    return chip, model, AnalogOptimizer(model, lr=0.1, digital=adam)


def steps(model, optimizer, first, last):
    for i in range(first, last):
        rng = torch.Generator().manual_seed(i)
        x, y = torch.randn(4, 6, generator=rng), torch.randint(0, 3, (4,), generator=rng)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_any_optimizer_trains_the_digital_parameters():
    torch.manual_seed(0)
    dense = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3)
    )
    chip, _ = ideal_chip([(5, 6), (3, 5)])
    model = convert(dense, chip, AnalogSGD(granularity=1e-3))
    analog_lr = 1e-9  # weights stay, so that biases see the same gradients
    optimizer = AnalogOptimizer(
        model, lr=analog_lr, digital=torch.optim.Adam(model.parameters(), lr=0.05)
    )
    names = {name for name, _ in model.named_parameters()}
    twins = [p for name, p in dense.named_parameters() if name in names]
    adam = torch.optim.Adam(twins, lr=0.05)
    for _ in range(5):
        x = torch.randn(4, 6)
        for m, o in ((dense, adam), (model, optimizer)):
            m(x).square().sum().backward()
            o.step()
        dense.zero_grad()
    for have, want in zip(model.parameters(), twins, strict=True):
        assert (have - want).abs().max() < 1e-3 * want.abs().max()


def test_schedulers_see_the_groups_of_both():
    _, _, optimizer = start()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.01]
    assert optimizer.digital.param_groups[0]["lr"] == 0.01


def test_a_checkpoint_holds_the_momenta(tmp_path):
    chip, model, optimizer = start()
    steps(model, optimizer, 0, 10)
    save(tmp_path / "a.npz", chip, model, optimizer)
    steps(model, optimizer, 10, 20)
    chip2, model2, optimizer2 = start()
    load(tmp_path / "a.npz", chip2, model2, optimizer2)
    steps(model2, optimizer2, 10, 20)
    same_state(model, model2)
    assert str(optimizer.state_dict()) == str(optimizer2.state_dict())


def test_state_dicts_hold_everything(tmp_path):
    _, model, optimizer = start()
    steps(model, optimizer, 0, 10)
    path = tmp_path / "state.pt"
    torch.save([model.state_dict(), optimizer.state_dict()], path)
    chip2, model2, optimizer2 = start()
    states = torch.load(path, weights_only=True)
    model2.load_state_dict(states[0])
    optimizer2.load_state_dict(states[1])
    same_state(model, model2)
    assert optimizer2.param_groups[1] is optimizer2.digital.param_groups[0]
    assert str(optimizer.state_dict()) == str(optimizer2.state_dict())
    chip2.next_ordinal = model[0].chip.next_ordinal  # the same noise
    for m, o in ((model, optimizer), (model2, optimizer2)):
        steps(m, o, 10, 20)
    same_state(model, model2)


def same_state(one, other):
    for have, want in zip(flat(one.state_dict()), flat(other.state_dict()), strict=True):
        assert have == want if isinstance(have, str) else torch.equal(have, want)


def flat(state):
    for value in state.values():
        yield from flat(value) if isinstance(value, dict) else [value]


def test_the_state_of_another_array_is_refused():
    _, model, _ = start()
    _, other, _ = start(seed=2)
    with pytest.raises(ConfigurationError, match="is connected"):
        other.load_state_dict(model.state_dict())


def test_the_state_of_another_conversion_is_refused():
    chip, _ = ideal_chip([(5, 6), (5, 6), (3, 5), (3, 5)])
    one = convert(net(), chip, ChoppedTTv2(granularity=0.01))
    other = convert(net(), chip, AnalogSGD(granularity=0.01))
    with pytest.raises(ConfigurationError, match="does not fit the layer"):
        other.load_state_dict(one.state_dict())


def test_what_cannot_be_is_refused():
    _, model, _ = start()
    parameters = list(model.parameters())
    with pytest.raises(ConfigurationError, match="give one of both"):
        AnalogOptimizer(model, 0.1, 0.1, digital=torch.optim.SGD(parameters, lr=0.1))
    with pytest.raises(ConfigurationError, match="LBFGS"):
        AnalogOptimizer(model, 0.1, digital=torch.optim.LBFGS(parameters))


def test_a_checkpoint_holds_one_array(tmp_path):
    _, model, optimizer = start()
    with pytest.raises(ConfigurationError, match="on several arrays"):
        save(tmp_path / "a.npz", start()[0], model, optimizer)
    assert not list(tmp_path.iterdir())
