"""The hash of a tape."""

from __future__ import annotations

import hashlib


class RunningHash:
    """SHA-256 over operations and results.

    The order of operations among themselves and of results among themselves counts, their
    interleaving does not: it depends on how far a link runs ahead.
    """

    def __init__(self) -> None:
        self.operations = hashlib.sha256()
        self.results = hashlib.sha256()

    def hexdigest(self) -> str:
        """Return the hash so far."""
        both = self.operations.digest() + self.results.digest()
        return hashlib.sha256(both).hexdigest()
