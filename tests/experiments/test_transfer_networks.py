"""Kinds of networks: what is built, which layers are analog, and that runs of them can go on."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import tiny
from torch import nn

from hwloop.controllers import AGAD, AnalogSGD, ChoppedTTv2
from hwloop.errors import ConfigurationError
from hwloop.experiments.config import dump_config, known_keys, load_config
from hwloop.experiments.dataset import Dataset
from hwloop.experiments.networks import build, head_path, lenet, vectors_per_sample
from hwloop.experiments.placements import placements, pulses_per_vector
from hwloop.experiments.progress import Silence
from hwloop.experiments.train import resume_run, train_run
from hwloop.nn import Placement

KINDS = {
    "lenet": {
        "network__kind": "lenet",
        "network__channels": [4, 4],
        "network__kernel": 2,
        "network__hidden": 8,
    },
    "swin": {
        "network__kind": "swin",
        "network__patch": 2,
        "network__width": 8,
        "network__depths": [1, 1],
        "network__heads": [2, 2],
        "network__window": 2,
    },
}


@cache
def digits(size: int) -> Dataset:
    """Return one blank image of each of ten digits."""
    blank, labels = np.zeros((10, size * size), np.float32), np.arange(10)
    classes = tuple("0123456789")
    return Dataset("blank", blank, labels, blank, labels, classes, (1, size, size))


def of_kind(kind: str, **changes: object):
    """Return the configuration of six batches of 20 digits."""
    short = {"data__samples": 60, "schedule__batch": 20, "schedule__checkpoint_batches": 2}
    return tiny(**{**short, **KINDS[kind], **changes})


class Stop(Silence):
    def batch(self, state: object) -> None:
        if state.progress.batches == 4:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", KINDS)
def test_runs_go_on_to_the_same_bits(tmp_path: Path, kind: str):
    undisturbed = train_run(of_kind(kind), out=tmp_path / "undisturbed")
    assert undisturbed.summary["batches"] == 6
    with pytest.raises(KeyboardInterrupt):
        train_run(of_kind(kind), out=tmp_path / "1", observer=Stop())
    run = resume_run(tmp_path / "1")
    for key in ("tape_hash", "test_accuracy", "float_test_accuracy"):
        assert run.summary[key] == undisturbed.summary[key]


def test_layers_that_stay_digital_have_no_tiles(tmp_path: Path):
    rules = [{"layers": "stages", "digital": True}, {"layers": "stages.1", "weight_gain": 4.0}]
    whole = train_run(of_kind("swin", schedule__limit=1), out=tmp_path / "whole")
    few = train_run(of_kind("swin", schedule__limit=1, rules=rules), out=tmp_path / "few")
    # Embedding, four layers of each of two blocks, the merging and the head; two tiles each.
    assert len(whole.chip.tiles) == 22
    assert len(few.chip.tiles) == 2 * (1 + 4 + 1)


def test_the_lenet_of_the_benchmark_is_the_default():
    built = build(load_config(assignments=["network.kind=lenet"]).network, digits(28), 3)
    for one, other in zip(built.parameters(), lenet(seed=3).parameters(), strict=True):
        assert torch.equal(one, other)
    assert head_path(built) == "10"


def test_rules_that_suit():
    def algorithms(*assignments: str) -> dict[str, object]:
        config = load_config(assignments=assignments)
        data = digits(28 if config.network.kind == "lenet" else 8)
        net = build(config.network, data, 1)
        return {path: rule.algorithm for path, rule in placements(net, config).items()}

    assert set(algorithms().values()) == {None}
    found = algorithms("network.kind=lenet")
    usual = {"n_s": 64, "lines_per_transfer": 25, "gamma0": 5000.0}
    assert found == {
        "1": ChoppedTTv2(**usual),
        "4": ChoppedTTv2(n_s=16, lines_per_transfer=10, gamma0=2000.0),
        "8": None,
        "10": None,
    }
    assert algorithms("network.kind=lenet", "algorithm.name=agad")["1"] == AGAD(period=5, **usual)
    assert set(algorithms("network.kind=lenet", "algorithm.name=sgd").values()) == {None}
    assert set(algorithms("network.kind=lenet", "rules=[]").values()) == {None}
    swin = algorithms("network.kind=swin", "network.patch=2")
    assert swin["stages.0.1.mlp.2"].n_s == 64
    assert swin["head"].n_s == 10


def test_the_last_rule_counts():
    rules = "rules=[{layers: '*', options: {l_max: 3}}, {layers: '2', weight_gain: 2.0}]"
    config = load_config(assignments=["network.hidden=[8]", "algorithm.name=sgd", rules])
    net = build(config.network, digits(8), 1)
    expected = {
        "0": Placement(algorithm=AnalogSGD(l_max=3)),
        "2": Placement(weight_gain=2.0),
    }
    assert placements(net, config) == expected
    assert pulses_per_vector(expected, config) == AnalogSGD().l_max
    assert pulses_per_vector({"0": expected["0"], "2": "digital"}, config) == 3


def test_the_largest_weight_fills_its_share():
    config = load_config(assignments=["network.hidden=[8]"])
    net = build(config.network, digits(8), 1)
    for path, rule in placements(net, config, fill=0.25).items():
        weight = net.get_submodule(path).weight.detach()
        unit = rule.weight_gain / weight.shape[1] ** 0.5
        assert float(weight.abs().max()) / unit == pytest.approx(0.25)


def test_settings_of_a_kind(tmp_path: Path):
    swin = load_config(assignments=["network.kind=swin", "network.depths=[1, 2]"])
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(swin))
    assert load_config(path) == swin
    # Another kind than the file's has none of its settings.
    assert load_config(path, ["network.kind=lenet"]).network.channels == (16, 32)
    assert load_config(path, ["network.width=16"]).network.depths == (1, 2)
    assert {"network.hidden", "network.depths", "transfer.noise", "rules"} <= set(known_keys())


def test_each_patch_and_token_is_a_vector():
    # 24 x 24 places of the first kernel; windows of 4 x 4 tokens pad 7 x 7 of them to 8 x 8.
    for kind, most in (("mlp", 1), ("lenet", 24 * 24), ("swin", 64)):
        net = build(load_config(assignments=[f"network.kind={kind}"]).network, digits(28), 1)
        assert vectors_per_sample(net, 784) == most


def test_images_are_needed(tmp_path: Path):
    config = load_config(assignments=["network.kind=swin"])
    data = digits(28)
    with pytest.raises(ConfigurationError, match="takes images"):
        build(config.network, replace(data, image=None), 1)
    with pytest.raises(ConfigurationError, match="takes square images"):
        build(config.network, replace(data, image=(1, 14, 56)), 1)
    flat = build(load_config().network, replace(data, image=None), 1)
    assert isinstance(flat, nn.Sequential)
