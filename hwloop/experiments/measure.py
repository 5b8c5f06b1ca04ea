"""Measuring runs: plans carried out on an array, each run with its folder, tape and report."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

from hwloop import __version__
from hwloop.backend import CrossbarBackend, open_backend
from hwloop.characterization import files
from hwloop.characterization.plans import Measuring, Plan, Progress, calibrate, rehearse
from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError, CrossbarError, ReplayError
from hwloop.experiments.address import (
    absolute_name,
    absolute_url,
    complete_url,
    is_simulator,
    with_faults,
)
from hwloop.experiments.going_on import can_be_set, feed, going_live, has_operations
from hwloop.experiments.measure_config import (
    MeasureConfig,
    dump_measure_config,
    load_measure_config,
)
from hwloop.experiments.run_folder import RunFolder, replace_atomically, told_how_to_go_on
from hwloop.experiments.stand_ins import Taped
from hwloop.experiments.start import START, restore_start, store_start
from hwloop.procedures.cells import Cells
from hwloop.run import CHECKPOINTS, CHIP, CONFIG, METRICS, Run, load_run
from hwloop.tape import FileTape
from hwloop.tape.format import MAGIC, split_records
from hwloop.testing import FaultSpec

CALIBRATION = "calibration.yaml"
"""Converter calibrations, as a station file takes them."""

LIMITS_FROM = "the settings (limits)"
"""Origin of limits that a configuration gives."""

Watch = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """The plans of a run on an open array.

    Attributes:
        config: the configuration.
        chip: the array.
        cells: what is measured.
        plans: the plans, each with the name of its file.
    """

    config: MeasureConfig
    chip: Chip
    cells: Cells
    plans: list[tuple[Plan, str]]


def measure_run(
    config: MeasureConfig,
    *,
    out: Path | None = None,
    arm: str | None = None,
    faults: FaultSpec | None = None,
    watch: Watch | None = None,
    began: Callable[[Path], None] | None = None,
) -> Run:
    """Carry out plans and return the run.

    Args:
        config: what to measure.
        out: folder that is made for the run; the next number below `runs/` by default.
        arm: id of the physical chip that may be moved.
        faults: what goes wrong on the link to the array.
        watch: is told after each step.
        began: is told the folder.

    Raises:
        CrossbarError: the plans do not work out, nothing was sent and nothing is written; or the
            run has failed, and its folder holds what was measured until then.
    """
    config = config.model_copy(
        update={
            "backend": absolute_url(config.backend),
            "device": None if config.device is None else absolute_name(config.device),
            "station": None if config.station is None else absolute_name(config.station),
        }
    )
    config.made_plans()
    backend = open_backend(with_faults(url_of(config), faults))
    try:
        folder = RunFolder.create(out)
    except BaseException:
        backend.close()
        raise
    with folder.lock():
        chip = None
        try:
            with told_how_to_go_on(folder.path, "hwloop device measure"):
                folder.begin(dump_measure_config(config))
                header = {"config": config.model_dump(mode="json"), **_versions()}
                chip = _open(config, backend, arm, FileTape(folder.tape, header))
                folder.describe(chip.capabilities)
                if began is not None:
                    began(folder.path)
                return _work(config, chip, folder, watch)
        except CrossbarError:
            if chip is None:
                backend.close()
            if (
                chip is None or chip.next_id == chip.first_id
            ):  # nothing but the configuration was sent
                folder.remove()
            raise


def resume_run(
    path: Path,
    *,
    arm: str | None = None,
    url: str | None = None,
    faults: FaultSpec | None = None,
    watch: Watch | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Run:
    """Continue an interrupted run.

    An array that can be set to a state is set to that from which the run began, and the run is
    repeated: what is on the tape already has to repeat to the same bits. Any other array is left as
    it is: the tape answers until it ends, then the array goes live.

    Args:
        path: folder of the run.
        arm: id of the physical chip that may be moved.
        url: where the array is now, if not where it was.
        faults: what goes wrong on the link to the array.
        watch: is told after each step.
        tell: is told in words what was found.

    Raises:
        OutcomeUnknownError: the user has to decide what to do about an operation.
        CrossbarError: the folder holds no run, another process writes it, or it cannot go on.
    """
    run = load_run(path)
    folder = RunFolder(run.folder)
    with folder.lock(), told_how_to_go_on(run.folder, "hwloop device measure"):
        if run.complete:
            return run if run.report is not None else _with_report(run)
        config = load_measure_config(run.folder / CONFIG)
        if url is not None:
            config = config.model_copy(update={"backend": url})
        start = run.folder / CHECKPOINTS / START
        backend = open_backend(with_faults(url_of(config), faults))
        if not can_be_set(backend) and has_operations(run.tape_path):
            return _go_on(run, config, backend, folder, arm, watch, tell)
        if start.is_file() and (header_end := _header_end(folder.tape)):
            (run.folder / METRICS).unlink(missing_ok=True)
            tape = FileTape.resume(folder.tape, header_end)
        else:
            for path in (folder.tape, run.folder / METRICS):
                path.unlink(missing_ok=True)
            tape = FileTape(folder.tape, {"config": config.model_dump(mode="json"), **_versions()})
        chip = _open(config, backend, arm, tape)
        folder.describe(chip.capabilities)
        restore_start(chip, folder)
        return _work(config, chip, folder, watch)


def _go_on(
    run: Run,
    config: MeasureConfig,
    backend: CrossbarBackend,
    folder: RunFolder,
    arm: str | None,
    watch: Watch | None,
    tell: Callable[[str], None],
) -> Run:
    """Continue a run of an array that cannot be set to a state: the tape answers until it ends."""
    try:
        fed, examined = feed(run, backend)
        offset = examined.interrupted.header_end
        (run.folder / METRICS).unlink(missing_ok=True)
        tape = FileTape.resume(folder.tape, offset)
    except BaseException:
        backend.close()
        raise
    chip = _open(config, fed, arm, tape)
    folder.describe(chip.capabilities)
    behind = going_live(chip, fed, examined, None, offset, tell)
    return _work(config, chip, folder, watch, behind)


def salvage(run: Run) -> list[Path]:
    """Write what an interrupted run has measured, from its tape alone; return the files.

    Raises:
        ReplayError: the tape was made by another version of the library.
    """
    if not (run.folder / CHIP).is_file():
        return []
    config = load_measure_config(run.folder / CONFIG)
    described = run.chip
    chip = Chip(
        Taped(described, run.tape),
        device=None if is_simulator(config.backend) else config.device,
        arm=described.chip_id,
        lowerings=config.lowerings,
    )
    kept = []
    work = plans_on(config, chip)
    for plan, name in work.plans:
        measuring = Measuring(chip, plan, work.cells)
        try:
            measuring.run()
        except ReplayError as error:
            if "differs" in error.message:
                raise
        written = _keep(measuring, run.folder / name)
        kept += [] if written is None else [written]
        if not measuring.complete:
            break
    return kept


def url_of(config: MeasureConfig) -> str:
    """Return the URL of the array, its device file filled in."""
    return complete_url(config.backend, device=config.device)


def plans_on(config: MeasureConfig, chip: Chip) -> Work:
    """Return the plans of a configuration, with their cells on an array.

    Raises:
        ConfigurationError: plans or cells do not fit.
    """
    plans = config.made_plans()
    several = len(plans) > 1
    names = [
        f"{number}-{plan.kind}.yaml" if several else f"{plan.kind}.yaml"
        for number, plan in enumerate(plans, start=1)
    ]
    cells = config.chosen_cells(chip.capabilities)
    return Work(config, chip, cells, list(zip(plans, names, strict=True)))


def _open(config: MeasureConfig, backend: Any, arm: str | None, tape: FileTape) -> Chip:
    device = None if is_simulator(config.backend) else config.device
    try:
        return Chip(
            backend,
            device=device,
            station=config.station,
            limits=config.limits,
            limits_from=LIMITS_FROM,
            arm=arm,
            tape=tape,
            lowerings=config.lowerings,
        )
    except BaseException:
        tape.close()
        raise


def _work(
    config: MeasureConfig,
    chip: Chip,
    folder: RunFolder,
    watch: Watch | None,
    behind: AbstractContextManager[None] | None = None,
) -> Run:
    """Rehearse all plans, carry them out, and write what came out."""
    started = time.monotonic()
    done: list[dict[str, Any]] = []
    with chip, behind or nullcontext():
        work = plans_on(config, chip)
        guard = copy.deepcopy(chip.guard)
        for plan, _ in work.plans:
            rehearse(chip, plan, work.cells, guard)
        store_start(chip, folder)
        for plan, name in work.plans:
            done.append(_one(work, plan, folder, name, watch))
            folder.add_metrics(
                {"kind": "plan", **done[-1], "seconds": round(time.monotonic() - started, 3)}
            )
    run = Run(folder.path)
    folder.finish(_summary(run, work, done, time.monotonic() - started))
    return _with_report(run)


def _one(
    work: Work, plan: Plan, folder: RunFolder, name: str, watch: Watch | None
) -> dict[str, Any]:
    """Carry out a plan, keep what it measured whatever happens, and return what is said of it."""
    measuring = Measuring(work.chip, plan, work.cells)
    try:
        measuring.run(watch)
    finally:
        _keep(measuring, folder.path / name)
    found = {
        "plan": plan.kind,
        "file": name,
        "cells": len(work.cells),
        "rows": measuring.measurement().rows,
        "steps": measuring.done,
        "pulses": measuring.pulses,
        "most_pulses_per_cell": int(measuring.dose.cells.max(initial=0)),
        "dose_agrees": measuring.pulses == int(measuring.dose.cells.sum()),
        "chip_seconds": measuring.seconds,
    }
    if plan.kind == "converter_calibration":
        try:
            _keep_calibration(measuring, folder.path, name)
        except ConfigurationError as error:  # the data are good for something, if not for this
            found["no_calibration"] = error.message
    return found


def _keep(measuring: Measuring, path: Path) -> Path | None:
    """Write what was measured so far, if it is anything."""
    data = measuring.partial()
    if data is None:
        return None
    notes = {**data.header.notes, "written": datetime.datetime.now().isoformat(timespec="seconds")}
    header = data.header.model_copy(update={"notes": notes})
    saved = files.save(dataclasses.replace(data, header=header), path)
    assert saved.table is not None  # as written
    for table in path.parent.glob(f"{path.stem}.table.*"):
        if table.name != saved.table.file:  # of fewer rows, from before an interruption
            table.unlink()
    return path


def _keep_calibration(measuring: Measuring, folder: Path, name: str) -> None:
    import yaml

    today = datetime.date.today()
    found = [
        calibrated.calibration.model_dump(mode="json")
        for calibrated in calibrate(measuring.measurement(), today, name)
    ]
    text = yaml.safe_dump({"calibrations": found}, sort_keys=False, default_flow_style=None)
    replace_atomically(
        folder / CALIBRATION, lambda partial: partial.write_text(text, encoding="utf-8")
    )


def _summary(run: Run, work: Work, done: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    chip = work.chip
    link = {} if chip.link is None else dataclasses.asdict(chip.link)
    return {
        "plans": done,
        "wall_seconds": round(seconds, 3),
        "chip_seconds": chip.chip_seconds,
        "pulses": chip.totals.pulses,
        "operations": chip.totals.operations,
        "bytes_sent": link.get("bytes_sent", 0),
        "link": link,
        "tape_hash": chip.tape.digest(),
        "tape_bytes": run.tape_path.stat().st_size,
        "url": url_of(work.config),
        **_versions(),
    }


def _versions() -> dict[str, Any]:
    cpu, numpy = platform.machine(), metadata.version("numpy")
    python = platform.python_version()
    return {"versions": {"hwloop": __version__, "python": python, "cpu": cpu, "numpy": numpy}}


def _header_end(tape: Path) -> int:
    """Return the length of a tape that holds nothing but its header; 0 without a whole one."""
    if tape.is_file() and (raw := tape.read_bytes()).startswith(MAGIC):
        for end, _, _ in split_records(raw, len(MAGIC)):
            return end
    return 0


def _with_report(run: Run) -> Run:
    if run.config.get("report", True):
        from hwloop.report import write_report

        write_report(run)
    return run
