"""Runs a program that ends when the thread that started it does.

`python with_parent.py PARENT PROGRAM [ARGUMENT...]`, PARENT being the process that starts it. Linux
tells a process of the end of the thread that started it, by a signal that the process has chosen
(prctl(2), PR_SET_PDEATHSIG); it remembers the choice over execve(2).
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    with contextlib.suppress(AttributeError):  # other systems have no prctl
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")
    os.execv(program, sys.argv[2:])


if __name__ == "__main__":
    main()
