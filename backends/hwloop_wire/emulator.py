"""Emulated chips: the real firmware as a process here, on the cells of the simulated array.

`emulator:native,seed=1` and `emulator:qemu-m7,shape=32x32` start one, use it and clean up.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import queue
import select
import socket
import subprocess
import sys
import threading
import tty
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import hwloop_sim
from hwloop import device_file
from hwloop.backend import split_url
from hwloop.capabilities import Capabilities
from hwloop.errors import ConfigurationError, LinkError
from hwloop.testing import LINK_POINTS, Reboot
from hwloop_sim import periphery, population
from hwloop_wire import arena, firmware_build, with_parent
from hwloop_wire.backend import WireBackend
from hwloop_wire.describing import CHIP_ID_BYTES, shortened
from hwloop_wire.link import (
    READ_BYTES,
    Link,
    LinkClosedError,
    Opener,
    StreamLink,
    Waker,
    open_serial,
)

LINKS = {"native": ("socket", "pty"), "qemu-m7": ("semihosting", "uart")}
"""Emulated chips and how they are reached, the default first."""

TARGETS = tuple(LINKS)
POINTS = ("after-intent", "mid-pulses", "before-commit", "after-commit", "before-answer")
"""Points at which a native chip may be told to reboot."""

_START_SECONDS = 10.0
_KILL_SECONDS = 5.0

_TERMINAL_BAUD = 4_000_000
"""A pseudo-terminal passes bytes as fast as it can, whatever it is told."""


def write_cells(
    path: Path, device: str, options: dict[str, str], *, target: str, shows_state: bool = True
) -> Capabilities:
    """Write the cells of a chip that was never booted; return what it will say of itself.

    Args:
        path: the file; it is replaced.
        device: name or path of a device file, with overrides as in a URL; empty for the default.
        options: those of `sim:`.
        target: of `TARGETS`, whose memory bounds the cells.
        shows_state: whether the chip offers snapshots, as no physical one does: without them a run
            cannot be set back to a checkpoint.

    Raises:
        ConfigurationError: device or options are wrong, or the chip cannot hold the cells.
    """
    _, name, overrides = split_url(f"sim:{device}")
    options = {**overrides, **options}
    simulated = hwloop_sim.open_backend(name, options)
    chip = simulated.describe()
    simulated.close()
    assert chip.device is not None
    loaded = device_file.load(chip.device)
    settings = {k: v for k, v in options.items() if k == "periphery" or k in periphery.FIELDS}
    converters = periphery.from_options(settings)
    seed = int(options.get("seed", "1"))
    images = [
        arena.TileImage(
            population=population.draw(
                loaded, tile.rows, tile.cols, seed=seed, tile=n, overrides=chip.device_overrides
            ),
            periphery=converters,
        )
        for n, tile in enumerate(chip.tiles)
    ]
    chip = chip.model_copy(
        update={
            "name": f"emulated {loaded.name} ({target})",
            "chip_id": shortened(f"{target}-{chip.chip_id.removeprefix('sim-')}", CHIP_ID_BYTES),
            "retained_evidence": True,
        }
    )
    if not shows_state:
        operations = chip.operations - {"snapshot", "restore"}
        chip = chip.model_copy(update={"operations": operations})
    capacity = arena.QEMU_BYTES if target == "qemu-m7" else None
    arena.write_arena(path, chip, images, seed=seed, capacity=capacity)
    return chip


class EmulatedChip:
    """The process of an emulated chip.

    Args:
        target: of `TARGETS`.
        cells: file with its cells and journal, as `write_cells` makes it.
        link: how it is reached, of `LINKS`.
        reboots: when a native chip reboots, one after the other; passages count since its boot. A
            chip that has reboots, or is told to `reboot`, starts anew when it is opened again.

    Attributes:
        process: the chip.
        cells: its file.

    Raises:
        ConfigurationError: a program is missing, or the chip refuses its cells.
    """

    def __init__(self, target: str, cells: Path, link: str, reboots: Sequence[Reboot] = ()) -> None:
        self._ends: list[int] = []
        self._bridge: Bridge | None = None
        self._address = ""
        self._target, self._link = target, link
        self._reboots = deque(_known(reboots, target))
        self._revives = bool(reboots)
        self.cells = cells
        self._start()

    def opener(self) -> Opener:
        """Return what opens a link to the chip."""
        return self._open_end if self._ends else self._open_terminal

    def reboot(self) -> None:
        """Reset the chip: it ends as by `kill -9`, and starts on the cells that it leaves."""
        self._end()
        self._start()

    def terminal(self) -> str:
        """Return the terminal that another program opens to reach the chip."""
        if not self._ends:
            return self._address
        if self._bridge is None:
            self._bridge = Bridge(self._ends[0])
        return self._bridge.address

    def close(self) -> None:
        """End the process."""
        if self._bridge is not None:
            self._bridge.close()
        self._end()

    def _start(self) -> None:
        if self._target == "native":
            self._start_native(self.cells, self._link)
        else:
            self._start_qemu(self.cells, self._link)

    def _end(self) -> None:
        process = self.process
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_SECONDS)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        for descriptor in self._ends:
            os.close(descriptor)
        self._ends = []

    def _start_native(self, cells: Path, link: str) -> None:
        program = firmware_build.native_chip()
        its: list[int] = []
        where = ["--pty"]
        if link == "socket":
            ours, other = socket.socketpair()
            self._ends, its = [ours.detach()], [other.detach()]
            where = ["--file", str(its[0])]
            self._address = "the socket of the chip"
        # Its standard input is ours: the chip ends with us, whatever ends us.
        command: list[str | Path] = [program, "--arena", cells, *where, "--with-parent"]
        if self._reboots:
            first = self._reboots.popleft()
            command += ["--crash-at", f"{first.point}:{first.passage}"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=its)
        for descriptor in its:
            os.close(descriptor)
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], _START_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            complaint = self._complaint()
            self.close()
            raise ConfigurationError(f"the native chip does not start: {complaint}")
        self._address = json.loads(line).get("pty", self._address)

    def _start_qemu(self, cells: Path, link: str) -> None:
        image, program = firmware_build.qemu_image(), firmware_build.qemu()
        master, slave = pty.openpty()
        self._ends = [master, slave]
        tty.setraw(slave)
        self._address = os.ttyname(slave)
        memory = f"memory-backend-file,id=arena,mem-path={cells},size={arena.QEMU_BYTES},share=on"
        reached = {
            "semihosting": ["-semihosting-config", f"enable=on,target=native,arg={self._address}"],
            "uart": ["-chardev", f"serial,id=line,path={self._address}", "-serial", "chardev:line"],
        }
        command: list[str | Path] = [
            *(program, "-M", "mps2-an500,memory-backend=arena", "-object", memory),
            *("-kernel", image, "-nodefaults", "-display", "none", "-monitor", "none"),
            *reached[link],
        ]
        self.process = _start_with_us(command)

    def _open_end(self, waker: Waker) -> Link:
        self._check_alive()
        descriptor = os.dup(self._ends[0])
        return StreamLink(descriptor, self._address, waker, lambda: os.close(descriptor))

    def _open_terminal(self, waker: Waker) -> Link:
        self._check_alive()
        return open_serial(self._address, _TERMINAL_BAUD, waker)

    def _check_alive(self) -> None:
        ended = self.process.poll()
        if ended is None:
            return
        if not self._revives:
            raise LinkClosedError(f"the process of the chip has ended with {ended}")
        self.reboot()

    def _complaint(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILL_SECONDS)
        if self.process.poll() is None or self.process.stderr is None:
            return "it says nothing"
        return self.process.stderr.read().decode(errors="replace").strip()


def _known(reboots: Sequence[Reboot], target: str) -> Sequence[Reboot]:
    """Return reboots, all of which the chip has points for."""
    points = POINTS if target == "native" else ()
    for wanted in reboots:
        if wanted.point not in points:
            known = ", ".join((*LINK_POINTS, *points))
            raise ConfigurationError(
                f"faults: reboot={wanted.point}@{wanted.passage}: {target} has no such point",
                remedy=f"points: {known}",
            )
    return reboots


def _start_with_us(command: list[str | Path]) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process, whatever ends it.

    The system ends it with the thread that started it, so that thread waits for its end.
    """
    whole = [sys.executable, "-IS", Path(with_parent.__file__), str(os.getpid()), *command]
    started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()

    def run() -> None:
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        try:
            process = subprocess.Popen(whole, stdin=null, stdout=null, stderr=pipe)
        except OSError as error:
            started.put(error)
            return
        started.put(process)
        with contextlib.suppress(ChildProcessError):  # another thread has seen its end
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    threading.Thread(target=run, name="hwloop-emulator", daemon=True).start()
    process = started.get()
    if isinstance(process, OSError):
        raise ConfigurationError(f"{sys.executable} cannot be started: {process}")
    return process


