"""The folder of a run while it is written, and read again."""

import json
import os
from pathlib import Path

import pytest

import hwloop
from hwloop.errors import ConfigurationError
from hwloop.experiments.run_folder import RunFolder, write_atomically


def test_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunFolder.create(None).path == Path("runs/1")
    (tmp_path / "runs" / "7").mkdir()
    (tmp_path / "runs" / "mine").mkdir()
    assert RunFolder.create(None).path == Path("runs/8")


def test_a_folder_with_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert RunFolder.create(tmp_path / "empty").path == tmp_path / "empty"
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="is not empty"):
        RunFolder.create(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be made"):
        RunFolder.create(tmp_path / "file" / "below")


def test_only_one_process_writes(tmp_path: Path) -> None:
    folder, other = RunFolder(tmp_path), RunFolder(tmp_path)
    refused = pytest.raises(ConfigurationError, match="another process")
    with folder.lock(), refused, other.lock():
        pass
    with RunFolder(tmp_path).lock():
        pass


def test_the_two_last_checkpoints_are_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin("seed: 1\n")
    for batches in (5, 10, 100):
        folder.add_checkpoint(batches, lambda path: path.write_text("content"))
    names = [path.name for path in hwloop.load_run(tmp_path).checkpoints]
    assert names == ["batch-00000010.npz", "batch-00000100.npz"]


def test_a_failed_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_metrics_are_cut_and_torn_rows_left_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin("seed: 1\n")
    folder.add_metrics({"kind": "batch", "batch": 1})
    size = folder.metrics_size()
    folder.add_metrics({"kind": "epoch", "batch": 2})
    run = hwloop.load_run(tmp_path)
    assert [row["batch"] for row in run.epochs] == [2]
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "ba')
    assert [row["batch"] for row in run.metrics] == [1, 2]
    folder.cut_metrics(size)
    assert [row["batch"] for row in run.metrics] == [1]


def test_an_incomplete_run_says_how_to_go_on(tmp_path: Path) -> None:
    RunFolder(tmp_path).begin("seed: 1\n")
    run = hwloop.load_run(tmp_path)
    assert not run.complete
    assert run.report is None
    assert "not complete" in repr(run)
    with pytest.raises(ConfigurationError) as refusal:
        _ = run.summary
    assert "--resume" in refusal.value.remedy
    RunFolder(tmp_path).finish({"test_accuracy": 0.5})
    assert run.summary == {"test_accuracy": 0.5}


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a run"):
        hwloop.load_run(tmp_path / "missing")
    RunFolder(tmp_path).begin("seed: 1\n")
    with pytest.raises(ConfigurationError) as refusal:
        hwloop.load_run(tmp_path.parent)
    assert str(tmp_path) in refusal.value.remedy
    with pytest.raises(ConfigurationError, match=r"chip\.json cannot be read"):
        _ = hwloop.load_run(tmp_path).chip
    (tmp_path / "config.yaml").write_text("[]")
    with pytest.raises(ConfigurationError, match="no mapping"):
        _ = hwloop.load_run(tmp_path).config


def test_summaries_are_json(tmp_path: Path) -> None:
    RunFolder(tmp_path).finish({"a": None})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"a": None}
