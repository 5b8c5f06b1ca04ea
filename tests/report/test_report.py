"""The report of a run: made from its folder alone, complete in itself."""

import base64
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import tiny

from hwloop.experiments.train import train_run
from hwloop.report import write_report
from hwloop.report.arrays import last_layers
from hwloop.report.curves import learning_curves
from hwloop.report.link import link_figure
from hwloop.report.page import quantity, render
from hwloop.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(tiny(report__html=True), out=tmp_path_factory.mktemp("run") / "1")


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(run.folder, tmp_path / "copy")))


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.addresses += [v or "" for k, v in attributes if k in ("src", "href")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attributes if k in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_run_leaves_a_report(run: Run) -> None:
    assert run.report is not None
    text = run.report.read_text(encoding="utf-8")
    summary = run.summary
    assert "<title>c-ttv2 on simulated reram-om</title>" in text
    assert f"{100 * summary['test_accuracy']:.2f} %" in text
    assert f"{100 * summary['float_test_accuracy']:.2f} %" in text
    assert summary["tape_hash"] in text
    for words in ("Learning curves", "The array at the end of the run", "gamma0", "sim-reram-om-1"):
        assert words in text
    assert "Layer 1: 64 inputs, 8 outputs" in text
    assert "Layer 2: 8 inputs, 10 outputs" in text


def test_reports_are_well_formed_and_need_nothing_else(run: Run) -> None:
    assert run.report is not None
    text = run.report.read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.open == []
    assert all(address.startswith(("data:", "#")) for address in tags.addresses)
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert len(pictures) == 2
    assert all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)
    assert text.count("<svg") == 1


def test_layers_are_those_of_the_last_checkpoint(run: Run) -> None:
    first, second = last_layers(run)
    weights, fast = first.tiles
    assert (weights.name, fast.name) == ("W", "A")
    assert weights.difference.shape == (8, 64)
    assert first.hidden is not None
    assert first.hidden.shape == (8, 64)
    assert second.tiles[0].pulses.shape == (10, 8)
    total = sum(int(tile.pulses.sum()) for layer in (first, second) for tile in layer.tiles)
    assert total == run.summary["pulses"]
    assert 1e-7 < np.abs(weights.difference).max() < 2e-4  # siemens
    assert np.abs(first.hidden).max() <= 1


def test_one_tile_per_layer(tmp_path: Path) -> None:
    run = train_run(tiny(algorithm__name="sgd", schedule__limit=3), out=tmp_path / "1")
    layers = last_layers(run)
    assert [len(layer.tiles) for layer in layers] == [1, 1]
    assert layers[0].hidden is None
    assert "sgd on" in write_report(run).read_text()


def test_reports_are_made_anew_from_the_folder(copy: Run) -> None:
    assert copy.report is not None
    copy.report.unlink()
    (copy.folder / "tape.bin").unlink()
    assert write_report(copy) == copy.folder / "report.html"
    assert not list(copy.folder.glob(".partial*"))


def test_incomplete_runs_have_reports(copy: Run) -> None:
    (copy.folder / "summary.json").unlink()
    text = render(copy)
    assert "not complete: 40 batches so far" in text
    assert "The array at the last checkpoint" in text
    shutil.rmtree(copy.folder / "checkpoints")
    (copy.folder / "metrics.jsonl").write_text("")
    assert "The run has no checkpoint yet." in render(copy)


def test_what_users_wrote_is_escaped(copy: Run) -> None:
    shutil.rmtree(copy.folder / "checkpoints")
    config = copy.folder / "config.yaml"
    config.write_text(config.read_text().replace("source: digits", "source: <script>x</script>"))
    assert "<script>" not in render(copy)


def test_curves_without_a_float_network() -> None:
    rows = [
        {"kind": "batch", "progress": 0.5, "loss": 1.0, "float_loss": None, "pulses": 5},
        {"kind": "epoch", "progress": 1.0, "test_accuracy": 0.5, "float_test_accuracy": None},
    ]
    axes = learning_curves(rows).axes
    assert [len(a.lines) for a in axes] == [1, 1, 1]
    assert [len(a.lines) for a in learning_curves([]).axes] == [0, 0, 0]


def test_quantities() -> None:
    assert quantity(None) == "–"
    assert quantity(12) == "12"
    assert quantity(591_337_622) == "591.34 M"
    assert quantity(4.01, "s") == "4.01 s"


def test_layers_have_pictures_of_what_they_are(run: Run) -> None:
    from hwloop.report.maps import layer_figure

    titles = [axes.get_title(loc="left") for axes in layer_figure(last_layers(run)[0]).axes]
    assert "W, weights: difference, µS" in titles
    assert "A: reference, µS" in titles
    assert "H: hidden matrix, pulses" in titles
    assert sum("pulses per cell" in title for title in titles) == 2


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run over a link with faults."""
    url = "emulator:native,shape=2x8x64+2x10x8,faults=1e-4,timeout=20"
    config = tiny(backend__url=url, schedule__limit=8, schedule__epochs=1, report__html=True)
    return train_run(config, out=tmp_path_factory.mktemp("linked") / "1")


def test_a_run_over_a_link_shows_its_health(linked: Run, run: Run) -> None:
    assert linked.report is not None
    text = linked.report.read_text(encoding="utf-8")
    link = linked.summary["link"]
    assert link["frames_resent"] > 0
    assert sum(link["round_trips"]) > 0
    assert "<h2>Link</h2>" in text
    assert text.count("<svg") == 2
    assert Tags(text).open == []
    for row in (f"{link['frames_sent']:,}", f"{link['frames_resent']:,} (", "wrong check"):
        assert row in text
    assert run.report is not None
    assert "<h2>Link</h2>" not in run.report.read_text(encoding="utf-8")


def test_a_run_under_way_shows_the_health_of_its_link(linked: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(linked.folder, tmp_path / "copy")))
    (copy.folder / "summary.json").unlink()
    assert "<h2>Link</h2>" in render(copy)


def test_pictures_of_a_link() -> None:
    counters = {"round_trips": [0, 0, 3, 0, 5, 1, 0]}
    rows = [
        {"progress": at, "link": dict(zip(("frames_sent", "frames_resent"), sent, strict=True))}
        for at, sent in ((0.5, (10, 1)), (1.0, (30, 1)), (1.0, (40, 4)), (1.5, (5, 5)))
    ]
    for row in rows:
        row["link"] |= {"frames_received": 0, "frames_bad": 0}
    trips, losses = link_figure(counters, rows).axes
    (histogram,) = trips.patches
    assert list(histogram.get_data().values) == [3, 0, 5, 1]
    assert list(histogram.get_data().edges) == [2e-6, 4e-6, 8e-6, 16e-6, 32e-6]
    again, bad = losses.patches
    assert list(again.get_data().edges) == [0.0, 0.5, 1.0, 1.5]
    # Of 10, of 30 more, and of 5 after a resumption.
    assert list(again.get_data().values) == [0.1, 0.1, 1.0]
    assert list(bad.get_data().values) == [0, 0, 0]
    assert not any(axes.patches for axes in link_figure({"round_trips": []}, []).axes)
