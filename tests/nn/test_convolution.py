"""Convolutions on arrays: patches, their updates, and the memory that they take."""

import tracemalloc

import numpy as np
import pytest
import torch
from ideal_backend import ideal_chip
from torch import nn
from torch.nn import functional as F

from hwloop.controllers import AnalogSGD, ChoppedTTv2
from hwloop.errors import ConfigurationError
from hwloop.nn import AnalogOptimizer, CrossbarConv, convert

DELTA = 2e-6
SGD = AnalogSGD(granularity=DELTA, l_max=255)


def test_every_patch_is_an_update():
    torch.manual_seed(0)
    dense = nn.Conv2d(2, 3, 3, padding=1)
    chip, _ = ideal_chip([(3, 18)], delta=DELTA)
    model = convert(dense, chip, SGD)
    assert isinstance(model, CrossbarConv)
    images, target = torch.randn(2, 2, 4, 5), torch.randn(2, 3, 4, 5)
    before = model.read_weights()
    for m in (dense, model):
        F.mse_loss(m(images), target, reduction="sum").div(2).backward()
    optimizer = AnalogOptimizer(model, lr=5e-4)
    optimizer.step()
    moved = model.read_weights() - before
    wanted = -5e-4 * dense.weight.grad.flatten(1)
    assert float((moved * wanted).sum() / wanted.square().sum()) == pytest.approx(1, abs=0.1)
    assert (moved - wanted).norm() < 0.4 * wanted.norm()
    assert model.controller.vectors == 2 * 4 * 5


@pytest.mark.parametrize(
    ("algorithm", "pulses"),
    [
        (AnalogSGD(granularity=0.01, l_max=1), 0),
        (ChoppedTTv2(granularity=0.01, n_s=2, gamma0=1e-3, l_max=1), 1),
    ],
    ids=["sgd", "c-ttv2"],
)
def test_a_step_takes_a_submission_per_chunk_and_one_of_pulses(algorithm, pulses):
    chip, backend = ideal_chip([(3, 9)] * algorithm.tiles_per_layer)
    model = convert(nn.Conv2d(1, 3, 3), chip, algorithm, chunk=20)
    optimizer = AnalogOptimizer(model, lr=0.1)
    for sizes, chunks in (((3, 4), 1), ((3, 5), 1), ((4, 5), 2), ((5, 6), 3)):
        for size in sizes:
            model(torch.randn(2, 1, size, size)).square().sum().backward()
        vectors = sum(2 * (size - 2) ** 2 for size in sizes)
        backend.submissions = 0
        optimizer.step()
        assert -(-vectors // 20) == chunks
        assert backend.submissions == chunks + pulses


def test_chunks_do_not_change_what_controllers_see():
    torch.manual_seed(0)
    dense, seen = nn.Conv2d(2, 3, 2), []
    images = torch.randn(3, 2, 5, 5)
    for chunk in (7, 1000):
        model = convert(dense, ideal_chip([(3, 8)])[0], SGD, chunk=chunk)
        model(images).square().sum().backward()
        pieces = list(model.matrix.recorded_chunks())
        seen.append([np.concatenate(parts) for parts in zip(*pieces, strict=True)])
        assert len(pieces) == -(-48 // chunk)
    for few, many in zip(*seen, strict=True):
        assert np.abs(few - many).max() < 1e-5


def test_memory_is_bounded_by_the_chunk():
    # All 4,096 patches of 32 * 5 * 5 numbers would take 13 MB as float32, and as much as codes.
    dense = nn.Conv2d(32, 4, 5, padding=2, bias=False)
    images = torch.zeros(1, 32, 64, 64)
    images[0, 0, 0, 0] = 1
    peaks = []
    for chunk in (128, 4096):
        chip, _ = ideal_chip([(4, 800)])
        model = convert(dense, chip, AnalogSGD(granularity=0.1, l_max=1), chunk=chunk)
        optimizer = AnalogOptimizer(model, lr=1e-6)
        tracemalloc.start()
        model(images.clone().requires_grad_()).sum().backward()
        optimizer.step()
        chip.flush()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    images_bytes, patch_bytes = 4 * 32 * 68 * 68, 4 * 800
    assert peaks[1] > 4096 * patch_bytes
    # Images, their gradient, and a few forms of the patches of a chunk: floats, codes, bounds.
    assert peaks[0] < 4 * images_bytes + 16 * 128 * patch_bytes


def test_wrong_input_is_explained():
    model = convert(nn.Conv2d(3, 2, 3), ideal_chip([(2, 27)])[0], SGD)
    with pytest.raises(ConfigurationError, match=r"\(2, 4, 5, 5\), expected \(\[images,\] 3, h"):
        model(torch.randn(2, 4, 5, 5))
    with pytest.raises(ConfigurationError, match="smaller than the window"):
        model(torch.randn(2, 3, 2, 5))


def test_a_chunk_of_nothing():
    with pytest.raises(ConfigurationError, match="chunk is 0"):
        convert(nn.Conv2d(3, 2, 3), ideal_chip([(2, 27)])[0], SGD, chunk=0)
