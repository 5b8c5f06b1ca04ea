"""The tape in front of an array: what is answered, and what is not once the array has failed."""

from pathlib import Path

import numpy as np
import pytest

from hwloop.backend import open_backend
from hwloop.crossbar.settling import verdicts_of
from hwloop.errors import LinkError
from hwloop.experiments.feeding import Fed
from hwloop.experiments.interrupted import Interrupted, Taped
from hwloop.operations import Pulse, ReadCells, Result, Verdict

ONE = np.ones((2, 2), np.int16)
READS = [ReadCells(tile=0, id=n, ordinal=n) for n in (1, 3, 5)]
PULSES = [Pulse(tile=0, counts=ONE, shape="set", id=n, ordinal=n) for n in (2, 4)]


class Dead:
    """An array whose link has broken."""

    def __init__(self) -> None:
        self.array = open_backend("sim:ideal,shape=2x2")
        self.asked: list[int] = []

    def __getattr__(self, name):
        return getattr(self.array, name)

    def submit(self, operations):
        self.asked += [operation.id for operation in operations]
        raise LinkError("the other end has closed")


@pytest.fixture
def fed():
    answered = Result(id=1, values=np.zeros((2, 2), np.int32), saturated=np.zeros((2, 2), bool))
    entries = [Taped(READS[0], answered, 10), Taped(READS[1], None, 20), Taped(PULSES[1], None, 30)]
    fed = Fed(Dead(), Interrupted(Path("x"), operations=entries), {4: (Verdict.APPLIED, 4)})
    fed.when_live(lambda: None)
    return fed


@pytest.mark.parametrize("together", [True, False])
def test_behind_a_failure_nothing_is_answered(fed: Fed, together: bool) -> None:
    (first,) = fed.wait(fed.submit(READS[:1]))
    assert first.id == 1 and not fed.array.asked  # the tape knew
    groups = [[READS[1], PULSES[1]]] if together else [[READS[1]], [PULSES[1]]]
    tickets = [fed.submit(group) for group in groups]
    for ticket in tickets:
        with pytest.raises(LinkError, match="closed"):
            fed.wait(ticket)
        assert not ticket.results
    assert fed.array.asked == [3]


def test_a_failure_does_not_unmake_what_was_applied(fed: Fed) -> None:
    fed.wait(fed.submit(READS[:1]))
    ticket = fed.submit([READS[1], PULSES[1]])
    assert verdicts_of(ticket, fed) == {4: Verdict.APPLIED}
