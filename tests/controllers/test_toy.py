"""The beginning of the least-squares task that `benchmarks/toy.py` compares with aihwkit."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads((ROOT / "tests" / "data" / "aihwkit_toy.json").read_text())


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy", ROOT / "benchmarks" / "toy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["toy"]


@pytest.mark.parametrize("cell", [("sgd", 0.0, "all"), ("c-ttv2", 0.3, "fast")], ids=str)
def test_learning_curves_are_those_of_aihwkit(toy, cell, monkeypatch):
    # The relative error of W* itself differs by about 5 % from seed to seed.
    name, offset, where = cell
    points = 4
    monkeypatch.setattr(toy, "CHECKPOINTS", points)
    curves = [toy.run(*cell, seed, steps=500 * points) for seed in range(2)]
    expected = REFERENCE[f"{name}|offset={offset}|{where}"][:points]
    assert np.mean(curves, axis=0) == pytest.approx(expected, rel=0.15)
