"""Procedures that a chip needs whatever it is trained with: reads, programming, symmetry points."""

from hwloop.procedures.cells import Cells, choose_cells
from hwloop.procedures.gradient_programming import GradientProgrammed, program_by_gradients
from hwloop.procedures.management import Management, TileRead, managed_vmm, managed_vmms
from hwloop.procedures.programming import Written, offset_reference, write_exact
from hwloop.procedures.ranges import line_gains, percentile_range
from hwloop.procedures.symmetry_point import SymmetryPoints, symmetry_point
from hwloop.procedures.write_verify import Programmed, write_verify
from hwloop.procedures.zero_shift import ZeroShifted, zero_shift

__all__ = [
    "Cells",
    "GradientProgrammed",
    "Management",
    "Programmed",
    "SymmetryPoints",
    "TileRead",
    "Written",
    "ZeroShifted",
    "choose_cells",
    "line_gains",
    "managed_vmm",
    "managed_vmms",
    "offset_reference",
    "percentile_range",
    "program_by_gradients",
    "symmetry_point",
    "write_exact",
    "write_verify",
    "zero_shift",
]
