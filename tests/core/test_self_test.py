"""The core in a native process with the address and undefined-behaviour sanitizers."""

import subprocess
from pathlib import Path

import pytest

STUBS = Path(__file__).parents[2] / "firmware_stubs"
FLAGS = [
    "-std=c11",
    "-O1",
    "-g",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def build_and_run(compiler, flags, folder):
    program = folder / "hwloop-chip"
    sources = [*(STUBS / "core").glob("*.c"), *(STUBS / "ports" / "native").glob("*.c")]
    command = [compiler, *FLAGS, *flags, f"-I{STUBS / 'core'}", *sources, "-o", program]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return subprocess.run(
        [program, "--self-test"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_self_test_is_clean_and_the_same(compiler, requires, tmp_path):
    requires(compiler, "it builds the core with sanitizers")
    sanitized = build_and_run(compiler, SANITIZERS if compiler == "gcc" else [], tmp_path)
    fast = build_and_run(compiler, ["-O3"], tmp_path)
    assert sanitized == fast
    # The digest is the same on every compiler and little-endian machine, emulated ones included.
    assert sanitized == "self-test: digest 2f71b1c33f53a1e5\n"
