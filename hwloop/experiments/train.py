"""Training runs: begun, interrupted, resumed, finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwloop.errors import ConfigurationError, CrossbarError
from hwloop.experiments.address import absolute, is_simulator
from hwloop.experiments.config import TrainConfig, dump_config, load_config
from hwloop.experiments.loop import Trainer
from hwloop.experiments.progress import Observer, Plan, Progress, Silence
from hwloop.experiments.rig import Bench, Rig, one_torch_thread, prepare
from hwloop.experiments.run_folder import RunFolder
from hwloop.experiments.versions import versions
from hwloop.nn import load
from hwloop.report import write_report
from hwloop.run import CONFIG, Run, load_run
from hwloop.tape import FileTape

LAST_EPOCHS = 3
"""Epochs at the end of a run whose mean test accuracy is the run's."""

TAPE_BLOCK_BYTES = 1 << 18
"""Bytes of a tape that are held back where the array ends with the process."""


def train_run(
    config: TrainConfig,
    *,
    out: Path | None = None,
    arm: str | None = None,
    observer: Observer | None = None,
) -> Run:
    """Train by a configuration and return the run.

    Args:
        config: what to train.
        out: folder that is made for the run; the next number below `runs/` by default.
        arm: id of the physical chip that may be moved.
        observer: who is told how it goes on.

    Raises:
        CrossbarError: the configuration does not work out, and nothing is written; or the run has
            failed, and its folder holds everything up to then.
    """
    bench = prepare(absolute(config))
    try:
        folder = RunFolder.create(out)
    except BaseException:
        bench.backend.close()
        raise
    with folder.lock():
        rig: Rig | None = None
        try:
            rig = _begin(bench, folder, arm)
            return _train(rig, folder, observer or Silence(), None)
        except CrossbarError:
            if rig is None or not rig.has_operated:
                folder.remove()
            raise


def resume_run(path: Path, *, arm: str | None = None, observer: Observer | None = None) -> Run:
    """Continue an interrupted run from its last checkpoint, to the tape of an undisturbed run.

    Raises:
        CrossbarError: the folder holds no run, another process writes it, or it cannot go on.
    """
    run = load_run(path)
    folder, watcher = RunFolder(run.folder), observer or Silence()
    with folder.lock():
        if run.complete:
            watcher.note(f"{path} is complete")
            return _with_report(run)
        bench = prepare(load_config(run.folder / CONFIG))
        if not run.checkpoints:
            watcher.note(f"{path} has no checkpoint yet: it starts over in the same folder")
            folder.clear()
            return _train(_begin(bench, folder, arm), folder, watcher, None)
        return _train(Rig(bench, arm=arm), folder, watcher, run.checkpoints[-1])


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
    folder.describe(rig.chip.capabilities)
    return rig


def _train(rig: Rig, folder: RunFolder, observer: Observer, checkpoint: Path | None) -> Run:
    """Train a rig to the end, from its initial weights or from a checkpoint."""
    bench = rig.bench
    with _disk_errors(folder.path):
        with rig.chip, one_torch_thread():
            progress = None
            if checkpoint is None:
                rig.convert()
            else:
                progress = _restore(rig, folder, checkpoint, observer)
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
    """Bring array, networks, tape and metrics to the state of a checkpoint."""
    rig.require_restorable()
    rig.convert()
    extra = load(checkpoint, rig.chip, rig.networks, rig.optimizer)
    if extra["data"] != rig.bench.fingerprint:
        raise ConfigurationError(
            f"data {rig.bench.data.name!r} are not those that {folder.path} was trained with",
            remedy="bring the data back, or start a new run",
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


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error of the family."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror or error}",
            remedy=f"make room, then continue with: hwloop train --resume {folder}",
        ) from error
