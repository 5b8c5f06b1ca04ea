"""Converted models on an ideal array against the float models, outputs and gradients."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import hwloop
from hwloop.controllers import AnalogSGD
from hwloop.experiments.networks import lenet
from hwloop.experiments.swin import swin
from hwloop.nn import CrossbarLayer, convert, shape_option, tile_shapes

SGD = AnalogSGD()
IDEAL = "sim:ideal,periphery=ideal,adc_range_forward=16,adc_range_backward=16"


def encoder():
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def convolutions():
    return nn.Sequential(
        nn.Conv2d(3, 5, (3, 2), (2, 1), (2, 0), (1, 3), padding_mode="circular"),
        nn.GELU(),
        nn.Conv2d(5, 4, 3, padding="same", bias=False),
    )


def sequences():
    return nn.Sequential(
        nn.Conv1d(3, 5, 3, 2, 2, 2, padding_mode="reflect"), nn.GELU(), nn.Conv1d(5, 4, 3)
    )


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 10)), (8, 50)),
    "lenet": (lambda: lenet(seed=1), (2, 784)),
    "conv2d": (convolutions, (3, 3, 12, 13)),
    "conv2d, one image": (convolutions, (3, 12, 13)),
    "conv1d": (sequences, (3, 3, 20)),
    "attention and mlp blocks": (encoder, (3, 5, 16)),
    "swin": (swin, (2, 784)),
}


@pytest.mark.parametrize(("make", "shape"), MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize("tile", [None, (128, 100)], ids=["whole", "divided, in chunks"])
def test_outputs_and_gradients_are_those_of_the_float_model(make, shape, tile):
    torch.manual_seed(0)
    dense = make()
    x = torch.rand(*shape, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    shapes = shape_option(tile_shapes(dense, SGD, tile=tile))
    with hwloop.connect(f"{IDEAL},shape={shapes}") as chip:
        chunk = 8192 if tile is None else 70
        model = convert(dense, chip, SGD, weight_gain=2.0, chunk=chunk)
        y, y2 = dense(x), model(twin)
        assert largest(y2 - y) < 1e-5 * largest(y)
        upstream = torch.randn(y.shape)
        y.backward(upstream)
        y2.backward(upstream)
        assert largest(twin.grad - x.grad) < 1e-4 * largest(x.grad)
        wanted = {k: p.grad for k, p in dense.named_parameters()}
        compared = 0
        for path, module in model.named_modules():
            if isinstance(module, CrossbarLayer) and f"{path}.weight" in wanted:
                gradient = wanted[f"{path}.weight"].flatten(1).numpy()
                chunks = list(module.matrix.recorded_chunks())
                assert all(len(piece) <= chunk for piece, _ in chunks)
                total = sum(d.T @ piece for piece, d in chunks)
                assert np.abs(total - gradient).max() < 1e-4 * np.abs(gradient).max()
                compared += 1
        assert compared
        for path, parameter in model.named_parameters():
            if path in wanted:
                assert largest(parameter.grad - wanted[path]) < 1e-4 * largest(wanted[path]), path


@pytest.mark.parametrize("batch_first", [True, False], ids=["batch first", "batch second"])
@pytest.mark.parametrize("mask", ["none", "boolean", "additive", "per head", "padding"])
def test_attention_is_that_of_torch(batch_first, mask):
    torch.manual_seed(0)
    net = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=batch_first)
    nn.init.normal_(net.in_proj_bias)
    q, k, v = torch.randn(3, 4, 8), torch.randn(3, 5, 6), torch.randn(3, 5, 5)
    if not batch_first:
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    options = {
        "none": {},
        "boolean": {"attn_mask": torch.rand(4, 5) > 0.7},
        "additive": {"attn_mask": torch.randn(4, 5)},
        "per head": {"attn_mask": torch.randn(6, 4, 5), "average_attn_weights": False},
        "padding": {"key_padding_mask": torch.arange(5).expand(3, 5) > 3},
    }[mask]
    shapes = tile_shapes(net, SGD)
    assert shapes == [(8, 8), (8, 6), (8, 5), (8, 8)]
    with hwloop.connect(f"{IDEAL},shape={shape_option(shapes)}") as chip:
        model = convert(net, chip, SGD, weight_gain=2.0)
        for have, want in zip(model(q, k, v, **options), net(q, k, v, **options), strict=True):
            assert largest(have - want) < 1e-5 * largest(want)


def test_attention_of_one_sequence_and_without_weights():
    torch.manual_seed(0)
    net = nn.MultiheadAttention(8, 2)
    x = torch.randn(5, 8)
    with hwloop.connect(f"{IDEAL},shape=4x8x8") as chip:
        model = convert(net, chip, SGD, weight_gain=2.0)
        y, weights = model(x, x, x, need_weights=False)
        assert weights is None
        assert largest(y - net(x, x, x)[0]) < 1e-5


def test_encoders_do_not_look_for_dense_weights_in_evaluation():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    net = nn.TransformerEncoder(layer, 1).eval()
    x, padding = torch.randn(2, 5, 16), torch.arange(5).expand(2, 5) > 3
    with hwloop.connect(f"{IDEAL},shape={shape_option(tile_shapes(net, SGD))}") as chip:
        model = convert(net, chip, SGD, weight_gain=2.0)
        with torch.no_grad():
            plain = copy.deepcopy(net).train()  # without torch's own shortcuts
            want = plain(x, src_key_padding_mask=padding)
            have = model(x, src_key_padding_mask=padding)
        assert largest(have[:, :4] - want[:, :4]) < 1e-5 * largest(want)


def largest(tensor):
    return float(tensor.detach().abs().max())
