"""Fault schedules: a run on native firmware, what goes wrong, and how its pulses add up after all.

Every schedule is a seed. It chooses a run (training or measurement), an array (an emulated chip
that the driver starts, or one that outlives the driver and shows no state, as a physical chip) and
a fault; then the run is reconciled and resumed until it is complete, and the pulses that the
firmware has counted in its cells are compared with those of the tape, cell by cell.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch._dynamo  # each child would import it by itself: optimizers do
import yaml

from hwloop import device_file
from hwloop.backend import open_backend
from hwloop.errors import CrossbarError, OutcomeUnknownError
from hwloop.experiments import measure, rig, train
from hwloop.experiments.config import TrainConfig, load_config
from hwloop.experiments.going_on import has_operations, reconcile_run
from hwloop.experiments.interrupted import Interrupted, read_interrupted
from hwloop.experiments.measure_config import MeasureConfig
from hwloop.operations import Configure, OuterTrains, OuterUpdate, Pulse, Snapshot, Verdict
from hwloop.run import Run
from hwloop.tape import FileTape
from hwloop.testing import FaultSpec, Reboot, Stall
from hwloop_wire import arena, emulator, firmware_build
from hwloop_wire.emulator import POINTS

SHAPE = "6x64+6x64+10x6+10x6"
DEVICE_OPTIONS = {"shape": SHAPE, "seed": "1"}
TIMEOUT = 0.6
FAULTS = (
    "driver killed",
    "chip killed",
    "chip reboots",
    "link faults",
    "link stalls",
    "link breaks",
    "disk full",
    "tape cut",
    "driver and chip killed",
    "limit reached",
)
rig.load_data = functools.cache(rig.load_data)  # type: ignore[attr-defined]
torch._dynamo.reset()

DOSE_PER_CELL = 40_000
LOW_DOSE = 40
MOST_ROUNDS = 8

Counts = list[np.ndarray[Any, Any]]


def device(path: Path, dose_per_cell: int) -> Path:
    """Write a device file in siemens, with a limit, that may arm a chip."""
    content = device_file.load("reram-om").content()
    content["name"] = "reram-bench"
    content["conductance"]["normalised"] = False
    content["limits"] = {"dose_per_cell": dose_per_cell, "voltage_max": 5.0}
    content["provenance"] = {
        k: v for k, v in content["provenance"].items() if not k.startswith("limits")
    }
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass(slots=True)
class Template:
    """What all schedules share.

    Attributes:
        folder: of files.
        device, low: device files, the second with a limit that is reached.
    """

    folder: Path
    device: Path = field(init=False)
    low: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        rig.load_data("digits", test_share=0.2)
        self.device = device(self.folder / "device.yaml", DOSE_PER_CELL)
        self.low = device(self.folder / "low.yaml", LOW_DOSE)
        for physical in (False, True):
            for name, file in (("usual", self.device), ("low", self.low)):
                emulator.write_cells(
                    self.cells(physical, name),
                    str(file),
                    DEVICE_OPTIONS,
                    target="native",
                    shows_state=not physical,
                )

    def cells(self, physical: bool, name: str) -> Path:
        """Return the file of cells of a chip that was never booted."""
        return self.folder / f"{'physical' if physical else 'virtual'}-{name}.cells"


@dataclass(slots=True)
class Schedule:
    """What a seed chooses.

    Attributes:
        seed: of everything.
        training, physical: which run, and on which chip.
        fault: of `FAULTS`.
        again: whether something goes wrong in the first resumed session as well.
    """

    seed: int
    training: bool
    physical: bool
    fault: str
    again: bool
    rng: np.random.Generator

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """Return the schedule of a seed; faults take turns."""
        rng = np.random.default_rng(seed)
        fault = FAULTS[seed % len(FAULTS)]
        training, physical, again = bool(rng.random() < 0.6), bool(rng.random() < 0.6), rng.random()
        return cls(seed, training, physical, fault, bool(again < 0.3), rng)


@dataclass(slots=True)
class Outcome:
    """How a schedule ended.

    Attributes:
        twice: pulses in cells beyond what tape and unknown operations allow.
        missing: pulses that the tape reports and no cell has had.
        over: cells beyond the limit of their dose.
        verdicts: of operations that were open, all sessions together.
        unknown_at_once: most unknown operations after one interruption.
        rounds: sessions after the first.
        result: how it ended.
        problem: what was not as it has to be, empty for nothing.
    """

    twice: int = 0
    missing: int = 0
    over: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    unknown_at_once: int = 0
    rounds: int = 0
    result: str = ""
    problem: str = ""
    notes: list[str] = field(default_factory=list)


class ChipProcess:
    """A native chip on a TCP port, which outlives drivers; `start` boots it again on its cells."""

    def __init__(self, cells: Path) -> None:
        self.cells = cells
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address for a driver."""
        return f"serial:tcp://127.0.0.1:{self.port},timeout={TIMEOUT}"

    def start(self, crash_at: str = "") -> None:
        """Boot it, if it is not running."""
        if self.process is not None and self.process.poll() is None:
            return
        self.close()
        command = [str(firmware_build.native_chip()), "--arena", str(self.cells)]
        command += ["--tcp", str(self.port)] + (["--crash-at", crash_at] if crash_at else [])
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("the chip does not start")

    def kill(self) -> None:
        """Kill it, as `kill -9` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Kill it and let its pipe go."""
        self.kill()
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def settings(training: bool, url: str, file: Path) -> TrainConfig | MeasureConfig:
    """Return what is run."""
    if training:
        return load_config(
            flags={
                "data.source": "digits",
                "network.hidden": [6],
                "algorithm.name": "c-ttv2",
                "algorithm.n_s": 20,
                "algorithm.lines_per_transfer": 2,
                "schedule.epochs": 1,
                "schedule.batch": 60,
                "schedule.limit": 8,
                "schedule.checkpoint_batches": 3,
                "schedule.float_lr": None,
                "report.every": 4,
                "report.html": False,
                "backend.url": url,
                "backend.device": str(file),
            }
        )
    plans = (
        {"plan": "pulse_response", "pulses": 12, "average": 2},
        {"plan": "symmetry_point", "pairs": 2, "lead": 4, "pulses_max": 200, "average": 2},
    )
    return MeasureConfig(
        backend=url, device=str(file), tile=2, rows="0:4", cols="0:4", plans=plans, report=False
    )


