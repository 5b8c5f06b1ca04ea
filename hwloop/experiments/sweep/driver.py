"""The driver of a study: it checks the points, hands them out, and takes in what workers leave."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import JsonValue

from hwloop.device_file.explain import nearest
from hwloop.errors import ConfigurationError, CrossbarError
from hwloop.experiments.run_folder import RunFolder, write_atomically
from hwloop.experiments.sweep.catalogue import RUNNING, WAITING, Catalogue, Row
from hwloop.experiments.sweep.check import check
from hwloop.experiments.sweep.engine import Ended, Engine, EngineMaker
from hwloop.experiments.sweep.loading import dump_study, load_study, parse_study
from hwloop.experiments.sweep.local import local_workers
from hwloop.experiments.sweep.places import POINTS, STUDY, point_folder
from hwloop.experiments.sweep.points import Point, points_of
from hwloop.experiments.sweep.results import StudyResult, write_results
from hwloop.experiments.sweep.study import Study
from hwloop.experiments.sweep.work import (
    FAILED,
    FINISHED,
    Task,
    attempts,
    forget,
    read_result,
)

SECONDS_BETWEEN_LOOKS = 0.25
SECONDS_FOR_SHARED_FOLDERS = 5.0
"""How long a shared folder may take to show the result that a worker of another host has left."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a study is.

    Attributes:
        name: name of the study.
        folder: its folder.
        rows: its points.
        seconds: since the driver began.
        seconds_left: estimate of what is left; None where nothing is known.
    """

    name: str
    folder: Path
    rows: Sequence[Row]
    seconds: float
    seconds_left: float | None


class Watcher(Protocol):
    """Who is told how a study goes on."""

    def checking(self, done: int, total: int) -> None:
        """Take note of how many different points were checked."""
        ...

    def state(self, state: State) -> None:
        """Take note of how far the study is; called several times a second."""
        ...

    def ended(self, row: Row, done: int, total: int) -> None:
        """Take note of a point that is finished or has failed."""
        ...

    def note(self, text: str) -> None:
        """Take note of something that the user should know."""
        ...


class Silent:
    """A watcher that says nothing."""

    def checking(self, done: int, total: int) -> None:
        """Say nothing."""

    def state(self, state: State) -> None:
        """Say nothing."""

    def ended(self, row: Row, done: int, total: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which points of a study are trained this time.

    Attributes:
        only: settings that a point has to have.
        limit: the most points; None for all.
        retry_failed: whether points that failed before are tried again.
    """

    only: Mapping[str, JsonValue] | None = None
    limit: int | None = None
    retry_failed: bool = False


def run_study(
    study: Study | str | Path,
    folder: Path,
    *,
    engine: EngineMaker | None = None,
    changes: Mapping[str, JsonValue] | None = None,
    choice: Choice | None = None,
    watcher: Watcher | None = None,
) -> StudyResult:
    """Train the points of a study that are not finished yet, and write tables and pictures.

    A folder that holds the study already goes on from where it is, whatever ended it.

    Args:
        study: the study, its file, or the name of a shipped one.
        folder: where it is written; made where it is missing.
        engine: who runs the points: `local_workers()` by default, or `dask_cluster(ADDRESS)`.
        changes: settings in place of those of the study's base, by dotted keys.
        choice: which points are trained this time; all by default.
        watcher: who is told how it goes on.

    Raises:
        CrossbarError: the study does not work out, and nothing is trained.
        KeyboardInterrupt: Ctrl-C; the workers have ended, and the same call goes on.
    """
    where = str(study) if not isinstance(study, Study) else study.name
    loaded = study if isinstance(study, Study) else load_study(study)
    points = points_of(loaded, where, changes)
    chosen = _chosen(points, choice or Choice(), where)
    with _study_folder(folder, loaded) as place, _disk_errors(place):
        driver = _Driver(loaded, place, points, watcher or Silent())
        try:
            driver.take_in()
            waiting = driver.waiting(chosen, choice or Choice())
            driver.check(waiting, where)
            if waiting:
                running = (engine or local_workers())(place, len(waiting))
                try:
                    driver.run(running, waiting)
                finally:
                    running.close()
            return driver.results()
        finally:
            driver.close()


