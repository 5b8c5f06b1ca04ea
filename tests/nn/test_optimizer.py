"""AnalogOptimizer: submissions, rates, accumulation, schedulers."""

import numpy as np
import pytest
import torch
from ideal_backend import ideal_chip
from torch.nn import functional as F

import hwloop
from hwloop.controllers import (
    AGAD,
    AnalogSGD,
    ChoppedTTv2,
    ERider,
    MixedPrecision,
    ResidualLearning,
    TikiTaka,
    TTv2,
)
from hwloop.errors import ConfigurationError
from hwloop.nn import AnalogOptimizer, convert, shape_option, tile_shapes

DELTA = 2e-6


def net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(7, 6), torch.nn.Tanh(), torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)
    )


def setup(algorithm, **options):
    dense = net()
    chip, backend = ideal_chip(tile_shapes(dense, algorithm), delta=DELTA)
    model = convert(dense, chip, algorithm)
    return dense, model, AnalogOptimizer(model, **options), chip, backend


def batch(samples=8, seed=3):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(samples, 7, generator=rng), torch.arange(samples) % 3


def same(moved, wanted):
    """Compare what random pulses moved with what they should move in the mean."""
    along = float((moved * wanted).sum() / (wanted * wanted).sum())
    return abs(along - 1) < 0.1 and (moved - wanted).norm() < 0.4 * wanted.norm()


SGD = AnalogSGD(granularity=DELTA, l_max=255)


@pytest.mark.parametrize(
    ("algorithm", "submissions"),
    [
        (ChoppedTTv2(granularity=DELTA, gamma0=1e-3, n_s=2), 2),
        (ChoppedTTv2(granularity=DELTA, n_s=10_000), 1),
        (SGD, 1),
    ],
    ids=["reads and pulses", "no read falls due", "sgd"],
)
def test_a_step_takes_two_submissions_at_most(algorithm, submissions):
    _, model, optimizer, _, backend = setup(algorithm, lr=0.1)
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    backend.submissions = 0
    optimizer.step()
    assert backend.submissions == submissions


def test_nobody_waits_for_the_weight_pulses():
    algorithm = ChoppedTTv2(granularity=DELTA, gamma0=1e-3, n_s=1)
    _, model, optimizer, chip, _ = setup(algorithm, lr=0.1)
    waited = []
    wait = chip.backend.wait
    chip.backend.wait = lambda ticket: (waited.append(ticket.operations[0].kind), wait(ticket))[1]
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    waited.clear()
    optimizer.step()
    assert waited == ["outer_update"]
    assert chip._outstanding[-1].ticket.operations[0].kind == "pulse"
    chip.flush()
    assert waited == ["outer_update", "pulse"]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sgd_moves_weights_as_torch_does(reduction):
    lr = {"mean": 0.01, "sum": 0.01 / 8}[reduction]
    dense, model, optimizer, _, _ = setup(SGD, lr=lr, reduction=reduction)
    torch_sgd = torch.optim.SGD(dense.parameters(), lr=lr)
    x, y = batch()
    before = [layer.weight.detach().clone() for layer in dense if hasattr(layer, "weight")]
    for m in (dense, model):
        F.cross_entropy(m(x), y, reduction=reduction).backward()
    torch_sgd.step()
    optimizer.step()
    layers = [layer for layer in dense if hasattr(layer, "weight")]
    for old, layer, analog in zip(before, layers, optimizer.layers, strict=True):
        moved = analog.read_weights() - old
        wanted = layer.weight.detach() - old
        assert same(moved, wanted)
        assert (analog.bias - layer.bias).abs().max() < 1e-5


def test_accumulated_passes_are_one_step_of_their_sum():
    dense, model, optimizer, _, _ = setup(SGD, lr=0.01)
    before = optimizer.layers[0].read_weights()
    for samples in (8, 3):
        x, y = batch(samples, seed=samples)
        for m in (dense, model):
            F.cross_entropy(m(x), y).backward()
    optimizer.step()
    wanted = -0.01 * dense[0].weight.grad
    moved = optimizer.layers[0].read_weights() - before
    assert same(moved, wanted)


