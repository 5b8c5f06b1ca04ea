"""The beginning of the least-squares task of `hwloop reproduce toy`, beside aihwkit's."""

import numpy as np
import pytest

from hwloop.experiments.reproduce import toy

SHORT = 2
"""Checkpoints of 500 samples."""


@pytest.mark.parametrize("cell", toy.BEGINNINGS, ids=lambda cell: cell.name)
def test_learning_curves_begin_as_those_of_aihwkit(cell):
    curve = toy.run(cell, seed=1, steps=SHORT * toy.SAMPLES, checkpoints=SHORT)
    expected = toy.reference()["curves"][cell.name][:SHORT]
    assert curve == pytest.approx(expected, rel=toy.BEGINNING)


def test_every_cell_of_the_reference_has_settings():
    for reads in ("perfect", "noisy"):
        assert len(toy.cells(reads)) == 31
        assert {cell.algorithm for cell in toy.cells(reads)} == set(toy.ALGORITHMS)


def test_a_verdict_allows_for_the_spread_of_both():
    def verdict(mean):
        return toy.Verdict(toy.Cell("sgd", 0.3), mean, 0.03, 10, 0.1, 0.04, 10)

    assert verdict(0.1).allowed == pytest.approx(3.5 * np.hypot(0.03, 0.04) / np.sqrt(10))
    assert verdict(0.15).passed
    assert not verdict(0.16).passed
    assert toy.Verdict(toy.Cell("sgd", 0.3), 0.1, 0.0, 10, 0.1, 0.0, 10).allowed == 0.1 * 0.1


def test_noisy_reads_learn_too():
    curve = toy.run(toy.Cell("mp", 0.0, reads="noisy"), seed=0, steps=500, checkpoints=2)
    assert curve[-1] < curve[0] < 0.173
