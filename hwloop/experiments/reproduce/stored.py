"""Parts of a long reproduction that are kept, so that it goes on where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "parts.json"


class Parts:
    """Results of the parts of a reproduction, in a file of its folder.

    A part is known by a name that holds every setting it depends on.

    Attributes:
        computed: parts that were computed, not found.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._parts: dict[str, Any] = {}
        if self._path.exists():
            self._parts = json.loads(self._path.read_text(encoding="utf-8"))
        self.computed = 0

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a part, plain values; computed only if it is not in the file."""
        if name not in self._parts:
            self._parts[name] = compute()
            self.computed += 1
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(self._parts, indent=1), encoding="utf-8")
            fresh.replace(self._path)
        return self._parts[name]
