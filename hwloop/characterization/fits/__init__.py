"""Fits of measured data: device models, blocks of device files, figures with intervals.

`fit(data)` looks at the kind of the data; docs/fits.md describes models, likelihoods and warnings.
"""

from hwloop.characterization.fits.fit import fit
from hwloop.characterization.fits.result import Fit

__all__ = ["Fit", "fit"]
