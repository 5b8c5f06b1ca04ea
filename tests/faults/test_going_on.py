"""Runs of chips that nobody can set back: the tape answers first, then the chip goes live."""

import os
import signal
from pathlib import Path

import fault_schedules as schedules
import pytest
from typer.testing import CliRunner

from hwloop.cli import main
from hwloop.cli.app import app
from hwloop.errors import ConfigurationError, OutcomeUnknownError
from hwloop.experiments.going_on import reconcile_run
from hwloop.experiments.interrupted import read_interrupted
from hwloop.experiments.measure import resume_run as resume_measuring
from hwloop.experiments.train import resume_run as resume_training
from hwloop.run import Run


def told(run: Path) -> list[dict]:
    """Return what each resumed session has put on the tape."""
    return [event["resumed"] for event in Run(run).tape.events if "resumed" in event]


@pytest.mark.parametrize("training", [True, False], ids=["training", "measuring"])
def test_a_killed_driver(bench, training: bool) -> None:
    it = bench(training=training)
    it.chip.start()
    code, _ = it.begin(lambda: schedules.die_at_write(60))
    assert code == -signal.SIGKILL
    before = read_interrupted(it.run / "tape.bin")
    assert before.open
    resume = resume_training if training else resume_measuring
    run = resume(it.run, url=it.chip.url, arm=it.arm)
    assert run.complete
    after = read_interrupted(run.tape_path)
    assert not after.open
    # What was on the tape is there still, under the same ids, and no id comes twice.
    ids = [t.operation.id for t in after.operations]
    assert ids[: len(before.operations)] == [t.operation.id for t in before.operations]
    assert len(set(ids)) == len(ids)
    (session,) = told(it.run)
    if training:
        tiles = session["read_back"]
        assert all(row["cells"] == row["of"] for row in tiles)
        # The driver has died, the cells have not moved but for taped pulses: 20 states per cell.
        assert all(row["rms_unexplained"] < 0.5e-5 for row in tiles)
    assert it.account() == (0, 0)


@pytest.mark.parametrize("point", ["after-intent:9", "before-commit:9"])
def test_an_unknown_operation_stops_the_run_until_the_user_decides(bench, point: str) -> None:
    it = bench(training=True)
    it.chip.start(point)
    code, text = it.begin()
    assert code == 5, text  # the chip does not come back by itself
    assert f"hwloop run reconcile {it.run}" in text
    it.chip.start()
    with pytest.raises(OutcomeUnknownError) as caught:
        resume_training(it.run, url=it.chip.url, arm=it.arm)
    assert "nothing was sent" in caught.value.message
    examined = reconcile_run(it.run, "stop", url=it.chip.url)
    verdicts = [entry.verdict.name for entry in examined.open]
    assert verdicts.count("UNKNOWN") == 1
    unknown = next(e.operation.id for e in examined.open if e.verdict.name == "UNKNOWN")
    assert caught.value.operation_id == unknown

    words = ["run", "reconcile", str(it.run), "--backend", it.chip.url]
    assert main([*words]) == 7
    shown = CliRunner().invoke(app, [*words, "--policy", "accept", "--json"])
    assert shown.exit_code == 0
    assert '"decided": "unknown"' in shown.stdout
    run = resume_training(it.run, url=it.chip.url, arm=it.arm)
    assert run.complete
    entry = next(t for t in read_interrupted(run.tape_path).operations if t.operation.id == unknown)
    assert entry.result.verdict.name == "UNKNOWN"
    assert it.account() == (0, 0)


@pytest.mark.parametrize(
    ("point", "decided", "shown"),
    [("after-intent", "UNKNOWN", "nothing"), ("before-commit", "APPLIED", "all")],
)
def test_cells_tell_what_a_journal_cannot(bench, point: str, decided: str, shown: str) -> None:
    """Cells that have just been read get up to 8 pulses each, or none; they know."""
    it = bench(training=False)
    target = {"target_siemens": [6.5e-5], "tolerance_siemens": 1e-6, "round_pulses": 8, "rounds": 3}
    plan = {"plan": "write_verify", "average": 16, **target}
    config = it.settings.model_copy(update={"plans": (plan,), "rows": None, "cols": None})
    it.chip.start(f"{point}:2")

    def work() -> None:
        schedules.measure.measure_run(config, out=it.run, arm=it.arm)

    code, text = schedules.in_child(work)
    assert code == 5, text
    it.chip.start()
    found = reconcile_run(it.run, "stop", url=it.chip.url)
    assert [e.verdict.name for e in found.open if not e.clear] == ["UNKNOWN"]
    found = reconcile_run(it.run, "verify", url=it.chip.url)
    (entry,) = [e for e in found.open if e.verdict.name == "UNKNOWN"]
    assert entry.decided is not None, entry.evidence
    assert (entry.decided.name, shown in entry.evidence) == (decided, True), entry.evidence
    assert resume_measuring(it.run, url=it.chip.url, arm=it.arm).complete
    assert it.account() == (0, 0)


def test_a_tape_that_has_lost_its_end(bench) -> None:
    it = bench(training=False)
    it.chip.start()
    it.begin(lambda: schedules.die_at_write(80))
    tape = it.run / "tape.bin"
    it.case.cut.append(read_interrupted(tape))
    kept = it.case.cut[0].operations[-30].end
    os.truncate(tape, kept)
    with pytest.raises(OutcomeUnknownError, match="has lost its end"):
        resume_measuring(it.run, url=it.chip.url, arm=it.arm)
    assert not reconcile_run(it.run, "verify", url=it.chip.url).clear
    assert reconcile_run(it.run, "accept", url=it.chip.url).clear
    assert resume_measuring(it.run, url=it.chip.url, arm=it.arm).complete
    assert it.account() == (0, 0)


def test_what_is_refused(bench, tmp_path: Path) -> None:
    it = bench(training=False)
    it.chip.start()
    it.begin(lambda: schedules.die_at_write(60))
    other = schedules.emulator.write_cells
    other(
        tmp_path / "other",
        str(it.case.file),
        {"shape": "8x8", "seed": "9"},
        target="native",
        shows_state=False,
    )
    stranger = schedules.ChipProcess(tmp_path / "other")
    stranger.start()
    try:
        with pytest.raises(ConfigurationError, match="is connected"):
            resume_measuring(it.run, url=stranger.url, arm=it.arm)
        with pytest.raises(ConfigurationError, match="is connected"):
            reconcile_run(it.run, "accept", url=stranger.url)
    finally:
        stranger.close()
    words = ["run", "reconcile", str(it.run), "--backend", it.chip.url]
    assert main([*words, "--policy", "hope"]) == 2
    assert resume_measuring(it.run, url=it.chip.url, arm=it.arm).complete
    assert main([*words]) == 2  # it is complete
