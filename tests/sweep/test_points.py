"""How the points of a study come about, and what identifies them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.errors import ConfigurationError
from hwloop.experiments.config import load_config
from hwloop.experiments.sweep import Draw, Study, parse_study, points_of
from hwloop.experiments.sweep.points import combinations, configuration, drawn, identity

from .studies import quick

RATES = st.lists(st.floats(1e-6, 10), min_size=1, max_size=3, unique=True)
COUNTS = st.lists(st.integers(1, 50), min_size=1, max_size=3, unique=True)
SEEDS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=2, unique=True)


@settings(deadline=None, max_examples=25)
@given(rates=RATES, epochs=COUNTS, batches=COUNTS, seeds=SEEDS)
def test_every_combination_is_there_once(
    rates: list[float], epochs: list[int], batches: list[int], seeds: list[int]
) -> None:
    limits = [10 * n for n in batches]
    study = Study(
        name="a",
        grid={"algorithm.lr": rates, "schedule.epochs": epochs},
        zip={"schedule.batch": batches, "schedule.limit": limits},
        cases={"one": {"algorithm.name": "sgd"}, "two": {"algorithm.name": "ttv2"}},
        seeds=seeds,
    )
    points = points_of(study, "a")
    found = {
        (
            p.config.algorithm.lr,
            p.config.schedule.epochs,
            p.config.schedule.batch,
            p.config.schedule.limit,
            p.config.algorithm.name,
            p.config.seed,
        )
        for p in points
    }
    expected = {
        (lr, epoch, batch, limit, name, seed)
        for lr in rates
        for epoch in epochs
        for batch, limit in zip(batches, limits, strict=True)
        for name in ("sgd", "ttv2")
        for seed in seeds
    }
    assert found == expected
    assert len(points) == len({p.hash for p in points}) == study.size == len(expected)
    for point in points:  # the labels say what the configuration holds
        assert point.settings["algorithm.lr"] == point.config.algorithm.lr
        assert point.settings["case"] == {"sgd": "one", "ttv2": "two"}[point.config.algorithm.name]
    # One seed after the other, so that a study that is stopped early is even.
    assert [p.settings["seed"] for p in points] == [s for s in seeds for _ in points[:: len(seeds)]]


@given(
    points=st.integers(1, 40),
    more=st.integers(0, 40),
    seed=st.integers(0, 2**63 - 1),
    low=st.floats(1e-6, 1),
    ratio=st.floats(1.01, 1e6),
)
def test_drawn_values_stay_when_points_are_added(
    points: int, more: int, seed: int, low: float, ratio: float
) -> None:
    high = low * ratio
    for draw in (
        Draw(uniform=(low, high)),
        Draw(log_uniform=(low, high)),
        Draw(choice=(1, "two", None)),
    ):
        values = drawn(draw, points + more, seed, "a.b")
        assert drawn(draw, points, seed, "a.b") == values[:points]
        if draw.choice is None:
            assert all(low * (1 - 1e-5) <= value <= high * (1 + 1e-5) for value in values)
        else:
            assert set(values) <= set(draw.choice)


def test_draws_fill_their_range_and_differ_between_keys() -> None:
    values = drawn(Draw(log_uniform=(1e-3, 10)), 4000, 1, "a")
    assert values != drawn(Draw(log_uniform=(1e-3, 10)), 4000, 1, "b")
    # A share of 1/4 for each decade, within five standard deviations of 0.7 points.
    for decade in range(-3, 1):
        share = sum(10.0**decade <= v < 10.0 ** (decade + 1) for v in values) / len(values)
        assert abs(share - 0.25) < 0.035


def test_points_that_are_drawn_twice_are_trained_once() -> None:
    random = {"points": 9, "settings": {"algorithm.n_s": {"choice": [4, 5]}}}
    points = points_of(Study(name="a", random=random), "a")
    assert sorted(p.config.algorithm.options().n_s for p in points) == [4, 5]


def test_another_algorithm_takes_no_options_of_the_base() -> None:
    base = {"algorithm.n_s": 4, "algorithm.lr": 0.3, "schedule.epochs": 2}
    config = configuration(base, {"algorithm.name": "sgd"})
    assert config.algorithm == load_config(flags={"algorithm.name": "sgd"}).algorithm
    assert config.schedule.epochs == 2
    assert configuration({"network.hidden": [8]}, {"network.kind": "lenet"}).network.hidden == 128
    same = configuration(base, {"algorithm.name": "c-ttv2"})
    assert (same.algorithm.lr, same.algorithm.options().n_s) == (0.3, 4)


def test_options_of_the_array_go_into_its_url() -> None:
    base = {"backend.url": "sim:reram-om,reference_std=0.1,seed=3"}
    options = {"array.reference_std": 0.4, "array.static": True, "array.seed": None}
    config = configuration(base, options)
    assert config.backend.url == "sim:reram-om,reference_std=0.4,static=true"


def test_options_of_the_array_win_over_those_of_the_device() -> None:
    base = {"backend.device": "reram-om,reference_std=0.1,states=20"}
    config = configuration(base, {"array.reference_std": 0.4})
    assert config.backend.device == "reram-om,states=20"
    assert config.backend.url == "sim:reram-om,reference_std=0.4"


def test_what_does_not_change_a_result_does_not_change_the_identity() -> None:
    config = configuration({}, {"algorithm.lr": 0.1})
    assert identity(config) == identity(configuration({}, {"algorithm.lr": 1e-1}))
    assert identity(config) == identity(configuration({"report.every": 7}, {}))
    one = configuration({"backend.url": "sim:reram-om,seed=1,states=20"}, {})
    other = configuration({"backend.url": "sim:reram-om,states=20,seed=1"}, {})
    assert identity(one) == identity(other)
    for changed in ({"seed": 2}, {"schedule.float_lr": None}, {"array.seed": 1}):
        assert identity(config) != identity(configuration({}, changed))


def test_a_device_file_counts_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hashes = []
    for name, text in [("a.yaml", "one"), ("b.yaml", "one"), ("a.yaml", "two")]:
        Path(name).write_text(text)
        config = configuration({"backend.url": f"sim:{name}"}, {})
        assert config.backend.url == f"sim:{tmp_path / name}"  # found from any folder
        hashes.append(identity(config))
        assert identity(configuration({"backend.device": name}, {})) not in hashes
    assert hashes[0] == hashes[1] != hashes[2]


def test_identity_is_stable() -> None:
    text = "name: a\nzip:\n- {algorithm.lr: [0.1, 0.2], algorithm.n_s: [1, 2]}\nseeds: [5]"
    found = [labels for labels, _ in combinations(parse_study(text, "a"))]
    assert found == [
        {"algorithm.lr": 0.1, "algorithm.n_s": 1, "seed": 5},
        {"algorithm.lr": 0.2, "algorithm.n_s": 2, "seed": 5},
    ]
    assert [p.hash for p in points_of(quick(), "a")] == [p.hash for p in points_of(quick(), "b")]


def test_changes_of_the_base_are_not_for_what_varies() -> None:
    points = points_of(quick(), "a", {"schedule.limit": 2})
    assert {p.config.schedule.limit for p in points} == {2}
    for key in ("algorithm.lr", "algorithm"):
        with pytest.raises(ConfigurationError, match="the study varies it"):
            points_of(quick(), "a", {key: 1})
