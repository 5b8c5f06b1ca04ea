"""Study files: what they may say, and how everything else is refused."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep import load_study, loading, parse_study, points_of, shipped
from hwloop.experiments.sweep.loading import dump_study

from .studies import QUICK, quick

WRONG = {
    "unknown key": ("name: a\ngird: {algorithm.lr: [1]}", "line 2: gird: unknown key", "grid?"),
    "unknown key of a plot": (
        "name: a\ngrid: {algorithm.lr: [1]}\nplots:\n- {x: algorithm.lr, curve: b}",
        "line 4: plots.0.curve: unknown key",
        "did you mean curves?",
    ),
    "unknown kind of draw": (
        "name: a\nrandom: {points: 3, settings: {algorithm.lr: {uniformly: [0, 1]}}}",
        "random.settings.algorithm.lr.uniformly: unknown key",
        "did you mean uniform?",
    ),
    "unknown setting": (
        "name: a\ngrid: {algorithm.lrr: [0.1]}",
        "a.yaml: algorithm.lrr: unknown key",
        "did you mean algorithm.lr?",
    ),
    "unknown setting of the base": (
        "name: a\nbase: {schedule: {limt: 3}}\nseeds: 2",
        "a.yaml: schedule.limt: unknown key",
        "did you mean schedule.limit?",
    ),
    "option of another algorithm": (
        "name: a\ncases: {x: {algorithm.name: sgd, algorithm.n_s: 3}}",
        "a.yaml: algorithm.n_s: unknown key",
        "",
    ),
    "wrong value": (
        "name: a\ngrid: {algorithm.lr: [0.1, -1]}",
        "algorithm.lr: is -1",
        "",
    ),
    "no list": ("name: a\ngrid: {algorithm.lr: 0.1}", "line 2: grid.algorithm.lr: is 0.1", ""),
    "empty list": ("name: a\ngrid: {algorithm.lr: []}", "grid.algorithm.lr: is []", ""),
    "empty grid": ("name: a\ngrid: {}", "line 2: grid: is {}", ""),
    "nothing varies": ("name: a", "varies nothing", ""),
    "no name": ("grid: {algorithm.lr: [1]}", "name: is missing", ""),
    "name that is a path": ("name: ../a\nseeds: 2", "line 1: name: is '../a'", ""),
    "no seeds": ("name: a\nseeds: 0", "seeds: is ()", ""),
    "seed twice": ("name: a\nseeds: [3, 3]", "seed has the value 3 twice", ""),
    "seed as a setting": ("name: a\nbase: {seed: 3}\nseeds: 2", "give seeds", ""),
    "value twice": ("name: a\ngrid: {algorithm.lr: [1, 2, 1]}", "the value 1 twice", ""),
    "zipped lists of different lengths": (
        "name: a\nzip: {algorithm.lr: [1, 2], algorithm.n_s: [3]}",
        "line 2: zip: keys that vary together should have as many values: "
        "algorithm.lr has 2, algorithm.n_s has 1",
        "",
    ),
    "varied twice": (
        "name: a\ngrid: {algorithm.lr: [1]}\nzip: {algorithm.lr: [2]}",
        "algorithm.lr is varied in two places",
        "",
    ),
    "inside another": (
        "name: a\ngrid: {algorithm: [{lr: 1}], algorithm.lr: [2]}",
        "algorithm.lr lies inside algorithm",
        "",
    ),
    "two draws": (
        "name: a\nrandom: {points: 3, settings: {algorithm.lr: {uniform: [0, 1], choice: [2]}}}",
        "should have one of uniform, log-uniform, choice",
        "",
    ),
    "limits the wrong way round": (
        "name: a\nrandom: {points: 3, settings: {algorithm.lr: {uniform: [1, 0]}}}",
        "the lowest value should come first",
        "",
    ),
    "logarithm of zero": (
        "name: a\nrandom: {points: 3, settings: {algorithm.lr: {log-uniform: [0, 1]}}}",
        "log-uniform values should be above 0",
        "",
    ),
    "plot over what does not vary": (
        "name: a\ngrid: {algorithm.lr: [1]}\nplots: [{x: algorithm.n_s}]",
        "algorithm.n_s does not vary; these do: algorithm.lr",
        "",
    ),
    "plot that lumps points together": (
        "name: a\ngrid: {algorithm.lr: [1], algorithm.n_s: [2, 3]}\nplots: [{x: algorithm.lr}]",
        "points that differ in algorithm.n_s would fall together; add it to curves",
        "",
    ),
    "too many points": (
        "name: a\ngrid: {algorithm.lr: [1, 2]}\nseeds: 19000",
        "has 38000 points, more than 20000",
        "",
    ),
    "option of the array that is two": (
        "name: a\ngrid: {array.reference_std: ['0,seed=3']}",
        "array.reference_std: 0,seed=3 has a comma or a = in it",
        "",
    ),
    "no URL": ("name: a\nbase: {backend.url: reram}\nseeds: 2", "has no scheme", ""),
    "not YAML": ("name: [", "a.yaml: is not YAML", ""),
    "no mapping": ("- 1", "a.yaml: should be a mapping", ""),
    "key twice": ("name: a\nname: b", "the key 'name' is given twice", ""),
    "alias": ("name: &x a\ndescription: *x", "aliases are not allowed", ""),
    "not a number": ("name: a\ngrid: {algorithm.lr: [.nan]}", "a.yaml, line 2: grid", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused_with_place_and_remedy(name: str) -> None:
    text, message, remedy = WRONG[name]
    with pytest.raises(ConfigurationError) as refusal:
        points_of(parse_study(text, "a.yaml"), "a.yaml")
    assert message in refusal.value.message
    assert remedy in refusal.value.remedy


def test_all_problems_of_all_points_are_named_once() -> None:
    text = "name: a\ngrid: {algorithm.lr: [-1, 0.1, -2], schedule.epochs: [1, 0]}\nseeds: 3"
    with pytest.raises(ConfigurationError) as refusal:
        points_of(parse_study(text, "a.yaml"), "a.yaml")
    lines = refusal.value.message.splitlines()
    assert len(set(lines)) == len(lines)
    for problem in ("lr: is -1,", "lr: is -2,", "epochs: is 0,"):
        assert any(problem in line for line in lines)


@given(st.text(max_size=200))
def test_any_text_is_a_study_or_refused(text: str) -> None:
    with suppress(ConfigurationError):
        points_of(parse_study(text, "any"), "any")


@given(st.binary(max_size=100))
def test_a_damaged_file_is_a_study_or_refused(damage: bytes) -> None:
    content = QUICK.encode()
    text = (content[: len(damage) * 3] + damage + content[len(damage) * 4 :]).decode(
        errors="replace"
    )
    with suppress(ConfigurationError):
        points_of(parse_study(text, "any"), "any")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    (tmp_path / "large.yaml").write_text("#" * (loading.LARGEST_FILE + 1))
    for name in ("binary.yaml", "large.yaml", "missing.yaml"):
        with pytest.raises(ConfigurationError, match=name):
            load_study(tmp_path / name)


def test_a_study_is_written_as_it_is_read() -> None:
    random = "{points: 2, seed: 3, settings: {algorithm.gamma0: {log-uniform: [1, 1e3]}}}"
    study = quick(f"keep_tapes: true\nrandom: {random}\n")
    assert parse_study(dump_study(study), "again") == study


def test_shipped_studies_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.resources, "files", lambda package: tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "quick.yaml").write_text(QUICK)
    assert load_study("quick") == quick()
    with pytest.raises(ConfigurationError) as refusal:
        load_study("quik")
    assert "did you mean quick?" in refusal.value.remedy


def test_shipped_studies_are_sound() -> None:
    for name in shipped():
        study = load_study(name)
        assert study.name == name
        assert len(points_of(study, name)) == study.size
