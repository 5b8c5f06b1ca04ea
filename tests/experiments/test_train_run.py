"""Whole runs, small: what they leave behind, and that they repeat to the same bits."""

from pathlib import Path

import pytest
from tiny_runs import BATCHES, tiny

import hwloop
from hwloop.errors import CrossbarError
from hwloop.experiments.estimate import estimate
from hwloop.experiments.networks import perceptron
from hwloop.experiments.progress import Plan, Silence, State
from hwloop.experiments.train import resume_run, train_run
from hwloop.run import Run


class Watcher(Silence):
    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.batches: list[int] = []
        self.epochs: list[int] = []
        self.notes: list[str] = []

    def begin(self, plan: Plan) -> None:
        self.plans.append(plan)

    def batch(self, state: State) -> None:
        self.batches.append(state.progress.batches)

    def epoch(self, row: dict[str, object]) -> None:
        self.epochs.append(row["batch"])

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, watcher: Watcher) -> Run:
    return train_run(tiny(), out=tmp_path_factory.mktemp("run") / "1", observer=watcher)


def test_folder(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "config.yaml", "chip.json", "metrics.jsonl", "summary.json", "tape.bin", "checkpoints",
    }  # fmt: skip
    assert [p.name for p in run.checkpoints] == ["batch-00000032.npz", "batch-00000040.npz"]


def test_summary(run: Run) -> None:
    summary = run.summary
    epochs = [row["test_accuracy"] for row in run.epochs]
    assert summary["test_accuracy"] == pytest.approx(sum(epochs) / 2, abs=1e-6)
    assert summary["final_test_accuracy"] == epochs[-1]
    assert summary["float_test_accuracy"] > 0.3
    assert summary["batches"] == BATCHES
    assert summary["seed"] == 1
    assert summary["bytes_sent"] == 0
    assert summary["pulses"] > 0
    assert summary["wall_seconds"] > 0
    assert summary["chip_seconds"] > 0
    assert summary["tape_bytes"] == (run.folder / "tape.bin").stat().st_size
    assert set(summary["versions"]) == {
        "hwloop", "python", "numpy", "torch", "cpu", "threads",
    }  # fmt: skip


def test_metrics(run: Run) -> None:
    rows = run.metrics
    assert [row["batch"] for row in rows if row["kind"] == "batch"] == list(range(4, 41, 4))
    assert [row["epoch"] for row in run.epochs] == [1, 2]
    assert run.epochs[1]["float_loss"] < run.epochs[0]["float_loss"]
    pulses = [row["pulses"] for row in rows]
    assert pulses == sorted(pulses)
    assert rows[-1]["progress"] == 2


def test_tape(run: Run) -> None:
    assert run.tape.hash() == run.summary["tape_hash"]
    assert run.tape.header["config"] == run.config
    assert not run.tape.torn
    assert len(run.tape) == run.summary["operations"]
    entries = run.tape[10:20]
    assert len(entries) == 10
    assert all(entry.result is not None for entry in entries)


def test_chip(run: Run) -> None:
    assert [(tile.rows, tile.cols) for tile in run.chip.tiles] == [(8, 64)] * 2 + [(10, 8)] * 2
    assert run.chip.chip_id == "sim-reram-om-1"


def test_observer(watcher: Watcher, run: Run) -> None:
    assert watcher.plans[0].batches == BATCHES
    assert watcher.plans[0].folder == run.folder
    assert watcher.batches == list(range(1, BATCHES + 1))
    assert watcher.epochs == [20, 40]


def test_settings_rerun_the_run_to_the_same_tape(run: Run, tmp_path: Path) -> None:
    from hwloop.experiments.config import load_config

    again = train_run(load_config(run.folder / "config.yaml"), out=tmp_path / "again")
    assert again.summary["tape_hash"] == run.summary["tape_hash"]
    assert again.epochs[-1]["test_accuracy"] == run.epochs[-1]["test_accuracy"]
    one_thread = tiny(backend__url="sim:reram-om,threads=1", report__every=7)
    assert (
        train_run(one_thread, out=tmp_path / "thread").summary["tape_hash"]
        == run.summary["tape_hash"]
    )


