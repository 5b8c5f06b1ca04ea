"""Training runs replayed: the controller is run again, and a tape answers it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hwloop.errors import ConfigurationError, ReplayError
from hwloop.experiments.address import absolute
from hwloop.experiments.config import TrainConfig, load_config
from hwloop.experiments.loop import Trainer
from hwloop.experiments.progress import Observer, Plan, Silence
from hwloop.experiments.rig import Rig, one_torch_thread, prepare
from hwloop.experiments.run_folder import RunFolder
from hwloop.experiments.versions import versions
from hwloop.run import CONFIG, Run
from hwloop.tape.differences import Tally
from hwloop.tape.recording import Recording, open_recording
from hwloop.tape.stream import summarise


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found.

    Attributes:
        operations: operations that were asked for again and answered from the tape.
        taped: operations on the tape.
        complete: whether the run had come to its end.
        same_hash: whether the replay's tape has the hash of the recorded one.
        host: what is not as recorded on this host, name by name: recorded, and now.
        differences: the operations compared, and differences of the host's arithmetic.
    """

    operations: int
    taped: int
    complete: bool
    same_hash: bool
    host: dict[str, tuple[str, str]]
    differences: Tally


def replay_run(
    run: Run, *, follow: bool | None = None, observer: Observer | None = None
) -> Replayed:
    """Run a training again, by its own settings, with its tape in the place of the array.

    No device file and no array are needed, and nothing is kept. On a host as recorded, the first
    operation that is not the taped one stops the replay. On another host the tape's operations are
    followed: where an operation only has other values, this host's arithmetic has made them, and
    they are counted.

    Args:
        run: the run, finished or interrupted.
        follow: whether other values are counted rather than refused; by default, on another host.
        observer: who is told how it goes on.

    Raises:
        ConfigurationError: the run is no training, or its data are not there.
        ReplayError: the replay differs from the tape.
    """
    recording = open_recording(run.tape_path)
    host = _other_host(recording)
    follow = bool(host) if follow is None else follow
    taped = summarise(run.tape_path)
    config = _answered_by(run, "follow" if follow else "strict")
    bench = prepare(config)
    if bench.fingerprint != recording.header["data"]:
        bench.backend.close()
        raise ConfigurationError(
            f"data {bench.data.name!r} are not those that {run.folder} was trained with",
            remedy="bring the data back",
        )
    observer = observer or Silence()
    with TemporaryDirectory(prefix="hwloop-replay-") as name:
        folder = RunFolder.create(Path(name) / "run")
        rig = Rig(bench)
        try:
            with rig.chip, one_torch_thread():
                observer.begin(_plan(rig, run))
                rig.convert()
                Trainer(rig, folder, observer).run()
        except ReplayError:
            if run.complete or not getattr(bench.backend, "ended", False):
                raise
    tally: Tally = bench.backend.differences  # type: ignore[attr-defined]
    answered = sum(row.operations for row in tally.kinds.values())
    if run.complete and answered != taped.operations:
        raise ReplayError(
            f"the replay came to its end after {answered} operations, "
            f"{run.tape_path} holds {taped.operations}",
            remedy="replay with the settings and data of the recorded run",
        )
    digest = rig.chip.tape.digest()
    return Replayed(answered, taped.operations, run.complete, digest == taped.hash, host, tally)


def _other_host(recording: Recording) -> dict[str, tuple[str, str]]:
    """Return what is not as recorded: library versions, kind of CPU, number of threads."""
    recorded = recording.header.get("versions")
    if not isinstance(recorded, dict) or "data" not in recording.header:
        raise ConfigurationError(
            f"{recording.path} is not the tape of a training run",
            remedy="replay a script or a measurement by the URL "
            f"replay:{recording.path},mode=strict",
        )
    now = versions()
    return {
        name: (str(version), now.get(name, "none"))
        for name, version in recorded.items()
        if now.get(name) != version
    }


def _answered_by(run: Run, mode: str) -> TrainConfig:
    """Return a run's settings with its tape as the array, and without what leaves no operation."""
    config = load_config(run.folder / CONFIG)
    where = config.backend.model_copy(update={"url": f"replay:{run.folder},mode={mode}"})
    schedule = config.schedule.model_copy(update={"float_lr": None})
    return absolute(config.model_copy(update={"backend": where, "schedule": schedule}))


def _plan(rig: Rig, run: Run) -> Plan:
    bench = rig.bench
    return Plan(
        config=bench.config,
        folder=run.folder,
        url=bench.url,
        array=rig.chip.capabilities.name,
        data=f"{bench.data.name}, {len(bench.data.x_train)} samples",
        epoch_batches=bench.epoch_batches,
        batches=bench.batches,
        done=0,
    )