def in_child(work: Callable[[], None]) -> tuple[int, str]:
    """Do something in a process of its own; return its exit code, or minus a signal, and a text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code, text = 0, ""
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            os.close(reading)
            work()
        except CrossbarError as error:
            code, text = error.exit_code, str(error)
        except BaseException:
            code, text = 99, traceback.format_exc()
        with contextlib.suppress(OSError):
            os.write(writing, text.encode()[-4000:])
        os._exit(code)
    os.close(writing)
    pieces = []
    while piece := os.read(reading, 65536):
        pieces.append(piece)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return code, b"".join(pieces).decode(errors="replace")


def die_at_write(number: int) -> None:
    """Kill this process at the n-th write of a tape, in the middle of the record or before it."""
    whole, calls = FileTape._write, [0]

    def write(tape: FileTape) -> None:
        calls[0] += 1
        if calls[0] == number:
            raw = b"".join(tape._parts)
            if number % 3 and raw:
                os.write(tape._file, raw[: len(raw) * (number % 3) // 3])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(tape)

    FileTape._write = write  # type: ignore[method-assign]


def die_after(seconds: float) -> None:
    """Kill this process some time from now."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGALRM, die)
    signal.setitimer(signal.ITIMER_REAL, seconds)


class Case:
    """A schedule that is carried out in a folder."""

    def __init__(self, schedule: Schedule, template: Template, folder: Path) -> None:
        self.schedule, self.folder = schedule, folder
        self.rng = schedule.rng
        low = schedule.fault == "limit reached"
        self.file = template.low if low else template.device
        self.limit = LOW_DOSE if low else DOSE_PER_CELL
        self.cells = folder / "cells"
        name = "low" if low else "usual"
        shutil.copyfile(template.cells(schedule.physical, name), self.cells)
        self.run = folder / "run"
        self.chip = ChipProcess(self.cells) if schedule.physical else None
        self.arm = "native-" + _id_of(self.cells) if schedule.physical else None
        self.outcome = Outcome()
        self.cut: list[Interrupted] = []
        self.hits: list[str] = []

    # --- one session --------------------------------------------------------------------------

    def url(self) -> str:
        """Return the address of the array."""
        if self.chip is not None:
            return self.chip.url
        return f"emulator:native,cells={self.cells},timeout={TIMEOUT}"

    def session(self, *, resume: bool, fault: str) -> tuple[int, str]:
        """Run or resume in a process of its own, something going wrong or not."""
        spec, prepare, crash_at, meanwhile = self.plan(fault)
        if self.chip is not None:
            self.chip.start(crash_at)
        s = self.schedule

        def work() -> None:
            prepare()
            arm: dict[str, Any] = {"arm": self.arm, "faults": spec}
            if not resume:
                config = settings(s.training, self.url(), self.file)
                if isinstance(config, TrainConfig):
                    train.train_run(config, out=self.run, **arm)
                else:
                    measure.measure_run(config, out=self.run, **arm)
            elif s.training:
                train.resume_run(self.run, url=self.url(), **arm)
            else:
                measure.resume_run(self.run, url=self.url(), **arm)

        watcher = None
        if meanwhile is not None:
            watcher = os.fork()
            if watcher == 0:
                meanwhile()
                os._exit(0)
        ended = in_child(work)
        if watcher is not None:
            os.waitpid(watcher, 0)
        return ended

    def plan(
        self, fault: str
    ) -> tuple[FaultSpec | None, Callable[[], None], str, Callable[[], None] | None]:
        """Return what a fault comes to: on the link, in the driver, in the chip, from outside."""
        rng = self.rng
        spec: FaultSpec | None = None
        crash_at = ""
        meanwhile: Callable[[], None] | None = None

        def prepare() -> None:
            return None

        if fault in ("driver killed", "tape cut", "driver and chip killed"):
            if rng.random() < 0.7:
                number = int(rng.integers(1, 160 if self.schedule.training else 60))
                prepare = lambda: die_at_write(number)  # noqa: E731
            else:
                seconds = float(rng.uniform(0.02, 0.35))
                prepare = lambda: die_after(seconds)  # noqa: E731
        elif fault == "chip killed":
            if self.chip is not None and rng.random() < 0.5:
                seconds = float(rng.uniform(0.02, 0.3))
                meanwhile = lambda: self._kill_chip(seconds)  # noqa: E731
            else:
                crash_at = self._point()
                if self.chip is None:
                    point, passage = crash_at.split(":")
                    spec = FaultSpec(reboots=(Reboot(point, int(passage)),))
        elif fault == "chip reboots":
            crash_at = self._point()
            point, passage = crash_at.split(":")
            if self.chip is None:
                spec = FaultSpec(reboots=(Reboot(point, int(passage)),))
            else:
                meanwhile = self._reboot
        elif fault == "link faults":
            rate = float(10 ** rng.uniform(-4.5, -2.5))
            spec = FaultSpec.total(rate, seed=int(rng.integers(1, 1000)))
        elif fault == "link stalls":
            message = int(rng.integers(5, 60))
            spec = FaultSpec(stalls=(Stall(float(rng.choice([0.1, 0.9])), message),))
        elif fault == "link breaks":
            messages = sorted({int(n) for n in rng.integers(3, 60, size=2)})
            spec = FaultSpec(disconnects=tuple(messages), drop=1e-5, seed=int(rng.integers(1000)))
        elif fault == "disk full":
            most = int(rng.integers(1_000, 90_000 if self.schedule.training else 30_000))

            def prepare() -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                most_of_all = (most, resource.RLIM_INFINITY)
                resource.setrlimit(resource.RLIMIT_FSIZE, most_of_all)

        return spec, prepare, crash_at, meanwhile

    def _point(self) -> str:
        point = str(self.rng.choice(POINTS))
        most = {"mid-pulses": 4000, "before-answer": 90}.get(point, 60)
        return f"{point}:{int(self.rng.integers(1, most))}"

    def _kill_chip(self, seconds: float) -> None:
        time.sleep(seconds)
        assert self.chip is not None and self.chip.process is not None
        os.kill(self.chip.process.pid, signal.SIGKILL)

    def _reboot(self) -> None:
        """Boot the chip again on the same port when it has died."""
        assert self.chip is not None and self.chip.process is not None
        pid, until = self.chip.process.pid, time.monotonic() + 3
        while time.monotonic() < until:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                program = str(firmware_build.native_chip())
                where = ["--arena", str(self.cells), "--tcp", str(self.chip.port)]
                again = subprocess.Popen([program, *where], stdout=subprocess.DEVNULL)
                (self.folder / "again").write_text(str(again.pid))
                return
            if (self.run / "summary.json").exists() or (self.folder / "over").exists():
                return
            time.sleep(0.005)

    def _end_second_boot(self) -> None:
        again = self.folder / "again"
        if again.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(again.read_text()), signal.SIGKILL)
            again.unlink()
            time.sleep(0.02)

    # --- the whole ----------------------------------------------------------------------------

    def carry_out(self) -> Outcome:
        """Begin the run, let things go wrong, reconcile and resume until it is complete."""
        s, outcome = self.schedule, self.outcome
        try:
            code, text = self.session(resume=False, fault=s.fault)
            self._after(s.fault)
            ended = self._until_complete(code, text)
            if ended:
                self._account()
        finally:
            if self.chip is not None:
                self._end_second_boot()
                self.chip.close()
        return outcome

    def _after(self, fault: str) -> None:
        (self.folder / "over").touch()
        self._end_second_boot()
        if fault == "driver and chip killed" and self.chip is not None:
            self.chip.kill()
        if fault == "tape cut":
            self._cut_tape()
        (self.folder / "over").unlink(missing_ok=True)

    def _cut_tape(self) -> None:
        tape = self.run / "tape.bin"
        if not tape.is_file() or Run(self.run).complete:
            return
        if tape.stat().st_size > 30:
            self.cut.append(read_interrupted(tape))
        size = tape.stat().st_size
        if not size:
            return  # killed before the first word of it
        most = size if self.rng.random() < 0.2 else min(size, 3000)
        os.truncate(tape, size - int(self.rng.integers(1, max(most, 2))))

    def _until_complete(self, code: int, text: str) -> bool:
        """Resume until the run is complete; return whether its pulses are to be looked at."""
        s, outcome = self.schedule, self.outcome
        for number in range(MOST_ROUNDS + 1):
            outcome.notes.append(f"{code}: {text.splitlines()[0] if text else ''}")
            if code == 99:
                outcome.problem = text
                return False
            if code == 4 and s.fault == "limit reached":
                outcome.result = "stopped by the limit"
                return True
            if not (self.run / "config.yaml").is_file():
                if code == 0:
                    outcome.problem = "no run is there"
                    return False
                shutil.rmtree(self.run, ignore_errors=True)
                fault, resume = "", False  # it had not begun: begin it again
            else:
                if Run(self.run).complete:
                    outcome.result = "complete"
                    return True
                fault, resume = "", True
            if number == MOST_ROUNDS:
                break
            outcome.rounds += 1
            if resume and self.chip is not None:
                self.chip.start()
                if not self._reconciled():
                    return False
            if number == 0 and s.again and resume:
                fault = str(self.rng.choice([f for f in FAULTS if f != "limit reached"]))
                outcome.notes.append(f"again: {fault}")
            code, text = self.session(resume=resume, fault=fault)
            if fault:
                self._after(fault)
        outcome.problem = f"not complete after {MOST_ROUNDS} sessions: {outcome.notes}"
        return False

    def _reconciled(self) -> bool:
        """Reconcile as a user does: look, verify, accept. Return whether the run can go on."""

        def look() -> None:
            if not has_operations(self.run / "tape.bin"):
                return
            for policy in ("stop", "verify", "accept"):
                examined = reconcile_run(self.run, policy, url=self.url())  # type: ignore[arg-type]
                assert examined is not None
                if policy == "stop":
                    verdicts = [o.verdict.name.lower() for o in examined.open]
                    (self.folder / "verdicts.json").write_text(
                        json.dumps([verdicts, examined.unrecorded])
                    )
                if examined.clear:
                    return
            raise OutcomeUnknownError(f"still open after accept: {examined.trouble()}")

        file = self.folder / "verdicts.json"
        file.unlink(missing_ok=True)
        code, text = in_child(look)
        outcome = self.outcome
        if code:
            outcome.problem = f"reconcile: {code}: {text}"
            return False
        if file.exists():
            verdicts, unrecorded = json.loads(file.read_text())
            for verdict in verdicts:
                outcome.verdicts[verdict] = outcome.verdicts.get(verdict, 0) + 1
            unknown = verdicts.count("unknown")
            outcome.unknown_at_once = max(outcome.unknown_at_once, unknown)
            if unknown > 1 and not unrecorded:
                outcome.problem = f"{unknown} operations are unknown at once"
                return False
        return True

    # --- the account --------------------------------------------------------------------------

    def _account(self) -> None:
        """Compare the pulses of the cells with those of the tape."""
        outcome = self.outcome
        tiles = len(SHAPE.split("+"))
        counted = [arena.pulses(self.cells, n).astype(np.int64) for n in range(tiles)]
        outcome.over = sum(int((c > self.limit).sum()) for c in counted)
        if self.chip is None:
            self._compare_with_undisturbed(counted)
            return
        if not (self.run / "tape.bin").exists():  # refused before anything was sent
            outcome.twice = sum(int(c.sum()) for c in counted)
            return
        least, most = self._taped()
        for have, low, high in zip(counted, least, most, strict=True):
            outcome.twice += int(np.clip(have - high, 0, None).sum())
            outcome.missing += int(np.clip(low - have, 0, None).sum())

    def _taped(self) -> tuple[Counts, Counts]:
        """Return the least and the most pulses that each cell has had by the tape."""
        interrupted = read_interrupted(self.run / "tape.bin")
        sure, maybe = [], []
        known = set()
        for taped in interrupted.operations:
            operation = taped.operation
            if not isinstance(operation, Pulse | OuterUpdate | OuterTrains):
                continue
            known.add((operation.id, operation.ordinal))
            result = taped.result
            if result is None or result.verdict is Verdict.NOT_APPLIED:
                if result is None and self.outcome.result != "complete":
                    maybe.append(operation)  # the run has stopped for good, nobody has asked
                continue
            (sure if result.verdict is Verdict.APPLIED else maybe).append(operation)
        for cut in self.cut:  # what the tape has lost, the cells have had nevertheless
            kept = {(t.operation.id, t.operation.ordinal): t for t in interrupted.operations}
            for taped in cut.operations:
                operation = taped.operation
                if not isinstance(operation, Pulse | OuterUpdate | OuterTrains):
                    continue
                now = kept.get((operation.id, operation.ordinal))
                again = self._again(interrupted, operation.id)
                if now is None or again:
                    (maybe if taped.result is None else sure).append(operation)
        least = self._counts(sure)
        return least, [a + b for a, b in zip(least, self._counts(maybe), strict=True)]

    def _again(self, interrupted: Interrupted, identity: int) -> bool:
        """Return whether a lost operation's id was given once more, to one that was executed."""
        return any(identity > above for above, _ in interrupted.shifts)

    def _counts(self, operations: list[Any]) -> Counts:
        """Return the pulses per cell of operations, as the simulated array counts them."""
        options = {**DEVICE_OPTIONS, "threads": "1"}
        sim = open_backend(f"sim:{self.file}," + ",".join(f"{k}={v}" for k, v in options.items()))
        try:
            own = sim.describe()
            configuration = own.configuration
            sim.wait(sim.submit([Configure(content_json=configuration.canonical())]))
            for operation in operations:
                sim.wait(sim.submit([operation]))
            tiles = range(len(own.tiles))
            states = sim.wait(sim.submit([Snapshot(tile=n) for n in tiles]))
            return [np.asarray(state.values)[3].astype(np.int64) for state in states]
        finally:
            sim.close()

    def _compare_with_undisturbed(self, counted: Counts) -> None:
        """A run of an array that is set back has the tape and the cells of one never disturbed."""
        outcome = self.outcome
        if outcome.result != "complete":
            return
        low = self.limit == LOW_DOSE
        digest, cells = undisturbed(self.schedule.training, low, self)
        summary = json.loads((self.run / "summary.json").read_text())
        if summary["tape_hash"] != digest:
            outcome.problem = "the tape has another hash than that of an undisturbed run"
        for have, want in zip(counted, cells, strict=True):
            outcome.twice += int(np.clip(have - want, 0, None).sum())
            outcome.missing += int(np.clip(want - have, 0, None).sum())


