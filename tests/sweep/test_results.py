"""What a study leaves: means, standard errors, tables and pictures."""

import math
from pathlib import Path

import pytest

from hwloop.experiments.sweep import Plot, Row, Study
from hwloop.experiments.sweep.groups import Mean, groups_of
from hwloop.experiments.sweep.results import (
    StudyResult,
    curves_of,
    metric_text,
    picture,
    write_results,
)
from hwloop.report.sweeps import Curve, sweep_figure

STUDY = Study(
    name="made",
    description="What is asked | here",
    grid={"array.reference_std": [0.2, 0, 0.1]},
    cases={"c-TTv2": {"algorithm.name": "c-ttv2"}, "SGD": {"algorithm.name": "sgd"}},
    seeds=[1, 2],
    metrics=["test_accuracy", "link.bytes"],
    plots=[Plot(x="array.reference_std", curves="case", name="offset", x_scale="symlog")],
)


def row(x: float, case: str, seed: int, accuracy: float | None, state: str = "finished") -> Row:
    settings = {"array.reference_std": x, "case": case, "seed": seed}
    summary = {"test_accuracy": accuracy, "link": {"bytes": 100 * seed}}
    return Row(f"{x}{case}{seed}", settings, state, summary, 1.0, None, 1, "it broke")


ROWS = [
    row(0.2, "c-TTv2", 1, 0.90),
    row(0.2, "SGD", 1, 0.5),
    row(0.0, "c-TTv2", 1, 0.94),
    row(0.0, "SGD", 1, 0.8, "failed"),
    row(0.2, "c-TTv2", 2, 0.94),
    row(0.2, "SGD", 2, 0.5),
    row(0.0, "c-TTv2", 2, None),
    row(0.0, "SGD", 2, 0.8, "waiting"),
]


def test_means_are_over_the_finished_seeds() -> None:
    groups = {tuple(group.settings.values()): group for group in groups_of(ROWS)}
    assert len(groups) == 4
    mean = groups[0.2, "c-TTv2"].mean("test_accuracy")
    assert mean is not None
    # Two values that are 0.04 apart: deviation 0.04 / sqrt(2), standard error 0.02.
    assert (mean.value, mean.error) == (pytest.approx(0.92), pytest.approx(0.02))
    single = groups[0.0, "c-TTv2"].mean("test_accuracy")
    assert single is not None and single.seeds == 1 and math.isnan(single.error)
    assert groups[0.0, "SGD"].mean("test_accuracy") is None
    assert groups[0.2, "SGD"].mean("link.bytes") == Mean(150.0, 50.0, 2)


@pytest.mark.parametrize(
    ("key", "mean", "text"),
    [
        ("test_accuracy", Mean(0.92, 0.02, 2), "92.0 ± 2.0 %"),
        ("test_accuracy", Mean(0.92, 0.00123, 2), "92.00 ± 0.12 %"),
        ("test_accuracy", Mean(0.92, math.nan, 1), "92.00 %"),
        ("test_accuracy", Mean(0.5, 0.0, 3), "50.00 ± 0 %"),
        ("pulses", Mean(123456.0, 789.0, 3), "1.235e+05 ± 7.9e+02"),
        ("pulses", None, "–"),
    ],
)
def test_texts_of_metrics(key: str, mean: Mean | None, text: str) -> None:
    assert metric_text(key, mean) == text


def test_curves_rise_along_the_abscissa_and_leave_out_what_is_missing() -> None:
    c, sgd = curves_of(groups_of(ROWS), STUDY.plots[0])
    assert (c.label, c.x, c.seeds) == ("c-TTv2", [0.0, 0.2], [1, 2])
    assert c.mean == pytest.approx([0.94, 0.92])
    assert (sgd.label, sgd.x, sgd.mean, sgd.error) == ("SGD", [0.2], [0.5], [0.0])
    assert c.colour is not None and c.colour != sgd.colour


def test_the_picture_shows_what_it_says() -> None:
    figure = picture(StudyResult(STUDY, Path(), ROWS), STUDY.plots[0])
    assert figure is not None
    (axes,) = figure.axes
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["c-TTv2", "SGD"]
    line = handles[0].lines[0]
    assert list(line.get_xdata()) == [0.0, 0.2]
    bars = handles[0].lines[2][0].get_segments()
    heights = [segment[1][1] - segment[0][1] for segment in bars]
    assert heights == pytest.approx([0, 2 * 0.02])  # one standard error up, one down
    assert axes.get_xlabel() == "array.reference_std"
    assert [text.get_text() for text in figure.texts] == ["mean and standard error of 1 to 2 seeds"]


def test_abscissas_that_are_no_numbers() -> None:
    curve = Curve("", ["[8]", "[8, 4]"], [1.0, 2.0], [math.nan, math.nan], [1, 1])
    figure = sweep_figure([curve], x_label="network.hidden", y_label="y")
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["[8]", "[8, 4]"]
    assert [text.get_text() for text in figure.texts] == ["1 seed, no error bars"]


def test_the_page(tmp_path: Path) -> None:
    result = write_results(STUDY, tmp_path, ROWS)
    page = (tmp_path / "results.md").read_text()
    assert "8 points, 6 finished, 1 failed; seeds 1, 2." in page
    assert "| 0.2 | c-TTv2 | 2 | 92.0 ± 2.0 % | 150 ± 50 |" in page
    assert "| 0.0 | SGD | 0 | – | – |" in page
    assert "![offset](offset.png)" in page
    assert "- array.reference_std=0.0, case=SGD, seed=1: it broke" in page
    assert result.pictures == [tmp_path / "offset.png"]
    assert (tmp_path / "offset.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "offset.png",
        "points.csv",
        "results.md",
    ]
