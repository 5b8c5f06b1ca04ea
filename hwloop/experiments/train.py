"""Training runs: begun, interrupted, resumed, finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

from hwloop.errors import ConfigurationError, CrossbarError
from hwloop.experiments.address import absolute, is_simulator
from hwloop.experiments.config import TrainConfig, dump_config, load_config
from hwloop.experiments.going_on import (
    can_be_set,
    feed,
    going_live,
    has_operations,
    last_checkpoint,
)
from hwloop.experiments.loop import Trainer
from hwloop.experiments.progress import Observer, Plan, Progress, Silence
from hwloop.experiments.rig import Bench, Rig, one_torch_thread, prepare
from hwloop.experiments.run_folder import RunFolder, told_how_to_go_on
from hwloop.experiments.start import outlives, restore_start, store_start
from hwloop.experiments.versions import versions
from hwloop.nn import load
from hwloop.report import write_report
from hwloop.run import CONFIG, Run, load_run
from hwloop.tape import FileTape
from hwloop.testing import FaultSpec

LAST_EPOCHS = 3
"""Epochs at the end of a run whose mean test accuracy is the run's."""

TAPE_BLOCK_BYTES = 1 << 20
"""Bytes of a tape that are held back where the array ends with the process."""


def train_run(
    config: TrainConfig,
    *,
    out: Path | None = None,
    arm: str | None = None,
    faults: FaultSpec | None = None,
    observer: Observer | None = None,
) -> Run:
    """Train by a configuration and return the run.

    Args:
        config: what to train.
        out: folder that is made for the run; the next number below `runs/` by default.
        arm: id of the physical chip that may be moved.
        faults: what goes wrong on the link to the array.
        observer: who is told how it goes on.

    Raises:
        CrossbarError: the configuration does not work out, and nothing is written; or the run has
            failed, and its folder holds everything up to then.
    """
    bench = prepare(absolute(config), faults)
    try:
        folder = RunFolder.create(out)
    except BaseException:
        bench.backend.close()
        raise
    with folder.lock():
        rig: Rig | None = None
        try:
            with told_how_to_go_on(folder.path, "hwloop train"):
                rig = _begin(bench, folder, arm)
            return _train(rig, folder, observer or Silence(), None)
        except CrossbarError:
            if rig is None or not rig.has_operated:
                folder.remove()
            raise


def resume_run(
    path: Path,
    *,
    arm: str | None = None,
    url: str | None = None,
    faults: FaultSpec | None = None,
    observer: Observer | None = None,
) -> Run:
    """Continue an interrupted run from its last checkpoint.

    An array that can be set to its state gets the tape of an undisturbed run. Any other is left as
    it is: the tape answers until it ends, then the array goes live (docs/tutorials/faults.md).

    Args:
        path: folder of the run.
        arm: id of the physical chip that may be moved.
        url: where the array is now, if not where it was.
        faults: what goes wrong on the link.
        observer: who is told how it goes on.

    Raises:
        OutcomeUnknownError: the user has to decide what to do about an operation.
        CrossbarError: the folder holds no run, another process writes it, or it cannot go on.
    """
    run = load_run(path)
    folder, watcher = RunFolder(run.folder), observer or Silence()
    with folder.lock(), told_how_to_go_on(run.folder, "hwloop train"):
        if run.complete:
            watcher.note(f"{path} is complete")
            return _with_report(run)
        bench = prepare(_at(load_config(run.folder / CONFIG), url), faults)
        checkpoint, offset = last_checkpoint(run)
        if not can_be_set(bench.backend) and has_operations(run.tape_path):
            return _go_on(run, bench, folder, watcher, (checkpoint, offset), arm)
        if checkpoint is None:
            watcher.note(f"{path} has no checkpoint yet: it starts over in the same folder")
            folder.clear()
            return _train(_begin(bench, folder, arm), folder, watcher, None)
        return _train(Rig(bench, arm=arm), folder, watcher, checkpoint)


def _at(config: TrainConfig, url: str | None) -> TrainConfig:
    """Return a configuration with its array at another place."""
    if url is None:
        return config
    return config.model_copy(update={"backend": config.backend.model_copy(update={"url": url})})


def _go_on(
    run: Run,
    bench: Bench,
    folder: RunFolder,
    observer: Observer,
    place: tuple[Path | None, int],
    arm: str | None,
) -> Run:
    """Continue a run of an array that cannot be set to a state: the tape answers until it ends."""
    try:
        fed, examined = feed(run, bench.backend)
        checkpoint, offset = place
        tape = None
        if checkpoint is None:
            folder.cut_metrics(0)
            tape = FileTape.resume(folder.tape, offset)
    except BaseException:
        bench.backend.close()
        raise
    rig = Rig(dataclasses.replace(bench, backend=fed), arm=arm, tape=tape)
    folder.describe(rig.chip.capabilities)

    def behind() -> AbstractContextManager[None]:
        if checkpoint is not None:
            fed.skip_to(offset)
        return going_live(rig.chip, fed, examined, checkpoint, offset, observer.note)

    return _train(rig, folder, observer, checkpoint, behind)


