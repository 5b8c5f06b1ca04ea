"""The guard: one check of every operation before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hwloop.capabilities import Capabilities, Configuration, TileCapabilities
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError, SafetyError
from hwloop.guard.doses import Dose, Ledger, dose_of
from hwloop.guard.limits import InForce, half_select_share, most_read_code, over_limits
from hwloop.guard.structure import check_structure
from hwloop.operations import (
    Configure,
    Form,
    Operation,
    OperationClass,
    OuterTrains,
    OuterUpdate,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Vmm,
)

Charge = tuple[int, Dose]
"""A tile and a dose that it is about to get."""


class Life(Protocol):
    """Counts of a chip's whole life, kept where they outlive the process."""

    @property
    def counts(self) -> Ledger:
        """What has been given, at most."""
        ...

    def charge(self, charges: Sequence[Charge]) -> None:
        """Add doses; they are safe when this returns."""
        ...


class Guard:
    """Checks operations against capabilities, configuration and limits, and keeps the doses.

    Nothing is ever clipped: an operation passes as it is or is refused, and a refused one has not
    been sent. Doses are counted for physical arrays, and wherever a limit on pulses is in force.

    Args:
        capabilities: what the array can do.
        configuration: pulse shapes and limits in force: the tightest of chip, station and device
            file.
        armed: whether consuming operations may move the array at all.
        in_force: the limits with where each comes from.
        bias_scheme: how the station holds lines that are not selected, if it says so; the worse of
            this and the chip's own counts.
        life: counts of the chip's whole life, if they are kept here.

    Attributes:
        configuration, configuration_hash: what is in force.
        in_force: its limits, each with where it comes from.
        ledger: doses of this run.
        life: doses of the chip's life, or None.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        configuration: Configuration,
        *,
        armed: bool,
        in_force: InForce | None = None,
        bias_scheme: str | None = None,
        life: Life | None = None,
    ) -> None:
        self.capabilities = capabilities
        self.configuration = configuration
        self.configuration_hash = configuration.hash()
        self.armed = armed
        self.life = life
        limits = configuration.limits
        self.in_force = InForce(limits, {} if in_force is None else in_force.origins)
        self.ledger = Ledger(capabilities, per_cell=limits.dose_per_cell is not None)
        # A virtual array counts its pulses itself, and wears only where a limit says so.
        self._counts_dose = (
            capabilities.kind == "physical"
            or life is not None
            or any(
                most is not None
                for most in (
                    limits.pulses_per_operation,
                    limits.dose_per_cell,
                    limits.dose_per_line,
                )
            )
        )
        share = half_select_share(capabilities.bias_scheme, bias_scheme or capabilities.bias_scheme)
        self._shape_faults = {
            name: [
                fault
                for polarity in (shape.up, shape.down)
                for fault in over_limits(polarity, limits, share)
            ]
            for name, shape in configuration.shapes.items()
        }
        self._most_read_codes = [most_read_code(tile, limits) for tile in capabilities.tiles]

    def admit(self, operations: Sequence[Operation]) -> None:
        """Check operations that are about to be sent, all of them before the first is charged.

        Raises:
            ConfigurationError: an operation is malformed: shapes, codes, lines.
            CapabilityError: the array cannot do it.
            SafetyError: a limit forbids it.
        """
        charges: list[Charge] = []
        for operation in operations:
            try:
                dose = self._check(operation, charges)
            except CrossbarError as error:
                error.operation_id = operation.id
                raise
            if dose is not None:
                charges.append((operation.tile, dose))
        if self.life is not None and charges:
            self.life.charge(charges)
        for tile, dose in charges:
            self.ledger.charge(tile, dose)

    def require_armed(self) -> None:
        """Refuse to go on with an array that may not be moved.

        Raises:
            SafetyError: this process has not started the array, and it is not armed.
        """
        if not self.armed:
            raise SafetyError(
                f"{self.capabilities.name} was not started by this program and is not armed; "
                "nothing was sent",
                remedy=f"arm it by its id: --arm {self.capabilities.chip_id}",
            )

    def _check(self, operation: Operation, before: list[Charge]) -> Dose | None:
        caps = self.capabilities
        if operation.kind not in caps.operations:
            raise CapabilityError(
                f"{caps.name} does not understand {operation.kind!r}; it understands "
                f"{', '.join(sorted(caps.operations))}",
                remedy="name a lowering that builds it out of these, if there is one",
            )
        if not 0 <= operation.tile < len(caps.tiles):
            raise ConfigurationError(
                f"tile {operation.tile} does not exist: {caps.name} has {len(caps.tiles)}"
            )
        tile = caps.tiles[operation.tile]
        check_structure(operation, tile)
        if isinstance(operation, Configure):
            for name in self._shape_faults:
                self._check_shape(name)
        elif isinstance(operation, Vmm | ReadCells):
            self._check_read(operation, tile)
        elif isinstance(operation, Restore):
            self.require_armed()
        if operation.repeat is OperationClass.CONSUMING and operation.kind != "wait":
            return self._check_consuming(operation, tile, before)
        return None

    def _check_read(self, operation: Vmm | ReadCells, tile: TileCapabilities) -> None:
        dac, most = tile.dac, self._most_read_codes[operation.tile]
        if most >= dac.code_max:
            return
        code = dac.code_max  # at which cells are read one by one
        if isinstance(operation, Vmm):
            codes = operation.codes
            code = int(max(codes.max(initial=0), -codes.min(initial=0)))
        if code > most:
            raise self.in_force.refusal(
                "voltage_max",
                f"{operation.kind} reads with {code * dac.lsb:g} V, which is over",
                "read with smaller codes",
            )

    def _check_consuming(
        self, operation: Operation, tile: TileCapabilities, before: list[Charge]
    ) -> Dose | None:
        self.require_armed()
        limits = self.configuration.limits
        if isinstance(operation, Form) and not limits.forming:
            raise self.in_force.refusal(
                "forming", "forming is not allowed by", "use cells that are formed"
            )
        assert isinstance(operation, Pulse | OuterUpdate | OuterTrains | Form | Reset)
        if not isinstance(operation, Form | Reset):
            self._check_shape(operation.shape)
        if operation.configuration != self.configuration_hash:
            raise SafetyError(
                "the operation was made under another configuration than the one in force; "
                "nothing was sent",
                remedy="make it by the tiles of this chip",
            )
        if not self._counts_dose:
            return None
        dose = dose_of(operation, tile)
        self._check_one(operation, dose)
        self._check_doses(self.ledger, operation.tile, dose, before, "")
        if self.life is not None:
            self._check_doses(self.life.counts, operation.tile, dose, before, "life_")
        return dose

    def _check_shape(self, name: str) -> None:
        faults = self._shape_faults.get(name)
        if faults is None:
            raise ConfigurationError(
                f"unknown pulse shape {name!r}",
                remedy=f"use one of {', '.join(sorted(self._shape_faults))}",
            )
        if faults:
            limit, what = faults[0]
            raise self.in_force.refusal(
                limit, f"pulse shape {name!r}: {what}", "use a device file with a weaker pulse"
            )

    def _check_one(self, operation: Operation, dose: Dose) -> None:
        most = self.configuration.limits.pulses_per_operation
        if most is None or dose.cell_max <= most:
            return
        pulses = int(dose.cells().max())
        if pulses > most:
            raise self.in_force.refusal(
                "pulses_per_operation",
                f"{operation.kind} may give {pulses} pulses to a cell, over",
                "split the operation",
            )

    def _check_doses(
        self, counts: Ledger, tile: int, dose: Dose, before: list[Charge], prefix: str
    ) -> None:
        """Check that doses keep the limits of a run, or, by the prefix `life_`, of a life."""
        mine = [d for t, d in before if t == tile]
        when = "in its life" if prefix else "in this run"
        per_line = getattr(self.configuration.limits, name := f"{prefix}dose_per_line")
        if per_line is not None:
            for axis in ("row", "col"):
                total = getattr(counts, axis)[tile] + getattr(dose, axis)
                total = total + sum(getattr(d, axis) for d in mine)
                line = int(total.argmax())
                if total[line] > per_line:
                    raise self.in_force.refusal(
                        name,
                        f"{axis} {line} of tile {tile} would have had {int(total[line])} pulses "
                        f"{when}, over",
                        _SPENT,
                    )
        per_cell = getattr(self.configuration.limits, name := f"{prefix}dose_per_cell")
        if per_cell is not None and counts.cells is not None:
            total = counts.cells[tile] + dose.cells() + sum(d.cells() for d in mine)
            row, col = divmod(int(total.argmax()), total.shape[1])
            if total[row, col] > per_cell:
                raise self.in_force.refusal(
                    name,
                    f"cell row {row}, col {col} of tile {tile} would have had "
                    f"{int(total[row, col])} pulses {when}, over",
                    _SPENT,
                )


_SPENT = "give fewer pulses, or use other cells"
