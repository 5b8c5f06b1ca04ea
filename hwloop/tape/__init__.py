"""The record of a run: operations before they are sent, results before they are handed on."""

from hwloop.tape.entry import Entry
from hwloop.tape.no_tape import NoTape
from hwloop.tape.reader import Tape
from hwloop.tape.stream import entries, records
from hwloop.tape.writer import FileTape, HashTape, TapeSink

__all__ = ["Entry", "FileTape", "HashTape", "NoTape", "Tape", "TapeSink", "entries", "records"]
