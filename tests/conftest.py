"""HWLOOP_REQUIRE=all: in continuous integration nothing may be skipped, for whatever reason."""

import os
import shutil
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