def rehearse(
    study: Study | str | Path,
    where: str,
    *,
    changes: Mapping[str, JsonValue] | None = None,
    choice: Choice | None = None,
    watcher: Watcher | None = None,
) -> list[tuple[Point, float]]:
    """Check the points of a study; return them with the seconds that each takes in one thread.

    Nothing is written. Arguments are those of `run_study`; `where` names the study in messages.

    Raises:
        CrossbarError: points will not work.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    wanted = choice or Choice()
    points = _chosen(points_of(loaded, where, changes), wanted, where)
    seconds: dict[str, float] = {}

    def checked(group: Sequence[Point], each: float) -> None:
        seconds.update({point.hash: each for point in group})

    points = points if wanted.limit is None else points[: wanted.limit]
    check(points, where, checked, (watcher or Silent()).checking)
    return [(point, seconds[point.hash]) for point in points]


class _Driver:
    """The one writer of a study's catalogue."""

    def __init__(
        self, study: Study, folder: Path, points: Sequence[Point], watcher: Watcher
    ) -> None:
        self._study, self._folder, self._watcher = study, folder, watcher
        self._points = {point.hash: point for point in points}
        self._started = time.monotonic()
        self._ended_here = 0
        self._metrics_known = False
        self._catalogue = Catalogue(folder)
        if self._catalogue.set_aside is not None:
            watcher.note(
                f"the catalogue was damaged and is made anew from the points' folders; what was "
                f"left of it: {self._catalogue.set_aside}"
            )
        self._catalogue.define(points)
        self._rows = {row.hash: row for row in self._catalogue.rows()}

    def close(self) -> None:
        self._catalogue.close()

    def take_in(self) -> None:
        """Take in what workers left, whether an earlier driver lived to note it or not."""
        for row in list(self._rows.values()):
            result = read_result(point_folder(self._folder, row.hash))
            if result is not None and (row.state != FAILED or result["state"] == FINISHED):
                self._note_end(row.hash, result)

    def waiting(self, chosen: Sequence[Point], choice: Choice) -> list[Point]:
        """Return the chosen points that are to be trained, and forget the failures among them."""
        found = []
        for point in chosen:
            state = self._rows[point.hash].state
            if state == FINISHED or (state == FAILED and not choice.retry_failed):
                continue
            found.append(point)
        found = found if choice.limit is None else found[: choice.limit]
        for point in found:
            if self._rows[point.hash].state == FAILED:
                forget(point_folder(self._folder, point.hash))
                self._catalogue.wait(point.hash)
                self._set(point.hash, state=WAITING, error="", summary={})
        return found

    def check(self, points: Sequence[Point], where: str) -> None:
        """Check the points that were not checked before."""
        unchecked = [p for p in points if self._rows[p.hash].expected_seconds is None]
        if unchecked:
            check(unchecked, where, self._expect, self._watcher.checking)

    def run(self, engine: Engine, points: Sequence[Point]) -> None:
        """Hand out points until all of them have ended."""
        self._started, waiting, running = time.monotonic(), deque(points), set[str]()
        while waiting or running:
            while waiting and len(running) < engine.slots:
                point = waiting.popleft()
                running.add(point.hash)
                self._catalogue.begin(point.hash)
                self._set(point.hash, state=RUNNING)
                engine.start(self._task(point))
            self._watcher.state(self._state(len(waiting) + len(running), engine.slots))
            for ended in engine.poll(SECONDS_BETWEEN_LOOKS):
                running.discard(ended.hash)
                self._end(ended, len(points) - len(waiting) - len(running), len(points))
            for text in engine.notes():
                self._watcher.note(text)

    def results(self) -> StudyResult:
        """Write what came out, so far."""
        return write_results(self._study, self._folder, list(self._rows.values()))

    def _task(self, point: Point) -> Task:
        config = point.config.model_dump(mode="json")
        return Task(str(self._folder), point.hash, config, self._study.keep_tapes)

    def _expect(self, points: Sequence[Point], seconds: float) -> None:
        self._catalogue.expect([point.hash for point in points], seconds)
        for point in points:
            self._set(point.hash, expected_seconds=seconds)

    def _end(self, ended: Ended, done: int, total: int) -> None:
        folder = point_folder(self._folder, ended.hash)
        result = read_result(folder)
        patience = time.monotonic() + SECONDS_FOR_SHARED_FOLDERS
        while result is None and not ended.lost and time.monotonic() < patience:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            result = read_result(folder)
        if result is None:
            reason = ended.lost or "its worker left no result"
            begun = attempts(folder)
            result = {"state": FAILED, "summary": {}, "error": reason, "attempts": begun}
        self._ended_here += 1
        self._note_end(ended.hash, result)
        self._watcher.ended(self._rows[ended.hash], done, total)

    def _note_end(self, hash_: str, result: Mapping[str, Any]) -> None:
        self._catalogue.end(hash_, result)
        self._set(
            hash_,
            state=result["state"],
            summary=result["summary"],
            seconds=result.get("seconds"),
            attempts=result.get("attempts", 0),
            error=result.get("error", ""),
        )
        if result["state"] == FINISHED and not self._metrics_known:
            self._metrics_known = True
            for text in missing_metrics(self._study, self._rows[hash_]):
                self._watcher.note(text)

    def _set(self, hash_: str, **values: Any) -> None:
        self._rows[hash_] = replace(self._rows[hash_], **values)

    def _state(self, left: int, slots: int) -> State:
        rows, seconds = list(self._rows.values()), time.monotonic() - self._started
        if self._ended_here:
            seconds_left: float | None = left * seconds / self._ended_here
        else:
            expected = [r.expected_seconds for r in rows if r.state in (WAITING, RUNNING)]
            known = [value for value in expected if value is not None]
            seconds_left = left * sum(known) / len(known) / slots if known else None
        return State(self._study.name, self._folder, rows, seconds, seconds_left)


