"""The record of a run: operations before they are sent, results before they are handed on."""

from hwloop.tape.entry import Entry
from hwloop.tape.reader import Tape
from hwloop.tape.stream import entries, records
from hwloop.tape.writer import FileTape, HashTape, TapeSink

__all__ = ["Entry", "FileTape", "HashTape", "Tape", "TapeSink", "entries", "records"]
