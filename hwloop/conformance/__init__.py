"""What every backend has to do, as checks that any lab can run.

`hwloop chip conform --backend URL`, `pytest -p hwloop.conformance.plugin --backend URL`, or
`conform(MyChip)` in a test of one's own.
"""

from hwloop.conformance.evidence import Judgement, Outcome
from hwloop.conformance.region import Region, parse_region
from hwloop.conformance.runner import Report, conform
from hwloop.conformance.scope import Scope
from hwloop.conformance.suite import CHECKS

__all__ = [
    "CHECKS",
    "Judgement",
    "Outcome",
    "Region",
    "Report",
    "Scope",
    "conform",
    "parse_region",
]
