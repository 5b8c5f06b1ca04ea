"""Points are tried before the first of them is trained."""

from pathlib import Path

import pytest

from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.experiments.sweep import points_of, rehearse, run_study
from hwloop.experiments.sweep.driver import Silent

from .studies import quick

WRONG = {
    "no such device": ({"backend.url": "sim:reram-omm"}, "no preset has this name", "reram-om?"),
    "no such option": (
        {"backend.url": "sim:reram-om,reference_sdt=3"},
        "option 'reference_sdt' is unknown",
        "did you mean reference_std?",
    ),
    "no data": ({"data.source": "no-such-folder"}, "no-such-folder", ""),
    "no weight would change": ({"algorithm.n_s": 100_000}, "no weight would ever change", "n_s"),
    "a tape": ({"backend.url": "replay:runs/7"}, "a tape holds one run", "sim:"),
}


@pytest.mark.parametrize("name", WRONG)
def test_points_that_cannot_work_are_refused_before_work(name: str, tmp_path: Path) -> None:
    changes, message, remedy = WRONG[name]
    with pytest.raises(ConfigurationError) as refusal:
        run_study(quick(), tmp_path / "s", changes=changes)
    assert "quick: algorithm.lr=0.05, seed=1 and 5 more points: " in refusal.value.message
    assert message in refusal.value.message
    assert remedy in refusal.value.remedy
    assert not (tmp_path / "s").exists()


def test_the_family_of_the_error_is_kept(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="do not fit the network"):
        run_study(quick(), tmp_path / "s", changes={"backend.url": "sim:reram-om,shape=3x3"})


def test_of_points_that_differ_in_seeds_one_is_tried() -> None:
    told: list[tuple[int, int]] = []

    class Watcher(Silent):
        def checking(self, done: int, total: int) -> None:
            told.append((done, total))

    expected = rehearse(quick(), "quick", watcher=Watcher())
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [point for point, _ in expected] == points_of(quick(), "quick")
    assert all(seconds > 0 for _, seconds in expected)