def _begin(bench: Bench, folder: RunFolder, arm: str | None) -> Rig:
    folder.begin(dump_config(bench.config))
    header = {
        "config": bench.config.model_dump(mode="json"),
        "url": bench.url,
        "data": bench.fingerprint,
        "versions": versions(),
    }
    tape = FileTape(folder.tape, header, block_bytes=_tape_block(bench.url))
    try:
        rig = Rig(bench, arm=arm, tape=tape)
    except BaseException:
        bench.backend.close()
        tape.close()
        raise
    try:
        folder.describe(rig.chip.capabilities)
        if outlives(bench.url):
            restore_start(rig.chip, folder)
            store_start(rig.chip, folder)
    except BaseException:
        with suppress(OSError, CrossbarError):
            rig.chip.close()
        raise
    return rig


def _train(
    rig: Rig,
    folder: RunFolder,
    observer: Observer,
    checkpoint: Path | None,
    behind: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Run:
    """Train a rig to the end, from its initial weights or from a checkpoint.

    Args:
        rig: data, networks and array.
        folder: of the run.
        observer: who is told how it goes on.
        checkpoint: where to begin, or None.
        behind: is entered where what comes has to be asked for again, if it is on the tape already.
    """
    bench = rig.bench
    with told_how_to_go_on(folder.path, "hwloop train"):
        with rig.chip, one_torch_thread(), ExitStack() as stack:
            progress = None
            if checkpoint is None:
                stack.enter_context(behind())
                rig.convert(observer.note)
            else:
                progress = _restore(rig, folder, checkpoint, observer)
                stack.enter_context(behind())
            for note in rig.notes:
                observer.note(note)
            observer.begin(
                Plan(
                    config=bench.config,
                    folder=folder.path,
                    url=bench.url,
                    array=rig.chip.capabilities.name,
                    data=f"{bench.data.name}, {len(bench.data.x_train)} samples",
                    epoch_batches=bench.epoch_batches,
                    batches=bench.batches,
                    done=progress.batches if progress is not None else 0,
                )
            )
            trainer = Trainer(rig, folder, observer, progress)
            trainer.run()
        run = Run(folder.path)
        folder.finish(_summary(run, rig, trainer.seconds))
        return _with_report(run) if bench.config.report.html else run


def _restore(rig: Rig, folder: RunFolder, checkpoint: Path, observer: Observer) -> Progress:
    """Bring networks, tape, metrics and an array that can be set to the state of a checkpoint."""
    rig.convert(observer.note)
    extra = load(checkpoint, rig.chip, rig.networks, rig.optimizer)
    if extra["data"] != rig.bench.fingerprint:
        raise ConfigurationError(
            f"data {rig.bench.data.name!r} are not those that {folder.path} was trained with",
            remedy="bring the data back, or start a new run",
        )
    if extra.get("pretrained", "") != rig.pretrained:
        raise ConfigurationError(
            f"the pre-trained weights are not those that {folder.path} began with",
            remedy="start a new run",
        )
    now = versions()
    changed = [name for name, version in extra["versions"].items() if now.get(name) != version]
    if changed:
        before = ", ".join(f"{name} {extra['versions'][name]}" for name in changed)
        observer.note(f"another {', '.join(changed)} than before ({before}): bits may differ")
    # What was done so far, to get here, is on the tape already.
    rig.chip.tape = FileTape.resume(
        folder.tape, extra["tape_bytes"], block_bytes=_tape_block(rig.bench.url)
    )
    folder.cut_metrics(extra["metrics_bytes"])
    return Progress.from_content(extra["progress"])


def _tape_block(url: str) -> int:
    """Return how many bytes of a tape may be held back (decision 0010)."""
    return TAPE_BLOCK_BYTES if is_simulator(url) else 0


def _summary(run: Run, rig: Rig, seconds: float) -> dict[str, Any]:
    epochs, totals, link = run.epochs, rig.chip.totals, rig.chip.link
    return {
        "test_accuracy": _last_mean(epochs, "test_accuracy"),
        "float_test_accuracy": _last_mean(epochs, "float_test_accuracy"),
        "final_test_accuracy": epochs[-1]["test_accuracy"],
        "final_float_test_accuracy": epochs[-1]["float_test_accuracy"],
        "wall_seconds": round(seconds, 3),
        "chip_seconds": rig.chip.chip_seconds,
        "pulses": totals.pulses,
        "operations": totals.operations,
        "bytes_sent": 0 if link is None else link.bytes_sent,
        "link": {} if link is None else dataclasses.asdict(link),
        "seed": rig.bench.config.seed,
        **({} if rig.transferred is None else dataclasses.asdict(rig.transferred)),
        "epochs": len(epochs),
        "batches": epochs[-1]["batch"],
        "tape_hash": rig.chip.tape.digest(),
        "tape_bytes": run.tape_path.stat().st_size,
        "data": rig.bench.fingerprint,
        "url": rig.bench.url,
        "notes": rig.notes,
        "versions": versions(),
    }


def _last_mean(epochs: list[dict[str, Any]], key: str) -> float | None:
    values = [row[key] for row in epochs[-LAST_EPOCHS:] if row[key] is not None]
    return round(sum(values) / len(values), 6) if values else None


def _with_report(run: Run) -> Run:
    if run.report is None and load_config(run.folder / CONFIG).report.html:
        write_report(run)
    return run
