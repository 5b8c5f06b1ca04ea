"""The command line: `hwloop`."""

from hwloop.cli.app import main

__all__ = ["main"]
