"""One check of every operation, for every backend and for dry runs, and the doses of a chip.

Nothing is ever clipped: an operation passes as it is or is refused, and a refused one has not been
sent. Doses are counted for the run, and for the life of a physical chip, on disk.
"""

from hwloop.guard.check import Guard, Life
from hwloop.guard.doses import (
    Dose,
    Ledger,
    dose_of,
    outer_dose,
    pulse_dose,
    trains_dose,
)
from hwloop.guard.lease import Lease, holder_text, is_held
from hwloop.guard.life import (
    LifeLedger,
    Recorded,
    all_recorded,
    keeps_life,
    life_of,
    recorded,
)
from hwloop.guard.limits import CHIP, HALF_SELECT_SHARE, InForce, shape_faults
from hwloop.guard.state import chip_folder, state_folder
from hwloop.guard.structure import check_structure

__all__ = [
    "CHIP",
    "HALF_SELECT_SHARE",
    "Dose",
    "Guard",
    "InForce",
    "Lease",
    "Ledger",
    "Life",
    "LifeLedger",
    "Recorded",
    "all_recorded",
    "check_structure",
    "chip_folder",
    "dose_of",
    "holder_text",
    "is_held",
    "keeps_life",
    "life_of",
    "outer_dose",
    "pulse_dose",
    "recorded",
    "shape_faults",
    "state_folder",
    "trains_dose",
]
