"""The quick forms reach their targets."""

import json

import pytest

from hwloop.cli import main
from hwloop.experiments.reproduce import xiao_tracking

DECIDED = {
    "rasch-fig3": 8,
    "rasch-fig4": 9,
    "wu-exact": 5,
    "kim-zero-shift": 4,
    "gdp": 6,
}
"""Checks that the quick form of a reproduction decides."""


@pytest.mark.parametrize(("name", "decided"), DECIDED.items())
def test_the_quick_form_reaches_its_targets(name, decided, tmp_path, capsys):
    code = main(["reproduce", name, "--json", "--out", str(tmp_path)])
    content = json.loads(capsys.readouterr().out)
    assert [c for c in content["checks"] if c["verdict"] == "NOT REACHED"] == []
    assert sum(c["verdict"] == "reached" for c in content["checks"]) == decided
    assert code == 0
    assert all((tmp_path / picture).stat().st_size > 5000 for picture in content["pictures"])


def test_an_e_rider_behind_ttv2_is_missed():
    accuracies = {(name, 0.4): xiao_tracking.PAPER[name][0.4] / 100 for name in xiao_tracking.PAPER}
    assert all(c.reached is not False for c in xiao_tracking.judge(accuracies, full=True))
    accuracies["e-rider", 0.4] = 0.5
    missed = [c for c in xiao_tracking.judge(accuracies, full=True) if c.reached is False]
    assert len(missed) == 2
