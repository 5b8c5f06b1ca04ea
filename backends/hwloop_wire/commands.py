"""`hwloop chip serve` and `hwloop chip emulate`, which entry points add to the command line."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from hwloop import device_file
from hwloop.backend import open_backend, split_url
from hwloop.errors import ConfigurationError
from hwloop_wire.link import Waker
from hwloop_wire.ports import Port, PortOpener, PtyPort, TcpPort


def serve(
    backend: Annotated[str, typer.Option("--backend", help="URL of the array.")],
    on: Annotated[
        str, typer.Option("--on", help="Where: zmq:tcp://HOST:PORT, serial:tcp://HOST:PORT or pty.")
    ] = "zmq:tcp://127.0.0.1:5555",
    arm: Annotated[
        str | None, typer.Option("--arm", help="Id of the chip that hosts may move.")
    ] = None,
    station: Annotated[
        Path | None,
        typer.Option("--station", metavar="FILE", help="Station file with the bench's limits."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="File that keeps evidence over restarts.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The chip's CurveZMQ key pair.")] = None,
    hosts: Annotated[
        Path | None, typer.Option("--hosts", help="Folder of the hosts' public keys.")
    ] = None,
) -> None:
    """Put an array on ZMQ, TCP or a pseudo-terminal; Ctrl-C ends it."""
    from hwloop_wire.server import serve as run

    limits = None
    if station is not None:
        limits = f"station file {station.name}", device_file.load_station(station).limits
    opener = port_opener(on, key, hosts)
    # Whoever ends it, the lines go idle and the doses are written down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(open_backend(backend), opener, journal=journal, arm=arm, station=limits, ready=_ready)


def emulate(
    target: Annotated[str, typer.Option("--target", help="native or qemu-m7.")] = "native",
    device: Annotated[str, typer.Option("--device", help="Device file of the cells.")] = "",
    options: Annotated[
        str, typer.Option("--options", help="As of a sim: URL: shape=64x64,seed=1.")
    ] = "shape=64x64,seed=1",
    cells: Annotated[
        Path, typer.Option("--cells", help="File of cells and journal; made if missing.")
    ] = Path("chip.cells"),
    link: Annotated[
        str,
        typer.Option("--link", help="Of native: pty or socket; of qemu-m7: semihosting or uart."),
    ] = "",
    no_state: Annotated[
        bool,
        typer.Option("--no-state", help="Nobody can see or set its state, as of a physical chip."),
    ] = False,
) -> None:
    """Start an emulated chip that runs the real firmware; Ctrl-C ends it, its cells stay."""
    from hwloop_wire.emulator import start

    chosen = split_url(f"sim:{device},{options}")[2] if options else {}
    # Others reach it by a terminal, and one of its own needs no bridge.
    link = link or ("pty" if target == "native" else "")
    chip = start(target, device, chosen, cells=cells, link=link, shows_state=not no_state)
    try:
        _ready(f"serial:{chip.terminal()}")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    finally:
        chip.close()


def port_opener(on: str, key: Path | None, hosts: Path | None) -> PortOpener:
    """Return what opens the port that a text names.

    Raises:
        ConfigurationError: it names none.
    """
    scheme, _, address = on.partition(":")
    if on == "pty":
        return lambda waker, frame_bytes: PtyPort(waker, frame_bytes)
    if scheme == "zmq" and "://" in address:
        from hwloop_wire.zmq_port import RouterPort

        def open_router(waker: Waker, frame_bytes: int) -> Port:
            return RouterPort(address, waker, frame_bytes, key=key, hosts=hosts)

        return open_router
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if scheme == "serial" and address.startswith("tcp://") and host and port.isdecimal():
        return lambda waker, frame_bytes: TcpPort(host, int(port), waker, frame_bytes)
    raise ConfigurationError(
        f"cannot serve on {on!r}",
        remedy="write zmq:tcp://127.0.0.1:5555, serial:tcp://127.0.0.1:5555 or pty",
    )


def _ready(address: str) -> None:
    print(json.dumps({"address": address}), flush=True)
