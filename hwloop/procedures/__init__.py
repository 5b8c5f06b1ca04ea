"""Procedures that a chip needs whatever it is trained with: managed reads, programming."""

from hwloop.procedures.management import Management, managed_vmm
from hwloop.procedures.programming import Written, write_exact

__all__ = ["Management", "Written", "managed_vmm", "write_exact"]
