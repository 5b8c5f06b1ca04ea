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
import subprocess
import sys
import threading
import tty
from collections.abc import Callable
from pathlib import Path

import hwloop_sim
from hwloop import device_file
from hwloop.backend import split_url
from hwloop.capabilities import Capabilities
from hwloop.errors import ConfigurationError, LinkError
from hwloop_sim import periphery, population
from hwloop_wire import arena, firmware_build, with_parent
from hwloop_wire.backend import WireBackend
from hwloop_wire.describing import CHIP_ID_BYTES, shortened
from hwloop_wire.link import READ_BYTES, Link, Opener, StreamLink, Waker, open_serial

TARGETS = ("native", "qemu-m7")
QEMU_LINKS = ("semihosting", "uart")
_START_SECONDS = 10.0
_KILL_SECONDS = 5.0


def write_cells(path: Path, device: str, options: dict[str, str], *, target: str) -> Capabilities:
    """Write the cells of a chip that was never booted; return what it will say of itself.

    Args:
        path: the file; it is replaced.
        device: name or path of a device file, with overrides as in a URL; empty for the default.
        options: those of `sim:`.
        target: of `TARGETS`, whose memory bounds the cells.

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
    capacity = arena.QEMU_BYTES if target == "qemu-m7" else None
    arena.write_arena(path, chip, images, seed=seed, capacity=capacity)
    return chip


class EmulatedChip:
    """The process of an emulated chip.

    Args:
        target: of `TARGETS`.
        cells: file with its cells and journal, as `write_cells` makes it.
        link: how a `qemu-m7` is reached, of `QEMU_LINKS`.

    Attributes:
        process: the chip.
        cells: its file.

    Raises:
        ConfigurationError: a program is missing, or the chip refuses its cells.
    """

    def __init__(self, target: str, cells: Path, link: str = "semihosting") -> None:
        self._terminals: list[int] = []
        self._bridge: Bridge | None = None
        self._address = ""
        self.cells = cells
        if target == "native":
            self._start_native(cells)
        else:
            self._start_qemu(cells, link)

    def opener(self) -> Opener:
        """Return what opens a link to the chip."""
        if not self._terminals:
            return lambda waker: open_serial(self._address, 115200, waker)
        return self._open_master

    def terminal(self) -> str:
        """Return the terminal that another program opens to reach the chip."""
        if not self._terminals:
            return self._address
        if self._bridge is None:
            self._bridge = Bridge(self._terminals[0])
        return self._bridge.address

    def close(self) -> None:
        """End the process."""
        if self._bridge is not None:
            self._bridge.close()
        process = self.process
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_SECONDS)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        for descriptor in self._terminals:
            os.close(descriptor)
        self._terminals = []

    def _start_native(self, cells: Path) -> None:
        program = firmware_build.native_chip()
        # Its standard input is ours: the chip ends with us, whatever ends us.
        command: list[str | Path] = [program, "--arena", cells, "--pty", "--with-parent"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], _START_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            complaint = self._complaint()
            self.close()
            raise ConfigurationError(f"the native chip does not start: {complaint}")
        self._address = json.loads(line)["pty"]

    def _start_qemu(self, cells: Path, link: str) -> None:
        image, program = firmware_build.qemu_image(), firmware_build.qemu()
        master, slave = pty.openpty()
        self._terminals = [master, slave]
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

    def _open_master(self, waker: Waker) -> Link:
        descriptor = os.dup(self._terminals[0])
        return StreamLink(descriptor, self._address, waker, lambda: os.close(descriptor))

    def _complaint(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILL_SECONDS)
        if self.process.poll() is None or self.process.stderr is None:
            return "it says nothing"
        return self.process.stderr.read().decode(errors="replace").strip()


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
    """Joins a terminal that a chip has opened to one that a host can open.

    Args:
        chip: our end of the chip's terminal.

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

    def close(self) -> None:
        """Finish what is queued, idle the lines, end the process, and remove its files."""
        try:
            super().close()
        finally:
            self._clean_up()


def start(
    target: str, device: str, options: dict[str, str], *, cells: Path, link: str = "semihosting"
) -> EmulatedChip:
    """Start an emulated chip; its cells are drawn unless the file is there already.

    Args:
        target: of `TARGETS`.
        device: as of `write_cells`.
        options: those of `sim:`.
        cells: file of cells and journal, which outlives the chip.
        link: how a `qemu-m7` is reached.

    Raises:
        ConfigurationError: an option is wrong, or the chip does not start.
    """
    if target not in TARGETS:
        raise ConfigurationError(
            f"emulator: target {target or '(none)'!r} is unknown",
            remedy=f"use one of {', '.join(TARGETS)}",
        )
    if link not in QEMU_LINKS:
        raise ConfigurationError(
            f"emulator: option link={link}", remedy=f"use one of {', '.join(QEMU_LINKS)}"
        )
    if not cells.exists():
        write_cells(cells, device, options, target=target)
    return EmulatedChip(target, cells, link)
