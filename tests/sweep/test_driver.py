"""The driver, with engines that only pretend to train, and cut off at every step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep import Choice, Study, driver, points_of
from hwloop.experiments.sweep.catalogue import Catalogue
from hwloop.experiments.sweep.driver import run_study
from hwloop.experiments.sweep.engine import Ended
from hwloop.experiments.sweep.local import LocalEngine
from hwloop.experiments.sweep.work import Task

from .studies import PRETENDING_WORKER, Pretence, begun, pretending, quick

pytestmark = pytest.mark.usefixtures("unchecked")


class Cut(BaseException):
    """The driver is no more."""


def cut_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the driver be cut off when it has used catalogue, engine and folder so many times."""
    left = calls

    def wrap(owner: Any, name: str) -> None:
        whole: Callable[..., Any] = getattr(owner, name)

        def partial(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut
            return whole(*args, **options)

        monkeypatch.setattr(owner, name, partial)

    for name in ("define", "begin", "end"):
        wrap(Catalogue, name)
    for name in ("start", "poll"):
        wrap(Pretence, name)
    for name in ("read_result", "write_results"):
        wrap(driver, name)


@pytest.mark.parametrize("calls", range(0, 40, 4))
def test_a_driver_that_is_cut_off_repeats_nothing(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    while True:
        with monkeypatch.context() as patch:
            cut_after(calls, patch)
            try:
                result = run_study(quick(), tmp_path / "s", engine=pretending())
                break
            except Cut:
                calls += 7  # later each time, so that it comes to an end
    assert result.complete
    assert len(begun(tmp_path / "s")) == len(result.rows) == 6
    assert (tmp_path / "s" / "results.md").read_text().count("| 2 |") == 3


def test_a_changed_study_trains_what_is_new(tmp_path: Path) -> None:
    run_study(quick(), tmp_path / "s", engine=pretending())
    first = begun(tmp_path / "s")
    grid = {"algorithm.lr": (0.1, 0.2, 0.4), "schedule.epochs": (1,)}
    changed = quick().model_copy(update={"grid": grid})
    result = run_study(changed, tmp_path / "s", engine=pretending())
    assert len(result.rows) == 6 and result.complete
    assert len(begun(tmp_path / "s")) == 8
    again = run_study(quick(), tmp_path / "s", engine=pretending())
    assert sorted(row.hash for row in again.rows) == sorted(first) and again.complete
    assert len(begun(tmp_path / "s")) == 8


def test_a_point_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    points = points_of(quick(), "a")
    engine = Pretence(failing=[points[0].hash])
    result = run_study(quick(), tmp_path / "s", engine=lambda folder, points: engine)
    assert [row.state for row in result.rows] == ["failed"] + ["finished"] * 5
    assert result.rows[0].error == "its worker died"
    assert (
        "- algorithm.lr=0.05, seed=1: its worker died"
        in (tmp_path / "s" / "results.md").read_text()
    )
    # It is tried again when that is asked for.
    again = run_study(quick(), tmp_path / "s", engine=pretending())
    assert not again.complete
    retried = run_study(
        quick(), tmp_path / "s", engine=pretending(), choice=Choice(retry_failed=True)
    )
    assert retried.complete
    assert len(begun(tmp_path / "s")) == 7


def test_a_choice_of_points(tmp_path: Path) -> None:
    def run(choice: Choice) -> list[tuple[object, object]]:
        result = run_study(quick(), tmp_path / "s", engine=pretending(), choice=choice)
        return [
            (row.settings["algorithm.lr"], row.settings["seed"])
            for row in result.rows
            if row.state == "finished"
        ]

    assert run(Choice(only={"algorithm.lr": 0.1, "seed": 2})) == [(0.1, 2)]
    assert run(Choice(limit=2)) == [(0.05, 1), (0.1, 1), (0.1, 2)]
    with pytest.raises(ConfigurationError) as refusal:
        run(Choice(only={"algorithm.lr": 0.3}))
    assert "they differ in algorithm.lr, seed" in refusal.value.remedy


def test_a_metric_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    notes: list[tuple[int, str]] = []
    ended = 0

    class Watcher(driver.Silent):
        def note(self, text: str) -> None:
            notes.append((ended, text))

        def ended(self, row: object, done: int, total: int) -> None:
            nonlocal ended
            ended += 1

    study = quick("metrics: [test_acuracy, pulses]\n")
    run_study(study, tmp_path / "s", engine=pretending(), watcher=Watcher())
    ((when, text),) = notes
    assert when == 0  # with the first point, not after the last
    assert "did you mean test_accuracy?" in text


def task(folder: Path, name: str) -> Task:
    return Task(str(folder), name, {}, keep_tapes=False)


def ended(engine: LocalEngine, count: int) -> list[Ended]:
    found: list[Ended] = []
    while len(found) < count:
        found += engine.poll(5)
    return sorted(found, key=lambda e: e.hash)


def test_workers_that_die_are_replaced_but_not_for_ever(tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    engine = LocalEngine(2, tmp_path, PRETENDING_WORKER)
    engine.start(task(tmp_path, "once"))
    engine.start(task(tmp_path, "deadly"))
    deadly, once = ended(engine, 2)
    assert once == Ended("once")
    assert deadly.lost.startswith("3 workers died of it, the last: SIGKILL")
    assert (tmp_path / "points" / "deadly" / "begun").read_text() == "xxx"
    assert (tmp_path / "points" / "once" / "begun").read_text() == "xx"
    assert [note.split(";")[0] for note in engine.notes()].count(
        "the worker of point deadly died: SIGKILL"
    ) == 2
    engine.start(task(tmp_path, "plain"))
    assert ended(engine, 1) == [Ended("plain")]
    engine.close()
    assert engine.processes == []


def test_a_wrong_number_of_workers(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--workers 0"):
        LocalEngine(0, tmp_path)


def test_studies_can_be_made_without_a_file(tmp_path: Path) -> None:
    study = Study(name="made", seeds=[1, 2], metrics=["pulses"])
    result = run_study(study, tmp_path / "s", engine=pretending())
    (group,) = result.groups
    mean = group.mean("pulses")
    assert mean is not None and (mean.value, mean.error, mean.seeds) == (7.0, 0.0, 2)
