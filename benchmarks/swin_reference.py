"""Compare hwloop's Swin transformer with the one in the library transformers, on equal weights.

It also converts both to an ideal array and compares outputs and gradients with the float models'.
transformers is no dependency of hwloop: `pip install transformers` in an environment of its own
(compared with 5.23.0, whose names of weights `take_weights` knows).
"""

from __future__ import annotations

import sys

import torch

import hwloop
from hwloop.controllers import AnalogSGD
from hwloop.experiments.swin import Swin, SwinShape, swin
from hwloop.nn import convert, shape_option, tile_shapes

SGD = AnalogSGD()
URL = "sim:ideal,periphery=ideal,adc_range_forward=16,adc_range_backward=16,shape="
OUTPUTS, GRADIENTS = 1e-5, 1e-4


def reference(shape: SwinShape) -> torch.nn.Module:
    """Return the model of transformers, of the same sizes."""
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(
        image_size=shape.image,
        patch_size=shape.patch,
        num_channels=shape.channels,
        embed_dim=shape.width,
        depths=list(shape.depths),
        num_heads=list(shape.heads),
        window_size=shape.window,
        mlp_ratio=shape.mlp_ratio,
        drop_path_rate=0.0,
        num_labels=shape.classes,
        attn_implementation="eager",
    )
    return SwinForImageClassification(config).eval()


def take_weights(net: Swin, theirs: torch.nn.Module) -> None:
    """Copy the weights of the model of transformers."""
    state = theirs.state_dict()
    embeddings = "swin.embeddings."
    wanted = {
        "embedding": f"{embeddings}patch_embeddings.projection",
        "embedding_norm": f"{embeddings}norm",
        "norm": "swin.layernorm",
        "head": "classifier",
    }
    for i, stage in enumerate(net.stages):
        for j, part in enumerate(stage):
            if hasattr(part, "reduction"):
                place = f"swin.encoder.layers.{i}.downsample"
                wanted |= {f"stages.{i}.{j}.{n}": f"{place}.{n}" for n in ("norm", "reduction")}
                continue
            place, ours = f"swin.encoder.layers.{i}.blocks.{j}", f"stages.{i}.{j}"
            wanted |= {
                f"{ours}.norm1": f"{place}.layernorm_before",
                f"{ours}.norm2": f"{place}.layernorm_after",
                f"{ours}.attention.projection": f"{place}.attention.o_proj",
                f"{ours}.mlp.0": f"{place}.mlp.fc1",
                f"{ours}.mlp.2": f"{place}.mlp.fc2",
            }
            inner = f"{place}.attention"
            for kind in ("weight", "bias"):
                three = [state[f"{inner}.{name}.{kind}"] for name in ("q_proj", "k_proj", "v_proj")]
                state[f"{inner}.qkv.{kind}"] = torch.cat(three)
            wanted[f"{ours}.attention.qkv"] = f"{inner}.qkv"
            bias = f"{inner}.relative_position_bias"
            state[f"{bias}.bias"] = state[f"{bias}.relative_position_bias_table"]
            wanted[f"{ours}.attention"] = bias
    have = net.state_dict()
    for name in have:
        module, kind = name.rsplit(".", 1)
        have[name] = state[f"{wanted[module]}.{kind}"]
    net.load_state_dict(have)


def difference(have: torch.Tensor, want: torch.Tensor) -> float:
    """Return the largest difference, as a part of the largest wanted value."""
    return float((have - want).detach().abs().max() / want.detach().abs().max())


def scores(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return a model's scores."""
    y = net(x)
    return y if isinstance(y, torch.Tensor) else y.logits


def compare(name: str, have_net: torch.nn.Module, want_net: torch.nn.Module, images: int) -> bool:
    """Print how far outputs and gradients of two models are apart; return whether it is little."""
    torch.manual_seed(0)
    x = torch.rand(images, 1, 28, 28, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    want, have = scores(want_net, x), scores(have_net, twin)
    upstream = torch.randn(want.shape)
    want.backward(upstream)
    have.backward(upstream)
    outputs, gradients = difference(have, want), difference(twin.grad, x.grad)
    fine = outputs < OUTPUTS and gradients < GRADIENTS
    print(f"{name}: outputs {outputs:.2g}, gradients {gradients:.2g} {'' if fine else 'TOO FAR'}")
    return fine


def main() -> int:
    """Run all comparisons."""
    torch.manual_seed(1)
    shape = SwinShape()
    theirs, ours = reference(shape), swin(shape)
    with torch.no_grad():  # transformers starts biases and tables at zero
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    take_weights(ours, theirs)
    fine = [compare("hwloop's and transformers'", ours, theirs, 8)]
    for name, net in (("hwloop's, converted", ours), ("transformers', converted", theirs)):
        with hwloop.connect(URL + shape_option(tile_shapes(net, SGD))) as chip:
            model = convert(net, chip, SGD, weight_gain=4.0)
            fine.append(compare(name, model, net, 4))
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
