"""Tapes as arrays: `replay:runs/7,mode=strict`, `replay:runs/7,mode=lenient,bound=10`."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.backend import CrossbarBackend
from hwloop.errors import ConfigurationError
from hwloop.tape.recording import Recording, open_recording
from hwloop_replay.lenient import LenientReplay
from hwloop_replay.strict import TapeReplay, other_values

__all__ = ["LenientReplay", "TapeReplay", "open_backend"]

OPTIONS: dict[str, tuple[str, ...]] = {
    "strict": ("mode",),
    "follow": ("mode",),
    "lenient": ("mode", "bound"),
}
"""Options by mode."""


def open_backend(address: str, options: dict[str, str]) -> CrossbarBackend:
    """Return a tape in the place of an array.

    Args:
        address: folder of a run, or a tape by its file.
        options: `mode`: `strict` (default) stops at the first operation that is not the taped one;
            `follow` gives the taped answer also where only values differ, and counts these;
            `lenient` answers pulses and reads of cells by each cell's own history, up to `bound`
            pulses away from a taped read.

    Raises:
        ConfigurationError: no address, an unknown option, or a value that does not fit.
        ReplayError: the tape cannot be read.
    """
    if not address:
        raise ConfigurationError(
            "replay: names no run", remedy="write for example replay:runs/7,mode=strict"
        )
    mode = options.get("mode", "strict")
    if mode == "compare":
        raise ConfigurationError(
            "replay: a tape is compared with a live array by a command of its own",
            remedy=f"hwloop run compare {address} --backend URL",
        )
    if mode not in OPTIONS:
        raise ConfigurationError(
            f"replay: option mode={mode} is unknown", remedy=f"modes: {', '.join(OPTIONS)}"
        )
    for name in options:
        if name not in OPTIONS[mode]:
            raise ConfigurationError(
                f"replay: mode {mode} has no option {name!r}",
                remedy=f"options: {', '.join(OPTIONS[mode])}",
            )
    bound = _bound(options)
    make: dict[str, Callable[[Recording], CrossbarBackend]] = {
        "strict": TapeReplay,
        "follow": lambda recording: TapeReplay(recording, other_values),
        "lenient": lambda recording: LenientReplay(recording, bound),
    }
    return make[mode](open_recording(address))


def _bound(options: dict[str, str]) -> int | None:
    text = options.get("bound")
    if text is None:
        return None
    if not text.isdecimal():
        raise ConfigurationError(
            f"replay: option bound={text}: should be a whole number of pulses, 0 or more"
        )
    return int(text)
