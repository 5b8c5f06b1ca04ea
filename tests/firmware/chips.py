"""Emulated chips for tests: their binaries, arenas and processes."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tty
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hwloop import operations as ops
from hwloop.capabilities import (
    Capabilities,
    Configuration,
    Converter,
    PolarityShape,
    PulseShape,
    TileCapabilities,
)
from hwloop_sim.periphery import Periphery, code_max
from hwloop_wire import arena
from tests.firmware.host import Host

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware_stubs"
STRICT = ["-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]

OPERATIONS = frozenset(ops.KINDS) - {"form", "reset"}
PULSE = PolarityShape(amplitude_volts=1.5, width_seconds=1e-6, compliance_amperes=1e-4)
OPPOSITE = PolarityShape(amplitude_volts=-1.25, width_seconds=3e-6)
CONFIGURATION = Configuration(
    shapes={"set": PulseShape(up=PULSE, down=OPPOSITE), "soft": PulseShape(up=OPPOSITE, down=PULSE)}
)


def compile_all(compiler, flags, sources, binary, work, link=()):
    """Compile sources in parallel, but for those that `work` has objects of, and link them."""
    work.mkdir(exist_ok=True)

    def one(source):
        target = work / f"{source.parent.name}_{source.name}.o"
        if target.exists():
            return str(target)
        command = [*compiler, *flags, "-c", str(source), "-o", str(target)]
        subprocess.run(command, check=True)
        return str(target)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(one, sources))
    subprocess.run([*compiler, *flags, *objects, *link, "-o", str(binary)], check=True)
    return binary


def core_sources():
    return sorted((FIRMWARE / "core").glob("*.c"))


def native_sources():
    return [*core_sources(), *sorted((FIRMWARE / "ports" / "native").glob("*.c"))]


def native_hash(flags):
    """A hash of all that the native chip is built from."""
    digest = hashlib.sha256(" ".join(flags).encode())
    headers = [*(FIRMWARE / "core").glob("*.h"), *(FIRMWARE / "ports" / "native").glob("*.h")]
    for file in [*native_sources(), *sorted(headers)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def build_native(binary, work, flags):
    flags = [*flags, f"-I{FIRMWARE / 'core'}"]
    return compile_all(["gcc"], flags, native_sources(), binary, work)


def tile_capabilities(rows, cols, periphery, state_words=4):
    p = periphery
    return TileCapabilities(
        rows=rows,
        cols=cols,
        reference="cell",
        dac=Converter(code_max=code_max(p.dac_bits), full_scale=0.2),
        adc_forward=Converter(code_max=code_max(p.adc_bits), full_scale=1e-4),
        adc_backward=Converter(code_max=code_max(p.adc_bits), full_scale=1e-4),
        adc_cells=Converter(code_max=code_max(p.cell_adc_bits), full_scale=1e-5),
        cell_siemens=1e-5,
        update_code_max=code_max(p.update_bits),
        longest_train=p.longest_train,
        update_encodings=("seeded", "trains"),
        generator="philox2x32-10",
        average_max=p.average_max,
        state_words=state_words,
    )


def capabilities(populations, periphery=None, *, configuration=CONFIGURATION, **changes):
    """What a chip of these tiles says of itself."""
    periphery = periphery or Periphery()
    return Capabilities(
        **{
            "name": "a chip of a test",
            "kind": "virtual",
            "chip_id": "chip-1",
            "tiles": tuple(
                tile_capabilities(*p.reference.shape, periphery, 4 if p.terms is None else 8)
                for p in populations
            ),
            "operations": OPERATIONS,
            "configuration": configuration,
            **changes,
        }
    )


def write_arena(path, populations, periphery=None, *, seed=1, capacity=None, **changes):
    periphery = periphery or Periphery()
    images = [arena.TileImage(population=p, periphery=periphery) for p in populations]
    chip = capabilities(populations, periphery, **changes)
    arena.write_arena(path, chip, images, seed=seed, capacity=capacity)
    return chip


class Native:
    """A native chip on its standard streams."""

    capacity = None

    def __init__(self, binary, path, *arguments):
        self.path = path
        where = [] if path is None else ["--arena", str(path), "--stdio"]
        command = [str(binary), *where, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.host = Host(self.process.stdout.fileno(), self.process.stdin.fileno())

    def pulses(self, tile=0):
        return arena.pulses(self.path, tile)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.close()

    def close(self):
        """End it, and pass on what it complained of."""
        if self.process.stderr.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        errors = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        assert not errors, errors


class Qemu:
    """The Cortex-M7 image in QEMU, on a pseudo-terminal by semihosting, or on its UART."""

    capacity = arena.QEMU_BYTES

    def __init__(self, image, path, link="semihosting"):
        self.path = path
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        name = os.ttyname(self._slave)
        memory = f"memory-backend-file,id=arena,mem-path={path},size={self.capacity},share=on"
        links = {
            "semihosting": ["-semihosting-config", f"enable=on,target=native,arg={name}"],
            "uart": ["-chardev", f"serial,id=line,path={name}", "-serial", "chardev:line"],
        }
        self.process = subprocess.Popen(
            [
                *("qemu-system-arm", "-M", "mps2-an500,memory-backend=arena", "-object", memory),
                *("-kernel", str(image), "-nodefaults", "-display", "none", "-monitor", "none"),
                *links[link],
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.host = Host(self._master, self._master)

    def pulses(self, tile=0):
        return arena.pulses(self.path, tile)

    def kill(self):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            os.close(self._master)
            os.close(self._slave)


def have(*programs):
    return all(shutil.which(program) for program in programs)
