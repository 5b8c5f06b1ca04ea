"""Every algorithm leaves the same tape on the simulator and on the firmware, and replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwloop.controllers import ALGORITHMS
from hwloop.experiments.replay import replay_run
from hwloop.experiments.train import resume_run, train_run
from tests.tiny_runs import tiny

BATCHES = 20
OPTIONS = {
    "agad": {"algorithm__period": 2},
    "mixed-precision": {"algorithm__lr": 1.0},
}
"""What makes the weights move within so few batches."""


@pytest.mark.parametrize("name", [options.name for options in ALGORITHMS])
def test_simulator_firmware_and_replay_agree(name: str, tmp_path: Path) -> None:
    two = next(o.tiles_per_layer for o in ALGORITHMS if o.name == name)
    chip = f"reram-om,shape={two}x8x64+{two}x10x8,seed=3"
    settings = {
        "algorithm__name": name,
        "schedule__limit": BATCHES,
        "schedule__batch": 10,
        **OPTIONS.get(name, {}),
    }
    runs = {
        kind: train_run(tiny(backend__url=url, **settings), out=tmp_path / kind)
        for kind, url in (("sim", f"sim:{chip}"), ("native", f"emulator:native,device={chip}"))
    }
    summary = runs["sim"].summary
    assert summary["batches"] == BATCHES
    assert summary["pulses"] > 0
    assert runs["native"].summary["tape_hash"] == summary["tape_hash"]
    replayed = replay_run(runs["sim"])
    assert replayed.same_hash
    assert replayed.operations == replayed.taped
    # From its last checkpoint but one the run goes on to the same tape.
    runs["sim"].checkpoints[-1].unlink()
    (runs["sim"].folder / "summary.json").unlink()
    assert resume_run(runs["sim"].folder).summary["tape_hash"] == summary["tape_hash"]
