"""Vector-matrix reads: which line is driven, which is seen, sign, and batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwloop.conformance.check import Check
from hwloop.conformance.checks.seeing import expect_marks
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.marks import SIGMAS, VECTOR_REPEATS, floors, look
from hwloop.conformance.rig import Rig, Values, mean_and_error
from hwloop.errors import CapabilityError, CrossbarError
from hwloop.operations import Direction

SHARE = 0.3
"""Share of a signal that the noise of its cells may change from batch to batch."""


def forward(rig: Rig, evidence: Evidence) -> None:
    """See the marks by one-hot vectors on the columns."""
    expect_marks(rig, evidence, "forward")


def backward(rig: Rig, evidence: Evidence) -> None:
    """See the marks by one-hot vectors on the rows."""
    _needs_backward(rig)
    expect_marks(rig, evidence, "backward")


def sign(rig: Rig, evidence: Evidence) -> None:
    """Drive with either sign, and not at all."""
    for direction in _directions(rig):
        _sign(rig, evidence, direction)


def batch(rig: Rig, evidence: Evidence) -> None:
    """Compare the vectors of a batch with the same vectors in another order."""
    for direction in _directions(rig):
        _batch(rig, evidence, direction)


def _sign(rig: Rig, evidence: Evidence, direction: Direction) -> None:
    """Drive all lines together, with the signs that add up in the output with the most signal."""
    kind = direction.name.lower()
    forward = direction is Direction.FORWARD
    cells = look(rig, kind)
    if cells.values is None:
        evidence.expect(False, kind, cells.failure, "an answer")
        return
    values = cells.values if forward else cells.values.T
    output = int(np.abs(values).sum(axis=1).argmax())
    signs = np.where(values[output] < 0, -1, 1)
    signal = float(np.abs(values[output]).sum())
    line = (rig.rows if forward else rig.cols)[output]
    (plus, minus, nothing), error = _drive(rig, direction, signs, line)
    adc = rig.tile.adc_forward if forward else rig.tile.adc_backward
    # Gains, offsets and line resistance are not the backend's: half the signal will do.
    expected = min(signal, adc.code_max * rig.output_unit(direction)) / 2
    bound = SIGMAS * error
    if expected < 4 * bound:
        evidence.note(f"{kind}: signal of the region", f"{signal:.3g}, noise {error:.2g}")
        return
    evidence.expect(
        plus - nothing > expected - bound,
        f"{kind}: codes in the sign of the cells",
        f"{plus - nothing:+.3g}",
        f"more than {expected - bound:+.3g} device units",
    )
    evidence.expect(
        minus - nothing < bound - expected,
        f"{kind}: the same codes with the other sign",
        f"{minus - nothing:+.3g}",
        f"less than {bound - expected:+.3g} device units",
    )


def _drive(
    rig: Rig, direction: Direction, signs: NDArray[np.int_], line: int
) -> tuple[list[float], float]:
    """Return an output under signs, under the other ones, and undriven, and their error."""
    driven = rig.cols if direction is Direction.FORWARD else rig.rows
    outputs, errors = [], []
    for factor in (1, -1, 0):
        codes = rig.vectors(direction, VECTOR_REPEATS)
        codes[:, driven] = factor * signs * rig.tile.dac.code_max
        values = rig.one(rig.vmm(direction, codes)).values
        assert values is not None
        unit = rig.output_unit(direction)
        means, error = mean_and_error(values.astype(np.float64) * unit, unit)
        outputs.append(float(means[line]))
        errors.append(error)
    return outputs, float(np.hypot(errors[0], errors[2]))


def _batch(rig: Rig, evidence: Evidence, direction: Direction) -> None:
    """Compare vectors in a mixed batch with batches of one kind."""
    forward = direction is Direction.FORWARD
    driven, seen = (rig.cols, rig.rows) if forward else (rig.rows, rig.cols)
    codes = rig.vectors(direction, 2)
    codes[1, driven] = rig.tile.dac.code_max
    unit = rig.output_unit(direction)
    means: list[Values] = []
    errors: list[float] = []
    for order in ([0], [1], [0, 1, 1, 0, 1]):
        vectors = np.array(order * VECTOR_REPEATS)
        values = rig.one(rig.vmm(direction, codes[vectors])).values
        assert values is not None
        for which in sorted(set(order)):
            outputs = values[vectors == which][:, seen].astype(np.float64) * unit
            mean, error = mean_and_error(outputs, unit)
            means.append(mean)
            errors.append(error)
    kind = direction.name.lower()
    # The noise of cells is in driven vectors alone, and slow noise differs from batch to batch.
    slow = floors(rig).get(kind, 0.0) * np.sqrt(len(driven)) + SHARE * float(np.abs(means[1]).max())
    for which, name, more in ((0, "nothing", 0.0), (1, "all lines", slow)):
        bound = SIGMAS * float(np.hypot(errors[which], errors[which + 2])) + more
        worst = float(np.abs(means[which] - means[which + 2]).max())
        evidence.expect(
            worst < bound,
            f"{kind}: vectors that drive {name}, in a mixed batch and by themselves",
            f"differ by {worst:.2g}",
            f"by less than {bound:.2g} device units",
        )


def _needs_backward(rig: Rig) -> None:
    """Skip where the array refuses backward reads as something that it cannot do."""
    try:
        rig.one(rig.vmm(Direction.BACKWARD, rig.vectors(Direction.BACKWARD)))
    except CapabilityError as error:
        raise SkippedError(f"backward reads: {error.message}") from error
    except CrossbarError:
        return  # any other refusal is a failure, which the check will meet itself


def _directions(rig: Rig) -> list[Direction]:
    try:
        _needs_backward(rig)
    except SkippedError:
        return [Direction.FORWARD]
    return list(Direction)


CHECKS = (
    Check(
        "forward",
        "a one-hot vector on a column shows a pulsed cell in the output of its row alone",
        forward,
        needs=("vmm", "pulse"),
    ),
    Check(
        "backward",
        "a one-hot vector on a row shows a pulsed cell in the output of its column alone",
        backward,
        needs=("vmm", "pulse"),
    ),
    Check(
        "vector_sign",
        "the output of a vector-matrix read changes its sign with the codes",
        sign,
        needs=("vmm",),
    ),
    Check(
        "vector_batch",
        "the vectors of a batch are read one by one, in their order, all of them",
        batch,
        needs=("vmm",),
    ),
)
