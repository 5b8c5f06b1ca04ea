"""Random fault schedules on native firmware: does every pulse add up, does every run go on?

    python benchmarks/faults.py --schedules 1000 --json faults.json

Prints a table of faults and outcomes. A schedule that is not as it has to be keeps its folder, and
its seed repeats it: `--first SEED --schedules 1`. Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fault_schedules import FAULTS, Outcome, Schedule, Template, carry_out

VERDICTS = ("applied", "not_applied", "partial", "unknown")


def main() -> int:
    """Carry the schedules out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="folder of what went wrong")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="hwloop-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    template = Template(folder / "template")
    started = time.monotonic()
    done: list[tuple[Schedule, Outcome]] = []
    for seed in range(options.first, options.first + options.schedules):
        schedule, outcome = carry_out(seed, template, folder)
        done.append((schedule, outcome))
        wrong = _wrong(outcome)
        if wrong or len(done) % 50 == 0:
            seconds = time.monotonic() - started
            print(f"{len(done)} schedules, {seconds:.0f} s", file=sys.stderr, flush=True)
        if wrong:
            kind = "training" if schedule.training else "measurement"
            chip = "physical" if schedule.physical else "virtual"
            print(f"seed {seed} ({schedule.fault}, {kind}, {chip}): {wrong}", file=sys.stderr)
            for note in outcome.notes:
                print(f"    {note}", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    summary = summarise(done, seconds)
    print(table(done))
    print(
        f"{len(done)} schedules in {seconds:.0f} s: {summary['twice']} pulses applied twice, "
        f"{summary['missing']} reported applied that were not, {summary['over']} cells over a "
        f"limit, {summary['not_complete']} runs that did not go on, {summary['problems']} other "
        "problems"
    )
    if options.json is not None:
        options.json.write_text(json.dumps(summary, indent=2) + "\n")
    bad = any(_wrong(outcome) for _, outcome in done)
    if bad:
        print(f"what went wrong is kept in {folder}", file=sys.stderr)
    return int(bad)


def _wrong(outcome: Outcome) -> str:
    parts = [
        f"{value} {what}"
        for what, value in (
            ("pulses applied twice", outcome.twice),
            ("pulses reported and not applied", outcome.missing),
            ("cells over a limit", outcome.over),
        )
        if value
    ]
    return "; ".join([*parts, *([outcome.problem] if outcome.problem else [])])


def table(done: list[tuple[Schedule, Outcome]]) -> str:
    """Return the table of faults and outcomes."""
    head = ("fault", "runs", "undisturbed", "resumed", "stopped", "wrong", "open: applied")
    head += ("not applied", "partial", "unknown", "sessions")
    rows = [head]
    for fault in FAULTS:
        mine = [outcome for schedule, outcome in done if schedule.fault == fault]
        if not mine:
            continue
        complete = [o for o in mine if o.result == "complete"]
        rows.append(
            (
                fault,
                str(len(mine)),
                str(sum(not o.rounds for o in complete)),
                str(sum(o.rounds > 0 for o in complete)),
                str(sum(o.result.startswith("stopped") for o in mine)),
                str(sum(bool(_wrong(o)) for o in mine)),
                *(str(sum(o.verdicts.get(v, 0) for o in mine)) for v in VERDICTS),
                str(sum(1 + o.rounds for o in mine)),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def summarise(done: list[tuple[Schedule, Outcome]], seconds: float) -> dict[str, Any]:
    """Return everything as plain values."""
    outcomes = [outcome for _, outcome in done]
    return {
        "schedules": len(done),
        "seconds": round(seconds, 1),
        "twice": sum(o.twice for o in outcomes),
        "missing": sum(o.missing for o in outcomes),
        "over": sum(o.over for o in outcomes),
        "not_complete": sum(not o.result for o in outcomes),
        "problems": sum(bool(o.problem) for o in outcomes),
        "unknown_at_once": max((o.unknown_at_once for o in outcomes), default=0),
        "runs": [
            {
                "seed": s.seed,
                "fault": s.fault,
                "run": "training" if s.training else "measurement",
                "chip": "physical" if s.physical else "virtual",
                **dataclasses.asdict(o),
            }
            for s, o in done
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
