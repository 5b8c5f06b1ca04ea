"""What holds for every test: nothing may be skipped under HWLOOP_REQUIRE=all, nothing is shared."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Generator

import pytest

NOTHING_MAY_SKIP = os.environ.get("HWLOOP_REQUIRE") == "all"


@pytest.fixture
def requires() -> Callable[[str, str], None]:
    """Skip the test where a program is missing: ``requires("cmake", "it builds the core")``."""

    def require(tool: str, reason: str) -> None:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: {reason}")

    return require


_STATE = tempfile.TemporaryDirectory(prefix="hwloop-state-")
_NUMBERS = itertools.count()


def pytest_runtest_setup() -> None:
    """Give each test a state folder of its own: no test sees another's chips, or the user's."""
    os.environ["HWLOOP_STATE"] = os.path.join(_STATE.name, str(next(_NUMBERS)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):  # an expected failure is no skip
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NOTHING_MAY_SKIP and report.skipped:
        reason = report.longrepr[2]
        report.outcome = "failed"
        report.longrepr = f"HWLOOP_REQUIRE=all turns this skip into a failure: {reason}"
