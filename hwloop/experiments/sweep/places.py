"""Where things lie in the folder of a study."""

from __future__ import annotations

from pathlib import Path

STUDY = "study.yaml"
CATALOGUE = "catalogue.sqlite"
TABLE = "points.csv"
RESULTS = "results.md"
POINTS = "points"
WORKER_LOG = "workers.log"

RUN = "run"
RESULT = "result.json"
MARKS = "marks.jsonl"


def point_folder(folder: Path, hash_: str) -> Path:
    """Return the folder of a point."""
    return folder / POINTS / hash_
