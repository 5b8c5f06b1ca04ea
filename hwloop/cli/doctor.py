"""`hwloop doctor`: whether all that is needed is here, and whether an array answers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.installation import TOOLS, installation
from hwloop.cli.output import JsonFlag, print_error, print_json, print_table

if TYPE_CHECKING:
    from hwloop.conformance.self_test import Finding

PACKAGES = (
    "numpy",
    "pydantic",
    "pyserial",
    "pyzmq",
    "typer",
    "rich",
    "torch",
    "matplotlib",
    "mlxtend",
    "scipy",
    "h5py",
)


def doctor(
    backend: Annotated[
        str | None,
        typer.Option("--backend", metavar="URL", help="An array to look at; it gets no pulse."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check packages, core, tools and serial ports, and whether an array answers; moves nothing."""
    found = installation(PACKAGES)
    chip = [] if backend is None else _self_test(backend)
    found["problems"] += [_problem(one) for one in chip if one.state == "problem"]
    if as_json:
        if backend is not None:
            found["chip"] = [dataclasses.asdict(one) for one in chip]
        print_json(found)
    else:
        _show(found)
        _show_chip(backend, chip)
        _conclude(found, backend)
    if found["problems"]:
        raise typer.Exit(1)


def _self_test(backend: str) -> list[Finding]:
    from hwloop.conformance.self_test import self_test

    return self_test(backend)


def _problem(finding: Finding) -> str:
    return f"{finding.what}: {finding.seen}" + (f"; {finding.remedy}" if finding.remedy else "")


def _show(found: dict[str, Any]) -> None:
    core = found["core"]
    rows = [
        ("hwloop", found["hwloop"]),
        ("Python", f"{found['python']}, {found['executable']}"),
        ("platform", f"{found['platform']}, {found['cores']} cores"),
        ("backends", ", ".join(found["backends"]) or "none"),
        ("core library", core.get("library") or "missing"),
        ("core's source hash", core.get("source_hash") or "-"),
    ]
    rows += [(name, version or "missing") for name, version in found["packages"].items()]
    rows += [
        (name, version or f"not installed; {TOOLS[name]}")
        for name, version in found["compilers"].items()
    ]
    ports = [(port["device"], port["problem"] or port["description"]) for port in found["ports"]]
    print_table("", ("", ""), [*rows, *(ports or [("serial ports", "none")])])


def _show_chip(backend: str | None, chip: list[Finding]) -> None:
    if backend is not None:
        rows = [(one.what, one.state, one.seen, one.remedy) for one in chip]
        print_table(backend, ("looked at", "", "seen", "remedy"), rows)


def _conclude(found: dict[str, Any], backend: str | None) -> None:
    for problem in found["problems"]:
        print_error(f"problem: {problem}")
    if not found["problems"]:
        print("everything that training needs is there")
        if backend is not None:
            print("the array answers; it got no pulse")
