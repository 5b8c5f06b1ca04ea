"""The suite itself: what does all that is asked of it passes, what is broken fails by its check."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwloop.capabilities import Limits
from hwloop.conformance import CHECKS, Judgement, Report, conform
from hwloop.conformance.runner import examine, opened, plan
from tests.conformance.bench import Bench
from tests.conformance.broken import BROKEN

RECIPE = "gentle"
TRIALS = 24


@pytest.fixture(scope="module")
def passed() -> Report:
    return conform(Bench, form=RECIPE)


def test_what_is_not_broken_passes(passed: Report) -> None:
    assert passed.failed() == []
    skipped = {o.name: o.reason for o in passed.outcomes if o.judgement is Judgement.SKIPPED}
    assert skipped == {"snapshot": "operations: the array has no snapshot, restore"}


def test_every_outcome_says_what_was_seen_and_what_was_expected(passed: Report) -> None:
    for outcome in passed.outcomes:
        assert outcome.what
        if outcome.judgement is Judgement.PASSED:
            assert any(seen.expected for seen in outcome.evidence), outcome.name


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_fails_by_its_check(name: str) -> None:
    broken = BROKEN[name]
    report = conform(broken.make, form=RECIPE)
    reasons = {o.name: o.reason for o in report.outcomes if o.judgement is Judgement.FAILED}
    assert set(reasons) == broken.fails, reasons


def test_every_check_finds_something() -> None:
    found = frozenset().union(*(broken.fails for broken in BROKEN.values()))
    assert {check.name for check in CHECKS} == found
    assert len(BROKEN) >= 40


def test_names_are_unique() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


class Limited(Bench):
    """A bench with limits of every kind."""

    limits = Limits(
        voltage_max=2.0,
        half_select_max=1.0,
        width_max_seconds=2e-6,
        compliance_max_amperes=1e-3,
        pulses_per_operation=3,
        dose_per_cell=400,
        dose_per_line=1400,
        forming=False,
    )


def test_limits_of_every_kind_are_kept_and_found() -> None:
    Limited.remembered = 0
    report = conform(Limited, form=RECIPE)
    assert report.failed() == []
    assert report.most_pulses_per_cell <= 350
    (own,) = (o for o in report.outcomes if o.name == "limits_of_its_own")
    tried = " ".join(seen.what for seen in own.evidence)
    for name in Limits.model_fields:
        assert name in tried or name.startswith("life"), name


class Quiet(Bench):
    """A bench of another seed at each opening."""

    seeds = iter(range(10**9))

    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(next(self.seeds))


class Quartered(Quiet):
    """Averages a quarter of the reads that it is asked for."""

    def read(self, operation):  # type: ignore[no-untyped-def]
        some = dataclasses.replace(operation, average=max(1, operation.average // 4))
        result = super().read(some)
        return dataclasses.replace(
            result, values=result.values * (operation.average // some.average)
        )


@pytest.mark.parametrize(("make", "expected"), [(Quiet, 0), (Quartered, TRIALS)])
def test_averages_are_judged_with_power(make: type[Bench], expected: int) -> None:
    """One honest array in 16,000 fails; one that averages a quarter fails all but surely.

    With 24 trials, an honest one fails with a probability of 0.0015.
    """
    check = next(check for check in CHECKS if check.name == "averaging")
    _, scope = plan(make)
    failed = 0
    for _ in range(TRIALS):
        with opened(make, scope, None) as rig:
            failed += examine(check, rig).judgement is Judgement.FAILED
    assert failed == expected
