"""The checks as tests: `pytest -p hwloop.conformance.plugin --backend URL`.

They are added to whatever else is collected, one test per check, in their order. Without
`--backend` the plugin does nothing.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Judgement, Outcome
from hwloop.conformance.region import parse_region
from hwloop.conformance.rig import Rig
from hwloop.conformance.runner import examine, opened, opener, plan
from hwloop.conformance.suite import CHECKS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `hwloop chip conform`."""
    group = parser.getgroup("hwloop", "conformance of a backend of hwloop")
    group.addoption("--backend", metavar="URL", help="array that is checked, e.g. sim:reram-om")
    group.addoption("--region", metavar="TILE:R0-R1,C0-C1", help="cells that may be pulsed")
    group.addoption("--dose", type=int, metavar="N", help="most pulses on any one cell")
    group.addoption("--arm", metavar="CHIP_ID", help="array that may be moved")
    group.addoption("--form", metavar="RECIPE", help="recipe of forming that may be asked for")


class ConformanceError(Exception):
    """A check has failed."""


class Session:
    """The open array, shared by the tests of a session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ending = contextlib.ExitStack()
        self._rig: Rig | str | None = None

    def rig(self) -> Rig | str:
        """Open the array when it is first asked for."""
        if self._rig is None:
            option = self._config.getoption
            url, arm = option("--backend"), option("--arm")
            region = option("--region")
            _, scope = plan(
                url,
                region=None if region is None else parse_region(region),
                dose=option("--dose"),
                arm=arm,
                form=option("--form"),
            )
            self._rig = self._ending.enter_context(opened(opener(url), scope, arm))
        return self._rig

    def close(self) -> None:
        """Let the array go."""
        self._ending.close()


class ConformanceItem(pytest.Item):
    """One check as a test."""

    def __init__(self, *, check: Check, session_of_array: Session, **more: Any) -> None:
        super().__init__(**more)
        self.check = check
        self.array = session_of_array

    def runtest(self) -> None:
        """Carry out the check."""
        outcome = examine(self.check, self.array.rig())
        self.user_properties.append(("conformance", outcome.content()))
        if outcome.judgement is Judgement.SKIPPED:
            pytest.skip(outcome.reason)
        if outcome.judgement is Judgement.FAILED:
            raise ConformanceError(_text(outcome))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """Return what was seen and expected, without a traceback."""
        if isinstance(excinfo.value, ConformanceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Return where the test is from, for the report."""
        return __file__, None, f"conformance: {self.check.name}"


class _Plugin:
    """Adds the tests, and closes the array behind them."""

    def __init__(self, array: Session) -> None:
        self.array = array

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        checks = [
            ConformanceItem.from_parent(
                session,
                name=check.name,
                nodeid=f"conformance::{check.name}",
                check=check,
                session_of_array=self.array,
            )
            for check in CHECKS
        ]
        items += checks
        # They belong to no file, and are to be counted nevertheless.
        report = pytest.CollectReport("conformance", "passed", None, list(checks))
        session.ihook.pytest_collectreport(report=report)

    def pytest_unconfigure(self) -> None:
        self.array.close()


def pytest_configure(config: pytest.Config) -> None:
    """Add the checks to the session, if an array is named."""
    if config.getoption("--backend"):
        config.pluginmanager.register(_Plugin(Session(config)), "hwloop-conformance-session")


def _text(outcome: Outcome) -> str:
    lines = [outcome.what]
    for observation in outcome.evidence:
        if observation.fine:
            continue
        lines += [
            f"  {observation.what}",
            f"    seen:     {observation.seen}",
            f"    expected: {observation.expected}",
        ]
    if len(lines) == 1:
        lines.append(f"  {outcome.reason}")
    return "\n".join(lines)
