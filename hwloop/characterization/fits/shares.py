"""Shares with their intervals."""

from __future__ import annotations

import math

from hwloop.characterization.fits.result import Z


def wilson(found: int, count: int) -> tuple[float, float]:
    """Return the interval of a share, after Wilson (1927); 0 to 1 without observations."""
    if count == 0:
        return 0.0, 1.0
    share, z2 = found / count, Z * Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)
