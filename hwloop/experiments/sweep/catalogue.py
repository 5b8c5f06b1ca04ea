"""The catalogue: what is known of every point, in one SQLite file that the driver alone writes.

The truth lies in the folders of the points, where workers leave their results: the catalogue is
made of them each time a driver begins, so that nothing is lost with it.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep.places import CATALOGUE
from hwloop.experiments.sweep.points import Point, plain

WAITING, RUNNING = "waiting", "running"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS points (
    hash TEXT PRIMARY KEY,
    position INTEGER,               -- place in the study; NULL where it is no longer part of it
    settings TEXT NOT NULL,         -- JSON: what tells the point from the others
    config TEXT NOT NULL,           -- JSON: its whole configuration
    state TEXT NOT NULL,            -- waiting, running, finished, failed
    summary TEXT NOT NULL,          -- JSON: its summary.json; metrics are read from it
    seconds REAL,                   -- wall time of the attempt that ended it
    expected_seconds REAL,          -- estimate of it, made when the point was checked
    attempts INTEGER NOT NULL,      -- times that a worker began it
    error TEXT NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What the catalogue knows of a point.

    Attributes:
        hash: what identifies it.
        settings: what tells it from the other points, seed included.
        state: `waiting`, `running`, `finished` or `failed`.
        summary: its summary; empty before it is finished.
        seconds: wall time of the attempt that ended it.
        expected_seconds: estimate of it; None before it was checked.
        attempts: times that a worker began it.
        error: why it failed.
    """

    hash: str
    settings: dict[str, Any]
    state: str
    summary: dict[str, Any]
    seconds: float | None
    expected_seconds: float | None
    attempts: int
    error: str

    def metric(self, key: str) -> Any:
        """Return a value of the summary by its dotted key; None where there is none."""
        found: Any = self.summary
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


class Catalogue:
    """The catalogue of a study's folder.

    Args:
        folder: the folder.

    Raises:
        ConfigurationError: the file cannot be opened or written.

    Attributes:
        set_aside: the damaged catalogue that was replaced by a new one, or None.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / CATALOGUE
        self.set_aside: Path | None = None
        try:
            self._db = _open(path)
            self._require_sound_rows()
        except sqlite3.OperationalError as error:  # locked, not writable: not damaged
            raise ConfigurationError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError:
            self.set_aside = _set_aside(path)
            self._db = _open(path)

    def _require_sound_rows(self) -> None:
        """Look at every row: SQLite itself notices only damage to its own structure."""
        try:
            for row in self.rows():
                if row.state not in (WAITING, RUNNING, "finished", "failed"):
                    raise ValueError(row.state)
        except (ValueError, TypeError, sqlite3.DatabaseError) as error:
            self._db.close()
            raise sqlite3.DatabaseError("damaged") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def define(self, points: Sequence[Point]) -> None:
        """Say which points the study has, in their order; what is known of them is still to come.

        Points that failed stay so, for a worker that died has left nothing.
        """
        with self._db:
            self._db.execute("UPDATE points SET position = NULL")
            self._db.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?, 'waiting', '{}', NULL, NULL, 0, '') "
                "ON CONFLICT (hash) DO UPDATE SET position = excluded.position, "
                "settings = excluded.settings, config = excluded.config",
                [
                    (
                        point.hash,
                        i,
                        json.dumps(dict(point.settings)),
                        point.config.model_dump_json(),
                    )
                    for i, point in enumerate(points)
                ],
            )
            self._db.execute(
                "UPDATE points SET state = 'waiting', summary = '{}' WHERE state != 'failed'"
            )

    def expect(self, hashes: Iterable[str], seconds: float) -> None:
        """Note that points were checked, and how long each will take."""
        with self._db:
            self._db.executemany(
                "UPDATE points SET expected_seconds = ? WHERE hash = ?",
                [(seconds, hash_) for hash_ in hashes],
            )

    def begin(self, hash_: str) -> None:
        """Note that a point was handed out."""
        with self._db:
            self._db.execute("UPDATE points SET state = 'running' WHERE hash = ?", (hash_,))

    def wait(self, hash_: str) -> None:
        """Note that a point is to be trained, whatever became of it before."""
        with self._db:
            self._db.execute(
                "UPDATE points SET state = 'waiting', summary = '{}', error = '' WHERE hash = ?",
                (hash_,),
            )

    def end(self, hash_: str, result: Mapping[str, Any]) -> None:
        """Note the result that a worker left, or that it left none."""
        with self._db:
            self._db.execute(
                "UPDATE points SET state = ?, summary = ?, seconds = ?, attempts = ?, error = ? "
                "WHERE hash = ?",
                (
                    result["state"],
                    json.dumps(result["summary"]),
                    result.get("seconds"),
                    result.get("attempts", 0),
                    result.get("error", ""),
                    hash_,
                ),
            )

    def rows(self) -> list[Row]:
        """Return what is known of the points of the study, in their order."""
        cursor = self._db.execute(
            "SELECT hash, settings, state, summary, seconds, expected_seconds, attempts, error "
            "FROM points WHERE position IS NOT NULL ORDER BY position"
        )
        return [Row(h, json.loads(s), st, json.loads(m), *rest) for h, s, st, m, *rest in cursor]


def table(rows: Sequence[Row], labels: Sequence[str], metrics: Sequence[str]) -> str:
    """Return points as CSV, a row each.

    Args:
        rows: the points.
        labels: settings that are columns of their own.
        metrics: keys of the summary that are columns of their own.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["hash", *labels, "state", *metrics, "seconds", "attempts", "error"])
    for row in rows:
        settings = [_cell(row.settings.get(key)) for key in labels]
        values = [_cell(row.metric(key)) for key in metrics]
        last = [_cell(row.seconds), row.attempts, _cell(row.error)]
        writer.writerow([row.hash, *settings, row.state, *values, *last])
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else plain(value)
    # A spreadsheet would run a text that begins like a formula.
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(_SCHEMA)
        sound = [row[0] for row in db.execute("PRAGMA quick_check")] == ["ok"]
        columns = [row[1] for row in db.execute("PRAGMA table_info(points)")]
        if not sound or columns != _COLUMNS:
            raise sqlite3.DatabaseError("damaged")
    except BaseException:
        db.close()
        raise
    return db


_COLUMNS = [line.split()[0] for line in _SCHEMA.strip().splitlines()[1:-1]]


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.rename(aside)
    return aside
