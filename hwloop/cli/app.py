"""The application: its commands, and the exit code of everything that can go wrong."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Annotated

import typer

from hwloop import __version__
from hwloop.cli import chip, device, doctor, reproduce, run, sweep, train
from hwloop.cli.output import print_error, print_json
from hwloop.errors import INTERRUPTED, CrossbarError

app = typer.Typer(
    name="hwloop",
    help="Train on, drive and emulate resistive crossbar arrays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Every command has --json. --debug anywhere shows the traceback of an unexpected error.",
)
app.command("train")(train.train)
app.add_typer(chip.app, name="chip")
app.add_typer(device.app, name="device")
app.add_typer(run.app, name="run")
app.command("sweep")(sweep.sweep)
app.command("reproduce")(reproduce.reproduce)
app.command("doctor")(doctor.doctor)


class LogLevel(Enum):
    """How much of the log is shown."""

    OFF = "off"
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    log: Annotated[
        LogLevel, typer.Option("--log", help="What is logged, on standard error: hwloop --log info")
    ] = LogLevel.OFF,
) -> None:
    if log is not LogLevel.OFF:
        _log_to_standard_error(log)


def _log_to_standard_error(level: LogLevel) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.name.startswith("hwloop"))
    logging.basicConfig(
        level=level.value.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug, as_json = "--debug" in words, "--json" in words
    words = [word for word in words if word != "--debug"]
    try:
        command = typer.main.get_command(app)
        code = command.main(words, prog_name="hwloop", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except CrossbarError as error:
        return _fail(error.message, error.remedy, error, error.exit_code, as_json)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _fail("interrupted", "", error, INTERRUPTED, as_json)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; the interpreter shall not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if hasattr(error, "format_message"):  # a mistake in options or arguments
            return _fail(error.format_message(), _usage(error), error, 2, as_json)
        if debug:
            raise
        text = f"unexpected {type(error).__name__}: {error}"
        return _fail(
            text, "run the command again with --debug for the traceback", error, 1, as_json
        )


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context is not None else "hwloop --help"


def _fail(message: str, remedy: str, error: BaseException, code: int, as_json: bool) -> int:
    if message:  # empty where the help has been printed instead
        print_error(f"hwloop: {message}")
        if remedy:
            print_error(f"remedy: {remedy}")
    if as_json:
        what = {"type": type(error).__name__, "message": message, "remedy": remedy}
        print_json({"error": {**what, "exit_code": code}})
    return code
