"""Chips to test: the native one, with sanitizers, and the Cortex-M7 image in QEMU."""

import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hwloop_wire import firmware_build
from tests.core import strategies
from tests.firmware import chips


@pytest.fixture(scope="session")
def sanitized(pytestconfig):
    """The native chip with sanitizers of addresses and undefined behaviour; kept for later runs."""
    if not chips.have("gcc"):
        pytest.skip("gcc is not installed: it builds the native chip")
    flags = [*chips.STRICT, *chips.SANITIZE, "-O1", "-g"]
    cache = pytestconfig.cache.mkdir("hwloop-sanitized")
    binary = cache / f"hwloop-chip-{chips.native_hash(flags)}"
    if not binary.exists():
        for old in cache.iterdir():
            old.unlink()
        with tempfile.TemporaryDirectory() as folder:
            built = chips.build_native(cache / "hwloop-chip", Path(folder), flags)
        built.rename(binary)
    return binary


@pytest.fixture(scope="session")
def installed():
    """The native chip as it was installed."""
    return files("hwloop_sim") / "_core" / "hwloop-chip"


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The Cortex-M7 image."""
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if not chips.have(program):
            pytest.skip(f"{program} is not installed: it builds or runs the Cortex-M7 chip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        built = firmware_build.qemu_image()
        assert firmware_build.qemu_image() == built
    return built


class Bench:
    """Starts chips on one arena, one after the other, and ends them all."""

    def __init__(self, start, capacity, path):
        self._start = start
        self._running = []
        self.capacity = capacity
        self.path = path

    def write(self, *populations, **arguments):
        """Write the arena: a small tile unless others are given."""
        if not populations:
            populations = (strategies.population(np.random.default_rng(1), 4, 5),)
        self.populations = populations
        self.chip = chips.write_arena(self.path, populations, capacity=self.capacity, **arguments)

    def start(self, *arguments):
        chip = self._start(self.path, *arguments)
        self._running.append(chip)
        return chip

    def ready(self, *arguments, **changes):
        """Write the arena, start a chip, configure and arm it."""
        self.write(**changes)
        chip = self.start(*arguments)
        chip.host.prepare()
        return chip

    def start_and_ask(self):
        """Boot a chip, and return what it says to HELLO."""
        chip = self.start()
        hello = chip.host.begin()
        chip.kill()
        return hello

    def close(self):
        for chip in self._running:
            chip.close()


@pytest.fixture
def bench(sanitized, tmp_path):
    """A native chip with sanitizers."""
    bench = Bench(lambda path, *a: chips.Native(sanitized, path, *a), None, tmp_path / "arena")
    yield bench
    bench.close()


@pytest.fixture(params=["sanitized", "qemu-m7"])
def either(request, tmp_path):
    """A native chip with sanitizers, and the Cortex-M7 chip on semihosting."""
    if request.param == "sanitized":
        binary = request.getfixturevalue("sanitized")
        capacity = None

        def start(path, *arguments):
            return chips.Native(binary, path, *arguments)
    else:
        image = request.getfixturevalue("image")
        capacity = chips.Qemu.capacity

        def start(path):
            return chips.Qemu(image, path)

    bench = Bench(start, capacity, tmp_path / "arena")
    yield bench
    bench.close()
