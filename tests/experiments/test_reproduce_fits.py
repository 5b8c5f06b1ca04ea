"""The reproductions of fits: they can fail, and on excerpts of measured data they do not."""

from pathlib import Path

import numpy as np
import pytest

import hwloop
from hwloop import device_file
from hwloop.experiments.reproduce import measured_data, raw_figures, round_trip
from hwloop.experiments.reproduce.hidden import hidden_device
from hwloop.experiments.reproduce.measured_data import Pairing
from hwloop.experiments.reproduce.round_trip import FIELDS, Found, judge
from hwloop.experiments.reproduce.twins import Pair, Pairs

EXCERPTS = Path(__file__).parents[1] / "data" / "measured"


def found(name, truth, value, half, *, identified=True):
    return Found(1, name, truth, value, value - half, value + half, identified, "")


def test_too_few_and_too_many_covered_intervals_both_fail():
    def verdict(covered, of=100):
        rows = [found("step", 1.0, 1.0 if k < covered else 2.0, 0.1) for k in range(of)]
        checks, content = judge(rows, full=True)
        assert content["coverage"] == covered / of
        return checks[0].reached

    assert verdict(95)
    assert verdict(90)
    assert not verdict(89)
    assert not verdict(100)  # intervals that always cover are too wide


def test_wide_intervals_fail_and_unidentified_parameters_do_not_count():
    wide = [found("step", 1.0, 1.0, 0.2) for _ in range(10)]
    assert not judge(wide, full=True)[0][1].reached
    narrow = [found("step", 1.0, 1.0, 0.1) for _ in range(11)]
    assert judge(wide + narrow, full=True)[0][1].reached
    lost = [found("write_noise", 1.0, 5.0, 0.1, identified=False) for _ in range(50)]
    assert judge(narrow + lost, full=True)[1]["coverage"] == 1.0


def test_pairs_that_are_two_points_apart_fail():
    near = Pairs([Pair(1, 0.90, 0.91), Pair(2, 0.88, 0.86)])
    far = Pairs([Pair(1, 0.90, 0.88), Pair(2, 0.88, 0.855)])
    assert near.check(0.02, full=True).reached
    assert far.check(0.02, full=True).reached is False
    assert far.check(0.02, full=False).reached is None


def test_figures_that_differ_by_more_than_a_twentieth_do_not_agree():
    assert Pairing("x", 1.0, 1.049).agrees
    assert not Pairing("x", 1.0, 1.051).agrees
    assert not Pairing("x", -1.0, 1.0).agrees
    assert not Pairing("x", 1.0, 1.3, 0.9, 1.7).agrees  # a wide interval excuses nothing


def test_hidden_devices_differ_and_are_the_same_again():
    models = [hidden_device(seed).model for seed in range(1, 30)]
    assert hidden_device(3) == hidden_device(3)
    assert len({model.step for model in models}) == 29
    assert {model.cycle_noise_kind for model in models} == {"additive", "multiplicative"}
    assert {model.step_distribution for model in models} == {"normal", "log_normal"}
    assert any(model.write_noise == 0 for model in models)


def test_a_hidden_device_is_found_again(tmp_path, monkeypatch):
    # A small chip: 36 cells and trains of 60 pulses. Of ten intervals of 95 %, eight or more hold
    # the truth with a probability of 0.99.
    monkeypatch.setattr(round_trip, "PULSES", 60)
    truth = hidden_device(2)
    path = tmp_path / "hidden.yaml"
    device_file.save(truth, path)
    with hwloop.connect(f"sim:{path},shape=6x6,seed=2") as chip:
        fitted = round_trip.characterize(chip)
    rows = [round_trip._found(2, name, truth, fitted) for name in FIELDS]
    identified = [row for row in rows if row.identified]
    assert len(identified) >= 8
    assert sum(row.covered for row in identified) >= len(identified) - 2
    assert fitted.device.conductance == truth.conductance


@pytest.mark.parametrize(
    ("folder", "fits"),
    [
        ("pcm-partial-reset", measured_data.data_06),
        ("resistor-array-map", measured_data.data_07),
        ("molecular-memristor", measured_data.data_11),
    ],
)
def test_fits_of_excerpts_agree_with_their_rows(folder, fits):
    found = fits(EXCERPTS / folder)
    assert found.pairings
    wrong = [p for p in found.pairings if not p.agrees]
    assert not wrong


def test_the_relaxation_of_the_excerpt_agrees_with_its_rows():
    folder = EXCERPTS / "rram-relaxation"
    rows = np.loadtxt(folder / "relaxdata_10k.min.tsv.gz", delimiter="\t")
    fitted = hwloop.characterization.fit(measured_data._relaxation(folder))
    for seconds in np.unique(rows[rows[:, 1] > 0, 6]):
        part = (rows[:, 3] - rows[:, 4])[(rows[:, 6] == seconds) & (rows[:, 1] > 0)]
        figure = fitted.figures[f"after_{seconds:g}_seconds.mean_change_siemens"]
        assert figure.value == pytest.approx(part.mean(), rel=1e-9)


def test_ramps_of_the_excerpt_are_read_as_they_are():
    ramps = raw_figures.ramps(EXCERPTS / "set-reset-ramps" / "set.csv")
    data = measured_data.crosssim(EXCERPTS / "set-reset-ramps")
    up = data.columns["direction"] > 0
    first = data.state[up & (data.columns["repeat"] == data.columns["repeat"][up].min())]
    assert first[: len(ramps[0])] == pytest.approx(ramps[0] / 0.1)


def test_a_model_predicts_the_next_step_better_than_the_last_ramp():
    # Two noisy ramps of one curve: the look-up carries the noise of the ramp before.
    rng = np.random.default_rng(1)
    rows = []
    for repeat in range(6):
        for sign in (1, -1):
            state = -0.8 * sign
            for pulse in range(60):
                state += sign * 0.03 * (1 - 0.5 * sign * state) + 0.004 * rng.standard_normal()
                rows.append((0, repeat, len(rows), sign, pulse + 1, state))
    names = ("cell", "repeat", "sequence", "direction", "pulse", "state_units")
    columns = dict(zip(names, np.array(rows).T, strict=True))
    data = hwloop.characterization.measurement("pulse_response", columns, name="ramps")
    for ahead in measured_data.one_step_ahead(data, ramps=3).values():
        assert ahead.model < ahead.last
        assert ahead.model == pytest.approx(0.004, rel=0.2)