def test_another_seed_gives_another_tape(run: Run, tmp_path: Path) -> None:
    other = train_run(tiny(seed=2, schedule__limit=2), out=tmp_path / "1")
    assert other.tape[20] != run.tape[20]
    assert other.chip.chip_id == "sim-reram-om-2"


def test_a_complete_run_is_not_trained_again(run: Run) -> None:
    watcher = Watcher()
    again = resume_run(run.folder, observer=watcher)
    assert again.summary == run.summary
    assert watcher.notes == [f"{run.folder} is complete"]


@pytest.mark.parametrize("algorithm", ["c-ttv2", "sgd"])
def test_limit_ends_within_an_epoch(tmp_path: Path, algorithm: str) -> None:
    config = tiny(algorithm__name=algorithm, schedule__limit=25, schedule__float_lr=None)
    run = train_run(config, out=tmp_path / "1")
    assert [row["batch"] for row in run.epochs] == [20, 25]
    assert run.epochs[-1]["progress"] == 1.25
    assert run.summary["float_test_accuracy"] is None


def test_runs_count_from_where_they_are_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = train_run(tiny(schedule__limit=1))
    assert run.folder == Path("runs/1")
    assert hwloop.load_run("runs/1").summary["batches"] == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"backend__url": "quux:there"}, 2),
        ({"backend__url": "reram-om"}, 2),
        ({"backend__url": "sim:reram-om,quux=1"}, 2),
        ({"backend__url": "sim:reram-omm"}, 2),
        ({"backend__url": "sim:missing.yaml"}, 2),
        ({"backend__device": "missing.yaml"}, 2),
        ({"backend__lowerings": ["quux"]}, 2),
        ({"data__source": "quux"}, 2),
        ({"backend__url": "sim:reram-om,shape=64x64"}, 3),
        ({"algorithm__l_max": 300}, 3),
    ],
)
def test_what_does_not_work_out_leaves_nothing(
    tmp_path: Path, changes: dict[str, object], code: int
) -> None:
    with pytest.raises(CrossbarError) as refusal:
        train_run(tiny(**changes), out=tmp_path / "1")
    assert refusal.value.exit_code == code
    assert not (tmp_path / "1").exists()


def test_mistyped_device_file(tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text("schema_version: 1\nnaem: x\n")
    with pytest.raises(CrossbarError, match="naem") as refusal:
        train_run(tiny(backend__device=str(device)), out=tmp_path / "1")
    assert refusal.value.exit_code == 2
    assert not (tmp_path / "1").exists()


def test_initial_weights_depend_on_the_seed_alone() -> None:
    import torch

    network = tiny().network
    before = torch.get_rng_state()
    first, second = (perceptron(4, 3, network, seed=5) for _ in range(2))
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, perceptron(4, 3, network, seed=6)[0].weight)
    assert torch.equal(before, torch.get_rng_state())


def test_estimate(run: Run) -> None:
    costs = estimate(tiny())
    assert costs["batches"] == BATCHES
    assert costs["samples"] == 2 * 1438
    assert costs["tiles"] == "2x8x64+2x10x8"
    assert costs["pulses"] == pytest.approx(run.summary["pulses"], rel=0.5)
    assert costs["chip_seconds"] == pytest.approx(run.summary["chip_seconds"], rel=0.5)
    assert costs["tape_bytes"] == pytest.approx(run.summary["tape_bytes"], rel=0.2)
    most = max(int(state[3].max()) for state in _states(run))
    assert most <= costs["most_pulses_per_cell"]


def _states(run: Run) -> list[object]:
    import numpy as np

    with np.load(run.checkpoints[-1]) as file:
        return [file[name] for name in file.files if name.startswith("tile/")]
