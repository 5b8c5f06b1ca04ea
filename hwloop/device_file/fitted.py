"""What a fit says about the numbers of a device file: intervals, goodness of fit, warnings."""

from __future__ import annotations

from pydantic import Field, model_validator

from hwloop.device_file.base import Frozen


class Estimate(Frozen):
    """A number with its interval, or the reason why there is none."""

    value: float | None = None
    """Most probable value; None where there is no number to give."""

    low: float | None = None
    """Lower end of the interval; None where the data sets none."""

    high: float | None = None
    """Upper end of the interval; None where the data sets none."""

    identified: bool = True
    """Whether the data decides the value. What it leaves open may be emulated, not relied on."""

    why: str = Field(default="", max_length=1000)
    """Why it is not identified, or what else there is to know."""

    @model_validator(mode="after")
    def _in_order(self) -> Estimate:
        if self.identified and self.value is None:
            raise ValueError("value: an identified value should be given")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low should be at most high")
        return self


class FitBlock(Frozen):
    """The fit behind the numbers of a device file."""

    data: str = Field(max_length=1000)
    """What was fitted: name, and SHA-256 of the table where it came from a file."""

    cells: int = Field(ge=0)
    """Cells in the data."""

    rows: int = Field(ge=0)
    """Rows of the data."""

    level: float = Field(default=0.95, gt=0, lt=1)
    """Confidence level of the intervals."""

    parameters: dict[str, Estimate] = Field(default_factory=dict)
    """Fields of the file, by their path."""

    figures: dict[str, Estimate] = Field(default_factory=dict)
    """Other figures of the data, by names that carry their unit."""

    goodness: dict[str, float] = Field(default_factory=dict)
    """How well the model fits: log-likelihood, held-out log-likelihood per read, residuals."""

    warnings: tuple[str, ...] = ()
    """What whoever uses the numbers should know."""
