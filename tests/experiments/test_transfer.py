"""Transfer learning: from float weights to an array, to the same bits, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import tiny
from torch import nn

import hwloop
from hwloop.controllers import ChoppedTTv2
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.experiments.config import load_config
from hwloop.experiments.data import load_data
from hwloop.experiments.replay import replay_run
from hwloop.experiments.rig import prepare
from hwloop.experiments.sweep.loading import load_study
from hwloop.experiments.sweep.points import points_of
from hwloop.experiments.train import resume_run, train_run
from hwloop.experiments.transfer import divide, offset_fast_arrays
from hwloop.experiments.transfer_config import Transfer
from hwloop.nn import convert
from hwloop.procedures import offset_reference
from hwloop.run import Run

REFERENCE, PULSES = 2, 3


class Told:
    """An observer that keeps what it is told, and may stop the run."""

    def __init__(self, stop: int | None = None) -> None:
        self.notes: list[str] = []
        self.stop = stop

    def begin(self, plan: object) -> None:
        pass

    def batch(self, state: object) -> None:
        if state.progress.batches == self.stop:
            raise KeyboardInterrupt

    def epoch(self, row: object) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pretrained")


def transfer(cache: Path, **changes: object):
    """Return the configuration of a transfer of a second: 120 samples of 5-9, ten batches."""
    settings = {
        "experiment": "transfer-learning",
        "data__samples": 120,
        "transfer__epochs": 4,
        "transfer__cache": str(cache),
        "schedule__batch": 24,
        "schedule__checkpoint_batches": 4,
        "backend__url": "sim:soft-bounds-rasch",
    }
    return tiny(**{**settings, **changes})


@pytest.fixture(scope="module")
def undisturbed(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(transfer(cache), out=tmp_path_factory.mktemp("transfer") / "1")


def test_the_classes_are_divided():
    data = load_data("digits")
    before, after = divide(data, Transfer())
    assert (before.classes, after.classes) == (tuple("01234"), tuple("56789"))
    assert np.bincount(after.y_train).tolist() == np.bincount(data.y_train)[5:].tolist()
    swapped, rest = divide(data, Transfer(before=(7, "1")))
    assert (swapped.y_train == 0).sum() == (data.y_train == 7).sum()
    assert rest.classes == tuple("02345689")


def test_few_samples_are_as_many_of_each_class():
    few = load_data("digits").of_samples(43)
    assert sorted(np.bincount(few.y_train).tolist()) == [4] * 7 + [5] * 3
    assert len(few.x_test) == len(load_data("digits").x_test)


def test_what_a_transfer_reports(undisturbed: Run):
    summary = undisturbed.summary
    assert summary["pretrained_accuracy"] > 0.4  # of five classes, after four epochs
    # Exactly written weights are the float ones, but for cells out of whose reach they are.
    assert abs(summary["programmed_accuracy"] - summary["pretrained_accuracy"]) < 0.1
    assert 0 < summary["weight_error"] < 0.1
    assert summary["batches"] == 10
    assert undisturbed.config["transfer"]["fill"] == 0.5


def test_an_interrupted_transfer_goes_on_to_the_same_bits(
    cache: Path, tmp_path: Path, undisturbed: Run
):
    own = tmp_path / "pretrained"
    shutil.copytree(cache, own)
    with pytest.raises(KeyboardInterrupt):
        train_run(transfer(own), out=tmp_path / "1", observer=Told(stop=6))
    shutil.rmtree(own)  # the weights are made again
    told = Told()
    run = resume_run(tmp_path / "1", observer=told)
    assert "pre-training" in told.notes[0]
    for key in ("tape_hash", "test_accuracy", "float_test_accuracy", "programmed_accuracy"):
        assert run.summary[key] == undisturbed.summary[key]


def test_pretrained_weights_are_kept(cache: Path, tmp_path: Path, undisturbed: Run):
    kept = sorted(cache.iterdir())
    told = Told()
    other = transfer(cache, transfer__noise=0.3, algorithm__name="sgd", schedule__limit=1)
    run = train_run(other, out=tmp_path / "1", observer=told)
    assert not any("pre-training" in note for note in told.notes)
    assert sorted(cache.iterdir()) == kept
    assert run.summary["pretrained_accuracy"] == undisturbed.summary["pretrained_accuracy"]
    assert run.summary["weight_error"] > 2 * undisturbed.summary["weight_error"]


@pytest.mark.parametrize("content", [b"", b"PK damaged", None], ids=["empty", "torn", "other"])
def test_damaged_weights_are_made_anew(
    cache: Path, tmp_path: Path, undisturbed: Run, content: bytes | None
):
    own = tmp_path / "pretrained"
    shutil.copytree(cache, own)
    (file,) = [path for path in own.iterdir() if path.suffix == ".npz"]
    whole = file.read_bytes()
    if content is None:
        np.savez(file, other=np.zeros(3))
    else:
        file.write_bytes(content)
    told = Told()
    train_run(transfer(own, schedule__limit=1), out=tmp_path / "1", observer=told)
    assert "pre-training" in told.notes[0]
    assert len(file.read_bytes()) == len(whole)
    assert [path.name for path in own.iterdir()] == [file.name]  # nothing partial is left


def test_the_file_of_the_weights_is_named_by_what_determines_them(cache: Path, tmp_path: Path):
    names = set()
    for changes in ({}, {"seed": 2}, {"transfer__lr": 2e-3}, {"network__hidden": [9]}):
        small = {"transfer__epochs": 0, "schedule__limit": 1}
        own = tmp_path / str(len(names))
        train_run(transfer(own, **small, **changes), out=tmp_path / f"run{len(names)}")
        names |= {path.name for path in own.iterdir()}
    assert len(names) == 4


def test_weights_of_another_beginning_are_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(KeyboardInterrupt):
        train_run(transfer(cache), out=tmp_path / "1", observer=Told(stop=6))
    monkeypatch.setattr("hwloop.experiments.pretraining._take", lambda net, path: True)
    with pytest.raises(ConfigurationError, match="pre-trained weights are not those"):
        resume_run(tmp_path / "1")


def test_the_noise_is_a_share_of_the_largest_weight(cache: Path, tmp_path: Path):
    ideal = {"backend__url": "sim:ideal", "algorithm__name": "sgd", "schedule__limit": 1}
    run = train_run(
        transfer(cache, transfer__noise=0.2, transfer__fill=0.3, **ideal), out=tmp_path / "1"
    )
    # 552 weights: the spread of their root mean square is 3 %, six times that is allowed.
    assert run.summary["weight_error"] == pytest.approx(0.2, rel=0.18)


def test_programming_by_pulses(cache: Path, tmp_path: Path):
    settings = {"transfer__programming": "write-verify", "transfer__tolerance": 0.15}
    run = train_run(transfer(cache, schedule__limit=1, **settings), out=tmp_path / "1")
    # Within the tolerance, but for cells out of whose reach the target is.
    assert run.summary["weight_error"] < 0.15
    assert run.summary["pulses"] > 552


def test_the_emulated_chip_gives_the_tape_of_the_simulator(cache: Path, tmp_path: Path):
    chip = "shape=2x8x64+2x5x8,seed=3"
    small = {"schedule__limit": 3, "transfer__programming": "write-verify"}
    hashes = {
        train_run(
            transfer(cache, backend__url=f"{array},{chip}", **small), out=tmp_path / str(i)
        ).summary["tape_hash"]
        for i, array in enumerate(("sim:reram-om", "emulator:native"))
    }
    assert len(hashes) == 1


def test_a_transfer_replays_from_its_tape(undisturbed: Run):
    replayed = replay_run(undisturbed)
    assert replayed.same_hash
    assert replayed.operations == undisturbed.summary["operations"]


@pytest.mark.parametrize("name", ["learning", "noise", "skew", "variability"])
def test_shipped_studies_are_of_transfers(name: str):
    points = points_of(load_study(f"transfer-{name}"), name)
    assert len(points) == (20 if name == "learning" else 100)
    assert {point.settings["case"] for point in points} == {"c-TTv2", "TTv2", "AGAD", "SGD"}
    assert {point.config.experiment for point in points} == {"transfer-learning"}


def test_only_chosen_layers_are_trained(cache: Path, tmp_path: Path):
    changes = {"transfer__trained": ["2"], "algorithm__name": "sgd"}
    run = train_run(transfer(cache, **changes), out=tmp_path / "1")
    with np.load(run.checkpoints[-1]) as file:
        first, last = (file[f"tile/{i}"][PULSES] for i in (0, 1))
    assert not first.any()
    assert last.any()


def test_offsets_are_those_of_the_fast_arrays():
    net, algorithm = nn.Linear(40, 50, bias=False), ChoppedTTv2()
    with hwloop.connect("sim:soft-bounds-rasch,shape=2x50x40,seed=1") as chip:
        model = convert(net, chip, algorithm)
        before = [state.view(np.float32).copy() for state in chip.snapshot()]
        settings = Transfer(symmetry_skew=0.4, symmetry_variability=0.2)
        offset_fast_arrays(model, settings, seed=1)
        after = [state.view(np.float32) for state in chip.snapshot()]
    assert (before[0] == after[0]).all()
    moved = after[1][REFERENCE] - before[1][REFERENCE]
    # 2,000 cells: standard errors 0.0045 and 0.0032, six of them are allowed.
    assert moved.mean() == pytest.approx(0.4, abs=0.027)
    assert moved.std() == pytest.approx(0.2, abs=0.02)
    others = [plane for plane in range(len(before[1])) if plane != REFERENCE]
    assert (before[1][others].view(np.uint32) == after[1][others].view(np.uint32)).all()


def test_references_stay_within_reach():
    with hwloop.connect("sim:ecram,reference_std=0.1,shape=1x50x40,seed=1") as chip:
        offset_reference(chip, chip[0], 1.0, 1.0)
        reference = chip.snapshot()[0].view(np.float32)[REFERENCE]
    assert abs(reference).max() == 2
    assert (abs(reference) == 2).mean() < 0.5


def test_offsets_need_a_virtual_array():
    with pytest.raises(CapabilityError, match="only virtual arrays"):

        class Physical:
            class capabilities:  # noqa: N801
                name = "a chip"
                operations = frozenset({"pulse"})

        offset_reference(Physical(), None, 0.1, 0.0)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["transfer.noise=0.1"], "experiment is not transfer-learning"),
        (["experiment=transfer"], "experiment: is 'transfer'"),
        (["experiment=transfer-learning", "transfer.nose=1"], "transfer.nose: unknown key"),
        (["experiment=transfer-learning", "transfer.noise=-1"], "transfer.noise: is -1"),
        (["network.kind=vgg"], "unknown network 'vgg'"),
        (["network.kind=swin", "network.hidden=[3]"], "network.hidden: unknown key"),
        (["rules=[{layers: a, digital: true, options: {n_s: 2}}]"], "digital layers have neither"),
        (["rules=[{layers: '0', options: {ns: 2}}]"], "no option 'ns'"),
        (["rules=[{layers: '0', options: {lr: 2}}]"], "no option 'lr'"),
        (["rules=[{layers: '0', options: {n_s: 0}}]"], "n_s is 0"),
    ],
)
def test_settings_that_are_refused(assignments: list[str], message: str):
    with pytest.raises(ConfigurationError) as refusal:
        load_config(assignments=assignments)
    assert message in refusal.value.message
    if "network.hidden" in message:
        assert refusal.value.remedy == "it is a setting of another network"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transfer__before": [0, 12]}, "no class '12'"),
        ({"transfer__before": [0, 1], "transfer__after": [1, 2]}, "1 is in transfer.before too"),
        ({"transfer__before": [0]}, "expected two or more"),
        ({"data__samples": 3}, "data.samples is 3, expected 5"),
        ({"data__samples": 720}, "data.samples is 720"),
        ({"rules": [{"layers": "head"}]}, "'head' matches no module"),
        ({"network__kind": "lenet"}, "too small for a LeNet"),
        ({"network__kind": "swin", "network__patch": 3}, "multiple of the patch"),
    ],
)
def test_what_does_not_go_together_is_refused(
    cache: Path, tmp_path: Path, changes: dict[str, object], message: str
):
    with pytest.raises(ConfigurationError, match=message):
        prepare(transfer(cache, **changes))


def test_a_pattern_of_trained_layers_has_to_match(cache: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"transfer.trained: 'tail' matches no module"):
        train_run(transfer(cache, transfer__trained=["tail"]), out=tmp_path / "1")
    assert not (tmp_path / "1").exists()
    assert torch.is_grad_enabled()