def test_controllers_see_each_samples_own_gradient():
    seen = []
    for samples in (2, 8):
        _, model, optimizer, _, _ = setup(SGD, lr=0.01)
        controller = optimizer.layers[-1].controller
        plan = controller.plan
        controller.plan = lambda x, d, rate, share, plan=plan: (
            seen.append((d, share)),
            plan(x, d, rate, share),
        )[1]
        x, y = batch(8)
        F.cross_entropy(model(x[:samples]), y[:samples]).backward()
        optimizer.step()
    (few, share_few), (many, share_many) = seen
    assert np.abs(few - many[:2]).max() < 1e-5
    assert (share_few, share_many) == (1 / 2, 1 / 8)


def test_a_step_uses_up_what_was_recorded():
    _, model, optimizer, _, backend = setup(SGD, lr=0.01)
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    backend.submissions = 0
    optimizer.step()
    assert backend.submissions == 0
    assert all(p.grad is None for p in model.parameters())


def test_zero_grad_forgets():
    _, model, optimizer, _, backend = setup(SGD, lr=0.01)
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    optimizer.zero_grad()
    backend.submissions = 0
    optimizer.step()
    assert backend.submissions == 0


def test_closure():
    _, model, optimizer, _, _ = setup(SGD, lr=0.01)
    x, y = batch()

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss.detach()

    first = float(optimizer.step(closure))
    for _ in range(20):
        last = float(optimizer.step(closure))
    assert last < first


def test_schedulers_of_torch():
    _, model, optimizer, _, _ = setup(SGD, lr=0.1, digital_lr=0.02)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2], gamma=0.1)
    rates = []
    for _ in range(3):
        x, y = batch()
        F.cross_entropy(model(x), y).backward()
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert np.allclose(rates, [[0.1, 0.02], [0.01, 0.002], [0.001, 0.0002]])


def test_a_model_without_digital_parameters():
    chip, _ = ideal_chip([(3, 7)])
    model = convert(torch.nn.Linear(7, 3, bias=False), chip, SGD)
    optimizer = AnalogOptimizer(model, lr=0.1)
    model(torch.randn(2, 7)).sum().backward()
    optimizer.step()


def test_a_model_that_is_not_converted():
    with pytest.raises(ConfigurationError, match=r"hwloop\.nn\.convert"):
        AnalogOptimizer(net(), lr=0.1)


def test_wrong_reduction():
    with pytest.raises(ConfigurationError, match="'mean' or 'sum'"):
        setup(SGD, lr=0.1, reduction="none")


LEARNING = [
    (ChoppedTTv2(n_s=2, gamma0=50), 16.0, 0.05, 15, 0.85),
    (AnalogSGD(), 5.0, 0.05, 15, 0.85),
    (TTv2(n_s=2, gamma0=50), 16.0, 0.05, 5, 0.75),
    (AGAD(n_s=1, gamma0=50, period=5), 16.0, 0.05, 5, 0.75),
    (ERider(n_s=1, gamma0=50), 16.0, 0.05, 5, 0.75),
    (TikiTaka(n_s=1, fast_lr=50.0), 16.0, 0.05, 5, 0.75),
    (ResidualLearning(n_s=1, gamma0=50, fast_lr=10.0), 16.0, 0.05, 5, 0.75),
    (MixedPrecision(n_s=2), 16.0, 0.2, 5, 0.75),
]
"""Algorithm, weight gain, learning rate, epochs, and the accuracy that is to be surpassed."""


@pytest.mark.parametrize(
    ("algorithm", "weight_gain", "lr", "epochs", "least"),
    LEARNING,
    ids=[one[0].name for one in LEARNING],
)
def test_training_learns(algorithm, weight_gain, lr, epochs, least):
    # The script of the README: nothing but convert, optimizer, backward, step.
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(200, 16, generator=rng) * 2 - 1
    y = (x[:, :8].sum(1) > x[:, 8:].sum(1)).long()
    torch.manual_seed(0)
    dense = torch.nn.Sequential(torch.nn.Linear(16, 12), torch.nn.Tanh(), torch.nn.Linear(12, 2))
    shape = shape_option(tile_shapes(dense, algorithm))
    with hwloop.connect(f"sim:soft-bounds-40,shape={shape},seed=1") as chip:
        model = hwloop.nn.convert(dense, chip, algorithm=algorithm, weight_gain=weight_gain)
        opt = hwloop.nn.AnalogOptimizer(model, lr=lr)
        for _ in range(epochs):
            for i in range(0, 200, 10):
                F.cross_entropy(model(x[i : i + 10]), y[i : i + 10]).backward()
                opt.step()
        with torch.no_grad():
            assert (model(x).argmax(1) == y).float().mean() > least
