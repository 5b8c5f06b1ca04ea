"""What a study leaves: a table of points, a page with means and standard errors, and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwloop.experiments.reproduce.drawing import COLOURS
from hwloop.experiments.run_folder import replace_atomically, write_atomically
from hwloop.experiments.sweep.catalogue import Row, table
from hwloop.experiments.sweep.groups import Group, Mean, groups_of
from hwloop.experiments.sweep.places import RESULTS, TABLE
from hwloop.experiments.sweep.points import describe, plain
from hwloop.experiments.sweep.study import SEED, Plot, Study
from hwloop.experiments.sweep.work import FAILED, FINISHED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hwloop.report.sweeps import Curve


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What came out of a study, so far.

    Attributes:
        study: the study.
        folder: its folder.
        rows: its points.
        pictures: the files of its plots.
    """

    study: Study
    folder: Path
    rows: Sequence[Row]
    pictures: Sequence[Path] = ()

    @property
    def groups(self) -> list[Group]:
        """The points, those together that differ in their seeds alone."""
        return groups_of(self.rows)

    @property
    def complete(self) -> bool:
        """Whether every point is finished."""
        return self.count(FINISHED) == len(self.rows)

    @property
    def csv(self) -> str:
        """The points as CSV."""
        return table(self.rows, (*self.study.labels, SEED), self.study.metrics)

    def count(self, state: str) -> int:
        """Return the number of points in a state."""
        return sum(row.state == state for row in self.rows)


def write_results(study: Study, folder: Path, rows: Sequence[Row]) -> StudyResult:
    """Write table, pictures and page of a study into its folder."""
    result = StudyResult(study, folder, rows)
    write_atomically(folder / TABLE, result.csv)
    pictures = [path for plot in study.plots if (path := _write_picture(result, plot)) is not None]
    result = replace(result, pictures=pictures)
    write_atomically(folder / RESULTS, page(result))
    return result


def page(result: StudyResult) -> str:
    """Return what came out as Markdown."""
    study = result.study
    lines = [f"# {study.name}", ""]
    if study.description:
        lines += [study.description, ""]
    seeds = ", ".join(map(str, study.seeds))
    lines += [
        f"{len(result.rows)} points, {result.count(FINISHED)} finished, {result.count(FAILED)} "
        f"failed; seeds {seeds}. Values are mean ± standard error of the finished seeds.",
        "",
    ]
    head = [*study.labels, "seeds", *study.metrics]
    lines += [_line(head), _line(["---"] * len(head))]
    for group in result.groups:
        settings = [plain(group.settings.get(key)) for key in study.labels]
        values = [metric_text(key, group.mean(key)) for key in study.metrics]
        lines.append(_line([*settings, str(group.finished), *values]))
    for path in result.pictures:
        lines += ["", f"![{path.stem}]({path.name})"]
    failed = [row for row in result.rows if row.state == FAILED]
    if failed:
        lines += ["", "Failed points:", ""]
        lines += [f"- {describe(row.settings)}: {' '.join(row.error.split())}" for row in failed]
    return "\n".join(lines) + "\n"


def metric_text(key: str, mean: Mean | None) -> str:
    """Return a mean with its standard error, in percent where it is an accuracy."""
    if mean is None:
        return "–"
    scale, unit = (100, " %") if is_share(key) else (1, "")
    value, error = mean.value * scale, mean.error * scale
    if not error > 0:  # one seed, or equal values
        text = f"{value:.2f}" if unit else f"{value:.4g}"
        return f"{text}{'' if math.isnan(error) else ' ± 0'}{unit}"
    digits = 1 - math.floor(math.log10(error))
    if digits < 0 or digits > 9:
        return f"{value:.4g} ± {error:.2g}{unit}"
    return f"{value:.{digits}f} ± {error:.{digits}f}{unit}"


def is_share(key: str) -> bool:
    """Return whether a metric is a share that reads better in percent."""
    return key.endswith("accuracy")


def _write_picture(result: StudyResult, plot: Plot) -> Path | None:
    if not result.count(FINISHED):
        return None
    from hwloop.report.style import style

    figure = picture(result, plot)
    if figure is None:
        return None
    path = result.folder / plot.file
    with style():
        replace_atomically(path, lambda to: figure.savefig(to, format="png", dpi=150))
    return path


def picture(result: StudyResult, plot: Plot) -> Figure | None:
    """Return a picture of a study; None where no point has the metric."""
    from hwloop.report.sweeps import sweep_figure

    curves = curves_of(result.groups, plot)
    if not curves:
        return None
    return sweep_figure(
        curves,
        x_label=plot.x_label or plot.x,
        y_label=plot.y_label or plot.y.replace("_", " "),
        title=plot.title,
        x_scale=plot.x_scale,
        y_scale=plot.y_scale,
        percent=is_share(plot.y),
        joined=result.study.random is None,
    )


def curves_of(groups: Sequence[Group], plot: Plot) -> list[Curve]:
    """Return the curves of a picture; groups without the metric or the key are left out."""
    from hwloop.report.sweeps import Curve

    found: dict[str, list[tuple[Any, Mean]]] = {}
    for group in groups:
        mean, x = group.mean(plot.y), group.settings.get(plot.x)
        if mean is not None and x is not None:
            label = ", ".join(_name(key, group.settings.get(key)) for key in plot.curves)
            found.setdefault(label, []).append((x, mean))
    curves = []
    numbers = all(
        isinstance(x, int | float) and not isinstance(x, bool)
        for points in found.values()
        for x, _ in points
    )
    for label, points in found.items():
        if numbers:
            points = sorted(points, key=lambda point: point[0])
        means = [mean for _, mean in points]
        curves.append(
            Curve(
                label=label,
                x=[float(x) for x, _ in points] if numbers else [plain(x) for x, _ in points],
                mean=[mean.value for mean in means],
                error=[mean.error for mean in means],
                seeds=[mean.seeds for mean in means],
                colour=COLOURS.get(label.lower()),
            )
        )
    return curves


def _name(key: str, value: Any) -> str:
    """Return how a curve is called: texts speak for themselves, numbers need their key."""
    return value if isinstance(value, str) else f"{key}={plain(value)}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
