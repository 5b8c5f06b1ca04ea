"""The record of a run: operations before they are sent, results before they are handed on."""

from hwloop.tape.reader import Entry, Tape
from hwloop.tape.writer import FileTape, HashTape, TapeSink

__all__ = ["Entry", "FileTape", "HashTape", "Tape", "TapeSink"]
