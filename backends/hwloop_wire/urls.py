"""Opens the chips that URLs name."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from hwloop.errors import ConfigurationError
from hwloop.testing import LINK_POINTS, FaultSpec
from hwloop_wire.backend import WireBackend
from hwloop_wire.faulty import faulty
from hwloop_wire.link import Link, Opener, Waker, open_serial, open_tcp

_COMMON = ("timeout", "deadman", "clear", "faults", "faults_seed")


class _Session(TypedDict):
    """Options of `WireBackend`."""

    timeout: float
    deadman: float
    clear: bool


def open_serial_backend(address: str, options: dict[str, str]) -> WireBackend:
    """Return the chip on a serial port, or on a TCP port that carries the same bytes.

    Args:
        address: a port such as `/dev/ttyACM0`, or `tcp://HOST:PORT`.
        options: `baud` (default 921600); `timeout` seconds of silence that fail the link (5);
            `deadman` seconds of silence after which the chip disarms itself (5); `clear=yes` to go
            on after a failure of the hardware that the chip remembers; `faults`, what goes wrong on
            the link to try it, a total rate or as of `hwloop.testing.FaultSpec.parse`, and
            `faults_seed`.

    Raises:
        ConfigurationError: the port cannot be opened, or an option is wrong.
        LinkError: no chip answers.
    """
    _check("serial", options, ("baud", *_COMMON))
    baud = round(_number("serial", options, "baud", 921600))
    if not address:
        raise ConfigurationError(
            "serial: no port", remedy="write for example serial:/dev/ttyACM0,baud=921600"
        )
    if not address.startswith("tcp://"):
        return _connected("serial", lambda waker: open_serial(address, baud, waker), options)
    host, colon, port = address.removeprefix("tcp://").rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ConfigurationError(f"serial: {address} is not tcp://HOST:PORT")
    return _connected("serial", lambda waker: open_tcp(host, int(port), waker), options)


def open_zmq_backend(address: str, options: dict[str, str]) -> WireBackend:
    """Return the chip that `hwloop chip serve` has put on ZMQ.

    Args:
        address: for example `tcp://host:5555`.
        options: `key` and `server_key`, files of CurveZMQ certificates, compulsory for another
            machine; and those of `serial:` but `baud`.

    Raises:
        ConfigurationError: an option is wrong, or keys are missing.
        LinkError: no chip answers.
    """
    _check("zmq", options, ("key", "server_key", *_COMMON))
    if "://" not in address:
        raise ConfigurationError(
            f"zmq: {address or 'no address'} is not an endpoint",
            remedy="write for example zmq:tcp://host:5555",
        )

    def open_link(waker: Waker) -> Link:
        from hwloop_wire.zmq_link import ZmqLink  # serial lines need no ZMQ

        return ZmqLink(address, waker, key=options.get("key"), server_key=options.get("server_key"))

    return _connected("zmq", open_link, options)


def open_emulator_backend(address: str, options: dict[str, str]) -> WireBackend:
    """Return an emulated chip: the real firmware, started here and ended by `close`.

    Args:
        address: `native`, or `qemu-m7` for a Cortex-M7 in QEMU.
        options: `device` (default `reram-om`) and all of `sim:`; `cells`, a file that keeps cells
            and journal for the next time; `link`, of `native` `socket` or `pty`, of `qemu-m7`
            `semihosting` or `uart`; and those of `serial:` but `baud`.

    Raises:
        ConfigurationError: an option is wrong, a program is missing, or the chip cannot hold the
            cells.
        LinkError: the chip does not answer.
    """
    import hwloop_sim  # a bench with a chip on a line needs no simulator
    from hwloop_wire import emulator

    _check("emulator", options, ("device", "cells", "link", *hwloop_sim.OPTIONS, *_COMMON))
    session = _session("emulator", options)
    ending = contextlib.ExitStack()
    try:
        faults = _faults("emulator", options)
        if "cells" in options:
            cells = Path(options["cells"])
        else:
            folder = tempfile.TemporaryDirectory(prefix="hwloop-")
            ending.callback(folder.cleanup)
            cells = Path(folder.name) / "cells"
        chip = emulator.start(
            address,
            options.get("device", ""),
            {k: v for k, v in options.items() if k in hwloop_sim.OPTIONS},
            cells=cells,
            link=options.get("link", ""),
            reboots=[r for r in faults.reboots if r.point not in LINK_POINTS],
        )
        ending.callback(chip.close)
        ours = tuple(r for r in faults.reboots if r.point in LINK_POINTS)
        opener = chip.opener()
        if faults != FaultSpec():
            opener = faulty(opener, dataclasses.replace(faults, reboots=ours), reboot=chip.reboot)
        return emulator.EmulatorBackend(chip, opener, ending.close, **session)
    except BaseException:
        ending.close()
        raise


def _connected(scheme: str, opener: Opener, options: dict[str, str]) -> WireBackend:
    session = _session(scheme, options)
    return WireBackend(_spoilt(scheme, opener, options), **session)


def _session(scheme: str, options: dict[str, str]) -> _Session:
    clear = options.get("clear", "no")
    if clear not in ("yes", "no"):
        raise ConfigurationError(f"{scheme}: option clear={clear}: expected yes or no")
    return {
        "timeout": _number(scheme, options, "timeout", 5.0),
        "deadman": _number(scheme, options, "deadman", 5.0),
        "clear": clear == "yes",
    }


def _spoilt(scheme: str, opener: Opener, options: dict[str, str]) -> Opener:
    faults = _faults(scheme, options)
    return opener if faults == FaultSpec() else faulty(opener, faults)


def _faults(scheme: str, options: dict[str, str]) -> FaultSpec:
    faults = FaultSpec.parse(options["faults"]) if "faults" in options else FaultSpec()
    if "faults_seed" in options:
        seed = round(_number(scheme, options, "faults_seed", 1.0))
        faults = dataclasses.replace(faults, seed=seed)
    return faults


def _check(scheme: str, options: dict[str, str], known: Iterable[str]) -> None:
    known = tuple(known)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigurationError(
                f"{scheme}: option {name!r} is unknown",
                remedy=(f"did you mean {near[0]}? " if near else "")
                + f"options: {', '.join(known)}",
            )


def _number(scheme: str, options: dict[str, str], name: str, default: float) -> float:
    text = options.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ConfigurationError(f"{scheme}: option {name}={text}: expected a positive number")
    return value