def missing_metrics(study: Study, row: Row) -> list[str]:
    """Return what is to be said of metrics that the summary of a finished point does not have."""
    known = sorted(row.summary)
    found = []
    for key in dict.fromkeys([*study.metrics, *(plot.y for plot in study.plots)]):
        if key.split(".")[0] not in known:
            near = nearest(key, known)
            remedy = f"did you mean {near}?" if near else f"it has {', '.join(known)}"
            found.append(
                f"metric {key}: the summary of a run has no such key; {remedy} Mend it in the "
                "study file when you like: no point is trained again for it"
            )
    return found


def _chosen(points: Sequence[Point], choice: Choice, where: str) -> list[Point]:
    only = choice.only or {}
    found = [p for p in points if all(p.settings.get(k) == v for k, v in only.items())]
    if not found:
        known = sorted({key for point in points for key in point.settings})
        raise ConfigurationError(
            f"{where}: no point has " + ", ".join(f"{k}={v}" for k, v in only.items()),
            remedy=f"--dry-run lists all points; they differ in {', '.join(known)}",
        )
    return found


@contextmanager
def _study_folder(folder: Path, study: Study) -> Iterator[Path]:
    """Make or open the folder of a study, for one driver; a new one is removed on refusal."""
    place = folder.absolute()
    new = not place.is_dir() or not any(place.iterdir())
    if not new:
        _require_same_study(place, study)
    try:
        (place / POINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror}",
            remedy="name another one with --out",
        ) from error
    with RunFolder(place).lock():
        write_atomically(place / STUDY, dump_study(study))
        try:
            yield place
        except CrossbarError:
            if new and not any((place / POINTS).iterdir()):
                shutil.rmtree(place)
            raise


def _require_same_study(place: Path, study: Study) -> None:
    try:
        there = parse_study((place / STUDY).read_text(encoding="utf-8"), str(place / STUDY)).name
    except (OSError, UnicodeDecodeError, ConfigurationError):
        there = None
    if there != study.name:
        what = "holds no study" if there is None else f"holds the study {there}"
        raise ConfigurationError(
            f"{place} {what}, not {study.name}", remedy="name another folder with --out"
        )


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error of the family."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error}",
            remedy="make room, then give the same command: finished points stay finished",
        ) from error
