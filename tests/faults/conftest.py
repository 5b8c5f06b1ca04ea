"""Schedules, chips that outlive their drivers, and runs on them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import fault_schedules as schedules  # noqa: E402


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> schedules.Template:
    """Return cells of chips that were never booted, and their device files."""
    return schedules.Template(tmp_path_factory.mktemp("chips") / "template")


class Bench:
    """A chip that outlives its driver and shows no state, and a run on it.

    Attributes:
        case: chip, run folder and accounts.
    """

    def __init__(self, template: schedules.Template, folder: Path, training: bool) -> None:
        schedule = schedules.Schedule(
            0, training, True, "driver killed", False, np.random.default_rng(1)
        )
        self.case = schedules.Case(schedule, template, folder)
        assert self.case.chip is not None and self.case.arm is not None
        self.chip, self.arm, self.run = self.case.chip, self.case.arm, self.case.run
        self.training = training

    @property
    def settings(self):  # type: ignore[no-untyped-def]
        """What is run."""
        return schedules.settings(self.training, self.chip.url, self.case.file)

    def begin(self, before=lambda: None):  # type: ignore[no-untyped-def]
        """Run in a process of its own, `before` being called there first; return its exit."""

        def work() -> None:
            before()
            if self.training:
                schedules.train.train_run(self.settings, out=self.run, arm=self.arm)
            else:
                schedules.measure.measure_run(self.settings, out=self.run, arm=self.arm)

        return schedules.in_child(work)

    def account(self) -> tuple[int, int]:
        """Return pulses given twice, and pulses reported that no cell has had."""
        self.case.outcome.result = "complete"
        self.case._account()
        return self.case.outcome.twice, self.case.outcome.missing


@pytest.fixture
def bench(template, tmp_path, monkeypatch) -> Iterator:  # type: ignore[no-untyped-def,type-arg]
    """Make benches: `bench(training=True)`; their chips are killed in the end."""
    monkeypatch.setenv("HWLOOP_STATE", str(tmp_path / "state"))
    made: list[Bench] = []

    def make(*, training: bool) -> Bench:
        made.append(Bench(template, tmp_path, training))
        return made[-1]

    yield make
    for one in made:
        one.chip.close()
