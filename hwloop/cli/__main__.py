"""`python -m hwloop.cli`: the command line."""

from hwloop.cli import main

main()
