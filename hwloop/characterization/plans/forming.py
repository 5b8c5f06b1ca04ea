"""Forming: recipes of the device, one after the other, until the cells conduct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from hwloop.characterization.plans.base import Count, Marks, Plan, Siemens, Step, Steps
from hwloop.device_file.quantities import MeasurementKind
from hwloop.operations import Form, Operation
from hwloop.procedures.bench import Bench

Volts = Annotated[float, Field(ge=-100, le=100)]


class Forming(Plan):
    """Forming by named recipes; a cell that conducts is left alone by those that follow."""

    kind: ClassVar[MeasurementKind] = "forming"
    own: ClassVar[Mapping[str, tuple[str, str]]] = {
        "formed": ("1", "1 where the cell conducts"),
        "attempts": ("1", "recipes that the cell has had"),
        "before_siemens": ("S", "conductance before the first recipe"),
    }

    recipes: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Names of the device's recipes, the gentlest first."""

    recipe_volts: tuple[Volts, ...] = ()
    """Voltage of each recipe, for the record; the device knows it, this library does not."""

    formed_siemens: Siemens
    """Conductance from which on a cell counts as formed."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    @model_validator(mode="after")
    def _a_voltage_per_recipe(self) -> Forming:
        if self.recipe_volts and len(self.recipe_volts) != len(self.recipes):
            raise ValueError(
                f"recipe_volts has {len(self.recipe_volts)} values for {len(self.recipes)} recipes"
            )
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Operations that the array has to understand."""
        return ("read_cells", "form")

    @property
    def adaptive(self) -> bool:
        """Whether the operations depend on what is read: only unformed cells are formed."""
        return True

    def steps(self, bench: Bench) -> Steps:
        """Yield a read, then recipe after recipe on the cells that do not conduct yet."""
        average = bench.average(self.average)
        read = bench.read(average)
        answer = yield Step([read], awaited=True)
        cells = len(bench.cells)
        siemens = before = np.full(cells, np.nan)
        if answer is not None:
            siemens = before = bench.siemens(read, answer[-1])
        volts = np.full(cells, np.nan)
        attempts = np.zeros(cells, np.int64)

        def so_far() -> Marks:
            return {
                "breakdown_volts": volts,
                "attempts": attempts,
                "formed": (siemens >= self.formed_siemens).astype(int),
                "before_siemens": before,
                "siemens": siemens,
            }

        for number, recipe in enumerate(self.recipes):
            raw = ~(siemens >= self.formed_siemens)
            if not raw.any():
                break
            forms: list[Operation] = [self._form(bench, i, recipe) for i in np.flatnonzero(raw)]
            read = bench.read(average)
            answer = yield Step([*forms, read], awaited=True, so_far=so_far)
            if answer is None:
                continue
            siemens = bench.siemens(read, answer[-1])
            attempts = attempts + raw
            if self.recipe_volts:
                now = raw & (siemens >= self.formed_siemens)
                volts = np.where(now, self.recipe_volts[number], volts)
        yield Step(marks=so_far())

    @staticmethod
    def _form(bench: Bench, cell: np.intp, recipe: str) -> Form:
        row, col = bench.cells.row[cell], bench.cells.col[cell]
        return Form(
            tile=bench.cells.tile,
            rows=np.array([row], np.int32),
            cols=np.array([col], np.int32),
            recipe=recipe,
            configuration=bench.owner.configuration_hash,
            **bench.owner.identity(),
        )
