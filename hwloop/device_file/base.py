"""Base of everything in a device file, and the ranges of its numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Device units are of order 1. The limits catch values in other units, and keep all that is drawn
# from them finite in float32.
Units = Annotated[float, Field(ge=-100, le=100)]
Spread = Annotated[float, Field(ge=0, le=10)]
Noise = Annotated[float, Field(ge=0, le=1e6)]


class Frozen(BaseModel):
    """Base of everything in a device file: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
