"""Points looked at before the first one begins, as `hwloop train --dry-run` looks at a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hwloop import errors
from hwloop.backend import open_backend
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError
from hwloop.experiments.address import is_replay, is_simulator
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.sweep.points import MOST_PROBLEMS, Point, describe, identity
from hwloop.experiments.sweep.work import with_one_thread


def check(
    points: Sequence[Point],
    where: str,
    checked: Callable[[Sequence[Point], float], None],
    told: Callable[[int, int], None],
) -> None:
    """Try every point on a virtual copy of its array: its data, network, device and algorithm.

    Of points that differ in their seeds alone, the first is tried.

    Args:
        points: the points.
        where: name of the study in messages.
        checked: is given points that will work, and the seconds that one of them will take.
        told: is told how many are checked, and of how many.

    Raises:
        CrossbarError: some will not work; the error is that of the first.
    """
    alike: dict[str, list[Point]] = {}
    for point in points:
        alike.setdefault(identity(point.config.model_copy(update={"seed": 0})), []).append(point)
    problems: dict[str, list[Point]] = {}
    first: CrossbarError | None = None
    for i, group in enumerate(alike.values()):
        told(i, len(alike))
        try:
            checked(group, expected_seconds(group[0].config))
        except CrossbarError as error:
            first = first or error
            problems.setdefault(error.message, []).extend(group)
    told(len(alike), len(alike))
    if first is not None:
        lines = [f"{where}: {_named(group)}: {text}" for text, group in problems.items()]
        if len(lines) > MOST_PROBLEMS:
            lines[MOST_PROBLEMS:] = [f"{where}: and {len(lines) - MOST_PROBLEMS} more problems"]
        family = next(c for c in type(first).__mro__ if c.__module__ == errors.__name__)
        raise family("\n".join(lines), remedy=first.remedy) from first


def _named(points: Sequence[Point]) -> str:
    more = f" and {len(points) - 1} more points" if len(points) > 1 else ""
    return f"{describe(points[0].settings)}{more}"


def expected_seconds(config: TrainConfig) -> float:
    """Return the wall time of a run in one thread, estimated from its first batches.

    Raises:
        CrossbarError: the run would be refused.
    """
    from hwloop.experiments.estimate import estimate

    url = config.backend.url
    if is_replay(url):
        raise ConfigurationError(
            f"backend.url: {url}: a tape holds one run, a study makes many",
            remedy="use sim:, with the device file of the recorded array",
        )
    if not is_simulator(url):
        backend = open_backend(url)
        described = backend.describe()
        backend.close()
        if described.kind == "physical":
            raise CapabilityError(
                f"backend.url: {url}: {described.name} is one chip, a study makes many runs at a "
                "time",
                remedy="characterize it, and sweep over its model: sim:FILE",
            )
    return float(estimate(with_one_thread(config)).get("wall_seconds", 0.0))
