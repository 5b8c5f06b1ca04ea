"""The settings of transfer learning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hwloop.experiments.sections import Count, Positive, Section


class Transfer(Section):
    """Pre-training in float on some classes, and what becomes of its weights on the array.

    Attributes:
        before: classes of the pre-training, by name; the first half by default.
        after: classes that are learned on the array; all others by default.
        epochs: epochs of the pre-training.
        batch: samples per step of the pre-training.
        lr: largest learning rate of the pre-training, by AdamW.
        trained: patterns of the layers that go on being trained; others keep what they hold.
        fill: what the largest weight of a layer becomes, in device units; 1 is the mean bound of
            the cells.
        programming: `exact` writes the state of a virtual array; `write-verify` gives pulses.
        noise: standard deviation of the error of exact writing, as a share of the layer's largest
            weight.
        tolerance: distance from the target at which write-verify is content, as a share of the
            layer's largest weight.
        symmetry_skew: mean offset of the fast arrays' reference from their symmetry points, device
            units.
        symmetry_variability: standard deviation of that offset.
        cache: folder of pre-trained weights; that of the user's cache by default.
    """

    before: tuple[int | str, ...] | None = None
    after: tuple[int | str, ...] | None = None
    epochs: Annotated[int, Field(ge=0)] = 20
    batch: Count = 64
    lr: Positive = 1e-3
    trained: tuple[str, ...] = ("*",)
    fill: Positive = 0.5
    programming: Literal["exact", "write-verify"] = "exact"
    noise: Annotated[float, Field(ge=0)] = 0.0
    tolerance: Positive = 0.1
    symmetry_skew: float = 0.0
    symmetry_variability: Annotated[float, Field(ge=0)] = 0.0
    cache: str | None = None