class Bridge:
    """Joins our end of a chip's link to a terminal that a host can open.

    Args:
        chip: our end.

    Attributes:
        address: terminal for the host.
    """

    def __init__(self, chip: int) -> None:
        self._host, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.address = os.ttyname(self._slave)
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, args=(chip,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Part them."""
        self._waker.wake()
        self._thread.join()
        self._waker.close()
        os.close(self._host)
        os.close(self._slave)

    def _run(self, chip: int) -> None:
        others = {chip: self._host, self._host: chip}
        while True:
            ready, _, _ = select.select([*others, self._waker.reading], [], [])
            if self._waker.reading in ready:
                return
            for descriptor in ready:
                with contextlib.suppress(OSError):  # the chip has ended
                    os.write(others[descriptor], os.read(descriptor, READ_BYTES))


class EmulatorBackend(WireBackend):
    """An emulated chip with its process.

    Args:
        chip: the process.
        opener: opens the link to it.
        clean_up: ends the process; called by `close`.
        timeout, deadman, clear: of `WireBackend`.
    """

    def __init__(
        self,
        chip: EmulatedChip,
        opener: Opener,
        clean_up: Callable[[], None],
        *,
        timeout: float,
        deadman: float,
        clear: bool,
    ) -> None:
        self.chip = chip
        self._clean_up = clean_up
        try:
            super().__init__(opener, timeout=timeout, deadman=deadman, clear=clear)
        except LinkError as error:
            ended = chip.process.poll()
            if ended is not None:
                error.message += f"; the process of the chip ended with {ended}"
            raise

    @property
    def started_here(self) -> bool:
        """Whether this process started the array: yes."""
        return True

    def close(self) -> None:
        """Finish what is queued, idle the lines, end the process, and remove its files."""
        try:
            super().close()
        finally:
            self._clean_up()


def start(
    target: str,
    device: str,
    options: dict[str, str],
    *,
    cells: Path,
    link: str = "",
    reboots: Sequence[Reboot] = (),
    shows_state: bool = True,
) -> EmulatedChip:
    """Start an emulated chip; its cells are drawn unless the file is there already.

    Args:
        target: of `TARGETS`.
        device: as of `write_cells`.
        options: those of `sim:`.
        cells: file of cells and journal, which outlives the chip.
        link: how it is reached, of `LINKS`; empty for the default.
        reboots: of `EmulatedChip`.
        shows_state: of `write_cells`.

    Raises:
        ConfigurationError: an option is wrong, or the chip does not start.
    """
    if target not in TARGETS:
        raise ConfigurationError(
            f"emulator: target {target or '(none)'!r} is unknown",
            remedy=f"use one of {', '.join(TARGETS)}",
        )
    link = link or LINKS[target][0]
    if link not in LINKS[target]:
        raise ConfigurationError(
            f"emulator: option link={link} of {target}",
            remedy=f"use one of {', '.join(LINKS[target])}",
        )
    if not cells.exists():
        write_cells(cells, device, options, target=target, shows_state=shows_state)
    return EmulatedChip(target, cells, link, reboots)
