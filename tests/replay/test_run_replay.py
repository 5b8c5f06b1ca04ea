"""Training runs replayed from their tapes alone."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from hwloop.cli import main
from hwloop.errors import ConfigurationError, ReplayError
from hwloop.experiments import replay
from hwloop.experiments.config import load_config
from hwloop.experiments.estimate import estimate
from hwloop.experiments.replay import replay_run
from hwloop.experiments.train import resume_run, train_run
from hwloop.operations import Operation, Vmm
from hwloop.run import Run
from hwloop.tape import entries
from tests.replay.tapes import rewrite


def reads(run: Run) -> list[int]:
    """Return the positions of the vector reads on a tape."""
    return [i for i, e in enumerate(entries(run.tape_path)) if isinstance(e.operation, Vmm)]


def one_code_less(at: int) -> Callable[[int, Operation], Operation]:
    """Return a change of one code of a vector read."""

    def change(position: int, operation: Operation) -> Operation:
        if position != at:
            return operation
        assert isinstance(operation, Vmm)
        codes = operation.codes.copy()
        codes[1, 2] -= 1
        return dataclasses.replace(operation, codes=codes)

    return change


def test_a_run_replays_without_its_device_file(trained: Run) -> None:
    assert "my-cells.yaml" in trained.config["backend"]["url"]
    found = replay_run(trained)
    assert found.complete and found.same_hash and not found.host
    assert found.operations == found.taped == trained.summary["operations"]
    assert found.differences.first is None


def test_training_takes_a_tape_as_its_array(trained: Run, tmp_path: object) -> None:
    out = trained.folder.parent / "again"
    flags = {"backend.url": f"replay:{trained.folder},mode=strict"}
    config = load_config(trained.folder / "config.yaml", flags=flags)
    again = train_run(config, out=out)
    assert again.summary["tape_hash"] == trained.summary["tape_hash"]
    accuracies = [run.summary["test_accuracy"] for run in (again, trained)]
    assert accuracies[0] == accuracies[1]
    assert not again.checkpoints
    assert again.summary["url"] == flags["backend.url"]


def test_a_dry_run_on_a_tape_promises_nothing(trained: Run) -> None:
    flags = {"backend.url": f"replay:{trained.folder}"}
    costs = estimate(load_config(trained.folder / "config.yaml", flags=flags))
    assert costs["estimated_from"].startswith("nothing")
    assert "pulses" not in costs


def test_one_operation_changed_stops_the_replay_there(copied: Run) -> None:
    at = reads(copied)[-7]
    rewrite(copied.tape_path, one_code_less(at))
    with pytest.raises(ReplayError) as stopped:
        replay_run(copied)
    assert stopped.value.exit_code == 8
    message = stopped.value.message
    assert message.startswith(f"operation {at} differs from {copied.tape_path}")
    assert "codes: 1 of" in message and "by up to 1, the first at [1, 2]: asked" in message


def test_other_settings_stop_the_replay(copied: Run) -> None:
    config = copied.folder / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.1", "lr: 0.2"))
    with pytest.raises(ReplayError, match="outer_update"):
        replay_run(copied)


def test_another_host_counts_what_its_arithmetic_makes_different(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {**copied.summary["versions"], "torch": "99.0", "threads": "64"}
    monkeypatch.setattr(replay, "versions", lambda: now)
    first, second = reads(copied)[5], reads(copied)[9]
    rewrite(copied.tape_path, one_code_less(first))
    rewrite(copied.tape_path, one_code_less(second))
    found = replay_run(copied)
    assert set(found.host) == {"torch", "threads"}
    assert found.host["torch"] == (copied.summary["versions"]["torch"], "99.0")
    row = found.differences.kinds["vmm"]
    assert (row.differing, row.values, row.most, row.first) == (2, 2, 1, first)
    assert not found.same_hash
    assert all(r.differing == 0 for k, r in found.differences.kinds.items() if k != "vmm")
    with pytest.raises(ReplayError, match=f"operation {first} differs"):
        replay_run(copied, follow=False)


def test_following_stops_at_another_operation(copied: Run) -> None:
    at = reads(copied)[6]
    rewrite(copied.tape_path, lambda position, op: None if position == at else op)
    with pytest.raises(ReplayError):
        replay_run(copied, follow=True)


def test_an_interrupted_run_replays_as_far_as_it_goes(copied: Run) -> None:
    raw = copied.tape_path.read_bytes()
    copied.tape_path.write_bytes(raw[: 6 * len(raw) // 10])
    (copied.folder / "summary.json").unlink()
    found = replay_run(copied)
    assert not found.complete
    # The last operations may have no results any more.
    assert 0 <= found.taped - found.operations <= 20
    assert found.operations > 100


def test_a_run_with_more_on_its_tape_is_refused(copied: Run) -> None:
    config = copied.folder / "config.yaml"
    config.write_text(config.read_text().replace("limit: 22", "limit: 20"))
    with pytest.raises(ReplayError, match="came to its end after"):
        replay_run(copied)


def test_other_data_are_refused(copied: Run) -> None:
    config = copied.folder / "config.yaml"
    config.write_text(config.read_text().replace("test_share: 0.2", "test_share: 0.3"))
    with pytest.raises(ConfigurationError, match="not those"):
        replay_run(copied)


def test_a_replayed_run_that_was_interrupted_starts_over(trained: Run) -> None:
    class Stop:
        def begin(self, plan: object) -> None: ...
        def epoch(self, row: object) -> None: ...
        def note(self, text: str) -> None: ...

        def batch(self, state: object) -> None:
            if state.progress.batches == 9:
                raise KeyboardInterrupt

    out = trained.folder.parent / "stopped"
    flags = {"backend.url": f"replay:{trained.folder}"}
    config = load_config(trained.folder / "config.yaml", flags=flags)
    with pytest.raises(KeyboardInterrupt):
        train_run(config, out=out, observer=Stop())
    assert resume_run(out).summary["tape_hash"] == trained.summary["tape_hash"]


def test_command(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "replay", str(trained.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same_hash"] is True
    assert found["array"] == "not asked for"
    assert found["other_host"] == {}
    # The device file is gone, so the array of the run cannot be opened.
    assert main(["run", "replay", str(trained.folder), "--reissue"]) == 0
    out = capsys.readouterr().out
    assert "the hash is the same" in out
    assert "was not given the operations again" in out and "my-cells.yaml" in out


def test_command_on_another_host(
    copied: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "versions", lambda: {**copied.summary["versions"], "cpu": "m68k"})
    at = reads(copied)[4]
    rewrite(copied.tape_path, one_code_less(at))
    assert main(["run", "replay", str(copied.folder), "--no-reissue"]) == 0
    out = capsys.readouterr().out
    assert "1 of them with other values" in out
    assert "this is m68k" in out
    assert str(at) in out
    assert main(["run", "replay", str(copied.folder), "--strict", "--no-reissue"]) == 8
    assert f"operation {at} differs" in capsys.readouterr().err


def test_only_trainings_are_replayed_by_the_command(
    copied: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    import hwloop
    from hwloop.tape import FileTape

    copied.tape_path.unlink()
    hwloop.connect("sim:ideal,shape=2x2", tape=FileTape(copied.tape_path, {})).close()
    assert main(["run", "replay", str(copied.folder)]) == 2
    assert "replay:" in capsys.readouterr().err


def test_values_of_the_array_are_what_the_replay_gives(trained: Run) -> None:
    entry = next(e for e in entries(trained.tape_path) if isinstance(e.operation, Vmm))
    assert entry.result is not None and np.abs(entry.result.values).max() > 0
