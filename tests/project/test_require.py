"""The mechanism behind HWLOOP_REQUIRE=all, tried on small suites."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SKIPS = """
    import pytest

    def test_tool(requires):
        requires("no-such-program", "nothing does what it does")

    @pytest.mark.skip(reason="no reason at all")
    def test_marked():
        pass

    @pytest.mark.xfail(reason="known")
    def test_expected_to_fail():
        assert False

    def test_passes(requires):
        requires("python3", "it runs the tests")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(test_skips=SKIPS)
    return pytester


def test_skips_are_allowed_by_default(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HWLOOP_REQUIRE", raising=False)
    result = suite.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines("*no-such-program is not installed: nothing does what it does*")


def test_skips_fail_where_everything_is_required(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWLOOP_REQUIRE", "all")
    result = suite.runpytest_subprocess()
    # A skip mark acts while the test is set up, where pytest calls a failure an error.
    result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines("HWLOOP_REQUIRE=all turns this skip into a failure*no reason*")


def test_skipped_modules_fail_where_everything_is_required(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWLOOP_REQUIRE", "all")
    suite.makepyfile(test_module="import pytest; pytest.importorskip('no_such_module')")
    suite.runpytest_subprocess().assert_outcomes(errors=1)