_UNDISTURBED: dict[tuple[bool, bool], tuple[str, Counts]] = {}


def undisturbed(training: bool, low: bool, case: Case) -> tuple[str, Counts]:
    """Return hash and cells of the run that nothing disturbs, on a chip that the driver starts."""
    if (training, low) not in _UNDISTURBED:
        folder = case.folder.parent / f"undisturbed-{training}-{low}"
        folder.mkdir()
        cells, out = folder / "cells", folder / "run"
        template = case.folder.parent / "template"
        shutil.copyfile(template / f"virtual-{'low' if low else 'usual'}.cells", cells)

        def work() -> None:
            url = f"emulator:native,cells={cells},timeout=20"
            config = settings(training, url, case.file)
            if isinstance(config, TrainConfig):
                train.train_run(config, out=out)
            else:
                measure.measure_run(config, out=out)

        code, text = in_child(work)
        if code:
            raise RuntimeError(f"the undisturbed run fails: {code}: {text}")
        tiles = len(SHAPE.split("+"))
        counts = [arena.pulses(cells, n).astype(np.int64) for n in range(tiles)]
        digest = json.loads((out / "summary.json").read_text())["tape_hash"]
        _UNDISTURBED[training, low] = digest, counts
    return _UNDISTURBED[training, low]


def _id_of(cells: Path) -> str:
    """Return what follows the target in the id of an emulated chip."""
    raw = cells.read_bytes()[:4096]
    at = raw.index(b"native-") + len(b"native-")
    return raw[at : raw.index(b"\0", at)].decode()


def carry_out(seed: int, template: Template, folder: Path) -> tuple[Schedule, Outcome]:
    """Carry a schedule out; its folder is kept if something is wrong."""
    schedule = Schedule.of(seed)
    place = folder / str(seed)
    place.mkdir()
    os.environ["HWLOOP_STATE"] = str(place / "state")
    case = Case(schedule, template, place)
    try:
        outcome = case.carry_out()
    except Exception:
        outcome = case.outcome
        outcome.problem = traceback.format_exc()
    wrong = outcome.problem or outcome.twice or outcome.missing or outcome.over
    if not wrong:
        shutil.rmtree(place)
    sys.stdout.flush()
    return schedule, outcome
