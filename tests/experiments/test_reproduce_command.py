"""`hwloop reproduce`: what it prints, leaves and returns."""

import html
import json

import pytest

from hwloop.cli import main
from hwloop.experiments.reproduce import rasch_table1
from hwloop.experiments.reproduce.registry import MODULES, load
from hwloop.experiments.reproduce.stored import Parts


def test_a_result_is_printed_as_one_object_and_left_with_its_picture(tmp_path, capsys):
    assert main(["reproduce", "rasch-table1", "--json", "--out", str(tmp_path / "out")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "result.json").read_text())
    assert printed["reached"] is True
    assert {check["verdict"] for check in printed["checks"]} == {"reached", "not decided"}
    assert printed["pictures"] == ["time.png"]
    assert (tmp_path / "out" / "time.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 1
    assert all(html.escape(check["measured"]) in page for check in printed["checks"])


def test_a_missed_target_is_named_and_gives_exit_code_1(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(rasch_table1.TABLE, "sgd", "31.0")
    assert main(["reproduce", "rasch-table1", "--json", "--out", str(tmp_path)]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    missed = [check for check in checks if check["verdict"] == "NOT REACHED"]
    assert [(check["target"], check["measured"]) for check in missed] == [("31.0 ns", "30.9 ns")]


def test_an_unknown_name_is_refused_with_the_nearest_one(capsys):
    assert main(["reproduce", "rasch-fig5"]) == 2
    assert "did you mean rasch-fig" in capsys.readouterr().err


def test_a_missing_folder_of_data_is_refused(tmp_path, capsys):
    assert main(["reproduce", "wu-exact", "--data", str(tmp_path / "none")]) == 2
    assert "no folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", MODULES)
def test_every_name_says_what_it_shows_and_how_long_it_takes(name):
    reproduction = load(name)
    assert reproduction.name == name
    assert "second" in reproduction.quick or "minute" in reproduction.quick
    assert any(unit in reproduction.full for unit in ("second", "minute", "hour"))


def test_parts_that_were_computed_are_not_computed_again(tmp_path):
    assert Parts(tmp_path).get("a", lambda: [1, 2]) == [1, 2]
    again = Parts(tmp_path)
    assert again.get("a", lambda: pytest.fail("computed again")) == [1, 2]
    assert again.get("b", lambda: 3) == 3
    assert again.computed == 1
