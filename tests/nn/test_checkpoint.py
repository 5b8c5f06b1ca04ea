"""Checkpoints: a loaded training goes on to the same bits."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import hwloop
from hwloop.controllers import AnalogSGD, ChoppedTTv2
from hwloop.errors import ConfigurationError
from hwloop.nn import AnalogOptimizer, convert, load, save, shape_option, tile_shapes
from hwloop.untrusted import read_arrays

ALGORITHMS = {
    "c-ttv2": ChoppedTTv2(n_s=3, rho=0.3, out_rho=0.2, gamma0=100, reset="subtract"),
    "sgd": AnalogSGD(),
}


def net(algorithm):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 5),
        torch.nn.BatchNorm1d(5),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(5, 3),
    )


def start(algorithm, seed=1):
    dense = net(algorithm)
    shape = shape_option(tile_shapes(dense, algorithm))
    chip = hwloop.connect(f"sim:reram-om,shape={shape},seed={seed}")
    model = convert(dense, chip, algorithm)
    return chip, model, AnalogOptimizer(model, lr=0.1, digital_lr=0.05)


def steps(model, optimizer, first, last):
    losses = []
    for i in range(first, last):
        rng = torch.Generator().manual_seed(i)
        x, y = torch.randn(4, 6, generator=rng), torch.randint(0, 3, (4,), generator=rng)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())
def test_continuation_is_the_same_to_the_bit(algorithm, tmp_path):
    chip, model, optimizer = start(algorithm)
    steps(model, optimizer, 0, 20)
    optimizer.param_groups[0]["lr"] = 0.03
    save(tmp_path / "a.npz", chip, model, optimizer, {"epoch": 3})
    losses = steps(model, optimizer, 20, 40)
    save(tmp_path / "b.npz", chip, model, optimizer)

    chip2, model2, optimizer2 = start(algorithm)
    assert load(tmp_path / "a.npz", chip2, model2, optimizer2) == {"epoch": 3}
    assert steps(model2, optimizer2, 20, 40) == losses
    save(tmp_path / "c.npz", chip2, model2, optimizer2)
    with np.load(tmp_path / "b.npz") as b, np.load(tmp_path / "c.npz") as c:
        assert b.files == c.files
        for name in b.files:
            assert b[name].tobytes() == c[name].tobytes(), name


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    chip, model, optimizer = start(ALGORITHMS["sgd"])
    path = tmp_path / "a.npz"
    save(path, chip, model, optimizer, {"epoch": 1})
    old = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(path, chip, model, optimizer, {"epoch": 2})
    assert path.read_bytes() == old


def test_another_chip_is_refused(tmp_path):
    chip, model, optimizer = start(ALGORITHMS["sgd"])
    save(tmp_path / "a.npz", chip, model, optimizer)
    other = start(ALGORITHMS["sgd"], seed=2)
    with pytest.raises(ConfigurationError, match="is connected"):
        load(tmp_path / "a.npz", *other)


def test_another_algorithm_is_refused(tmp_path):
    chip, model, optimizer = start(ALGORITHMS["sgd"])
    save(tmp_path / "a.npz", chip, model, optimizer)
    with pytest.raises(ConfigurationError, match="does not fit the model"):
        load(tmp_path / "a.npz", *start(ALGORITHMS["c-ttv2"]))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read as arrays"):
        load(path, *start(ALGORITHMS["sgd"]))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": 99}, "version 99, this library knows 1"),
        ({"version": "1"}, "about.version"),
        ({"totals": [1, 2]}, "about.totals"),
        ({"totals": [1, -2, 3]}, "about.totals"),
        ({"next_id": 0}, "about.next_id"),
        ({"groups": "lr"}, "about.groups"),
        ({"chip_id": "other"}, "checkpoint of chip 'other'"),
        ({"more": 1}, "about.more"),
    ],
)
def test_a_checkpoint_that_says_nonsense_is_refused(changes, problem, tmp_path):
    path = tmp_path / "a.npz"
    save(path, *start(ALGORITHMS["sgd"]))
    arrays = read_arrays(path)
    about = json.loads(arrays["about"].tobytes()) | changes
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(ConfigurationError, match=problem):
        load(path, *start(ALGORITHMS["sgd"]))


@pytest.mark.parametrize("name", ["tile/0", "torch_random", "about"])
@pytest.mark.parametrize("change", [None, np.zeros(3, np.uint32)])
def test_a_checkpoint_that_lacks_something_is_refused(name, change, tmp_path):
    path = tmp_path / "a.npz"
    save(path, *start(ALGORITHMS["sgd"]))
    arrays = read_arrays(path)
    del arrays[name]
    if change is not None:
        arrays[name] = change
    np.savez(path, **arrays)
    chip, model, optimizer = start(ALGORITHMS["sgd"])
    before = chip.snapshot()
    with pytest.raises(ConfigurationError, match=name):
        load(path, chip, model, optimizer)
    for state, untouched in zip(chip.snapshot(), before, strict=True):
        np.testing.assert_array_equal(state, untouched)
