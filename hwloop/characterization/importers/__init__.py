"""Importers: measured data in the forms that laboratories and simulators keep it in.

A unit, a read voltage, a polarity that the source does not state is asked for by the name of the
flag that supplies it, and noted in the file as assumed.
"""

from hwloop.characterization.importers.facts import FLAGS, Options
from hwloop.characterization.importers.mapping import Mapping, load_mapping, mappings
from hwloop.characterization.importers.registry import (
    FORMATS,
    Format,
    Imported,
    detect,
    import_files,
)

__all__ = [
    "FLAGS",
    "FORMATS",
    "Format",
    "Imported",
    "Mapping",
    "Options",
    "detect",
    "import_files",
    "load_mapping",
    "mappings",
]
