"""The catalogue, torn and whole."""

import csv
import io
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep import Choice, driver, points_of
from hwloop.experiments.sweep.catalogue import Catalogue, table
from hwloop.experiments.sweep.driver import run_study

from .studies import Pretence, begun, pretending, quick


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the folder of a study whose points are finished, without anybody who checks them."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "check", lambda *arguments: None)
        result = run_study(quick(), folder, engine=pretending())
        assert result.complete
        yield folder


@settings(deadline=None, max_examples=25)
@given(place=st.floats(0, 1), damage=st.sampled_from([b"", b"\0" * 700, b"x" * 5000]))
def test_a_torn_catalogue_is_made_anew(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, place: float, damage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("torn") / "study"
    shutil.copytree(finished, folder)
    path = folder / "catalogue.sqlite"
    content = path.read_bytes()
    start = int(place * len(content))
    rest = content[start + len(damage) :] if damage else b""
    path.write_bytes(content[:start] + damage + rest)
    result = run_study(quick(), folder, engine=pretending())
    assert result.complete
    assert len(begun(folder)) == len(result.rows)  # none was trained again
    assert [row.metric("pulses") for row in result.rows] == [7] * len(result.rows)


def test_a_catalogue_without_its_log_or_without_itself(finished: Path, tmp_path: Path) -> None:
    for name in ("catalogue.sqlite", "points.csv", "results.md"):
        folder = tmp_path / name
        shutil.copytree(finished, folder)
        (folder / name).unlink()
        result = run_study(quick(), folder, engine=pretending())
        assert result.complete
        assert len(begun(folder)) == len(result.rows)
        assert (folder / name).exists()


def test_a_point_whose_folder_is_removed_is_trained_again(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    before = begun(folder)
    shutil.rmtree(folder / "points" / before[0])
    assert run_study(quick(), folder, engine=pretending()).complete
    assert sorted(begun(folder)) == sorted(before)


def test_a_result_that_cannot_be_used_is_made_again(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    wrong = ["", "{", "[]", '{"state": "finished"}', '{"hash": "other", "state": "finished"}']
    for hash_, text in zip(begun(folder), wrong, strict=False):
        (folder / "points" / hash_ / "result.json").write_text(text)
    assert run_study(quick(), folder, engine=pretending()).complete
    assert len(begun(folder)) == 6 + len(wrong)


def test_one_driver_at_a_time(finished: Path) -> None:
    class Second(Pretence):
        def poll(self, seconds: float) -> list[object]:
            with pytest.raises(ConfigurationError, match="written by another process"):
                run_study(quick(), finished, engine=pretending())
            raise KeyboardInterrupt

    (victim, *_) = sorted((finished / "points").iterdir())
    engine = Second()
    longer = quick().model_copy(update={"seeds": (1, 2, 3)})
    with pytest.raises(KeyboardInterrupt):
        run_study(longer, finished, engine=lambda folder, points: engine, choice=Choice(limit=1))
    assert engine.closed
    assert victim.exists()


def test_another_study_is_not_written_over(finished: Path, tmp_path: Path) -> None:
    other = quick().model_copy(update={"name": "other"})
    with pytest.raises(ConfigurationError, match="holds the study quick, not other"):
        run_study(other, finished, engine=pretending())
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigurationError, match="holds no study"):
        run_study(other, tmp_path, engine=pretending())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_table_can_be_read_by_others(tmp_path: Path) -> None:
    points = points_of(quick(), "a")
    catalogue = Catalogue(tmp_path)
    catalogue.define(points)
    result = {"state": "finished", "summary": {"a": {"b": 0.25}}, "seconds": 1.5, "attempts": 2}
    catalogue.end(points[0].hash, result)
    error = '=cmd("x"), "quoted"\nand a second line'
    catalogue.end(points[1].hash, {"state": "failed", "summary": {}, "error": error})
    rows = list(
        csv.DictReader(io.StringIO(table(catalogue.rows(), ["algorithm.lr", "seed"], ["a.b"])))
    )
    catalogue.close()
    assert rows[0] == {
        "hash": points[0].hash,
        "algorithm.lr": "0.05",
        "seed": "1",
        "state": "finished",
        "a.b": "0.25",
        "seconds": "1.5",
        "attempts": "2",
        "error": "",
    }
    assert rows[1]["error"] == "'" + error  # no formula in a spreadsheet
    assert [row["state"] for row in rows[2:]] == ["waiting"] * 4
    query = "SELECT json_extract(summary, '$.a.b') FROM points WHERE state = 'finished'"
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as db:
        assert db.execute(query).fetchall() == [(0.25,)]
    db.close()
